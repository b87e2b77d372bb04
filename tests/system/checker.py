"""The outside checker: reads the venue's ledger, the local logs and the journal, and nothing else.

It shares no state with the system and asks it nothing. What it returns is a list of sentences; an
empty list means that every order is accounted for. Limits and halts are in ``limit_checks``.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from krator_actors.adapters.journal_reader import JournalUnavailableError
from krator_actors.adapters.local_log import LogRecord, LogTail, log_path, read_log
from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.flatten import WRITER as FLATTEN
from krator_actors.core.orders import BRACKET_CAUSE
from krator_actors.core.risk import RiskEvent
from krator_actors.messages.emergency import FlattenEvent, FlattenOrderInitialized
from krator_actors.messages.orders import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderUpdated,
    SubmitOrder,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import TimeInForce, venue_symbol_of
from supervisors.messages import Message

_HELD_TIMES = frozenset({TimeInForce.GTD, TimeInForce.DAY})
"""Krator takes such an order off when its time is over; the venue knows a cancel only."""


@dataclass(frozen=True)
class Evidence:
    """The records of one run."""

    order_log: list[LogRecord[OrderEvent]]
    risk_log: list[LogRecord[RiskEvent]]
    flatten_log: list[LogRecord[FlattenEvent]]
    """what ``krator kill --flatten`` has written before it sold"""
    ledger: list[dict[str, Any]]

    @classmethod
    def read(cls, data_dir: Path, ledger: Path, *, venue: str) -> Self:
        return cls(
            list(read_log(log_path(data_dir, f"order:{venue}"), types=OrderEvent)),
            list(read_log(log_path(data_dir, "risk"), types=RiskEvent)),
            list(read_log(log_path(data_dir, FLATTEN), types=FlattenEvent)),
            [json.loads(line) for line in ledger.read_text().splitlines()],
        )

    def events(self, *types: type[Message]) -> list[Any]:
        return [record.event for record in self.order_log if isinstance(record.event, types)]

    def of_venue(self, record: str) -> list[dict[str, Any]]:
        return [line for line in self.ledger if line["record"] == record]

    def logged_ns(self) -> dict[str, int]:
        """Return when each order of ours was written down, by client order id."""
        records: tuple[LogRecord[Any], ...] = (*self.order_log, *self.flatten_log)
        kinds = (OrderInitialized, FlattenOrderInitialized)
        return {
            record.event.order.client_order_id: record.ts_ns
            for record in records
            if isinstance(record.event, kinds)
        }

    def legs(self) -> dict[str, SubmitOrder]:
        """Return what the order actor placed by itself to protect what a bracket's entry bought.

        Nobody approves a leg because it only reduces; one that names no entry with a bracket is
        none.
        """
        orders = [event.order for event in self.events(OrderInitialized)]
        entries = {order.client_order_id for order in orders if order.bracket is not None}
        return {order.client_order_id: order for order in orders if entry_of(order) in entries}


def entry_of(order: SubmitOrder) -> str:
    """Return the client order id of the entry that ``order`` calls itself a leg of, or nothing."""
    is_leg = order.cause.startswith(BRACKET_CAUSE)
    return order.cause.removeprefix(BRACKET_CAUSE) if is_leg else ""


def check_orders(evidence: Evidence) -> list[str]:
    """Every order at the venue was logged before it was sent."""
    found = []
    logged_ns = evidence.logged_ns()
    ours = {}
    for taken in evidence.of_venue("order"):
        client_order_id = taken["clientOrderId"]
        ours[str(taken["orderId"])] = client_order_id
        logged = logged_ns.get(client_order_id)
        if logged is None:
            found.append(f"{client_order_id} is at the venue and not in a log of ours")
        elif logged > taken["received_ns"]:
            found.append(f"{client_order_id} reached the venue before it was logged")
    flattened = {
        record.event.order.client_order_id
        for record in evidence.flatten_log
        if isinstance(record.event, FlattenOrderInitialized)
    }
    found += [
        f"external order {external.client_order_id}"
        for external in evidence.events(OrderExternal)
        if ours.get(external.venue_order_id) not in flattened
    ]
    return found


def check_doubles(evidence: Evidence) -> list[str]:
    """No cause became two orders, and no order is at the venue twice."""
    orders = [event.order for event in evidence.events(OrderInitialized)]
    legs = evidence.legs()
    causes = Counter(
        (o.strategy, o.symbol, o.cause) for o in orders if o.client_order_id not in legs
    )
    initialized = Counter(o.client_order_id for o in orders)
    at_venue = Counter(o["clientOrderId"] for o in evidence.of_venue("order"))
    return [
        *_several(causes, "one cause became several orders"),
        *_several(initialized, "initialized several times in the order log"),
        *_several(at_venue, "several times at the venue"),
    ]


def _several(counter: Counter[Any], what: str) -> Iterable[str]:
    return (f"{what}: {key} ({count})" for key, count in counter.items() if count > 1)


def check_fills(evidence: Evidence) -> list[str]:
    """The venue's fills and ours are the same, to the last digit."""
    theirs = {
        (f["symbol"], str(f["tradeId"]), str(f["orderId"])): _amounts(
            f["side"], f["qty"], f["price"], f["commission"], f["commissionAsset"]
        )
        for f in evidence.of_venue("fill")
    }
    ours: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    found = []
    for fill in evidence.events(OrderFilled):
        key = (venue_symbol_of(fill.symbol), fill.trade_id, fill.venue_order_id)
        if key in ours:
            found.append(f"fill {key} is twice in the order log")
        ours[key] = _amounts(
            fill.side.value, fill.last_quantity, fill.last_price, fill.fee, fill.fee_currency
        )
    found += [f"fill {key} is at the venue only" for key in theirs.keys() - ours.keys()]
    found += [f"fill {key} is in our log only" for key in ours.keys() - theirs.keys()]
    found += [
        f"fill {key}: the venue has {theirs[key]}, we have {ours[key]}"
        for key in theirs.keys() & ours.keys()
        if theirs[key] != ours[key]
    ]
    return found


