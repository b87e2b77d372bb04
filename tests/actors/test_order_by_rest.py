"""The WebSocket API is out: the order actor asks and cancels by REST, and places nothing."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from krator_actors import reconciliation, venue_login
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.orders import (
    CancelOrder,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEventTold,
    PlaceOrder,
)
from supervisors.testing import ActorHarness
from tests.actors.order_scene import SYMBOL, buy
from tests.actors.test_order_with_exchange import Exchange, harness_of

NOBODY = "ws://127.0.0.1:9/ws-api/v3"


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    running = Exchange(tmp_path / "exchange")
    try:
        yield running
    finally:
        running.close()


def told(harness: ActorHarness, kind: type) -> list[object]:
    events = [m.event for m in harness.told_to("risk") if isinstance(m, OrderEventTold)]
    return [event for event in events if isinstance(event, kind)]


def is_reachable(harness: ActorHarness) -> bool:
    return any(m.reachable for m in harness.told_to("risk") if isinstance(m, VenueStatus))


async def test_open_order_is_canceled_and_none_is_placed(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bid, _ = await exchange.best()
    resting = (bid * Decimal("0.9")).quantize(Decimal("0.01"))
    async with harness_of(exchange, tmp_path) as harness:
        await harness.eventually(lambda: is_reachable(harness))
        await harness.deliver(place("k1", resting), "risk")
        await harness.eventually(lambda: bool(told(harness, OrderAccepted)))
    monkeypatch.setattr(venue_login, "trading_url", lambda *_: NOBODY)
    monkeypatch.setattr(reconciliation, "_REST_AFTER_SECS", 0.1)
    monkeypatch.setattr(reconciliation, "_REST_SECS", 0.1)

    async with harness_of(exchange, tmp_path, generation=2) as harness:
        cancel = CancelOrder(client_order_id="k1", symbol=SYMBOL, requester="test")
        await harness.deliver(cancel, "risk")
        await harness.deliver(place("k2", resting), "risk")
        await harness.eventually(lambda: bool(told(harness, OrderCanceled)), timeout_secs=20)

        denied = told(harness, OrderDenied)
        assert [getattr(event, "reason", "") for event in denied] == ["VENUE_UNREACHABLE"]
        assert not is_reachable(harness)
    ended = [line for line in exchange.ledger() if line["record"] == "ended"]
    assert [(line["clientOrderId"], line["status"]) for line in ended] == [("k1", "CANCELED")]


def place(client_order_id: str, price: Decimal) -> PlaceOrder:
    order = msgspec.structs.replace(buy(client_order_id), quantity=Decimal("0.01"), price=price)
    return PlaceOrder(order=order, risk_generation=1)
