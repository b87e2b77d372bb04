"""A real exchange, in this process or in one of its own, and a client of Binance's dialect."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from krator_actors.exchange.assembly import Exchange
from krator_actors.exchange.ledger import FILE_NAME, Ledger
from krator_actors.exchange.options import parse
from krator_actors.exchange.run import session_of
from krator_actors.exchange.signing import DEFAULT_KEY, DEFAULT_SECRET, Credentials, payload_of

DEADLINE_SECS = 20.0
STILL = ["--symbols", "BTCUSDT", "--ticks-per-sec", "0.001"]
"""a market that does not move by itself"""


async def eventually(condition: Callable[[], object], what: str = "") -> None:
    deadline = time.monotonic() + DEADLINE_SECS
    while not condition():
        assert time.monotonic() < deadline, f"did not happen: {what}"
        await asyncio.sleep(0.005)


class TradingClient:
    """One WebSocket API connection: requests with their answers, and the events beside them."""

    def __init__(self, socket: websockets.ClientConnection, key: Ed25519PrivateKey | None) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self.closed = False
        self.skew_ms = 0
        self._key = key
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            async for text in self.socket:
                message = json.loads(text)
                if "event" in message:
                    self.events.append(message["event"])
                else:
                    self._answers.pop(message["id"]).set_result(message)
        self.closed = True
        for answer in self._answers.values():
            answer.set_exception(ConnectionError("no answer: the connection is closed"))

    def sign(self, params: dict[str, Any]) -> dict[str, Any]:
        signed = {
            "apiKey": DEFAULT_KEY,
            "timestamp": time.time_ns() // 1_000_000 + self.skew_ms,
            **params,
        }
        payload = payload_of(signed)
        if self._key is not None:
            signed["signature"] = base64.b64encode(self._key.sign(payload)).decode()
        else:
            digest = hmac.new(DEFAULT_SECRET.encode(), payload, hashlib.sha256)
            signed["signature"] = digest.hexdigest()
        return signed

    async def send(self, method: str, params: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        request = {"id": number, "method": method, "params": params}
        try:
            await self.socket.send(json.dumps(request))
        except websockets.ConnectionClosed as error:
            raise ConnectionError("not sent: the connection is closed") from error
        return answer

    async def request(self, method: str, **params: Any) -> dict[str, Any]:
        answer = await self.send(method, self.sign(params))
        return await asyncio.wait_for(answer, DEADLINE_SECS)

    async def result(self, method: str, **params: Any) -> Any:
        answer = await self.request(method, **params)
        assert answer["status"] == 200, answer
        return answer["result"]

    async def error(self, method: str, **params: Any) -> tuple[int, str]:
        answer = await self.request(method, **params)
        assert answer["status"] >= 400, answer
        return answer["error"]["code"], answer["error"]["msg"]

    async def buy(self, quantity: str = "0.01", **params: Any) -> Any:
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": quantity}
        return await self.result("order.place", **order, **params)

    async def limit(self, side: str, price: str, quantity: str = "0.01", **params: Any) -> Any:
        order = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "timeInForce": "GTC"}
        order |= {"price": price, "quantity": quantity}
        return await self.result("order.place", **(order | params))

    async def subscribe(self) -> None:
        await self.result("userDataStream.subscribe.signature")

    def reports(self, kind: str) -> list[dict[str, Any]]:
        return [e for e in self.events if e["e"] == "executionReport" and e["x"] == kind]

    async def close(self) -> None:
        await self.socket.close()
        await self._reader


class Venue:
    """An exchange somewhere: its URL and its folder."""

    def __init__(self, url: str, data_dir: Path) -> None:
        self.url = url
        self.data_dir = data_dir
        self.key: Ed25519PrivateKey | None = None
        self._stack = contextlib.AsyncExitStack()

    @property
    def ws_url(self) -> str:
        return self.url.replace("http://", "ws://")

    def ledger(self, *kinds: str) -> list[dict[str, Any]]:
        lines = (self.data_dir / FILE_NAME).read_text().splitlines()
        records = [json.loads(line) for line in lines]
        return [r for r in records if not kinds or r["record"] in kinds]

    async def trader(self) -> TradingClient:
        socket = await websockets.connect(f"{self.ws_url}/ws-api/v3", compression=None)
        client = TradingClient(socket, self.key)
        self._stack.push_async_callback(client.close)
        return client

    async def listen(self, path: str) -> websockets.ClientConnection:
        socket = await websockets.connect(f"{self.ws_url}{path}", compression=None)
        self._stack.push_async_callback(socket.close)
        return socket

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as http, http.get(self.url + path) as answer:
            return await answer.json()

    async def get_status(self, path: str) -> tuple[int, Any]:
        async with aiohttp.ClientSession() as http, http.get(self.url + path) as answer:
            return answer.status, await answer.json()

    async def fault(self, action: str, **params: Any) -> Any:
        body = {"action": action, **params}
        async with (
            aiohttp.ClientSession() as http,
            http.post(f"{self.url}/sim/faults", json=body) as answer,
        ):
            return await answer.json()

    async def best(self) -> tuple[str, str]:
        depth = await self.get("/api/v3/depth?symbol=BTCUSDT&limit=5")
        return depth["bids"][0][0], depth["asks"][0][0]

    async def leave(self) -> None:
        await self._stack.aclose()


class RunningExchange(Venue):
    """An exchange in this process, so that a test can look inside."""

    def __init__(self, url: str, data_dir: Path, exchange: Exchange) -> None:
        super().__init__(url, data_dir)
        self.exchange = exchange


@contextlib.asynccontextmanager
async def running(data_dir: Path, *arguments: str) -> AsyncIterator[RunningExchange]:
    options = parse(["--data-dir", str(data_dir), *arguments])
    session = session_of(options)
    ledger = Ledger(data_dir / FILE_NAME)
    credentials = Credentials.load({}, options.public_key)
    exchange = Exchange(options, session=session, ledger=ledger, credentials=credentials)
    url = await exchange.server.start(options.port)
    pacing = asyncio.create_task(exchange.pace())
    venue = RunningExchange(url, data_dir, exchange)
    try:
        yield venue
    finally:
        await venue.leave()
        pacing.cancel()
        await asyncio.gather(pacing, return_exceptions=True)
        await exchange.server.stop()
        exchange.close("TEST")
        ledger.close()


@pytest.fixture(name="running")
def _running() -> Any:
    """``async with running(folder, *arguments) as venue``: an exchange in this process."""
    return running


@pytest.fixture(name="eventually")
def _eventually() -> Any:
    return eventually


@pytest.fixture
async def still(tmp_path: Path) -> AsyncIterator[RunningExchange]:
    """An exchange with one market that does not move by itself."""
    async with running(tmp_path / "still", *STILL) as venue:
        yield venue


class ExchangeProcess(Venue):
    """An exchange in a process of its own."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(data_dir)]
        self.process = subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        super().__init__(json.loads(ready)["url"] if ready else "", data_dir)

    def end(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(timeout=DEADLINE_SECS)
        self.errors = self.process.stderr.read() if self.process.stderr else ""
        return code

    def dispose(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def launch() -> Iterator[Callable[..., ExchangeProcess]]:
    """Start exchanges in processes of their own; they are gone when the test ends."""
    started: list[ExchangeProcess] = []

    def start(data_dir: Path, *arguments: str) -> ExchangeProcess:
        started.append(ExchangeProcess(data_dir, *arguments))
        return started[-1]

    yield start
    for process in started:
        process.dispose()


@pytest.fixture
def recorded() -> Path:
    """The recorded Binance spot session."""
    root = Path(os.environ.get("KRATOR_TEST_DATA", "../shared/data"))
    directory = root / "protocol/binance/live_20240808"
    if not directory.is_dir():
        pytest.skip(f"no recorded session at {directory}; set KRATOR_TEST_DATA")
    return directory
