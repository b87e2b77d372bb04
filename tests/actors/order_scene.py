"""A scripted venue that speaks Binance's WebSocket API, and an order actor before it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from krator_actors.adapters.local_log import LocalLog, log_path, read_log
from krator_actors.config import VenueConfig
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.orders import (
    AccountReport,
    CancelOrder,
    OrderEvent,
    OrderEventTold,
    OrderInitialized,
    OrderSubmitted,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderType
from krator_actors.order import OrderActor, OrderActorConfig
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
        # methods that lose the connection before they act; that act, and answer so much later
        self.lose_before: set[str] = set()
        self.late_secs: dict[str, float] = {}
        # methods that are answered with this error, without acting
        self.errors: dict[str, tuple[int, int, str]] = {}
        self.error_data: Record = {}
        self.late_answers = 0
        self.list_trades = True
        self.ahead_ms = 0
        self.report_live = True
        self.fill_at_once = False
        # what the venue says of the API key over REST
        self.withdrawals = False
        self._subscribed: set[ServerConnection] = set()
        self._connections: set[ServerConnection] = set()

    @property
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def placed(self) -> list[str]:
        return [p["newClientOrderId"] for m, p in self.received if m == "order.place"]

    def order(self, client_order_id: str) -> dict[str, Any]:
        return next(o for o in self.orders if o["clientOrderId"] == client_order_id)

    def answer_http(self, connection: ServerConnection, request: Request) -> Response | None:
        bodies: dict[str, Record] = {
            "/api/v3/time": {"serverTime": self.now_ms},
            "/sapi/v1/account/apiRestrictions": {"enableWithdrawals": self.withdrawals},
        }
        body = bodies.get(request.path.partition("?")[0])
        return None if body is None else connection.respond(200, json.dumps(body))

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
        if method in self.lose_before:
            self.lose_before.discard(method)
            connection.transport.abort()
            return
        if method in self.errors:
            status, code, text = self.errors[method]
            error = {"code": code, "msg": text, "data": self.error_data}
            answer: dict[str, Any] = {"status": status, "error": error}
        else:
            answer = self._carry_out(connection, method, params)
        if method in self.lose_after:
            self.lose_after.discard(method)
            connection.transport.abort()
            return
        if method in self.mute:
            return
        text = json.dumps({"id": request["id"]} | answer)
        if method in self.late_secs:
            loop = asyncio.get_running_loop()
            loop.call_later(self.late_secs.pop(method), self._answer_late, connection, text)
        else:
            await connection.send(text)

    def _answer_late(self, connection: ServerConnection, text: str) -> None:
        self.late_answers += 1
        if connection in self._connections:
            connection.protocol.send_text(text.encode())
            connection.send_data()

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
                    if self.list_trades and t["id"] >= from_id and order_id in {None, t["orderId"]}
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
        sign = 1 if trade["isBuyer"] else -1
        self.pay("BTC", sign * Decimal(quantity) - Decimal("0.001"))
        self.pay("USDT", -sign * Decimal(quantity) * 100)
        self._push(order, "TRADE", trade)
        return trade

    def pay(self, asset: str, amount: Decimal | int) -> None:
        """Put so much more into the account."""
        self.balances[asset] = str(Decimal(self.balances.get(asset, "0")) + amount)

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


@asynccontextmanager
async def serving() -> AsyncIterator[FakeVenue]:
    """Yield a venue with an empty account that listens."""
    fake = FakeVenue()
    async with serve(fake.serve, "127.0.0.1", 0, process_request=fake.answer_http) as server:
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
    return getattr(event, "client_order_id", "")


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
