"""Replayed sessions: small made-up ones, and the recorded one of Binance."""

from __future__ import annotations

import asyncio
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors.exchange import replay_session
from krator_actors.exchange.errors import ExchangeStartError
from krator_actors.exchange.recording import (
    Recording,
)
from krator_actors.exchange.replay_market import FIRST_OWN_TRADE_ID

MODULES_UNDER_TEST = (replay_session,)


def line(ts_ns: int, data: Any, **fields: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return json.dumps({"ts_ns": ts_ns, "dir": "recv", "conn": "c", "data": text, **fields}).encode()


def stream_line(ts_ns: int, stream: str, data: Any) -> bytes:
    return line(ts_ns, {"stream": stream, "data": data})


SNAPSHOT = line(
    2,
    {"lastUpdateId": 5, "bids": [["60000.00000000", "1.0"]], "asks": [["60000.01000000", "2.0"]]},
    dir="http",
    url="/api/v3/depth?symbol=BTCUSDT&limit=1000",
)


def trade_line(ts_ns: int, trade_id: int, price: str = "60000.00000000") -> bytes:
    body = {"e": "trade", "E": 1, "s": "BTCUSDT", "t": trade_id, "p": price}
    body |= {"q": "0.50000000", "T": 60_000 + trade_id * 1_000, "m": True, "M": True}
    return stream_line(ts_ns, "btcusdt@trade", body)


def write(directory: Path, *lines: bytes, name: str = "spot_btcusdt.jsonl.gz") -> Path:
    directory.mkdir(exist_ok=True)
    with gzip.open(directory / name, "wb") as file:
        file.write(b"".join(one + b"\n" for one in lines))
    return directory


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([SNAPSHOT, b"not json"], r"spot_btcusdt.jsonl.gz:2: not a recorded frame"),
        ([SNAPSHOT, b'{"ts_ns":3,"dir":"recv"}'], r":2: not a recorded frame.*data"),
        ([line(3, "{broken")], r":1: not a recorded frame"),
        ([stream_line(3, "btcusdt@trade", {"t": 1})], r":1: not a recorded frame"),
        ([trade_line(3, 1), trade_line(2, 2)], r":2: ts_ns goes back"),
        ([line(3, "{}", dir="connect")], r"has no frames to replay"),
    ],
)
def test_broken_line_is_named_by_file_and_number(
    tmp_path: Path, lines: list[bytes], complaint: str
) -> None:
    write(tmp_path / "rec", *lines)

    with pytest.raises(ExchangeStartError, match=complaint):
        Recording.scan(tmp_path / "rec")


def test_corrupt_archive_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, *(trade_line(n, n) for n in range(1, 2_000))) / "spot_btcusdt.jsonl.gz"
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExchangeStartError, match=r"spot_btcusdt.jsonl.gz:\d+: cannot be read"):
        Recording.scan(tmp_path)
    path.write_bytes(b"no gzip")
    with pytest.raises(ExchangeStartError, match=r"spot_btcusdt.jsonl.gz:1: cannot be read"):
        Recording.scan(tmp_path)


def test_directory_without_a_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExchangeStartError, match=r"has no spot_\*.jsonl.gz files"):
        Recording.scan(tmp_path)
    with pytest.raises(ExchangeStartError, match="is not a directory"):
        Recording.scan(tmp_path / "absent")


async def test_replay_begins_with_its_first_subscriber_and_passes_the_exact_text_on(
    running: Any, tmp_path: Path
) -> None:
    data = '{ "t":1, "p":"60000.00000000","q":"1.00000000","T":61000,"m":false,"x":"unknown"}'
    exact = '{"stream":"btcusdt@trade","data":' + data + "}"
    directory = write(
        tmp_path / "rec", SNAPSHOT, line(3, exact), stream_line(4, "btcusdt@new", [1])
    )
    async with running(tmp_path / "venue", "--replay", str(directory)) as venue:
        waiting = await venue.get("/sim/status")
        socket = await venue.listen("/stream?streams=btcusdt@trade/btcusdt@new")

        assert await socket.recv() == exact
        assert await socket.recv() == '{"stream":"btcusdt@new","data":[1]}'
        assert (waiting["started"], waiting["ended"], waiting["frames"]) == (False, False, 0)


async def test_venue_keeps_serving_its_state_after_the_end(running: Any, tmp_path: Path) -> None:
    directory = write(tmp_path / "rec", SNAPSHOT, trade_line(3, 1), trade_line(4, 2))
    arguments = ["--replay", str(directory), "--start-at-once"]
    async with running(tmp_path / "venue", *arguments) as venue:
        status = await venue.get("/sim/status")
        while not status["ended"]:
            status = await venue.get("/sim/status")
        client = await venue.trader()

        assert (status["mode"], status["position"], status["frames"]) == ("replay", 1.0, 3)
        assert (await venue.get("/api/v3/depth?symbol=BTCUSDT"))["lastUpdateId"] == 5
        klines = await venue.get("/api/v3/klines?symbol=BTCUSDT&interval=1s")
        assert [k[0] for k in klines] == [61_000, 62_000]
        bought = await client.buy("0.01")
        assert bought["fills"][0]["tradeId"] == FIRST_OWN_TRADE_ID


async def test_order_works_before_the_first_trade(running: Any, tmp_path: Path) -> None:
    directory = write(tmp_path / "rec", SNAPSHOT)
    async with running(tmp_path / "venue", "--replay", str(directory)) as venue:
        client = await venue.trader()

        assert (await client.buy("0.01"))["status"] == "FILLED"


async def test_market_order_in_an_empty_market_is_refused(running: Any, tmp_path: Path) -> None:
    directory = write(tmp_path / "rec", trade_line(3, 1))
    async with running(tmp_path / "venue", "--replay", str(directory)) as venue:
        client = await venue.trader()
        sent = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}

        assert (await client.error("order.place", **sent))[0] == -1112


async def test_recorded_session_keeps_its_pace_and_fills_orders(
    running: Any, recorded: Path, tmp_path: Path
) -> None:
    arguments = ["--replay", str(recorded), "--speed", "20"]
    async with running(tmp_path, *arguments) as venue:
        names = [f"{s}@{k}" for s in ("btcusdt", "ethusdt") for k in ("trade", "depth@100ms")]
        socket = await venue.listen("/stream?streams=" + "/".join(names))
        client = await venue.trader()
        events = [json.loads(await asyncio.wait_for(socket.recv(), 20)) for _ in range(3_000)]
        filled = [
            await client.result(
                "order.place", symbol=symbol, side="BUY", type="MARKET", quantity=quantity
            )
            for symbol, quantity in (("BTCUSDT", "0.01"), ("ETHUSDT", "0.2"))
        ]
        depth = await venue.get("/api/v3/depth?symbol=BTCUSDT&limit=1")

    ids = [e["data"]["t"] for e in events if e["stream"] == "btcusdt@trade"]
    assert ids == list(range(3735683259, 3735683259 + len(ids)))
    assert [answer["status"] for answer in filled] == ["FILLED", "FILLED"]
    assert 60_000 < Decimal(depth["bids"][0][0]) < Decimal(depth["asks"][0][0]) < 63_000
