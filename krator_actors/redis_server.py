"""The redis actor: the embedded Redis, as long as no other server is configured.

It answers nothing, and it is ready before its server is: nothing that trades waits for Redis. The
server is its child process and dies with it; when the server ends or hangs the actor crashes, and
its supervisor starts both again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors.adapters.embedded_redis import EmbeddedRedis
from supervisors.actor import Actor
from supervisors.messages import Message

_START_TIMEOUT_SECS = 10.0
_STOP_TIMEOUT_SECS = 2.0
_PING_EVERY_SECS = 1.0
_PING_TIMEOUT_SECS = 2.0


class RedisServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How much the server may hold, and how long it may be silent."""

    data_dir: Path
    """its log is ``logs/redis.log`` in here; its data are nowhere"""
    max_memory_bytes: int
    hung_after_secs: float = 10.0
    """no answer for so long: the server is killed and started again"""


class RedisServerMessage(Message, frozen=True, kw_only=True):
    """Nobody has anything to say to the redis actor."""


class RedisDiedError(Exception):
    """The server ended by itself; a new one is empty, and the publisher fills it again."""


class RedisHungError(Exception):
    """The server lives and does not answer."""


class RedisServerActor(Actor):
    """Ready at once; the server answers some milliseconds later."""

    inbox: ClassVar[Any] = RedisServerMessage
    config: RedisServerConfig

    async def on_start(self) -> None:
        """Begin to start the server, which may fail without keeping anybody from starting."""
        self._server = EmbeddedRedis(
            self.config.data_dir, self.runtime, max_memory_bytes=self.config.max_memory_bytes
        )
        # When the server answered last, monotonic seconds; None before the first time.
        self._answered: float | None = None
        self.start_task(self._serve(), name="redis-server")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Nothing is expected."""
        raise TypeError(f"redis has no use for {type(message).__name__} of {sender}")

    def describe_state(self) -> Mapping[str, Any]:
        """Return which server runs, and for how long it has been silent."""
        answered = self._answered
        silent_secs = None if answered is None else round(time.monotonic() - answered, 1)
        return {"server_pid": self._server.pid or None, "silent_secs": silent_secs}

    async def on_stop(self) -> None:
        """Shut the server down."""
        await self._server.stop(timeout_secs=_STOP_TIMEOUT_SECS)

    async def _serve(self) -> None:
        began = time.monotonic()
        await self._server.start(timeout_secs=_START_TIMEOUT_SECS)
        logger.bind(
            component=self.name,
            event_type="redis_started",
            pid=self._server.pid,
            start_secs=round(time.monotonic() - began, 3),
        ).info("Redis answers")
        try:
            await self._watch()
        except (RedisDiedError, RedisHungError):
            await self._server.kill()
            raise

    async def _watch(self) -> None:
        """Return never; raises when the server has ended or hangs."""
        self._answered = time.monotonic()
        exited = asyncio.ensure_future(self._server.exited())
        try:
            while True:
                await asyncio.wait({exited}, timeout=_PING_EVERY_SECS)
                if exited.done():
                    raise RedisDiedError(
                        f"Redis ended with status {exited.result()}. Its last lines:\n"
                        f"{self._server.log_tail()}"
                    )
                if await self._server.answers(timeout_secs=_PING_TIMEOUT_SECS):
                    self._answered = time.monotonic()
                silent_secs = time.monotonic() - self._answered
                if silent_secs > self.config.hung_after_secs:
                    raise RedisHungError(f"Redis has not answered for {silent_secs:.1f} s")
        finally:
            exited.cancel()
