"""A small HTTP/1.1 server for machines on this host: GET and HEAD, one answer a connection.

It listens on 127.0.0.1 only, and answers only who asked for that by name: a page in a browser that
has led its own host name here (DNS rebinding) gets nothing. Everything of a request is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple, Self

HOST = "127.0.0.1"
_NAMES = frozenset({HOST, "localhost"})
_MAX_REQUEST_BYTES = 8_192
_MAX_CONNECTIONS = 32
_TIMEOUT_SECS = 5.0


class Response(NamedTuple):
    """What is answered."""

    status: HTTPStatus
    content_type: str
    body: bytes


Handler = Callable[[str], Response]
"""Answers one path (without its query), at once; called on the server's loop."""


class HttpServer:
    """Listens until it is closed. For one event loop."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._connections: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server
        self.port = 0
        """known once it listens"""

    @classmethod
    async def start(cls, handler: Handler, *, port: int) -> Self:
        """Listen; ``port`` 0 is any free one. Raises OSError when it is taken."""
        server = cls(handler)
        server._server = await asyncio.start_server(
            server._serve, HOST, port, limit=_MAX_REQUEST_BYTES
        )
        server.port = server._server.sockets[0].getsockname()[1]
        return server

    async def close(self) -> None:
        """Take no more connections, and drop those that there are."""
        self._server.close()
        for writer in self._connections:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            if len(self._connections) > _MAX_CONNECTIONS:
                return
            # Who neither asks nor reads is dropped.
            async with asyncio.timeout(_TIMEOUT_SECS):
                request = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._answer(request))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            self._connections.discard(writer)

    def _answer(self, request: bytes) -> bytes:
        method, target = parse(request)
        if method is None:
            response = plain(HTTPStatus.BAD_REQUEST)
        elif method not in {"GET", "HEAD"}:
            response = plain(HTTPStatus.METHOD_NOT_ALLOWED)
        else:
            response = self._handler(target.partition("?")[0])
        is_wrong_method = response.status is HTTPStatus.METHOD_NOT_ALLOWED
        allow = "Allow: GET, HEAD\r\n" if is_wrong_method else ""
        head = (
            f"HTTP/1.1 {response.status.value} {response.status.phrase}\r\n"
            f"Content-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\n"
            "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
            f"{allow}Connection: close\r\n\r\n"
        )
        return head.encode("ascii") + (b"" if method == "HEAD" else response.body)


def plain(status: HTTPStatus) -> Response:
    """Return an answer that says no more than its status."""
    return Response(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode())


def parse(request: bytes) -> tuple[str | None, str]:
    """Return method and target of a request's head; None as the method when it is not for us."""
    line, *headers = request.decode("latin-1").split("\r\n")
    words = line.split(" ")
    hosts = [value.strip() for name, _, value in map(_header, headers) if name == "host"]
    match words:
        case [method, target, "HTTP/1.0" | "HTTP/1.1"] if target.startswith("/"):
            is_ours = len(hosts) == 1 and hosts[0].rpartition(":")[0] in _NAMES
            is_ours = is_ours or (len(hosts) == 1 and hosts[0] in _NAMES)
            return (method if is_ours else None), target
        case _:
            return None, ""


def _header(line: str) -> tuple[str, str, str]:
    name, colon, value = line.partition(":")
    return name.lower(), colon, value.lower()
