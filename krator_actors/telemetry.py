"""Logs: one JSON object a line, redacted, and no line that can stop an actor.

``timestamp``, ``level``, ``component`` and ``event_type`` come first, then the fields that were
bound; the message is constant for an event type. Every process writes for itself, one ``write``
a line, with O_APPEND and O_NONBLOCK: a full pipe or disk costs the line, which is counted and told
of with the next one that gets through.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import os
import time
import traceback
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
import re2
from loguru import logger

from krator_actors import clock
from krator_actors.config import Config
from krator_actors.core.redaction import Redactor, is_telling
from supervisors.redaction import redact_with

if TYPE_CHECKING:
    from loguru import Message, Record

_CHECK_EVERY_SECS = 0.25
_MAX_TRACEBACK_CHARS = 8_192
_MAX_FIELD_BYTES = 32_768
_MAX_KNOWN = 4_096
_MIN_SECRET_CHARS = 8
_MAX_KNOWN_CHARS = 128
_FIRST = ("component", "event_type")
_PLACES = {"PWD", "OLDPWD"}
"""Called like passwords, and set by every shell: folders, of which the paths in errors are made."""
_UNREADABLE = b'{"level":"ERROR","component":"log","event_type":"log_unreadable"}\n'

_SAFE: Final = re2.compile(
    rb"k[a-z2-7]{31}|-?[0-9]{1,11}(?:\.[0-9]{1,18})?|[a-z_]{1,32}|[A-Z_]{1,32}"
    rb"|[A-Z0-9]{1,12}(?:\.[A-Z]{1,3})?-[A-Z0-9]{2,12}\.[A-Z0-9_]{2,16}|[0-9]{4}-[0-9]{2}-[0-9]{2}"
)
"""Order ids, numbers, words, symbols, days: no secret has these forms."""

_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonSink:
    """A loguru sink that appends to ``path`` from any number of processes, and never blocks.

    When the file is longer than ``max_bytes`` it is renamed to ``<name>-<time>.jsonl``, and of
    such files, compressed or not, the newest ``max_files`` are kept.
    """

    def __init__(
        self, path: Path, *, max_bytes: int, max_files: int = 20, redactor: Redactor | None = None
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._redactor = redactor or Redactor(max_bytes=_MAX_FIELD_BYTES)
        # Texts that were found to hold nothing, because most of a log's texts come again.
        self._known: set[str] = set()
        # Whose descriptor _fd is. After a fork it belongs to the parent, and its number may by now
        # be somebody else's socket in this process.
        self._pid = -1
        self._fd = -1
        self._checked_at = 0.0
        # True when the last line was written in part.
        self._is_torn = False
        self.dropped = 0

    def __call__(self, message: Message) -> None:
        """Write one record; called by loguru in whichever thread logged."""
        line = self._line(message.record)
        if self._is_torn:
            line = b"\n" + line
        written = 0
        try:
            written = os.write(self._descriptor(), line)
        except OSError:
            self._pid = -1  # whatever it was, the next line opens the file again
        self._is_torn = 0 < written < len(line) or (self._is_torn and not written)
        self.dropped = 0 if written == len(line) else self.dropped + 1

    def _line(self, record: Record) -> bytes:
        try:
            read = _fields(record, self._redactor)
            fields: dict[str, Any] = {
                "timestamp": record["time"].isoformat(timespec="microseconds"),
                "level": record["level"].name,
            }
            fields |= {name: self._field(name, value) for name, value in read}
            if self.dropped:
                fields["log_lines_dropped"] = self.dropped
            return self._redactor.exact(_encode(fields)) + b"\n"
        except (ValueError, TypeError, RecursionError, msgspec.MsgspecError):
            # Not even loguru may say more, because it would show the record as it was.
            return _UNREADABLE

    def _field(self, name: str, value: Any) -> Any:
        """Return the value redacted; what cannot hold a secret is not looked into.

        A number, a truth or a Decimal is one in Python's types, and a text that was clean once
        under the same name is clean again, because the redactor is a function.
        """
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, Decimal):
            return format(value, "f")
        if not isinstance(value, str):
            return self._redactor.value(value, name)
        key = f"{name}={value}"
        if key in self._known:
            return value
        plain = value.encode("utf-8", "replace")  # a lone surrogate, for one, has no UTF-8
        if _SAFE.fullmatch(plain) is not None and not is_telling(name):
            return value
        redacted = self._redactor.value(plain.decode(), name)
        if redacted == value and len(key) <= _MAX_KNOWN_CHARS:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known.add(key)
        return redacted

    def _descriptor(self) -> int:
        pid = os.getpid()
        if pid != self._pid:
            self._fd = self._open()
            self._pid = pid
            self._checked_at = 0.0
        now = time.monotonic()
        if now - self._checked_at >= _CHECK_EVERY_SECS:
            self._checked_at = now
            self._rotate()
        return self._fd

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _rotate(self) -> None:
        """Rename a file that is too long, and follow one that somebody else has renamed."""
        mine = os.fstat(self._fd)
        try:
            there = self._path.stat()
        except FileNotFoundError:
            there = None
        if there is not None and (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino):
            if mine.st_size <= self._max_bytes:
                return
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another process is renaming it now
            if self._path.stat().st_ino == mine.st_ino:
                now = dt.datetime.fromtimestamp(clock.utc_ns() / 1e9, dt.UTC)
                rotated = f"{self._path.stem}-{now:%Y%m%dT%H%M%S%f}{self._path.suffix}"
                self._path.rename(self._path.with_name(rotated))
                self._delete_oldest()
        old, self._fd = self._fd, self._open()
        os.close(old)

    def _delete_oldest(self) -> None:
        rotated = sorted(self._path.parent.glob(f"{self._path.stem}-*{self._path.suffix}*"))
        for path in rotated[: -self._max_files]:
            with contextlib.suppress(OSError):
                path.unlink()


def configure(
    path: Path,
    *,
    level: str,
    max_bytes: int,
    max_files: int = 20,
    redactor: Redactor | None = None,
    component: str,
) -> None:
    """Send this process's log, and that of all it forks, to ``path``.

    Creates the folder. Called once, before the first actor is started.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    logger.remove()
    logger.configure(extra={"component": component})
    sink = JsonSink(path, max_bytes=max_bytes, max_files=max_files, redactor=redactor)
    logger.add(sink, level=level, format="{message}", catch=True)