def check_ends(evidence: Evidence) -> list[str]:
    """Nothing is left over: each order of ours is final, as the venue has it."""
    ended: dict[str, str] = {}
    filled: defaultdict[str, Decimal] = defaultdict(Decimal)
    orders = {e.order.client_order_id: e.order for e in evidence.events(OrderInitialized)}
    quantity = {key: order.quantity for key, order in orders.items()}
    for event in evidence.events(OrderFilled):
        filled[event.client_order_id] += event.last_quantity
    for event in evidence.events(OrderUpdated):
        quantity[event.client_order_id] = event.quantity
    for event in evidence.events(OrderDenied, OrderRejected, OrderCanceled, OrderExpired):
        ended[event.client_order_id] = type(event).__name__
    theirs = {o["clientOrderId"]: "open" for o in evidence.of_venue("order")}
    theirs |= {e["clientOrderId"]: e["status"] for e in evidence.of_venue("ended")}
    found = []
    for client_order_id, order in orders.items():
        if filled[client_order_id] == quantity[client_order_id]:
            ours = "FILLED"
        else:
            ours = ended.get(client_order_id, "open")
        at_venue = theirs.get(client_order_id, "never there")
        agreed: tuple[str, ...] = {
            "open": (),
            "FILLED": ("FILLED",),
            "CANCELED": ("OrderCanceled",),
            "EXPIRED": ("OrderExpired",),
            "never there": ("OrderDenied", "OrderRejected"),
        }[at_venue]
        if order.time_in_force in _HELD_TIMES and at_venue == "CANCELED":
            agreed += ("OrderExpired",)
        if ours not in agreed:
            found.append(f"{client_order_id}: the venue has {at_venue}, we have {ours}")
    return found


def check_given_up(evidence: Evidence) -> list[str]:
    """No order that risk or we took for denied, rejected or never arrived was at the venue."""
    at_venue = {o["clientOrderId"] for o in evidence.of_venue("order")}
    denied = [r.event for r in evidence.risk_log if isinstance(r.event, OrderDenied)]
    return [
        f"{event.client_order_id} was given up ({event.reason}), and the venue had taken it"
        for event in (*evidence.events(OrderDenied, OrderRejected), *denied)
        if event.client_order_id in at_venue
    ]


def holdings(evidence: Evidence) -> dict[str, Decimal]:
    """Return each asset's change since the beginning, from the venue's fills alone."""
    total: defaultdict[str, Decimal] = defaultdict(Decimal)
    for fill in evidence.of_venue("fill"):
        base, quote = fill["symbol"].removesuffix("USDT"), "USDT"
        sign = 1 if fill["side"] == "BUY" else -1
        total[base] += sign * Decimal(fill["qty"])
        total[quote] -= sign * Decimal(fill["quoteQty"])
        total[fill["commissionAsset"]] -= Decimal(fill["commission"])
    return dict(total)


async def check_journal(evidence: Evidence, data_dir: Path, dsn: str) -> list[str]:
    """The journal's chain is whole, and it holds every record of every log once and in order."""
    try:
        store = await JournalStore.connect_reader(dsn)
    except JournalUnavailableError as error:
        return [f"journal: {error}"]  # it may be starting again, because it was killed
    try:
        fault = (await store.verify()).fault
        found = [] if fault is None else [f"journal: {fault}"]
        entries = [entry async for entry in store.events()]
    finally:
        await store.close()
    journaled: defaultdict[str, list[int]] = defaultdict(list)
    for entry in entries:
        journaled[entry.writer].append(entry.number)
    for writer, numbers in journaled.items():
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"journal: {writer} is not gapless and in order")
        last = _last_number(data_dir, writer)
        if len(numbers) != last:
            found.append(f"journal: {writer} has {len(numbers)} of {last} records")
    approved = {
        e.event.order.client_order_id for e in entries if isinstance(e.event, OrderApproved)
    }
    found += [
        f"{event.order.client_order_id} was initialized without an approval"
        for event in evidence.events(OrderInitialized)
        if event.order.client_order_id not in approved | evidence.legs().keys()
    ]
    return found


def _last_number(data_dir: Path, writer: str) -> int:
    # Its beginning may have been removed.
    tail = LogTail(log_path(data_dir, writer), after=None)
    try:
        while tail.poll():
            pass
        return tail.number
    finally:
        tail.close()


def _amounts(side: str, *amounts: Any) -> tuple[Any, ...]:
    quantity, price, fee, asset = amounts
    return (side, Decimal(quantity), Decimal(price), Decimal(fee), asset)
