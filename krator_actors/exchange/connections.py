"""The venue's WebSocket connections. A slow client never holds the venue up."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import WSCloseCode, web

OUTBOX_LIMIT = 20_000
"""frames a client may lag behind before it is cut off"""


class Connection:
    """One WebSocket: ``send`` queues, a task of its own writes."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, kind: str) -> None:
        """``kind``: ``streams`` or ``ws-api``."""
        self.socket = socket
        self.kind = kind
        self._transport = request.transport
        self._outbox: deque[str] = deque()
        self._filled = asyncio.Event()
        self._aborted = False
        self._writer = asyncio.create_task(self._write())

    def send(self, text: str) -> None:
        """Queue a frame. A client that is too far behind is dropped."""
        if self._aborted:
            return
        if len(self._outbox) >= OUTBOX_LIMIT:
            self.abort()
            return
        self._outbox.append(text)
        self._filled.set()

    def abort(self) -> None:
        """Break the connection: no close frame, and what is queued is lost."""
        self._aborted = True
        self._outbox.clear()
        self._filled.set()
        if self._transport is not None:
            self._transport.abort()

    async def close(self) -> None:
        """Say goodbye and close: the venue goes away."""
        self._aborted = True
        self._outbox.clear()
        await self.socket.close(code=WSCloseCode.GOING_AWAY)

    async def finish(self) -> None:
        """End the writing task; the reader calls it when the connection is over."""
        self._aborted = True
        self._writer.cancel()
        await asyncio.gather(self._writer, return_exceptions=True)

    async def _write(self) -> None:
        while not self._aborted:
            await self._filled.wait()
            self._filled.clear()
            while self._outbox and not self._aborted:
                try:
                    await self.socket.send_str(self._outbox.popleft())
                except ConnectionError:
                    self.abort()


class Connections:
    """All open connections, and when the last client was here."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """A client has connected."""
        self._open.add(connection)

    def remove(self, connection: Connection) -> None:
        """It has gone."""
        self._open.discard(connection)

    def abort(self, kind: str | None = None) -> int:
        """Break all connections (of a kind); return how many there were."""
        chosen = [c for c in self._open if kind is None or c.kind == kind]
        for connection in chosen:
            connection.abort()
        return len(chosen)

    async def close(self) -> None:
        """Close all connections."""
        await asyncio.gather(*(c.close() for c in self._open), return_exceptions=True)
