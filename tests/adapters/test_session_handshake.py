"""Session against servers that shake hands badly, or not at all."""

from __future__ import annotations

import asyncio
import http
import socket
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from tests.adapters.session_scene import (
    UPGRADE,
    Caller,
    echo,
    eventually,
    keeping,
    raw_venue,
    venue,
)
from tests.private_ca import PrivateCa


async def test_server_that_never_answers_the_handshake_is_given_up() -> None:
    async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_venue(never) as url:
        caller = Caller(url, connect_timeout_secs=0.2)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert caller.reasons[0] == "no connection within 0.2 s"


async def test_heartbeat_shorter_than_the_handshake_gives_up_earlier() -> None:
    async def never(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with raw_venue(never) as url:
        caller = Caller(url, heartbeat_secs=0.1)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert "nothing received" in caller.reasons[0]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00\xff" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 301 Moved\r\nLocation: ws://elsewhere\r\n\r\n",
        UPGRADE + b"Sec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 " + b"9" * 100_000,
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["eof", "garbage", "200", "redirect", "wrong key", "endless line", "ssh"],
)
async def test_answer_that_is_no_upgrade_is_reported_and_tried_again(answer: bytes) -> None:
    async def answer_so(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()

    async with raw_venue(answer_so) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert caller.connections == 0
        assert caller.reasons[0]


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_of_a_refused_upgrade_is_honored(status: int) -> None:
    attempts: list[float] = []

    async def refuse(connection: ServerConnection, _request: Request) -> Response:
        attempts.append(asyncio.get_running_loop().time())
        response = connection.respond(http.HTTPStatus(status), "slow down\n")
        response.headers["Retry-After"] = "1"
        return response

    async with venue(echo, process_request=refuse) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(attempts) >= 2)

        assert caller.reasons[0] == f"upgrade refused: HTTP {status}"
        assert attempts[1] - attempts[0] >= 1.0


async def test_nobody_listening_is_reported_and_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    caller = Caller(f"ws://127.0.0.1:{port}/stream")

    async with keeping(caller.session):
        await eventually(lambda: len(caller.reasons) >= 3)

    assert caller.reasons[0].startswith("connect failed")


async def test_host_without_address_is_reported_and_tried_again() -> None:
    caller = Caller("ws://venue.invalid/stream")

    async with keeping(caller.session):
        await eventually(lambda: len(caller.reasons) >= 1)

    assert caller.reasons[0].startswith(("connect failed", "no connection"))


async def test_certificate_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    ca = PrivateCa(tmp_path)
    async with venue(echo, ssl=ca.server()) as plain_url:
        url = plain_url.replace("ws://127.0.0.1", "wss://localhost")
        stranger, friend = Caller(url), Caller(url, tls=ca.client())

        async with keeping(stranger.session), keeping(friend.session):
            await eventually(lambda: len(stranger.reasons) >= 1)
            await eventually(lambda: friend.texts == ["hello"])

        assert "CERTIFICATE_VERIFY_FAILED" in stranger.reasons[0]
        assert stranger.connections == 0


@pytest.mark.parametrize(
    ("days", "host", "why"),
    [((-9, -1), "localhost", "expired"), ((-1, 1), "elsewhere.example", "mismatch")],
    ids=["expired", "of another host"],
)
async def test_certificate_that_does_not_hold_is_refused(
    tmp_path: Path, days: tuple[int, int], host: str, why: str
) -> None:
    ca = PrivateCa(tmp_path)
    async with venue(echo, ssl=ca.server(host, days=days)) as plain_url:
        caller = Caller(plain_url.replace("ws://127.0.0.1", "wss://localhost"), tls=ca.client())

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 2)

        assert why in caller.reasons[0]
        assert caller.connections == 0


async def test_compression_is_used_only_when_asked_for() -> None:
    agreed: list[bool] = []

    async def speak(connection: ServerConnection) -> None:
        agreed.append(bool(connection.protocol.extensions))
        await connection.send("tick " * 1_000)
        await connection.wait_closed()

    async with venue(speak) as url:
        plain, compressed = Caller(url), Caller(url, compression=True)
        async with keeping(plain.session):
            await eventually(lambda: plain.texts == ["tick " * 1_000])
        async with keeping(compressed.session):
            await eventually(lambda: compressed.texts == ["tick " * 1_000])

    assert agreed == [False, True]
