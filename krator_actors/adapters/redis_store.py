"""The stream and the keys in Redis: one connection, one writer.

Redis may be down, hung, slow, full or emptied. Every call is over within a time-out, nothing is
tried twice in here, and after any error the connection has gone: connect again, ask for the marks.
Events and marks move in one transaction, so a lost answer neither doubles nor loses an event.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self

from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import OutOfMemoryError, RedisError

from krator_actors.core.backlog import LogName
from supervisors.redaction import redacted

STREAM = "krator:events"
PREFIX = "krator:"
_MARK_TTL_SECS = 7 * 86_400

Fields = Mapping[str, str | bytes | int]


class RedisUnavailableError(Exception):
    """Redis did not do what was asked, or it is not known whether it did. Connect again."""


class RedisNotVerifiedError(RedisUnavailableError):
    """The server did not prove by TLS that it is the right one; it was told nothing."""


class RedisStore:
    """Made by ``connect``. Not for use by two tasks at once."""

    def __init__(self, connection: AbstractConnection, timeout_secs: float) -> None:
        self._connection = connection
        self._timeout_secs = timeout_secs

    @classmethod
    async def connect(cls, url: str, *, timeout_secs: float) -> Self:
        """Connect and ping; everything, also later, may take ``timeout_secs``.

        Raises RedisUnavailableError; ValueError for a URL that cannot be one.
        """
        store = cls(_connection(url, timeout_secs), timeout_secs)
        await store._ask([("PING",)])
        return store

    async def close(self) -> None:
        """Drop the connection; nothing is waited for."""
        await self._connection.disconnect(nowait=True)

    async def marks(self, logs: Sequence[LogName]) -> dict[LogName, int]:
        """Return the number of the last published record of each log that Redis knows."""
        if not logs:
            return {}
        (numbers,) = await self._ask([("MGET", *map(_mark_key, logs))])
        return {
            log: int(number)
            for log, number in zip(logs, numbers, strict=True)
            if number is not None
        }

    async def publish(
        self, entries: Iterable[Fields], marks: Mapping[LogName, int], *, max_length: int
    ) -> None:
        """Append entries and move the marks, all or nothing; the oldest beyond a bound go.

        The bound is about ``max_length``: Redis cuts whole nodes of the stream, so that it may be
        longer by one node.
        """
        commands: list[tuple[str | bytes | int, ...]] = [("MULTI",)]
        for fields in entries:
            words = [word for pair in fields.items() for word in pair]
            commands.append(("XADD", STREAM, "MAXLEN", "~", max_length, "*", *words))
        for log, number in marks.items():
            commands.append(("SET", _mark_key(log), number, "EX", _MARK_TTL_SECS))
        commands.append(("EXEC",))
        await self._ask(commands)

    async def cache(self, states: Mapping[str, bytes], *, ttl_secs: float) -> None:
        """Set keys (``krator:`` is put before them) that are gone after ``ttl_secs``."""
        ttl_ms = max(1, round(ttl_secs * 1_000))
        await self._ask(
            [("SET", PREFIX + key, value, "PX", ttl_ms) for key, value in states.items()]
        )

    async def _ask(self, commands: Sequence[tuple[str | bytes | int, ...]]) -> list[Any]:
        connection = self._connection
        try:
            # Around everything, because each read of many replies would have a time-out of its own.
            async with asyncio.timeout(self._timeout_secs):
                packed = connection.pack_commands(commands)
                await connection.send_packed_command(packed, check_health=False)
                replies = [await connection.read_response() for _ in commands]
            for reply in replies:
                _raise_errors(reply)
        except TimeoutError:
            await self.close()
            raise RedisUnavailableError(
                f"Redis did not answer within {self._timeout_secs:g} s"
            ) from None
        except OutOfMemoryError as error:
            await self.close()
            raise RedisUnavailableError(f"Redis is full: {error}") from error
        except (RedisError, OSError) as error:
            await self.close()
            is_refused = isinstance(error.__context__, ssl.SSLError)
            kind = RedisNotVerifiedError if is_refused else RedisUnavailableError
            raise kind(redacted(f"{type(error).__name__}: {error}")) from error
        except BaseException:
            await self.close()
            raise
        return replies


def check_url(url: str) -> None:
    """Raise ValueError when ``url`` cannot be a Redis URL; its text does not repeat the URL."""
    try:
        _connection(url, 1.0)
    except (ValueError, TypeError) as error:
        raise ValueError(
            "it is no Redis URL: redis://HOST:PORT/DB, rediss://... or unix:///PATH"
        ) from error


def _connection(url: str, timeout_secs: float) -> AbstractConnection:
    """Return a connection that is not connected yet and tries nothing twice."""
    # Said here, because before redis-py 6 a host's name was not compared by itself.
    tls = {"ssl_check_hostname": True} if url.startswith("rediss:") else {}
    pool = ConnectionPool.from_url(
        url,
        **tls,
        socket_timeout=timeout_secs,
        socket_connect_timeout=timeout_secs,
        retry=Retry(NoBackoff(), 0),
        # Neither HELLO nor SETINFO: any Redis since 5 will do.
        protocol=2,
        driver_info=None,
    )
    make: Callable[[], AbstractConnection] = pool.make_connection
    return make()


def _raise_errors(reply: Any) -> None:
    if isinstance(reply, RedisError):
        raise reply
    if isinstance(reply, list):
        for part in reply:
            _raise_errors(part)


def _mark_key(log: LogName) -> str:
    return f"{PREFIX}mark:{log.writer}@{log.birth_ns}"
