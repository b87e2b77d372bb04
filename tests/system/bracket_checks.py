"""The part of the outside checker about brackets: one way out at a time, and never too much."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from krator_actors.messages.orders import OrderInitialized
from tests.system.checker import Evidence, entry_of

_ZERO = Decimal(0)


def check_brackets(evidence: Evidence) -> list[str]:
    """No two legs of one entry were open at once, and legs sold no more than the entry bought.

    What was bought was protected, unless it is less than two of the least that the venue takes.
    """
    found: list[str] = []
    entry_by_leg = {key: entry_of(leg) for key, leg in evidence.legs().items()}
    open_legs: defaultdict[str, set[str]] = defaultdict(set)
    sold: defaultdict[str, Decimal] = defaultdict(Decimal)
    bought: defaultdict[str, Decimal] = defaultdict(Decimal)
    for line in evidence.ledger:
        key = line.get("clientOrderId", "")
        entry = entry_by_leg.get(key)
        match line["record"]:
            case "order" if entry:
                open_legs[entry].add(key)
                if len(open_legs[entry]) > 1:
                    found.append(f"{entry}: {len(open_legs[entry])} legs at the venue at once")
            case "ended" if entry:
                open_legs[entry].discard(key)
            case "fill" if entry:
                sold[entry] += Decimal(line["qty"])
                if sold[entry] > bought[entry]:
                    found.append(f"{entry}: legs sold {sold[entry]} of {bought[entry]}")
            case "fill":
                bought[key] += Decimal(line["qty"])
            case _:
                pass
    return found + _unprotected(evidence, bought, set(entry_by_leg.values()))


def _unprotected(evidence: Evidence, bought: dict[str, Decimal], protected: set[str]) -> list[str]:
    found = []
    for event in evidence.events(OrderInitialized):
        entry, bracket = event.order.client_order_id, event.order.bracket
        if bracket is None or entry in protected:
            continue
        amount, instrument = bought.get(entry, _ZERO), bracket.instrument
        worth = amount * bracket.stop_price
        if amount > 2 * instrument.min_quantity and worth > 2 * instrument.min_notional:
            found.append(f"{entry} bought {amount} under a bracket, and nothing protected it")
    return found
