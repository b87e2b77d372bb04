"""Streams and REST of a synthetic venue, and what its order flow is like."""

from __future__ import annotations

import asyncio
import json
import time
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from krator_actors.exchange import (
    assembly,
    limits,
    market,
    order_flow,
    params,
    price_path,
    rest,
    rules,
    server,
    session,
    streams,
    synthetic,
    synthetic_session,
)
from krator_actors.exchange.errors import ApiError
from krator_actors.exchange.order_flow import OrderFlow, Take
from krator_actors.exchange.price_path import PricePath
from krator_actors.exchange.rules import rules_of
from krator_actors.exchange.tape import SECONDS_KEPT, PublicTrade, Tape

MODULES_UNDER_TEST = (
    assembly,
    limits,
    market,
    order_flow,
    params,
    price_path,
    rest,
    rules,
    server,
    session,
    streams,
    synthetic,
    synthetic_session,
)
LIVELY = ["--symbols", "BTCUSDT,SOLUSDT", "--ticks-per-sec", "200"]


async def frames(socket: Any, count: int) -> list[Any]:
    return [json.loads(await asyncio.wait_for(socket.recv(), 20)) for _ in range(count)]


async def test_trade_ids_have_no_gap_and_the_quote_is_never_crossed(
    running: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, *LIVELY) as venue:
        socket = await venue.listen("/stream?streams=btcusdt@trade/btcusdt@bookTicker")

        events = await frames(socket, 300)

    trades = [e["data"] for e in events if e["stream"] == "btcusdt@trade"]
    quotes = [e["data"] for e in events if e["stream"] == "btcusdt@bookTicker"]
    assert trades
    assert quotes
    assert all(b["t"] == a["t"] + 1 for a, b in pairwise(trades))
    assert all(b["u"] > a["u"] for a, b in pairwise(quotes))
    assert all(Decimal(q["b"]) < Decimal(q["a"]) for q in quotes)


async def test_snapshot_and_differences_give_the_book_of_the_ticker(
    running: Any, tmp_path: Path
) -> None:
    async with running(tmp_path, *LIVELY) as venue:
        socket = await venue.listen("/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker")
        events = await frames(socket, 1)
        snapshot = await venue.get("/api/v3/depth?symbol=BTCUSDT&limit=1000")
        events += await frames(socket, 200)

    book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
    last_id = snapshot["lastUpdateId"]
    tops = {e["data"]["u"]: e["data"] for e in events if e["stream"].endswith("bookTicker")}
    compared = 0
    for event in (e["data"] for e in events if e["stream"].endswith("depth@100ms")):
        if event["u"] <= last_id:
            continue
        assert event["U"] <= last_id + 1
        last_id = event["u"]
        for side, name in (("b", "bids"), ("a", "asks")):
            for price, size in event[side]:
                book[name][price] = size
                if Decimal(size) == 0:
                    del book[name][price]
        if last_id in tops:
            compared += 1
            assert max(book["bids"], key=Decimal) == tops[last_id]["b"]
            assert min(book["asks"], key=Decimal) == tops[last_id]["a"]
    assert compared


async def test_raw_stream_is_the_data_alone(still: Any) -> None:
    client = await still.trader()
    raw = await still.listen("/ws/btcusdt@trade")
    combined = await still.listen("/stream?streams=btcusdt@trade")

    await client.buy()

    text = await raw.recv()
    assert await combined.recv() == f'{{"stream":"btcusdt@trade","data":{text}}}'


async def test_streams_are_subscribed_and_left_on_an_open_connection(still: Any) -> None:
    client = await still.trader()
    socket = await still.listen("/ws")

    async def control(method: str, params: Any, request_id: Any = 1) -> Any:
        request = {"method": method, "params": params, "id": request_id}
        await socket.send(json.dumps(request))
        return json.loads(await socket.recv())

    assert await control("SUBSCRIBE", ["btcusdt@trade"]) == {"result": None, "id": 1}
    assert (await control("LIST_SUBSCRIPTIONS", None))["result"] == ["btcusdt@trade"]
    assert (await control("GET_PROPERTY", ["combined"]))["result"] is False
    assert (await control("SET_PROPERTY", ["combined", True], "x"))["id"] == "x"
    await client.buy()
    assert json.loads(await socket.recv())["stream"] == "btcusdt@trade"
    await control("SET_PROPERTY", ["combined", False])
    await control("UNSUBSCRIBE", ["btcusdt@trade", "never@subscribed"])
    await client.buy()
    assert (await control("LIST_SUBSCRIPTIONS", None))["result"] == []


