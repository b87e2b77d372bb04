"""The order actor against a scripted venue that speaks Binance's WebSocket API."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from krator_actors.adapters.local_log import LocalLog, log_path, read_log
from krator_actors.config import ConfigError, VenueConfig
from krator_actors.core import order_rules
from krator_actors.messages import (
    AccountReport,
    CancelOrder,
    LogGrew,
    OrderAccepted,
    OrderActorStarted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderEventTold,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrdersSynced,
    OrderSubmitted,
    OrderUnknown,
    PlaceOrder,
    SubmitOrder,
    SyncOrders,
    VenueStatus,
)
from krator_actors.model import OrderSide, OrderStatus, OrderType
from krator_actors.order import OrderActor, OrderActorConfig
from krator_actors.order_telemetry import log_order_event
from supervisors.messages import Message
from supervisors.testing import ActorHarness

NAME = "order:SIM"
SYMBOL = "BTC-USDT.SIM"
STRATEGY = f"strategy:{SYMBOL}/sma_cross"

Record = dict[str, Any]


class FakeVenue:
    """One account. Orders rest until the test fills them; answers can be held back or lost."""

    def __init__(self) -> None:
        self.url = ""
        self.orders: list[Record] = []
        self.trades: list[Record] = []
        self.balances = {"USDT": "100000", "BTC": "0"}
        self.received: list[tuple[str, dict[str, Any]]] = []
        # methods that act and do not answer; that act and then lose the connection
        self.mute: set[str] = set()
        self.lose_after: set[str] = set()
        # methods that are answered with this error, without acting
        self.errors: dict[str, tuple[int, int, str]] = {}
        self.ahead_ms = 0
        self.report_live = True
        self.fill_at_once = False
        self._subscribed: set[ServerConnection] = set()
        self._connections: set[ServerConnection] = set()

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def placed(self) -> list[str]:
        return [p["newClientOrderId"] for m, p in self.received if m == "order.place"]

    def order(self, client_order_id: str) -> dict[str, Any]:
        return next(o for o in self.orders if o["clientOrderId"] == client_order_id)

    async def serve(self, connection: ServerConnection) -> None:
        self._connections.add(connection)
        try:
            async for text in connection:
                await self._handle(connection, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self._connections.discard(connection)
            self._subscribed.discard(connection)

    async def _handle(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        method, params = request["method"], request.get("params", {})
        self.received.append((method, params))
        if method in self.errors:
            status, code, text = self.errors[method]
            answer: dict[str, Any] = {"status": status, "error": {"code": code, "msg": text}}
        else:
            answer = self._carry_out(connection, method, params)
        if method in self.lose_after:
            self.lose_after.discard(method)
            connection.transport.abort()
            return
        if method not in self.mute:
            await connection.send(json.dumps({"id": request["id"]} | answer))

    def _carry_out(
        self, connection: ServerConnection, method: str, params: dict[str, Any]
    ) -> dict[str, Any]:
        match method:
            case "time":
                result: Any = {"serverTime": self.now_ms}
            case "userDataStream.subscribe.signature":
                self._subscribed.add(connection)
                result = {"subscriptionId": 0}
            case "order.place":
                result = self.place(params["newClientOrderId"], params)
            case "order.status" | "order.cancel":
                found = self._find(params)
                if found is None:
                    code = -2013 if method == "order.status" else -2011
                    return {"status": 400, "error": {"code": code, "msg": "no such order"}}
                if method == "order.cancel":
                    self.end(found["clientOrderId"], "CANCELED")
                    result = found | {"origClientOrderId": found["clientOrderId"]}
                    result["clientOrderId"] = "cancel-1"
                else:
                    result = found
            case "openOrders.status":
                result = [o for o in self.orders if o["status"] in {"NEW", "PARTIALLY_FILLED"}]
            case "myTrades":
                order_id, from_id = params.get("orderId"), params.get("fromId", 0)
                result = [
                    t
                    for t in self.trades
                    if t["id"] >= from_id and order_id in {None, t["orderId"]}
                ]
            case "account.status":
                balances = self.balances.items()
                result = {"balances": [{"asset": a, "free": f, "locked": "0"} for a, f in balances]}
            case _:
                raise AssertionError(method)
        return {"status": 200, "result": result}

    def _find(self, params: Record) -> Record | None:
        for order in reversed(self.orders):
            named = (params.get("orderId"), params.get("origClientOrderId"))
            if order["orderId"] == named[0] or order["clientOrderId"] == named[1]:
                return order
        return None

    def place(self, client_order_id: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        params = params or {"side": "BUY", "type": "LIMIT", "quantity": "2", "price": "100"}
        order = {
            "symbol": "BTCUSDT",
            "orderId": len(self.orders) + 1,
            "clientOrderId": client_order_id,
            "price": params.get("price", "0"),
            "origQty": params["quantity"],
            "executedQty": "0",
            "status": "NEW",
            "type": params["type"],
            "side": params["side"],
            "transactTime": self.now_ms,
        }
        self.orders.append(order)
        self._push(order, "NEW")
        if self.fill_at_once:
            trade = self.fill(client_order_id, order["origQty"])
            shown = ("price", "qty", "commission", "commissionAsset")
            fill = {name: trade[name] for name in shown} | {"tradeId": trade["id"]}
            return order | {"fills": [fill]}
        return dict(order)

    def fill(self, client_order_id: str, quantity: str) -> dict[str, Any]:
        order = self.order(client_order_id)
        order["executedQty"] = str(Decimal(order["executedQty"]) + Decimal(quantity))
        done = order["executedQty"] == order["origQty"]
        order["status"] = "FILLED" if done else "PARTIALLY_FILLED"
        trade = {
            "symbol": "BTCUSDT",
            "id": 1_000 + len(self.trades),
            "orderId": order["orderId"],
            "price": "100",
            "qty": quantity,
            "commission": "0.001",
            "commissionAsset": "BTC",
            "time": self.now_ms,
            "isBuyer": order["side"] == "BUY",
        }
        self.trades.append(trade)
        self._push(order, "TRADE", trade)
        return trade

    def end(self, client_order_id: str, status: str) -> None:
        order = self.order(client_order_id)
        order["status"] = status
        self._push(order, status)

    def drop(self) -> None:
        for connection in self._connections:
            connection.transport.abort()

    def _push(self, order: dict[str, Any], kind: str, trade: dict[str, Any] | None = None) -> None:
        if not self.report_live:
            return
        event = {
            "e": "executionReport",
            "s": order["symbol"],
            "c": order["clientOrderId"],
            "S": order["side"],
            "o": order["type"],
            "q": order["origQty"],
            "p": order["price"],
            "x": kind,
            "X": order["status"],
            "r": "NONE",
            "i": order["orderId"],
            "l": trade["qty"] if trade else "0",
            "z": order["executedQty"],
            "L": trade["price"] if trade else "0",
            "n": trade["commission"] if trade else "0",
            "N": trade["commissionAsset"] if trade else None,
            "T": self.now_ms,
            "t": trade["id"] if trade else -1,
        }
        text = json.dumps({"subscriptionId": 0, "event": event})
        for connection in self._subscribed:
            connection.protocol.send_text(text.encode())
            connection.send_data()


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    fake = FakeVenue()
    async with serve(fake.serve, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        fake.url = f"http://127.0.0.1:{port}"
        yield fake
        fake.drop()


class Scene:
    """A started actor, its venue, and short words for both."""

    def __init__(self, harness: ActorHarness) -> None:
        self.harness = harness

    def events(self) -> list[OrderEvent]:
        told = self.harness.told_to("risk")
        return [m.event for m in told if isinstance(m, OrderEventTold)]

    def kinds(self, client_order_id: str = "k1") -> list[type[Message]]:
        return [type(e) for e in self.events() if _order_of(e) == client_order_id]

    def statuses(self) -> list[bool]:
        return [m.reachable for m in self.harness.told_to("risk") if isinstance(m, VenueStatus)]

    async def reachable(self, times: int = 1) -> None:
        await self.harness.eventually(lambda: self.statuses().count(True) >= times)

    async def place(self, client_order_id: str = "k1", **changes: Any) -> None:
        generation = changes.pop("risk_generation", 1)
        order = msgspec.structs.replace(buy(client_order_id), **changes)
        await self.harness.deliver(PlaceOrder(order=order, risk_generation=generation), "risk")

    async def cancel(self, client_order_id: str = "k1") -> None:
        message = CancelOrder(client_order_id=client_order_id, symbol=SYMBOL, requester="test")
        await self.harness.deliver(message, "risk")

    async def until(self, kind: type, client_order_id: str = "k1") -> None:
        await self.harness.eventually(
            lambda: self.kinds(client_order_id)[-1:] == [kind], timeout_secs=10
        )


def _order_of(event: OrderEvent) -> str:
    if isinstance(event, OrderInitialized):
        return event.order.client_order_id
    return "" if isinstance(event, AccountReport) else event.client_order_id


def buy(client_order_id: str) -> SubmitOrder:
    return SubmitOrder(
        client_order_id=client_order_id,
        strategy=STRATEGY,
        symbol=SYMBOL,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(2),
        price=Decimal(100),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


def config_of(venue: FakeVenue, data_dir: Path, **changes: Any) -> OrderActorConfig:
    settings = {
        "recv_window_ms": 200,
        "request_timeout_secs": 0.3,
        "reconnect_initial_secs": 0.01,
        "reconnect_max_secs": 0.02,
    }
    dry_run = changes.pop("dry_run", True)
    return OrderActorConfig(
        venue=VenueConfig(**(settings | changes)),
        url=venue.url,
        symbols=(SYMBOL,),
        data_dir=data_dir,
        durability="process",
        dry_run=dry_run,
    )


@asynccontextmanager
async def started(
    venue: FakeVenue, data_dir: Path, *, generation: int = 1, **changes: Any
) -> AsyncIterator[Scene]:
    config = config_of(venue, data_dir, **changes)
    async with ActorHarness(OrderActor, name=NAME, config=config, generation=generation) as harness:
        yield Scene(harness)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_rules, "CERTAINTY_MARGIN_MS", 50)


def logged(data_dir: Path) -> list[OrderEvent]:
    return [record.event for record in read_log(log_path(data_dir, NAME), types=OrderEvent)]


def write_log(data_dir: Path, *events: OrderEvent) -> None:
    path = log_path(data_dir, NAME)
    with LocalLog.open(path, writer=NAME, generation=1, durability="process") as log:
        for event in events:
            log.append(event, ts_ns=1)


def initialized(client_order_id: str = "k1", *, valid_until_ms: int) -> OrderInitialized:
    return OrderInitialized(
        order=buy(client_order_id),
        risk_generation=1,
        request_valid_until_ms=valid_until_ms,
        ts_event=1,
    )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


OPENING = AccountReport(balances={"USDT": Decimal(100_000)}, ts_event=1)
SUBMITTED = OrderSubmitted(client_order_id="k1", symbol=SYMBOL, ts_event=1)


# -- start -------------------------------------------------------------------------------------


async def test_first_record_is_the_opening_account(venue: FakeVenue, tmp_path: Path) -> None:
    venue.place("web-1")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()

    first, second = logged(tmp_path)
    assert isinstance(first, AccountReport)
    assert first.balances == {"USDT": Decimal(100_000)}
    assert isinstance(second, OrderExternal)


async def test_start_tells_risk_before_the_venue_is_there(tmp_path: Path) -> None:
    nobody = FakeVenue()
    nobody.url = "http://127.0.0.1:1"

    async with started(nobody, tmp_path) as scene:
        assert isinstance(scene.harness.told_to("risk")[0], OrderActorStarted)


async def test_same_balances_are_logged_once(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()
        venue.balances["USDT"] = "99000"
        venue.drop()
        await scene.reachable(times=2)

    assert [type(e) for e in logged(tmp_path)] == [AccountReport, AccountReport]


async def test_real_venue_without_keys_does_not_start(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KRATOR_VENUE_API_KEY", raising=False)

    with pytest.raises(ConfigError, match="KRATOR_VENUE_API_KEY"):
        async with started(venue, tmp_path, kind="binance"):
            pass


# -- the life of an order ----------------------------------------------------------------------


async def test_order_is_logged_sent_accepted_and_filled(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.fill("k1", "2")
        await scene.until(OrderFilled)

        assert scene.kinds() == [OrderInitialized, OrderSubmitted, OrderAccepted, OrderFilled]
        assert [m.event for m in scene.harness.told_to(STRATEGY)] == scene.events()[1:]  # type: ignore[attr-defined]
        assert scene.harness.told_to("journal")[0] == LogGrew(writer=NAME)
    params = next(p for m, p in venue.received if m == "order.place")
    first = next(e for e in logged(tmp_path) if isinstance(e, OrderInitialized))
    assert first.request_valid_until_ms == params["timestamp"] + 200


async def test_numbers_told_to_risk_are_gapless(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        told = [m for m in scene.harness.told_to("risk") if isinstance(m, OrderEventTold)]

        assert [m.number for m in told] == list(range(1, len(told) + 1))


async def test_fill_told_twice_by_answer_and_stream_counts_once(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.fill_at_once = True

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.place("k2")
        await scene.until(OrderFilled, "k2")

        assert scene.kinds().count(OrderFilled) == 1


async def test_placing_does_not_wait_for_the_venue(venue: FakeVenue, tmp_path: Path) -> None:
    venue.mute, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path, request_timeout_secs=30.0) as scene:
        await scene.reachable()
        for number in range(20):
            await scene.place(f"k{number}")

        await scene.harness.eventually(lambda: len(venue.placed()) == 20)


async def test_venue_refusal_rejects_the_order(venue: FakeVenue, tmp_path: Path) -> None:
    venue.errors["order.place"] = (400, -2010, "Account has insufficient balance.")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)


async def test_rate_limited_order_did_not_happen(venue: FakeVenue, tmp_path: Path) -> None:
    venue.errors["order.place"] = (429, -1015, "Too many new orders.")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)


async def test_clock_is_measured_again_when_the_venue_disagrees(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        measured = [m for m, _ in venue.received].count("time")
        venue.errors["order.place"] = (400, -1021, "Timestamp outside of the recvWindow.")

        await scene.place()
        await scene.until(OrderRejected)

        await scene.harness.eventually(
            lambda: [m for m, _ in venue.received].count("time") > measured
        )


async def test_order_is_canceled_on_request(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        await scene.cancel()
        await scene.until(OrderCanceled)
        await scene.cancel()
        await scene.cancel("nobody")

        assert scene.kinds()[-2:] == [OrderPendingCancel, OrderCanceled]


async def test_cancel_that_came_too_late_finds_the_fill(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live = False
        venue.fill("k1", "2")
        venue.errors["order.cancel"] = (400, -2011, "Unknown order sent.")

        await scene.cancel()

        await scene.until(OrderFilled)


# -- what is not sent --------------------------------------------------------------------------


async def test_duplicate_order_sends_nothing_and_tells_the_latest_event_again(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        before = scene.harness.told_to(STRATEGY)

        await scene.place()

        assert scene.harness.told_to(STRATEGY) == [*before, before[-1]]
        assert venue.placed() == ["k1"]


async def test_order_while_disconnected_is_denied(tmp_path: Path) -> None:
    nobody = FakeVenue()
    nobody.url = "http://127.0.0.1:1"

    async with started(nobody, tmp_path) as scene:
        await scene.place()

        *_, first, second = scene.events()
        assert isinstance(first, OrderInitialized)
        assert isinstance(second, OrderDenied)
        assert second.reason == "VENUE_UNREACHABLE"
        assert first.request_valid_until_ms == order_rules.NEVER_SENT


async def test_dry_run_sends_no_order_to_a_real_venue(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_KEY", "key")
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "secret")
    pending = OrderPendingCancel(client_order_id="k0", symbol=SYMBOL, ts_event=1)
    write_log(
        tmp_path, OPENING, initialized("k0", valid_until_ms=now_ms()), pending_unknown(), pending
    )
    venue.place("k0")

    async with started(venue, tmp_path, kind="binance") as scene:
        await scene.reachable()
        await scene.place()
        await scene.cancel("k0")

        denied = scene.events()[-1]
        assert isinstance(denied, OrderDenied)
        assert denied.reason == "DRY_RUN"
    assert not {"order.place", "order.cancel"} & {method for method, _ in venue.received}


def pending_unknown() -> OrderUnknown:
    return OrderUnknown(client_order_id="k0", symbol=SYMBOL, reason="R", ts_event=1)


async def test_approval_of_an_older_risk_is_denied(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=0), "risk")

        await scene.place(risk_generation=1)

        denied = scene.events()[-1]
        assert isinstance(denied, OrderDenied)
        assert denied.reason == "RISK_RESTARTED"
    assert venue.placed() == []


# -- the handshake -----------------------------------------------------------------------------


async def test_sync_tells_everything_after_the_watermark_then_synced(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        already = len(scene.harness.told)

        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=1), "risk")

        *told, synced, status = [m for _, m in scene.harness.told[already:]]
        assert [m.number for m in told] == [2, 3, 4]  # type: ignore[attr-defined]
        assert isinstance(synced, OrdersSynced)
        assert (synced.number, synced.risk_generation) == (4, 2)
        assert [o.client_order_id for o in synced.open_orders] == ["k1"]
        assert isinstance(status, VenueStatus)


async def test_sync_of_an_older_risk_is_ignored(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=0), "risk")
        already = len(scene.harness.told)

        await scene.harness.deliver(SyncOrders(risk_generation=1, watermark=0), "risk")

        assert len(scene.harness.told) == already


# -- unknown outcomes --------------------------------------------------------------------------


async def test_answer_lost_after_acting_is_found_and_not_resent(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.lose_after, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        assert scene.kinds() == [OrderInitialized, OrderSubmitted, OrderUnknown, OrderAccepted]
        await scene.reachable(times=2)
        assert scene.statuses()[-2:] == [False, True]
    assert venue.placed() == ["k1"]


@pytest.mark.parametrize("error", [(500, -1001, ""), (400, -1006, ""), (400, -1007, "")])
async def test_answer_that_says_nothing_is_asked_for(
    venue: FakeVenue, tmp_path: Path, error: tuple[int, int, str]
) -> None:
    venue.errors["order.place"] = error
    venue.place("k1")
    venue.fill("k1", "2")

    async with started(venue, tmp_path, reconcile_secs=60.0) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderFilled)

        assert OrderUnknown in scene.kinds()


async def test_answer_that_never_comes_is_asked_for(venue: FakeVenue, tmp_path: Path) -> None:
    venue.mute, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        assert OrderUnknown in scene.kinds()


@pytest.mark.usefixtures("quick")
async def test_order_that_never_arrived_is_rejected_only_after_its_validity(
    venue: FakeVenue, tmp_path: Path
) -> None:
    valid_until_ms = now_ms() + 300
    write_log(tmp_path, OPENING, initialized(valid_until_ms=valid_until_ms), SUBMITTED)

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderRejected)

        assert now_ms() > valid_until_ms
        assert scene.kinds() == [OrderUnknown, OrderRejected]
        rejected = scene.events()[-1]
        assert isinstance(rejected, OrderRejected)
        assert rejected.reason == "NEVER_ARRIVED"
    assert venue.placed() == []


async def test_bytes_of_a_killed_process_that_arrive_late_are_found(
    venue: FakeVenue, tmp_path: Path
) -> None:
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms() + 60_000))

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()
        asked = [m for m, _ in venue.received].count("order.status")
        venue.report_live = False
        venue.place("k1")
        await scene.until(OrderAccepted)

        assert asked >= 1
        assert scene.kinds()[0] is OrderUnknown


async def test_venue_whose_clock_is_ahead_gets_its_own_time(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.ahead_ms = 3_600_000

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

    params = next(p for m, p in venue.received if m == "order.place")
    assert abs(params["timestamp"] - venue.now_ms) < 60_000


# -- killed and started again ------------------------------------------------------------------


async def test_order_logged_and_sent_by_a_killed_process_is_found(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.place("k1")
    venue.fill("k1", "2")
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms() + 200))

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderFilled)

        assert scene.kinds() == [OrderUnknown, OrderAccepted, OrderFilled]
        assert scene.harness.told_to(STRATEGY) != []


async def test_denial_that_a_kill_cut_in_half_is_finished(venue: FakeVenue, tmp_path: Path) -> None:
    write_log(tmp_path, OPENING, initialized(valid_until_ms=order_rules.NEVER_SENT))

    async with started(venue, tmp_path, generation=2) as scene:
        assert scene.kinds() == [OrderDenied]


async def test_fills_and_end_missed_while_away_are_found_at_start(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
    venue.fill("k1", "1")
    venue.end("k1", "CANCELED")

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderCanceled)

        assert scene.kinds() == [OrderFilled, OrderCanceled]


async def test_fills_missed_while_disconnected_are_found_after_reconnect(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live = False
        venue.fill("k1", "1")
        venue.fill("k1", "1")
        venue.report_live = True
        venue.drop()
        await scene.until(OrderFilled)

        assert scene.kinds().count(OrderFilled) == 2
        assert scene.harness.actor._table.orders["k1"].status is OrderStatus.FILLED


async def test_fill_that_the_stream_skipped_is_asked_for(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live = False
        venue.fill("k1", "1")
        venue.report_live = True
        venue.fill("k1", "1")

        await scene.harness.eventually(lambda: scene.kinds().count(OrderFilled) == 2)


async def test_cancel_logged_by_a_killed_process_goes_out_first(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.place("k1")
    accepted = OrderAccepted(client_order_id="k1", venue_order_id="1", symbol=SYMBOL, ts_event=1)
    pending = OrderPendingCancel(client_order_id="k1", symbol=SYMBOL, ts_event=1)
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms()), accepted, pending)

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderCanceled)

    assert [method for method, _ in venue.received][:2] == ["time", "order.cancel"]


async def test_cancel_of_an_unknown_order_goes_out_when_it_is_found(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.mute, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        venue.errors["order.status"] = (500, -1001, "")
        venue.errors["order.cancel"] = (500, -1001, "")
        await scene.place()
        await scene.until(OrderUnknown)
        await scene.cancel()
        venue.errors.clear()

        await scene.until(OrderCanceled)


async def test_open_orders_are_left_at_work_when_stopped(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

    assert venue.order("k1")["status"] == "NEW"


# -- orders of others --------------------------------------------------------------------------


async def test_order_placed_by_hand_is_external_with_its_fills(
    venue: FakeVenue, tmp_path: Path
) -> None:
    external = f"external-{SYMBOL}-1"

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        venue.place("web-1")
        await scene.until(OrderExternal, external)
        venue.fill("web-1", "2")
        await scene.until(OrderFilled, external)

        filled = scene.events()[-1]
        assert isinstance(filled, OrderFilled)
        assert filled.strategy == ""
        assert scene.harness.told_to("") == []


async def test_external_order_traded_while_away_is_found_by_its_trades(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
    venue.place("web-1")
    venue.fill("web-1", "2")

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderFilled, f"external-{SYMBOL}-1")


async def test_trades_from_before_the_opening_are_not_counted(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.ahead_ms = -60_000
    venue.place("web-1")
    venue.fill("web-1", "1")
    venue.ahead_ms = 0

    async with started(venue, tmp_path) as scene:
        await scene.reachable()

        (external,) = [e for e in scene.events() if isinstance(e, OrderExternal)]
        assert external.quantity == 1
        assert OrderFilled not in scene.kinds(external.client_order_id)


# -- the venue's moods -------------------------------------------------------------------------


async def test_refused_log_on_is_told_to_risk_and_tried_again(
    venue: FakeVenue, tmp_path: Path
) -> None:
    subscribe = "userDataStream.subscribe.signature"
    venue.errors[subscribe] = (401, -2015, "Invalid API-key.")

    async with started(venue, tmp_path) as scene:
        await scene.harness.eventually(
            lambda: any(
                isinstance(m, VenueStatus) and "Invalid API-key" in m.reason
                for m in scene.harness.told_to("risk")
            )
        )
        del venue.errors[subscribe]
        await scene.reachable()


async def test_accepted_order_that_the_venue_forgot_is_kept(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.orders.clear()
        venue.drop()
        await scene.reachable(times=2)

        assert scene.kinds()[-1] is OrderAccepted


async def test_secret_is_in_no_log_and_no_event(
    venue: FakeVenue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "hush-hush-hush")
    venue.errors["order.place"] = (400, -2010, "no")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)

    assert b"hush" not in log_path(tmp_path, NAME).read_bytes()
    assert "hush" not in "".join(capfd.readouterr())


def test_account_report_has_a_log_line_without_an_order() -> None:
    log_order_event(OPENING, None, 1)
