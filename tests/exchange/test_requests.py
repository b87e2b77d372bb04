"""Requests of the WebSocket API: signatures, windows, limits, malformed frames."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def order_for(quantity: str, price: str, time_in_force: str) -> dict[str, str]:
    return {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": time_in_force,
        "quantity": quantity,
        "price": price,
    }


async def test_requests_outside_their_window_are_refused_and_written_down(still: Any) -> None:
    client = await still.trader()
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}

    client.skew_ms = -6_000
    late = await client.error("order.place", **order)
    client.skew_ms = 2_000
    early = await client.error("order.place", **order)

    assert late == (-1021, "Timestamp for this request is outside of the recvWindow.")
    assert early[0] == -1021
    assert [r["code"] for r in still.ledger("rejected")] == [-1021, -1021]
    assert still.ledger("order") == []


async def test_ed25519_signature_is_taken_when_the_venue_has_the_public_key(
    running: Any, tmp_path: Path
) -> None:
    key = Ed25519PrivateKey.generate()
    pem = tmp_path / "public.pem"
    pem.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    still = ["--symbols", "BTCUSDT", "--ticks-per-sec", "0.001"]
    async with running(tmp_path / "venue", *still, "--public-key", str(pem)) as venue:
        by_hmac = await venue.trader()
        venue.key = key
        by_ed25519 = await venue.trader()

        assert (await by_hmac.error("account.status"))[0] == -1022
        assert (await by_ed25519.result("account.status"))["canTrade"]
        signed = by_ed25519.sign({})
        signed["signature"] = base64.b64encode(b"0" * 64).decode()
        answer = await by_ed25519.send("account.status", signed)
        assert (await answer)["error"]["code"] == -1022


async def test_public_requests_need_no_signature(still: Any) -> None:
    client = await still.trader()

    ping = await (await client.send("ping", {}))
    clock = await (await client.send("v3/time", {"returnRateLimits": False}))
    unknown = await (await client.send("order.amend", {}))

    assert (ping["status"], ping["result"]) == (200, {})
    assert ping["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
    assert "rateLimits" not in clock
    assert clock["result"]["serverTime"] > 1_700_000_000_000
    assert unknown["error"]["code"] == -1020


@pytest.mark.parametrize("frame", ["not json", "[]", '{"id":1,"method":"ping","params":[1]}'])
async def test_frame_that_is_no_request_gets_an_error(still: Any, frame: str) -> None:
    socket = await still.listen("/ws-api/v3")

    await socket.send(frame)

    answer = json.loads(await socket.recv())
    assert (answer["id"], answer["status"], answer["error"]["code"]) == (None, 400, -1135)


async def test_unknown_parameter_is_refused(still: Any) -> None:
    client = await still.trader()

    assert (await client.error("account.status", color="red"))[0] == -1104


async def test_order_limit_is_counted_and_held(running: Any, tmp_path: Path) -> None:
    still = ["--symbols", "BTCUSDT", "--ticks-per-sec", "0.001"]
    async with running(tmp_path, *still, "--order-limit", "1") as venue:
        client = await venue.trader()
        answers = [
            await client.request("order.place", **order_for("0.01", "50000", "GTC"))
            for _ in range(4)
        ]

    refused = [answer for answer in answers if answer["status"] == 429]
    assert refused
    assert refused[0]["error"]["code"] == -1015
    assert refused[0]["error"]["data"]["retryAfter"] % 10_000 == 0
