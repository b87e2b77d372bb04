"""A venue that does almost nothing, in a process of its own, and writes down when it did it.

It speaks as much of Binance's spot dialect as the feed and the order actor need, fills every order
at once, and has an endpoint for a bare client beside it. ``GET /bench/...`` is for the benchmark.
Times are UTC nanoseconds of this machine. Run as ``python -m tests.benchmarks.venue``.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import mmap
import os
import signal
import socket
import struct
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import uvloop
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from krator_actors.adapters.binance_errors import NO_SUCH_ORDER

PRICE: Final = "100.00"
"""Nothing moves: what is measured is not the market."""

IN_FLIGHT_LIMIT: Final = 512
"""Ticks of a flood that may be sent and not yet counted by their receivers."""

_FLOOD_BLOCK = 32
_KNOWN_ORDERS = 1_000
_LIMITS: Final = [
    {"rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": limit, "count": 1}
    for kind, unit, number, limit in (
        ("REQUEST_WEIGHT", "MINUTE", 1, 1_000_000),
        ("ORDERS", "SECOND", 10, 100_000),
        ("ORDERS", "DAY", 1, 10_000_000),
    )
]
"""As Binance ends each answer; so large that it is not they that a kill is waited for."""
_json = msgspec.json.encode


class Options(msgspec.Struct):
    """What the process is started with, as JSON in its only argument."""

    symbols: tuple[str, ...]
    """the venue's, e.g. ``BTCUSDT``"""
    ticks_per_sec: float = 1000.0
    """over all symbols, a quote and a trade in turn; 0: a flood, see ``counter``"""
    counter: str = ""
    """a file of counters (u64, little-endian) whose sum is how many ticks have been received"""
    cpus: tuple[int, ...] = ()
    """where it runs; empty: anywhere"""


class Record(msgspec.Struct):
    """What ``GET /bench/record`` answers, and forgets."""

    trades: dict[str, int] = {}
    """``BTCUSDT:17`` to when that trade was handed to the socket"""
    orders: dict[str, int] = {}
    """client order id to when the order was read"""
    round_trips: list[int] = []
    """nanoseconds from a tick of the bare endpoint to the order that answers it"""
    ticks: int = 0
    """how many ticks were sent so far, by the market streams"""
    now_ns: int = 0


