"""The storage actor: the embedded PostgreSQL, as long as no other database is configured.

It answers nothing. The server is its child process and dies with it; when the server dies by
itself the actor crashes, and its supervisor starts both again.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors.adapters.embedded_postgres import EmbeddedPostgres
from supervisors.actor import Actor
from supervisors.messages import Message

_START_TIMEOUT_SECS = 50.0
_STOP_TIMEOUT_SECS = 5.0


class StorageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """``data_dir/postgres`` is the cluster; made when it is not there."""

    data_dir: Path


class StorageMessage(Message, frozen=True, kw_only=True):
    """Nobody has anything to say to the storage actor."""


class PostgresDiedError(Exception):
    """The server ended by itself. Committed data are safe; a new start recovers them."""


class StorageActor(Actor):
    """Ready at once, but when the cluster is new: trading does not wait for a server's recovery."""

    inbox: ClassVar[Any] = StorageMessage
    config: StorageConfig

    async def on_start(self) -> None:
        """Begin to start the server; EmbeddedPostgresError says why it cannot be and what to do.

        The first start of all waits until it answers, because whoever has just installed it should
        hear at once what is wrong.
        """
        self._server = EmbeddedPostgres(self.config.data_dir, self.runtime)
        if self._server.is_made():
            self.start_task(self._serve(), name="postgres-server")
        else:
            await self._start()
            self.start_task(self._watch(), name="watch-postgres")

    async def receive(self, message: Message, sender: str) -> Message | None:
        """Nothing is expected."""
        raise TypeError(f"storage has no use for {type(message).__name__} of {sender}")

    async def on_stop(self) -> None:
        """Shut the server down: sessions end, a checkpoint is written."""
        await self._server.stop(timeout_secs=_STOP_TIMEOUT_SECS)

    async def _serve(self) -> None:
        await self._start()
        await self._watch()

    async def _start(self) -> None:
        began = time.monotonic()
        await self._server.start(timeout_secs=_START_TIMEOUT_SECS)
        logger.bind(
            event_type="postgres_started",
            pid=self._server.pid,
            cluster=str(self._server.cluster),
            start_secs=round(time.monotonic() - began, 3),
        ).info("PostgreSQL answers")

    async def _watch(self) -> None:
        status = await self._server.exited()
        tail = self._server.log_tail()
        await self._server.kill()
        raise PostgresDiedError(f"PostgreSQL ended with status {status}. Its last lines:\n{tail}")
