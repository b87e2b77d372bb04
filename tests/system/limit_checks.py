"""The rest of the outside checker: halts, limits and denials, recomputed from ledger and logs."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal

from krator_actors.core.risk import RiskEvent
from krator_actors.messages.orders import OrderDenied, OrderInitialized
from krator_actors.messages.risk import OrderApproved, Scope, TradingStateChanged
from krator_actors.model import NANOS_PER_SEC, TradingState
from tests.system.account_replay import Account, Explained
from tests.system.checker import Evidence

BEGIN_GRACE_NS = 5 * NANOS_PER_SEC
"""An order that was approved before a halt may be on its way to the order actor for so long."""


@dataclass(frozen=True, kw_only=True)
class LimitRules:
    """The limits of one run, as configured; money in the quote currency."""

    venue: str
    max_position_fraction: Decimal
    max_order_notional: Decimal
    max_orders_per_sec: int
    max_open_orders: int
    tolerance: Decimal
    """how far a price may move between risk's quote and the venue's trade, as a share of one"""


def check_halts(evidence: Evidence, rules: LimitRules, *, persons: Collection[str]) -> list[str]:
    """After a halt nothing is approved or begun, and only a person lifts one."""
    found: list[str] = []
    halts: dict[tuple[Scope, str], int] = {}
    # Of each approval: when the next halt that it meets was written; missing: none yet.
    halted_ns: dict[str, int] = {}
    approvals: dict[str, OrderApproved] = {}
    for record in evidence.risk_log:
        event = record.event
        match event:
            case TradingStateChanged(state=TradingState.HALTED):
                halts[event.scope, event.target] = record.ts_ns
                for key, approved in approvals.items():
                    if (event.scope, event.target) in _keys(approved, rules):
                        halted_ns.setdefault(key, record.ts_ns)
            case TradingStateChanged():
                halts.pop((event.scope, event.target), None)
                if event.state is TradingState.ACTIVE and event.by not in persons:
                    found.append(f"{event.by!r} lifted a halt and is no person")
            case OrderApproved():
                key = event.order.client_order_id
                approvals[key] = event
                found += [
                    f"{key} was approved while {scope.value} {target} was halted"
                    for scope, target in _keys(event, rules)
                    if (scope, target) in halts
                ]
            case _:
                pass
    return found + _begun_late(evidence, halted_ns, approvals.keys())


def _begun_late(
    evidence: Evidence, halted_ns: dict[str, int], approved: Collection[str]
) -> list[str]:
    found, legs = [], evidence.legs()
    for record in evidence.order_log:
        event = record.event
        if not isinstance(event, OrderInitialized) or not event.request_valid_until_ms:
            continue
        key = event.order.client_order_id
        if key not in approved and key not in legs:
            found.append(f"{key} was begun and never approved")
        late_ns = record.ts_ns - halted_ns.get(key, record.ts_ns)
        if late_ns > BEGIN_GRACE_NS:
            found.append(f"{key} was begun {late_ns / NANOS_PER_SEC:.1f} s after the halt")
    return found


def _keys(approved: OrderApproved, rules: LimitRules) -> tuple[tuple[Scope, str], ...]:
    order = approved.order
    return (
        (Scope.SYSTEM, ""),
        (Scope.VENUE, rules.venue),
        (Scope.SYMBOL, order.symbol),
        (Scope.STRATEGY, order.strategy),
    )


def check_limits(evidence: Evidence, rules: LimitRules) -> list[str]:
    """At every acceptance in the ledger, position, size, number and rate are within the limits.

    Each order is taken at the price that it asks for or, a market order, at what it traded for.
    A bracket's legs are no matter of limits: nobody approves what only protects.
    """
    found: list[str] = []
    legs = evidence.legs()
    account = Account(evidence.ledger)
    lately: deque[int] = deque(maxlen=rules.max_orders_per_sec)
    more = 1 + rules.tolerance
    for line in evidence.ledger:
        account.apply(line)
        if line["record"] != "order" or line["clientOrderId"] in legs:
            continue
        key, received_ns = line["clientOrderId"], line["received_ns"]
        price = account.price_of(line)
        notional = Decimal(line["qty"]) * price
        if notional > rules.max_order_notional * more:
            found.append(f"{key}: notional {notional} exceeds {rules.max_order_notional}")
        if line["side"] == "BUY":
            worst = account.worst_case(line["symbol"], price)
            limit = rules.max_position_fraction * account.equity()
            if worst > limit * more:
                found.append(f"{key}: worst case {worst} of {line['symbol']} exceeds {limit}")
        open_orders = len(account.open.keys() - legs.keys())
        if open_orders > rules.max_open_orders:
            found.append(f"{key}: {open_orders} open orders")
        if len(lately) == lately.maxlen and received_ns - lately[0] < NANOS_PER_SEC:
            found.append(f"{key}: more than {lately.maxlen} orders in one second")
        lately.append(received_ns)
    return found


def wrong_denials(evidence: Evidence, rules: LimitRules) -> list[str]:
    """Return the denials for exposure that ledger and logs cannot explain.

    Risk compares a number with a limit. Such a denial is wrong when its number is worse than the
    worst that can be explained at that moment: everything held at the venue within some seconds
    before, and every order that was approved until then and not over some seconds before, each
    counted in full. Denials for other reasons are no exposure and are not judged.
    """
    explained = Explained(evidence.order_log, evidence.risk_log, evidence.ledger)
    more = 1 + rules.tolerance
    found = []
    for record in evidence.risk_log:
        event: RiskEvent = record.event
        if not isinstance(event, OrderDenied) or event.value is None or event.limit is None:
            continue
        at = explained.at(record.ts_ns, event.symbol)
        wrong = False
        match event.reason:
            case "MAX_POSITION":
                most = (at.most_held_notional + at.buy_notional) * more + rules.max_order_notional
                wrong = event.value > most
            case "INSUFFICIENT_POSITION":
                wrong = event.limit < at.least_held - at.sell_quantity
            case "INSUFFICIENT_CASH":
                wrong = event.limit < at.least_cash - at.all_buy_notional * more
            case "MAX_OPEN_ORDERS":
                wrong = event.value > at.orders + 1
            case _:
                pass
        if wrong:
            found.append(f"{event.client_order_id}: {event.reason} {event.detail}; there was {at}")
    return found