@pytest.mark.parametrize(
    ("frame", "code", "text"),
    [
        ("no json", 3, "Invalid JSON"),
        ("[]", 2, "expected an object"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"LISTEN","id":1}', 2, "unknown variant `LISTEN`"),
        ('{"method":"SUBSCRIBE","params":"x","id":1}', 2, "list of stream names"),
        ('{"method":"GET_PROPERTY","params":["color"],"id":1}', 0, "Unknown property"),
    ],
)
async def test_wrong_control_frame_gets_its_error(
    still: Any, frame: str, code: int, text: str
) -> None:
    socket = await still.listen("/stream")

    await socket.send(frame)

    error = json.loads(await socket.recv())["error"]
    assert error["code"] == code
    assert text in error["msg"]


async def test_connection_has_a_limit_of_streams(still: Any) -> None:
    socket = await still.listen("/ws")
    names = [f"btcusdt@s{n}" for n in range(streams.MAX_STREAMS + 1)]

    await socket.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))

    assert "more than 1024 streams" in json.loads(await socket.recv())["error"]["msg"]


async def test_exchange_info_lists_filters_and_limits(still: Any) -> None:
    info = await still.get("/api/v3/exchangeInfo?symbol=BTCUSDT")

    (listed,) = info["symbols"]
    filters = {f["filterType"]: f for f in listed["filters"]}
    assert set(filters) == {
        "PRICE_FILTER",
        "LOT_SIZE",
        "MARKET_LOT_SIZE",
        "PERCENT_PRICE_BY_SIDE",
        "NOTIONAL",
        "MAX_NUM_ORDERS",
        "MAX_NUM_ALGO_ORDERS",
        "MAX_NUM_ORDER_AMENDS",
    }
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"
    assert (listed["baseAsset"], listed["quoteAsset"]) == ("BTC", "USDT")
    assert {limit["rateLimitType"] for limit in info["rateLimits"]} == {"REQUEST_WEIGHT", "ORDERS"}
    by_list = await still.get('/api/v3/exchangeInfo?symbols=["BTCUSDT"]')
    assert by_list["symbols"] == info["symbols"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("exchangeInfo?symbol=NOPE", -1121),
        ("exchangeInfo?symbols=NOPE", -1100),
        ("depth", -1102),
        ("depth?symbol=NOPE", -1121),
        ("depth?symbol=BTCUSDT&limit=0", -1130),
        ("klines?symbol=BTCUSDT", -1102),
        ("klines?symbol=BTCUSDT&interval=5s", -1120),
        ("trades?symbol=BTCUSDT&limit=x", -1100),
    ],
)
async def test_wrong_rest_request_gets_binances_error(still: Any, path: str, code: int) -> None:
    status, body = await still.get_status(f"/api/v3/{path}")

    assert (status, body["code"]) == (400, code)


async def test_weight_above_the_limit_is_refused_with_429(running: Any, tmp_path: Path) -> None:
    async with running(tmp_path, *LIVELY, "--weight-limit", "25") as venue:
        answers = [await venue.get_status("/api/v3/exchangeInfo") for _ in range(4)]
        refused = [body for status, body in answers if status == 429]

        assert refused
        assert refused[0]["code"] == -1003


async def test_depth_is_cut_to_its_limit_and_best_comes_first(still: Any) -> None:
    depth = await still.get("/api/v3/depth?symbol=BTCUSDT&limit=3")

    bids = [Decimal(price) for price, _ in depth["bids"]]
    asks = [Decimal(price) for price, _ in depth["asks"]]
    assert len(bids) == len(asks) == 3
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    assert bids[0] < asks[0]


async def test_venue_has_klines_and_trades_from_before_it_started(still: Any) -> None:
    seconds = await still.get("/api/v3/klines?symbol=BTCUSDT&interval=1s&limit=100")
    minutes = await still.get("/api/v3/klines?symbol=BTCUSDT&interval=5m")
    trades = await still.get("/api/v3/trades?symbol=BTCUSDT&limit=10")

    assert len(seconds) == 100
    assert all(b[0] - a[0] == 1_000 for a, b in pairwise(seconds))
    assert len(minutes) >= 3
    assert len(trades) == 10
    assert Decimal(seconds[-1][4]) == Decimal(trades[-1]["price"])
    assert (await still.get("/api/v3/ping")) == {}
    assert abs((await still.get("/api/v3/time"))["serverTime"] - time.time() * 1_000) < 5_000


def tape_of(*trades: tuple[int, int, int]) -> Tape:
    tape = Tape()
    for number, (time_ms, price, quantity) in enumerate(trades, start=1):
        tape.add(PublicTrade(number, price * 10**8, quantity * 10**8, time_ms, number % 2 == 0))
    return tape


def test_kline_has_the_trades_of_its_period() -> None:
    tape = tape_of((60_000, 10, 1), (61_000, 12, 2), (119_999, 9, 3), (120_000, 11, 4))

    first, second = tape.klines("1m", now_ms=130_000)

    assert first[:9] == [
        60_000,
        "10.00000000",
        "12.00000000",
        "9.00000000",
        "9.00000000",
        "6.00000000",
        119_999,
        "61.00000000",
        3,
    ]
    assert first[9:11] == ["4.00000000", "37.00000000"]
    assert (second[0], second[8]) == (120_000, 1)