def protect(config: Config | None = None) -> Redactor:
    """Redact all texts that leave this process from now on, and all it forks; return by what.

    With a configuration also the values of the environment variables that it names, and names of
    people in ``[log] redact_names``.
    """
    if config is None:
        redactor = Redactor(max_bytes=_MAX_FIELD_BYTES)
    else:
        redactor = Redactor(
            secrets=_secrets(config), names=config.log.redact_names, max_bytes=_MAX_FIELD_BYTES
        )
    redact_with(redactor.text)
    return redactor


def _secrets(config: Config) -> Iterable[str]:
    venue = config.venue
    for name, value in os.environ.items():
        is_named = name in {venue.api_key_env, venue.api_secret_env}
        is_long = len(value) >= _MIN_SECRET_CHARS and name not in _PLACES
        if is_named or (is_long and is_telling(name)):
            yield value
    for name in (config.postgres.dsn_env, config.redis.url_env):
        value = os.environ.get(name, "")
        try:
            password = urlsplit(value).password or ""
        except ValueError:
            yield value  # no URL; whatever it is, it is none of a reader's business
            continue
        yield password
        yield unquote(password)


def _fields(record: Record, redactor: Redactor) -> Iterable[tuple[str, Any]]:
    extra = record["extra"]
    yield "component", extra.get("component", record["name"])
    yield "event_type", extra.get("event_type", "log")
    yield "message", record["message"]
    for key, value in extra.items():
        if key not in _FIRST:
            yield key, value
    error = record["exception"]
    if error is not None and error.type is not None:
        yield "exception", error.type.__name__
        lines = traceback.format_exception(error.type, error.value, error.traceback)
        # Redacted before it is cut, because half a secret may look like none.
        yield "traceback", redactor.text("".join(lines))[-_MAX_TRACEBACK_CHARS:]
