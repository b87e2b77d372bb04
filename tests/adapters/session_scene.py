"""A session, what it told its caller, and venues to connect it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve

from krator_actors.adapters.session import ReconnectPolicy, Session

DEADLINE_SECS = 10.0
AT_ONCE = ReconnectPolicy(initial_secs=0.01, max_secs=0.02)
UPGRADE = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
Handler = Callable[[ServerConnection], Awaitable[None]]


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_SECS):
        while not condition():
            await asyncio.sleep(0.005)


class Caller:
    """What a venue adapter does with a session, recorded."""

    def __init__(self, url: str, **options: object) -> None:
        self.texts: list[str] = []
        self.connections = 0
        self.reasons: list[str] = []
        settings = {
            "on_connected": self.connected,
            "on_text": lambda data: self.texts.append(data.decode()),
            "on_disconnected": self.reasons.append,
            "heartbeat_secs": 5.0,
            "reconnect": AT_ONCE,
            "connect_timeout_secs": 2.0,
        }
        self.session = Session(url, **{**settings, **options})  # type: ignore[arg-type]

    async def connected(self) -> None:
        self.connections += 1
        self.session.send("hello")


@asynccontextmanager
async def keeping(session: Session) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(session.run())
    try:
        yield task
    finally:
        await session.close()
        await asyncio.wait({task})


@asynccontextmanager
async def venue(handler: Handler, **options: object) -> AsyncIterator[str]:
    server: Server
    async with serve(handler, "127.0.0.1", 0, ping_interval=None, **options) as server:  # type: ignore[arg-type]
        yield f"ws://127.0.0.1:{port_of(server)}/stream"


def port_of(server: Server | asyncio.Server) -> int:
    port = next(iter(server.sockets)).getsockname()[1]
    assert isinstance(port, int)
    return port


@asynccontextmanager
async def raw_venue(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{port_of(server)}/stream"
    finally:
        server.close()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)
