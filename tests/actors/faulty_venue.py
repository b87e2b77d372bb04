"""A real WebSocket and REST server in Binance's dialect: numbers its trades, breaks to order."""

from __future__ import annotations

import asyncio
import contextlib
import http
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

SYMBOL = "BTCUSDT"
_FIRST_MS = 1_723_161_255_000


class FaultyVenue:
    """One symbol. Every trade ever made is in its history, told to a connection or not."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        # When upgrades were asked for, by the loop's clock.
        self.attempts: list[float] = []
        # Answers an upgrade instead of agreeing; None: agrees.
        self.refuse: Callable[[ServerConnection], Response | None] = lambda _connection: None
        self.acknowledge: Callable[[dict[str, object]], object] = lambda request: {
            "result": None,
            "id": request["id"],
        }
        self.trades: list[dict[str, object]] = []
        self.rest_calls: list[str] = []
        self.has_history = True
        self.clock_skew_secs = 0.0
        # Names of connections by their number that hear nothing.
        self.deaf: set[int] = set()
        # Ids of trades that are made and told to nobody.
        self.withheld: set[int] = set()
        self.update_id = 1_000
        self.depth_id = 100
        self.bids: dict[str, str] = {"99": "1", "98": "2"}
        self.asks: dict[str, str] = {"101": "1", "102": "2"}
        self.url = ""

    @asynccontextmanager
    async def serve(
        self, *, port: int = 0, tls: ssl.SSLContext | None = None, compression: str | None = None
    ) -> AsyncIterator[None]:
        async with serve(
            self._hear,
            "127.0.0.1",
            port,
            process_request=self._answer,
            ping_interval=None,
            close_timeout=0.1,
            compression=compression,
            ssl=tls,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            scheme, host = ("https", "localhost") if tls else ("http", "127.0.0.1")
            self.url = f"{scheme}://{host}:{self.port}"
            yield

    @asynccontextmanager
    async def trading(self, *, period_secs: float = 0.01) -> AsyncIterator[None]:
        """Trade and quote by itself meanwhile."""

        async def pump() -> None:
            while True:
                await self.tick()
                await asyncio.sleep(period_secs)

        task = asyncio.create_task(pump())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def tick(self) -> None:
        """Make one quote and one trade."""
        await self.quote()
        trade = self.trade()
        if trade["t"] not in self.withheld:
            await self.say(self.frame("trade", trade))

    async def quote(self, **changes: str) -> None:
        self.update_id += 1
        data = {"u": self.update_id, "s": SYMBOL, "b": "99.5", "B": "1", "a": "100.5", "A": "2"}
        await self.say(self.frame("bookTicker", {**data, **changes}))

    def trade(self) -> dict[str, object]:
        """Make a trade, and tell nobody."""
        number = len(self.trades) + 1
        made = {"s": SYMBOL, "t": number, "p": "100", "q": "1", "T": _FIRST_MS + number, "m": False}
        self.trades.append(made)
        return made

    async def depth(self, bids: dict[str, str], asks: dict[str, str], *, skip: int = 0) -> None:
        """Change the book and tell it; ``skip`` updates are lost on the way."""
        self.depth_id += skip
        first = self.depth_id + 1
        self.depth_id = first
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            side.update(changes)
            for price in [price for price, size in side.items() if size == "0"]:
                del side[price]
        data = {
            "e": "depthUpdate",
            "E": _FIRST_MS + first,
            "s": SYMBOL,
            "U": first,
            "u": first,
            "b": list(bids.items()),
            "a": list(asks.items()),
        }
        await self.say(self.frame("depth@100ms", data))

    @staticmethod
    def frame(kind: str, data: dict[str, object]) -> str:
        return json.dumps({"stream": f"{SYMBOL.lower()}@{kind}", "data": data})

    async def say(self, text: str | bytes) -> None:
        """To all connections that hear, as a text message."""
        for number, connection in enumerate(list(self.connections)):
            if number not in self.deaf:
                with contextlib.suppress(ConnectionClosed):
                    await connection.send(text, text=True)

    def write(self, raw: bytes) -> None:
        """Raw bytes onto the newest connection, past the protocol."""
        self.connections[-1].transport.write(raw)

    async def _hear(self, connection: ServerConnection) -> None:
        subscribed = False
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(json.dumps(self.acknowledge(json.loads(message))))
                if not subscribed:
                    subscribed = True
                    self.connections.append(connection)
        await connection.wait_closed()

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if parts.path == "/stream":
            self.attempts.append(asyncio.get_running_loop().time())
            return self.refuse(connection)
        self.rest_calls.append(parts.path)
        if parts.path == "/api/v3/time":
            body: object = {"serverTime": int((time.time() + self.clock_skew_secs) * 1_000)}
        elif parts.path == "/api/v3/historicalTrades" and self.has_history:
            first = int(query["fromId"])
            body = [
                {
                    "id": t["t"],
                    "price": t["p"],
                    "qty": t["q"],
                    "time": t["T"],
                    "isBuyerMaker": t["m"],
                }
                for t in self.trades[first - 1 : first - 1 + int(query["limit"])]
            ]
        elif parts.path == "/api/v3/depth":
            body = {
                "lastUpdateId": self.depth_id,
                "bids": sorted(self.bids.items(), key=lambda level: -float(level[0])),
                "asks": sorted(self.asks.items(), key=lambda level: float(level[0])),
            }
        else:
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "{}")
        return connection.respond(http.HTTPStatus.OK, json.dumps(body))
