"""The outside checker: reads the venue's ledger, the local logs and the journal, and nothing else.

It shares no state with the system and asks it nothing. What it returns is a list of sentences; an
empty list means that every order is accounted for.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from krator_actors.adapters.local_log import LogTail, log_path, read_log
from krator_actors.adapters.postgres import JournalStore
from krator_actors.messages.orders import (
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import venue_symbol_of
from supervisors.messages import Message

FINAL = OrderDenied | OrderRejected | OrderCanceled | OrderExpired


class Evidence:
    """The three records of one run."""

    def __init__(self, data_dir: Path, ledger: Path, *, venue: str) -> None:
        self.data_dir = data_dir
        self.order_log = list(
            read_log(log_path(data_dir, f"order:{venue}"), after=0, types=OrderEvent)
        )
        lines = ledger.read_text().splitlines()
        self.ledger: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def events(self, *types: type[Message]) -> list[Any]:
        return [record.event for record in self.order_log if isinstance(record.event, types)]

    def of_venue(self, record: str) -> list[dict[str, Any]]:
        return [line for line in self.ledger if line["record"] == record]


def check_orders(evidence: Evidence) -> list[str]:
    """Every order at the venue was logged before it was sent, and none is doubled."""
    found = []
    initialized: dict[str, int] = {}
    causes: Counter[tuple[str, str, str]] = Counter()
    for record in evidence.order_log:
        if isinstance(record.event, OrderInitialized):
            order = record.event.order
            if order.client_order_id in initialized:
                found.append(f"{order.client_order_id} was initialized twice in the order log")
            initialized[order.client_order_id] = record.ts_ns
            causes[order.strategy, order.symbol, order.cause] += 1
    found += [
        f"one cause became {count} orders: {cause}" for cause, count in causes.items() if count > 1
    ]
    at_venue = evidence.of_venue("order")
    for client_order_id, count in Counter(o["clientOrderId"] for o in at_venue).items():
        if count > 1:
            found.append(f"{client_order_id} is at the venue {count} times")
    for taken in at_venue:
        logged = initialized.get(taken["clientOrderId"])
        if logged is None:
            found.append(f"{taken['clientOrderId']} is at the venue and not in the order log")
        elif logged > taken["received_ns"]:
            found.append(f"{taken['clientOrderId']} reached the venue before it was logged")
    found += [f"external order {e.client_order_id}" for e in evidence.events(OrderExternal)]
    return found


def check_fills(evidence: Evidence) -> list[str]:
    """The venue's fills and ours are the same, to the last digit."""
    theirs = {
        (f["symbol"], str(f["tradeId"]), f["clientOrderId"]): _amounts(
            f["side"], f["qty"], f["price"], f["commission"], f["commissionAsset"]
        )
        for f in evidence.of_venue("fill")
    }
    ours: dict[tuple[str, str, str], tuple[Any, ...]] = {}
    found = []
    for fill in evidence.events(OrderFilled):
        key = (venue_symbol_of(fill.symbol), fill.trade_id, fill.client_order_id)
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
    for event in evidence.events(OrderFilled):
        filled[event.client_order_id] += event.last_quantity
    for event in evidence.events(OrderDenied, OrderRejected, OrderCanceled, OrderExpired):
        ended[event.client_order_id] = type(event).__name__
    theirs = {e["clientOrderId"]: e["status"] for e in evidence.of_venue("ended")}
    found = []
    for client_order_id, order in orders.items():
        if filled[client_order_id] == order.quantity:
            ours = "FILLED"
        else:
            ours = ended.get(client_order_id, "open")
        at_venue = theirs.get(client_order_id, "never there")
        agreed = {
            "FILLED": ("FILLED",),
            "CANCELED": ("OrderCanceled",),
            "EXPIRED": ("OrderExpired",),
            "never there": ("OrderDenied", "OrderRejected"),
        }[at_venue]
        if ours not in agreed:
            found.append(f"{client_order_id}: the venue has {at_venue}, we have {ours}")
    return found


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


async def check_journal(evidence: Evidence, dsn: str) -> list[str]:
    """The journal's chain is whole, and it holds every record of every log once and in order."""
    store = await JournalStore.connect_reader(dsn)
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
        last = _last_number(evidence.data_dir, writer)
        if len(numbers) != last:
            found.append(f"journal: {writer} has {len(numbers)} of {last} records")
    approved = {
        e.event.order.client_order_id for e in entries if isinstance(e.event, OrderApproved)
    }
    found += [
        f"{event.order.client_order_id} was initialized without an approval"
        for event in evidence.events(OrderInitialized)
        if event.order.client_order_id not in approved
    ]
    return found


def _last_number(data_dir: Path, writer: str) -> int:
    tail = LogTail(log_path(data_dir, writer))
    try:
        while tail.poll():
            pass
        return tail.number
    finally:
        tail.close()


def _amounts(side: str, *amounts: Any) -> tuple[Any, ...]:
    quantity, price, fee, asset = amounts
    return (side, Decimal(quantity), Decimal(price), Decimal(fee), asset)