def test_period_without_a_trade_has_a_flat_kline() -> None:
    tape = tape_of((1_000, 10, 1), (4_000, 12, 2))

    klines = tape.klines("1s", now_ms=5_500)

    assert [k[0] for k in klines] == [1_000, 2_000, 3_000, 4_000, 5_000]
    assert klines[2][1:6] == ["10.00000000"] * 4 + ["0.00000000"]
    assert klines[4][4] == "12.00000000"


def test_klines_are_chosen_by_start_end_and_limit() -> None:
    tape = tape_of(*((second * 1_000, 10 + second, 1) for second in range(1, 11)))

    def opens(**choice: int) -> list[int]:
        return [k[0] // 1_000 for k in tape.klines("1s", now_ms=10_000, **choice)]

    assert opens(limit=3) == [8, 9, 10]
    assert opens(start_ms=2_500, limit=3) == [3, 4, 5]
    assert opens(start_ms=4_000, end_ms=6_999) == [4, 5, 6]
    assert opens(end_ms=3_000, limit=2) == [2, 3]
    assert opens(start_ms=20_000) == []
    assert Tape().klines("1s", now_ms=1) == []
    with pytest.raises(ApiError, match="-1120"):
        tape.klines("7m", now_ms=1)


def test_old_klines_are_forgotten() -> None:
    tape = tape_of(*((second * 1_000, 10, 1) for second in range(SECONDS_KEPT + 10)))

    klines = tape.klines("1s", now_ms=(SECONDS_KEPT + 9) * 1_000, limit=10**6)

    assert len(klines) == SECONDS_KEPT


def test_moving_averages_of_the_price_path_cross_every_half_minute_or_so() -> None:
    secs_per_cross = []
    for seed in range(4):
        path = PricePath(seed=seed, symbol="BTCUSDT", volatility_bp=order_flow.VOLATILITY_BP)
        closes = [path.factor(5.0 * bar) for bar in range(720)]
        gaps = [
            sum(closes[i - 2 : i + 1]) / 3 - sum(closes[i - 7 : i + 1]) / 8
            for i in range(8, len(closes))
        ]
        crosses = sum((a > 0) != (b > 0) for a, b in pairwise(gaps))
        secs_per_cross.append(3_600 / crosses)

    assert all(20 <= secs <= 60 for secs in secs_per_cross), secs_per_cross


def test_price_path_is_a_function_of_seed_and_time() -> None:
    def path(seed: int) -> PricePath:
        return PricePath(seed=seed, symbol="BTCUSDT", volatility_bp=2.0)

    walked = path(1)
    for second in range(100):
        walked.factor(second)

    assert walked.factor(100.25) == path(1).factor(100.25)
    assert path(1).factor(0.0) == 1.0
    assert path(1).factor(100.25) != path(2).factor(100.25)


def test_order_flow_is_the_same_for_the_same_seed() -> None:
    def actions(seed: int) -> list[object]:
        flow = OrderFlow(rules_of("SOLUSDT"), seed=seed, start=0)
        return [*flow.opening(), *(flow.next_action(step / 20) for step in range(200))]

    assert actions(7) == actions(7)
    assert actions(7) != actions(8)


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT"])
def test_order_flow_keeps_to_the_rules_of_its_symbol(symbol: str) -> None:
    listed = rules_of(symbol)
    flow = OrderFlow(listed, seed=1, start=0)

    for step in range(500):
        action = flow.next_action(step / 20)
        if isinstance(action, Take):
            listed.check_quantity(action.quantity, market=True)
            continue
        assert action.bid < flow.fair() < action.ask
        for price, quantity in (
            (action.bid, action.bid_quantity),
            (action.ask, action.ask_quantity),
        ):
            listed.check_price(price)
            listed.check_quantity(quantity, market=False)


async def test_new_ledger_begins_with_the_same_market_for_the_same_seed(
    running: Any, tmp_path: Path
) -> None:
    opened = []
    for folder, seed in (("a", "7"), ("b", "7"), ("c", "8")):
        arguments = ["--symbols", "BTCUSDT", "--ticks-per-sec", "0.001", "--seed", seed]
        async with running(tmp_path / folder, *arguments) as venue:
            klines = await venue.get("/api/v3/klines?symbol=BTCUSDT&interval=1m")
            depth = await venue.get("/api/v3/depth?symbol=BTCUSDT")
            opened.append((depth, [kline[1:6] for kline in klines[1:-1]]))

    assert opened[0][0] == opened[1][0]
    assert opened[0][0] != opened[2][0]


async def test_pace_that_is_too_much_is_left_out_and_said(running: Any, tmp_path: Path) -> None:
    async with running(tmp_path, "--ticks-per-sec", "1000000") as venue:
        status = await venue.get("/sim/status")
        while not status["skipped_ticks"]:
            status = await venue.get("/sim/status")

        assert (await venue.get("/api/v3/time"))["serverTime"]
