"""Whose answer it is: the trading client against a real WebSocket server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from krator_actors.adapters.binance_reports import BinanceReports, Execution
from krator_actors.adapters.binance_trading import BinanceTrading
from krator_actors.adapters.session import ReconnectPolicy
from krator_actors.adapters.trading import TradingClient
from krator_actors.config import ConfigError, VenueConfig
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderStatus, OrderType
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueRefusedError,
    VenueUnavailableError,
)
from krator_actors.venue_login import rest_url, trading_requests, trading_url

SYMBOL = "BTC-USDT.SIM"
ORDER = SubmitOrder(
    client_order_id="k1",
    strategy="strategy:x",
    symbol=SYMBOL,
    side=OrderSide.BUY,
    order_type=OrderType.MARKET,
    quantity=Decimal(1),
    cause="bar:1",
    ts_event=1,
    ts_init=1,
)
STATUS = {
    "symbol": "BTCUSDT",
    "orderId": 7,
    "clientOrderId": "k1",
    "price": "0",
    "origQty": "1",
    "executedQty": "0",
    "status": "NEW",
    "type": "MARKET",
    "side": "BUY",
    "updateTime": 1,
}
EVENT = {
    "e": "executionReport",
    "s": "BTCUSDT",
    "c": "k1",
    "S": "BUY",
    "o": "MARKET",
    "q": "1",
    "p": "0",
    "x": "NEW",
    "X": "NEW",
    "r": "NONE",
    "i": 7,
    "l": "0",
    "z": "0",
    "L": "0",
    "n": "0",
    "N": None,
    "T": 1,
    "t": -1,
}

Answerer = Callable[[ServerConnection, dict[str, Any]], Awaitable[None]]


def ok(request: dict[str, Any], result: Any) -> str:
    return json.dumps({"id": request["id"], "status": 200, "result": result})


class Scene:
    """A client, and what it called back with."""

    def __init__(self, url: str, *, heartbeat_secs: float = 10.0) -> None:
        self.executions: list[Execution] = []
        self.connections: list[tuple[bool, str]] = []
        self.client = TradingClient(
            url=url,
            requests=BinanceTrading(api_key="key", secret="secret", recv_window_ms=5_000),
            reports=BinanceReports([SYMBOL]),
            on_execution=self.executions.append,
            on_connection=lambda connected, reason: self.connections.append((connected, reason)),
            request_timeout_secs=0.2,
            heartbeat_secs=heartbeat_secs,
            reconnect=ReconnectPolicy(initial_secs=0.01, max_secs=0.02),
        )


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def connected(answer: Answerer) -> AsyncIterator[Scene]:
    async def handle(connection: ServerConnection) -> None:
        try:
            async for text in connection:
                request = json.loads(text)
                if request["method"] == "time":
                    await connection.send(ok(request, {"serverTime": 1_000_000}))
                else:
                    await answer(connection, request)
        except ConnectionClosed:
            pass

    async with serve(handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        scene = Scene(f"ws://127.0.0.1:{port}/ws-api/v3")
        task = asyncio.create_task(scene.client.run())
        try:
            await eventually(lambda: scene.client.connected)
            await scene.client.measure_clock()
            yield scene
        finally:
            await scene.client.close()
            await asyncio.wait({task})


async def test_answers_out_of_order_reach_who_asked() -> None:
    held: list[dict[str, Any]] = []

    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        held.append(request)
        if len(held) == 2:
            for one in reversed(held):
                order_id = one["params"]["origClientOrderId"]
                await connection.send(ok(one, STATUS | {"clientOrderId": order_id}))

    async with connected(answer) as scene:
        first, second = await asyncio.gather(
            scene.client.order_status(SYMBOL, venue_order_id="", client_order_id="a"),
            scene.client.order_status(SYMBOL, venue_order_id="", client_order_id="b"),
        )

    assert first is not None
    assert second is not None
    assert (first.client_order_id, second.client_order_id) == ("a", "b")


async def test_request_while_not_connected_is_not_sent() -> None:
    client = Scene("ws://127.0.0.1:1/").client

    with pytest.raises(VenueUnavailableError):
        client.place(ORDER, timestamp_ms=1)
    with pytest.raises(VenueUnavailableError, match="clock"):
        client.now_ms()


async def test_no_answer_in_time_is_unknown_and_a_late_one_is_ignored() -> None:
    held: list[tuple[ServerConnection, dict[str, Any]]] = []

    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        held.append((connection, request))

    async with connected(answer) as scene:
        with pytest.raises(OutcomeUnknownError, match="no answer within"):
            await scene.client.place(ORDER, timestamp_ms=1)
        connection, request = held[0]
        await connection.send(ok(request, STATUS))
        await scene.client.measure_clock()


async def test_lost_connection_makes_every_request_unknown() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        connection.transport.abort()

    async with connected(answer) as scene:
        with pytest.raises(OutcomeUnknownError, match="connection lost"):
            await scene.client.place(ORDER, timestamp_ms=1)
        await eventually(lambda: [up for up, _ in scene.connections] == [True, False, True])

        assert scene.client.connections == 2


async def test_refusal_reaches_who_asked() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        error = {"code": -2010, "msg": "no"}
        await connection.send(json.dumps({"id": request["id"], "status": 400, "error": error}))

    async with connected(answer) as scene:
        with pytest.raises(VenueRefusedError, match="no"):
            await scene.client.place(ORDER, timestamp_ms=1)
        with pytest.raises(VenueRefusedError):
            await scene.client.order_status(SYMBOL, venue_order_id="7", client_order_id="")


async def test_no_such_order_is_none() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        error = {"code": -2013, "msg": "Order does not exist."}
        await connection.send(json.dumps({"id": request["id"], "status": 400, "error": error}))

    async with connected(answer) as scene:
        asked = scene.client.order_status(SYMBOL, venue_order_id="7", client_order_id="")

        assert await asked is None


async def test_unreadable_answer_is_unknown() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        await connection.send(ok(request, {"surprise": 1}))

    async with connected(answer) as scene:
        with pytest.raises(OutcomeUnknownError, match="unreadable"):
            await scene.client.place(ORDER, timestamp_ms=1)


async def test_malformed_frame_and_foreign_events_are_skipped() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        await connection.send("{not json")
        await connection.send(json.dumps({"event": {"e": "balanceUpdate"}}))
        await connection.send(json.dumps({"event": EVENT}))
        await connection.send(ok(request, []))

    async with connected(answer) as scene:
        assert await scene.client.open_orders(SYMBOL) == ()

        assert [e.report.status for e in scene.executions] == [OrderStatus.ACCEPTED]


async def test_end_of_the_user_stream_is_a_reconnect() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        await connection.send(json.dumps({"event": {"e": "eventStreamTerminated"}}))

    async with connected(answer) as scene:
        with pytest.raises(OutcomeUnknownError, match="user stream"):
            await scene.client.subscribe()
        await eventually(lambda: scene.client.connections == 2)


async def test_canceled_waiter_does_not_disturb_the_rest() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        if request["method"] == "account.status":
            await connection.send(ok(request, {"balances": []}))

    async with connected(answer) as scene:
        scene.client.place(ORDER, timestamp_ms=1).cancel()

        assert await scene.client.balances() == {}


async def test_clock_is_the_venues_and_runs_on() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        raise AssertionError(request)

    async with connected(answer) as scene:
        before = time.monotonic()
        first = scene.client.now_ms()
        await asyncio.sleep(0.01)

        elapsed_ms = (time.monotonic() - before) * 1_000
        assert first >= 1_000_000
        assert 9 <= scene.client.now_ms() - first <= elapsed_ms + 1
        assert scene.client.clock_error_ms >= 0


async def test_close_leaves_what_is_under_way_unknown() -> None:
    async def answer(connection: ServerConnection, request: dict[str, Any]) -> None:
        pass

    async with connected(answer) as scene:
        future = scene.client.place(ORDER, timestamp_ms=1)
        await scene.client.close()

        assert isinstance(future.exception(), OutcomeUnknownError)


# -- where it is, and who we are ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        ("sim", "http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws-api/v3"),
        ("sim", "https://host/", "wss://host/ws-api/v3"),
        ("binance", "", "wss://ws-api.binance.com:443/ws-api/v3"),
        ("binance", "wss://testnet/ws-api/v3", "wss://testnet/ws-api/v3"),
    ],
)
def test_trading_api_has_its_address(kind: str, url: str, expected: str) -> None:
    assert trading_url(VenueConfig.model_validate({"kind": kind}), url) == expected


def test_address_that_is_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"venue\.url 'ftp://x'"):
        trading_url(VenueConfig(), "ftp://x")


def test_missing_secret_is_named_by_its_variable() -> None:
    with pytest.raises(ConfigError, match="set KRATOR_VENUE_API_KEY and KRATOR_VENUE_API_SECRET"):
        trading_requests(VenueConfig(kind="binance"), {"KRATOR_VENUE_API_KEY": "key"})


def test_broken_key_is_not_repeated_in_the_error() -> None:
    environ = {
        "KRATOR_VENUE_API_KEY": "key",
        "KRATOR_VENUE_API_SECRET": "-----BEGIN PRIVATE KEY-----\nhush\n-----END PRIVATE KEY-----",
    }

    with pytest.raises(ConfigError) as raised:
        trading_requests(VenueConfig(kind="binance"), environ)

    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("kind", ["binance_usdm", "coinbase", "kraken", "alpaca_iex", "alpaca_sip"])
@pytest.mark.parametrize("url", ["", "http://127.0.0.1:1", "ws://127.0.0.1:1"])
def test_no_order_has_an_address_where_only_market_data_is_built(kind: Any, url: str) -> None:
    venue = VenueConfig(kind=kind)

    for address in (trading_url, rest_url):
        with pytest.raises(ConfigError, match="has market data only"):
            address(venue, url)
