"""Every fault that the venue can be told to have, seen by real clients."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest
import websockets

from krator_actors.exchange import connections, errors, faults, records

MODULES_UNDER_TEST = (connections, errors, faults, records)
ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}


async def test_lost_answer_leaves_an_order_that_was_acted_upon(still: Any, eventually: Any) -> None:
    watcher, client = await still.trader(), await still.trader()
    await watcher.subscribe()
    await client.subscribe()
    await still.fault("lose_answer", count=1)

    with pytest.raises(ConnectionError):
        await client.request("order.place", **ORDER, newClientOrderId="lost")

    await eventually(lambda: client.closed)
    assert client.events == []
    other = await still.trader()
    status = await other.result("order.status", symbol="BTCUSDT", origClientOrderId="lost")
    assert status["status"] == "FILLED"
    assert (await other.buy())["status"] == "FILLED"
    await eventually(lambda: watcher.reports("TRADE"))
    hits = still.ledger("fault", "fault_hit")
    assert [(h["record"], h["action"]) for h in hits] == [
        ("fault", "lose_answer"),
        ("fault_hit", "lose_answer"),
    ]
    assert (hits[1]["clientOrderId"], hits[1]["acted"]) == ("lost", True)


async def test_lost_answer_waits_for_its_method(still: Any) -> None:
    client = await still.trader()
    await client.limit("BUY", "50000", newClientOrderId="a")
    await still.fault("lose_answer", method="order.cancel")

    await client.result("account.status")
    with pytest.raises(ConnectionError):
        await client.request("order.cancel", symbol="BTCUSDT", origClientOrderId="a")

    other = await still.trader()
    status = await other.result("order.status", symbol="BTCUSDT", origClientOrderId="a")
    assert status["status"] == "CANCELED"


@pytest.mark.parametrize(
    ("only", "streams_closed", "api_closed"),
    [(None, True, True), ("streams", True, False), ("ws-api", False, True)],
)
async def test_connections_are_dropped_at_once(
    still: Any, eventually: Any, only: str | None, *, streams_closed: bool, api_closed: bool
) -> None:
    streams = await still.listen("/stream?streams=btcusdt@trade")
    client = await still.trader()

    await still.fault("drop_connections", **({"only": only} if only else {}))

    if streams_closed:
        with pytest.raises(websockets.ConnectionClosedError):
            await streams.recv()
    else:
        await (await streams.ping())
    if api_closed:
        await eventually(lambda: client.closed)
    else:
        await client.result("account.status")


async def test_silent_venue_answers_pings_and_sends_no_market_data(still: Any) -> None:
    client = await still.trader()
    streams = await still.listen("/ws/btcusdt@trade")
    await still.fault("silence")

    await client.buy()
    await (await streams.ping())
    status = await still.get("/sim/status")
    await still.fault("end_silence")
    second = await client.buy()

    assert status["faults"]["silent"]
    heard = json.loads(await streams.recv())
    assert heard["t"] == second["fills"][0]["tradeId"]


async def test_silence_ends_by_itself_after_its_time(still: Any, eventually: Any) -> None:
    await still.fault("silence", secs=0.05)

    status = await still.get("/sim/status")
    while status["faults"]["silent"]:
        status = await still.get("/sim/status")

    assert not status["faults"]["silent"]


async def test_late_order_is_overtaken_by_the_question_for_it(still: Any, eventually: Any) -> None:
    client = await still.trader()
    await still.fault("delay_requests", ms=300, method="order.place")

    placed = asyncio.ensure_future(client.request("order.place", **ORDER, newClientOrderId="late"))
    asked = await client.request("order.status", symbol="BTCUSDT", origClientOrderId="late")

    assert asked["error"]["code"] == -2013
    assert not placed.done()
    assert (await placed)["status"] == 200


async def test_order_that_arrives_after_its_validity_is_refused(still: Any) -> None:
    client = await still.trader()
    await still.fault("delay_requests", ms=100)

    answer = await client.request("order.place", **ORDER, recvWindow=20)

    assert answer["error"]["code"] == -1021


async def test_too_many_requests_asks_for_a_rest(still: Any) -> None:
    client = await still.trader()
    await still.fault("answer_error", code=-1003, status=429, method="order.place")

    answer = await client.request("order.place", **ORDER)

    assert answer["status"] == 429
    data = answer["error"]["data"]
    assert data["retryAfter"] - data["serverTime"] == 1_000


async def test_answers_are_held_back_and_events_are_not(still: Any, eventually: Any) -> None:
    watcher, client = await still.trader(), await still.trader()
    await watcher.subscribe()
    await still.fault("delay_answers", ms=300)
    began = time.monotonic()

    answer = asyncio.ensure_future(client.request("order.place", **ORDER))
    await eventually(lambda: watcher.reports("TRADE"))

    assert not answer.done()
    assert (await answer)["status"] == 200
    assert time.monotonic() - began >= 0.3


async def test_new_connections_are_refused_but_control_is_not(still: Any) -> None:
    client = await still.trader()
    await still.fault("refuse_connections", secs=60)

    with pytest.raises((websockets.InvalidMessage, OSError, EOFError)):
        await still.trader()
    with pytest.raises(aiohttp.ClientError):
        await still.get("/api/v3/time")
    await client.result("account.status")
    await still.fault("clear")

    assert (await still.trader()) is not None


@pytest.mark.parametrize("act", [True, False])
async def test_error_is_answered_with_or_without_acting(still: Any, *, act: bool) -> None:
    client = await still.trader()
    await still.fault(
        "answer_error", code=-1007, status=504, act=act, method="order.place", count=1
    )

    answer = await client.request("order.place", **ORDER, newClientOrderId="e")

    assert (answer["status"], answer["error"]["code"]) == (504, -1007)
    assert "execution status unknown" in answer["error"]["msg"]
    assert len(still.ledger("order")) == act
    (hit,) = still.ledger("fault_hit")
    assert (hit["acted"], hit["clientOrderId"]) == (act, "e")
    assert (await client.buy())["status"] == "FILLED"


async def test_error_is_answered_by_rest_as_well(still: Any) -> None:
    await still.fault("answer_error", code=-1001, status=503)

    assert await still.get_status("/api/v3/time") == (
        503,
        {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."},
    )
    assert (await still.get_status("/api/v3/time"))[0] == 200


@pytest.mark.parametrize(
    "body",
    [{"action": "explode"}, {"action": "lose_answer", "count": 0}, {"action": "clear", "x": 1}],
)
async def test_unknown_fault_is_refused_with_the_known_ones(
    still: Any, body: dict[str, Any]
) -> None:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{still.url}/sim/faults", json=body) as answer,
    ):
        told = await answer.json()

    assert answer.status == 400
    assert "drop_connections, silence" in told["error"]
    assert still.ledger("fault") == []


async def test_client_that_does_not_read_is_cut_off(
    still: Any, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(connections, "OUTBOX_LIMIT", 10)
    await still.listen("/ws/btcusdt@trade")
    await eventually(lambda: len(still.exchange.server.connections))

    for number in range(20):  # without giving its writer a turn
        still.exchange._hub.publish("btcusdt@trade", f'{{"t":{number}}}')

    await eventually(lambda: not len(still.exchange.server.connections))