class Venue:
    """Everything that the connections share."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.record = Record()
        self.market: set[Connection] = set()
        self.bare: set[Connection] = set()
        self.ticks = 0
        self._trade_ids = dict.fromkeys(options.symbols, 0)
        self._order_id = 0
        self._fill_id = 0
        # The latest orders by client order id: asked for after a SIGKILL.
        self._orders: dict[str, dict[str, Any]] = {}
        self._balances = defaultdict(Decimal, USDT=Decimal(100_000))
        self._counters = _counters(options.counter) if options.counter else None

    def frame_of_tick(self) -> bytes:
        """Return the next tick as a WebSocket frame, its time noted."""
        symbols = self.options.symbols
        turn = self.ticks
        self.ticks += 1
        symbol = symbols[(turn // 2) % len(symbols)]
        low = symbol.lower()
        if turn % 2 == 0:
            return text_frame(
                b'{"stream":"%b@bookTicker","data":{"u":%d,"s":"%b","b":"99.99","B":"50.0",'
                b'"a":"100.01","A":"50.0"}}' % (low.encode(), self.ticks, symbol.encode())
            )
        number = self._trade_ids[symbol] = self._trade_ids[symbol] + 1
        now_ns = time.time_ns()
        self.record.trades[f"{symbol}:{number}"] = now_ns
        return text_frame(
            b'{"stream":"%b@trade","data":{"e":"trade","E":%d,"s":"%b","t":%d,"p":"100.00",'
            b'"q":"0.01","T":%d,"m":false,"M":true}}'
            % (low.encode(), now_ns // 10**6, symbol.encode(), number, now_ns // 10**6)
        )

    async def tick(self) -> None:
        """Send ticks for ever, at the rate or as fast as they are counted."""
        if not self.options.ticks_per_sec:
            await self._flood()
        loop = asyncio.get_running_loop()
        period = 1.0 / self.options.ticks_per_sec
        due = loop.time()
        while True:
            due += period
            await asyncio.sleep(max(0.0, due - loop.time()))
            if loop.time() - due > 1.0:
                due = loop.time()  # this machine stood still: no burst of what was missed
            for connection in self.market:
                connection.write(self.frame_of_tick())
            for connection in self.bare:
                now_ns = time.time_ns()
                connection.write(text_frame(b'{"s":"BTCUSDT","p":"100.00","t":%d}' % now_ns))

    async def _flood(self) -> None:
        assert self._counters is not None
        while True:
            # Nobody reads the times of a flood.
            self.record.trades.clear()
            room = IN_FLIGHT_LIMIT - (self.ticks - sum(self._counters()))
            if room < _FLOOD_BLOCK or not self.market:
                await asyncio.sleep(0.001)
                continue
            for connection in self.market:
                block = b"".join(self.frame_of_tick() for _ in range(_FLOOD_BLOCK))
                connection.write(block)
            await asyncio.sleep(0)

    def answer(self, method: str, params: dict[str, Any]) -> tuple[Any, list[Any]]:
        """Return the result of a trading request, and what its user stream says besides."""
        match method:
            case "time":
                return {"serverTime": time.time_ns() // 10**6}, []
            case "order.place":
                return self._place(params)
            case "account.status":
                held = self._balances.items()
                rows = [{"asset": a, "free": str(free), "locked": "0"} for a, free in held]
                return {"balances": rows}, []
            case "order.status":
                return self._found(params), []
            case "myTrades":
                asked = params.get("orderId")
                return [_trade(o) for o in self._orders.values() if o["orderId"] == asked], []
            case "openOrders.status":
                return [], []
            case _:
                return {}, []

    def _found(self, params: dict[str, Any]) -> dict[str, Any] | None:
        """Return an order by its id or its client's; None when there is none."""
        if "orderId" in params:
            found = (o for o in self._orders.values() if o["orderId"] == params["orderId"])
            return next(found, None)
        return self._orders.get(params["origClientOrderId"])

    def _place(self, params: dict[str, Any]) -> tuple[Any, list[Any]]:
        self._order_id += 1
        self._fill_id += 1
        now_ms = time.time_ns() // 10**6
        quantity, client_id = params["quantity"], params["newClientOrderId"]
        symbol, side = params["symbol"], params["side"]
        bought = Decimal(quantity) * (1 if side == "BUY" else -1)
        self._balances["USDT"] -= bought * Decimal(PRICE)
        self._balances[symbol.removesuffix("USDT")] += bought
        fill = {"tradeId": self._fill_id, "price": PRICE, "qty": quantity}
        fill |= {"commission": "0", "commissionAsset": "USDT"}
        result = {
            "symbol": symbol, "orderId": self._order_id, "clientOrderId": client_id,
            "transactTime": now_ms, "price": "0", "origQty": quantity, "executedQty": quantity,
            "status": "FILLED", "type": "MARKET", "side": side, "fills": [fill],
        }  # fmt: skip
        self._orders[client_id] = result
        if len(self._orders) > _KNOWN_ORDERS:
            del self._orders[next(iter(self._orders))]
        event = {
            "e": "executionReport", "s": symbol, "c": client_id, "S": side, "o": "MARKET",
            "q": quantity, "p": "0", "x": "TRADE", "X": "FILLED", "r": "NONE",
            "i": self._order_id, "l": quantity, "z": quantity, "L": PRICE, "n": "0", "N": "USDT",
            "T": now_ms, "t": self._fill_id, "C": "",
        }  # fmt: skip
        return result, [{"subscriptionId": 0, "event": event}]

    def page(self, path: str) -> bytes:
        """Return the body of an HTTP request."""
        if path.startswith("/api/v3/exchangeInfo"):
            return _json({"symbols": [_listing(symbol) for symbol in self.options.symbols]})
        if path.startswith("/api/v3/time"):
            return _json({"serverTime": time.time_ns() // 10**6})
        if path.startswith("/bench/record"):
            record, self.record = self.record, Record()
            record.ticks = self.ticks
            record.now_ns = time.time_ns()
            return _json(record)
        return b"[]"


class Connection(asyncio.Protocol):
    """One client, by what its request's path says: market streams, trading, bare, or a page."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._websocket = ServerProtocol()
        self._transport: asyncio.Transport
        self._path = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Request):
                self._open(event)
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._on_text(bytes(event.data))
        for out in self._websocket.data_to_send():
            if out:
                self._transport.write(out)
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._venue.market.discard(self)
        self._venue.bare.discard(self)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def _open(self, request: Request) -> None:
        self._path = request.path
        if request.headers.get("Upgrade") is None:
            # The only ready-made way of this protocol to a page is a refusal with status 200.
            page = self._venue.page(self._path).decode()
            response = self._websocket.reject(cast("Any", 200), page)
        else:
            response = self._websocket.accept(request)
        self._websocket.send_response(response)
        if self._path == "/bare":
            self._venue.bare.add(self)

    def _on_text(self, text: bytes) -> None:
        now_ns = time.time_ns()
        if self._path == "/bare":
            self._venue.record.round_trips.append(now_ns - msgspec.json.decode(text)["t"])
            return
        request = msgspec.json.decode(text)
        if self._path == "/stream":
            self.write(text_frame(_json({"result": None, "id": request["id"]})))
            self._venue.market.add(self)
            return
        params = request.get("params", {})
        if request["method"] == "order.place":
            self._venue.record.orders[params["newClientOrderId"]] = now_ns
        result, events = self._venue.answer(request["method"], params)
        if result is None:
            error = {"code": NO_SUCH_ORDER, "msg": "Order does not exist."}
            self.write(text_frame(_json({"id": request["id"], "status": 400, "error": error})))
            return
        answer = {"id": request["id"], "status": 200, "result": result, "rateLimits": _LIMITS}
        self.write(text_frame(_json(answer)))
        for event in events:
            self.write(text_frame(_json(event)))


def _trade(order: dict[str, Any]) -> dict[str, Any]:
    (fill,) = order["fills"]
    return {
        "symbol": order["symbol"], "id": fill["tradeId"], "orderId": order["orderId"],
        "price": fill["price"], "qty": fill["qty"], "commission": fill["commission"],
        "commissionAsset": fill["commissionAsset"], "time": order["transactTime"],
        "isBuyer": order["side"] == "BUY",
    }  # fmt: skip


def text_frame(payload: bytes) -> bytes:
    """Return a server's text frame."""
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + struct.pack(">H", size)
    return head + payload


def _listing(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "baseAsset": symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "9000"},
            {"filterType": "NOTIONAL", "minNotional": "5"},
        ],
    }


def _counters(path: str) -> Callable[[], tuple[int, ...]]:
    with Path(path).open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    shape = struct.Struct(f"<{len(memory) // 8}Q")
    return lambda: shape.unpack(memory)


async def _serve(options: Options) -> None:
    if options.cpus:
        os.sched_setaffinity(0, options.cpus)
    loop = asyncio.get_running_loop()
    venue = Venue(options)
    server = await loop.create_server(lambda: Connection(venue), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}", flush=True)
    gc.disable()  # the venue's own pauses are nobody's latency
    await venue.tick()


if __name__ == "__main__":
    # Nothing of a benchmark outlives it: SIGKILL when the parent ends.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        sys.exit(1)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(msgspec.json.decode(sys.argv[1], type=Options)))
