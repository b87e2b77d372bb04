from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters import http_server
from krator_actors.adapters.http_server import HttpServer, Response, parse, plain


def echo(path: str) -> Response:
    if path == "/none":
        return plain(HTTPStatus.NOT_FOUND)
    return Response(HTTPStatus.OK, "text/plain", path.encode())


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    made = await HttpServer.start(echo, port=0)
    yield made
    await made.close()


async def sent(server: HttpServer, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(http_server.HOST, server.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def asked(server: HttpServer, line: str, host: str = "127.0.0.1:9") -> bytes:
    return await sent(server, f"{line}\r\nHost: {host}\r\n\r\n".encode())


async def test_path_is_answered_without_its_query(server: HttpServer) -> None:
    answer = await asked(server, "GET /metrics?name=x HTTP/1.1")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n/metrics")


async def test_head_has_the_length_and_no_body(server: HttpServer) -> None:
    answer = await asked(server, "HEAD /metrics HTTP/1.1")

    assert b"Content-Length: 8\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        ("POST / HTTP/1.1", "localhost", 405),
        ("GET /none HTTP/1.1", "localhost:80", 404),
        ("GET / HTTP/1.1", "evil.example", 400),
        ("GET / HTTP/1.1", "127.0.0.1.evil.example:80", 400),
        ("GET http://evil.example/ HTTP/1.1", "localhost", 400),
        ("GET / HTTP/2", "localhost", 400),
        ("nonsense", "localhost", 400),
    ],
)
async def test_request_that_is_not_for_us_is_refused(
    server: HttpServer, line: str, host: str, status: int
) -> None:
    assert (await asked(server, line, host)).startswith(f"HTTP/1.1 {status} ".encode())


async def test_wrong_method_is_told_which_are_right(server: HttpServer) -> None:
    assert b"\r\nAllow: GET, HEAD\r\n" in await asked(server, "POST / HTTP/1.1")
    assert b"Allow" not in await asked(server, "GET / HTTP/1.1")


async def test_request_without_an_end_is_dropped(server: HttpServer) -> None:
    reader, writer = await asyncio.open_connection(http_server.HOST, server.port)
    writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)

    try:
        answer = await reader.read()
    except ConnectionResetError:
        answer = b""

    writer.close()
    assert answer == b""
    assert (await asked(server, "GET /a HTTP/1.1")).endswith(b"/a")


async def test_who_says_nothing_is_dropped_and_others_are_served_meanwhile(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "_TIMEOUT_SECS", 0.05)
    silent, silent_writer = await asyncio.open_connection(http_server.HOST, server.port)

    answer = await asked(server, "GET /a HTTP/1.1")

    assert answer.endswith(b"/a")
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await silent.readexactly(1)
    silent_writer.close()


async def test_connections_are_bounded(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "_MAX_CONNECTIONS", 0)

    reader, writer = await asyncio.open_connection(http_server.HOST, server.port)
    answer = await reader.read()

    writer.close()
    assert answer == b""


async def test_close_drops_who_is_still_there(server: HttpServer) -> None:
    reader, writer = await asyncio.open_connection(http_server.HOST, server.port)
    writer.write(b"GET /")

    await server.close()

    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()


async def test_port_that_is_taken_is_an_error(server: HttpServer) -> None:
    with pytest.raises(OSError, match="in use"):
        await HttpServer.start(echo, port=server.port)


@given(st.binary(max_size=200))
def test_any_bytes_are_parsed(request: bytes) -> None:
    method, target = parse(request)

    assert method is None or target.startswith("/")
