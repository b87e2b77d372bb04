"""RestClient against a real HTTP server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from krator_actors.adapters.rest import RestClient
from krator_actors.venue_errors import VenueRefusedError, VenueUnavailableError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def client_of(handler: Handler, **options: int) -> AsyncIterator[RestClient]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handler)
    async with TestServer(app) as server:
        client = RestClient(f"http://127.0.0.1:{server.port}/", timeout_secs=0.5, **options)  # type: ignore[arg-type]
        try:
            yield client
        finally:
            await client.close()


def answering(status: int, body: str = "", **headers: str) -> Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body, headers=headers)

    return handle


async def test_body_of_a_successful_answer_is_returned() -> None:
    async with client_of(answering(200, '{"serverTime":1}')) as client:
        assert await client.get("/api/v3/time") == b'{"serverTime":1}'


async def test_query_reaches_the_venue_as_it_was_encoded() -> None:
    asked: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.query["symbols"])
        return web.Response()

    async with client_of(handle) as client:
        await client.get("/api/v3/exchangeInfo?symbols=%5B%22BTCUSDT%22%5D")

    assert asked == ['["BTCUSDT"]']


async def test_refusal_carries_the_code_and_text_of_the_venue() -> None:
    body = '{"code":-1121,"msg":"Invalid symbol."}'
    async with client_of(answering(400, body)) as client:
        with pytest.raises(
            VenueRefusedError, match=r"HTTP 400: Invalid symbol. \(code -1121\)"
        ) as e:
            await client.get("/api/v3/klines")

    assert e.value.code == -1121


@pytest.mark.parametrize("status", [403, 418, 429, 500, 502, 503, 504])
async def test_busy_venue_may_be_asked_later(status: int) -> None:
    async with client_of(answering(status, "<html>", **{"Retry-After": "7"})) as client:
        with pytest.raises(VenueUnavailableError) as e:
            await client.get("/api/v3/time")

    assert e.value.retry_after_secs == 7.0


async def test_busy_venue_that_names_no_time_names_none() -> None:
    async with client_of(answering(503)) as client:
        with pytest.raises(VenueUnavailableError) as e:
            await client.get("/api/v3/time")

    assert e.value.retry_after_secs is None


async def test_redirect_is_not_followed() -> None:
    async with client_of(answering(302, Location="/elsewhere")) as client:
        with pytest.raises(VenueRefusedError, match="HTTP 302"):
            await client.get("/api/v3/time")


async def test_silent_venue_is_given_up_at_the_deadline() -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.sleep(3)
        return web.Response()

    async with client_of(never) as client:
        with pytest.raises(VenueUnavailableError, match=r"no answer within 0.5 s"):
            await client.get("/api/v3/time")


async def test_answer_that_breaks_off_is_unavailable() -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.close()
        return response

    async with client_of(break_off) as client:
        with pytest.raises(VenueUnavailableError):
            await client.get("/api/v3/time")


async def test_endless_answer_is_given_up() -> None:
    async with client_of(answering(200, "x" * 5_000), max_body_bytes=1_000) as client:
        with pytest.raises(VenueUnavailableError, match="exceeds 1000 bytes"):
            await client.get("/api/v3/exchangeInfo")


async def test_nobody_listening_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    client = RestClient(f"http://127.0.0.1:{port}", timeout_secs=1.0)

    with pytest.raises(VenueUnavailableError):
        await client.get("/api/v3/time")
    await client.close()


async def test_close_without_a_request_and_twice_is_fine() -> None:
    client = RestClient("http://127.0.0.1:9", timeout_secs=1.0)

    await client.close()
    await client.close()
