"""A TCP door with TLS before a server that has none, as a remote PostgreSQL or Redis looks.

It keeps every byte that a client sent as it came over the wire, so that a test can say that
nothing was sent in clear.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from collections.abc import AsyncIterator
from pathlib import Path

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""PostgreSQL, "Message Formats": asked in clear before anything else"""


class TlsFront:
    """Made by ``tls_front``; ``context`` may be changed and counts for the next connection."""

    def __init__(self, upstream: Path, *, is_postgres: bool, context: ssl.SSLContext) -> None:
        self.port = 0
        # None: it refuses TLS, and goes on in clear with who stays.
        self.context: ssl.SSLContext | None = context
        # All that clients sent, as it was on the wire; and how many connections there were.
        self.wire = bytearray()
        self.connections = 0
        self._upstream = upstream
        self._is_postgres = is_postgres
        # Open connections, and the tasks that serve them.
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until either side ends it."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._serve(reader, writer)
        finally:
            del self._open[task]
            writer.transport.abort()

    def drop_all(self) -> None:
        """End every connection."""
        for writer in self._open.values():
            writer.transport.abort()

    async def gone(self) -> None:
        """Wait until no connection is left."""
        if self._open:
            await asyncio.wait(set(self._open))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = self.context
        if self._is_postgres:
            asked = await reader.readexactly(len(_SSL_REQUEST))
            self.wire += asked
            assert asked == _SSL_REQUEST, asked
            writer.write(b"N" if context is None else b"S")
        if context is None:
            while data := await reader.read(1 << 16):
                self.wire += data
                if not self._is_postgres:
                    writer.write(b"-ERR Protocol error\r\n")
            return
        link = _Link(reader, writer, context, self.wire)
        await link.shake_hands()
        inner_reader, inner_writer = await asyncio.open_unix_connection(self._upstream)
        try:
            await link.carry(inner_reader, inner_writer)
        finally:
            inner_writer.transport.abort()


class _Link:
    """The server's side of TLS over a connection, with the bytes of the wire in its hands."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        wire: bytearray,
    ) -> None:
        self._reader, self._writer, self._wire = reader, writer, wire
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._hear()
            else:
                await self._flush()
                return

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry both ways until one ends."""
        pumps = {
            asyncio.create_task(self._inward(writer)),
            asyncio.create_task(self._outward(reader)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _inward(self, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                data = self._tls.read(1 << 16)
            except ssl.SSLWantReadError:
                await self._hear()
                continue
            if not data:
                return
            writer.write(data)
            await writer.drain()

    async def _outward(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(1 << 16):
            self._tls.write(data)
            await self._flush()

    async def _hear(self) -> None:
        data = await self._reader.read(1 << 16)
        if not data:
            raise ConnectionResetError("the client has gone")
        self._wire += data
        self._incoming.write(data)

    async def _flush(self) -> None:
        self._writer.write(self._outgoing.read())
        await self._writer.drain()


@contextlib.asynccontextmanager
async def tls_front(
    upstream: Path, *, is_postgres: bool, context: ssl.SSLContext
) -> AsyncIterator[TlsFront]:
    """A door on a free port of 127.0.0.1 before the Unix socket ``upstream``."""
    front = TlsFront(upstream, is_postgres=is_postgres, context=context)
    listener = await asyncio.start_server(front.serve, "127.0.0.1", 0)
    front.port = listener.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        listener.close()
        front.drop_all()
        await front.gone()
