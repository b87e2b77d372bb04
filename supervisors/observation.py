"""What an actor has handled lately: always on, cheap, and never the content of a message."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

RECENT_MESSAGES: Final = 10
MAX_TRACE_MESSAGES: Final = 1000
MAX_TRACE_SECS: Final = 60.0

_BUCKETS: Final = 48
"""Powers of two of a microsecond: the last one is some years."""
_MAX_DEPTH: Final = 4
_MAX_ITEMS: Final = 50
_MAX_CHARS: Final = 200
_MAX_VALUES: Final = 1000
_SECRET_WORDS: Final = ("secret", "password", "passwd", "token", "api_key", "apikey", "dsn")


class BrainStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a brain has done and has to do, at one moment. Counters as in ``Counters``."""

    inbox: int
    """messages that wait to be handled"""
    in_work: str | None
    """class name of the message in work; None between messages"""
    in_work_secs: float
    stash: int
    """messages that wait to be written, on all lanes"""
    is_suspended: bool = False
    """messages wait until a person resumes it"""
    handled: int
    dropped: int
    conflated: int
    undelivered: int
    refused: int
    expired: int
    malformed: int
    fenced: int


class Handled(msgspec.Struct, frozen=True):
    """One message whose handler has returned."""

    message: str
    """its class name"""
    sender: str
    age_secs: float
    """since its handler began"""
    secs: float
    """how long its handler took"""


class ClassStatistics(msgspec.Struct, frozen=True):
    """The handlers' times for one message class, from a histogram of powers of two."""

    message: str
    handled: int
    p50_secs: float
    """half of the handlers took at most this; so with p99 and max, each an upper bound"""
    p99_secs: float
    max_secs: float


class Insight(msgspec.Struct, frozen=True, kw_only=True):
    """What a person sees of one actor beside the tree."""

    actor: str
    """Its class."""
    statistics: BrainStatistics
    recent: tuple[Handled, ...]
    """The last messages, the newest first."""
    classes: tuple[ClassStatistics, ...]
    """What it has handled since it began, most often first."""
    state: Any = None
    """``Actor.describe_state``, limited; None when it did not come in time."""
    state_error: str | None = None
    """Why there is no ``state``."""


_Note = tuple[type, str, float, float]


class Observer:
    """Notes each handled message of one brain. ``note`` is for the brain's loop, in its hot path.

    Everything else may be read from any thread: lists and dicts are copied in one step.
    """

    def __init__(self) -> None:
        self._recent: deque[_Note] = deque(maxlen=RECENT_MESSAGES)
        self._times: dict[type, list[int]] = {}
        self._traces: list[Trace] = []

    def note(self, message: type, sender: str, began: float) -> None:
        """Take down that a handler, begun at that monotonic time, has returned now."""
        ended = time.monotonic()
        self._recent.append((message, sender, began, ended))
        try:
            times = self._times[message]
        except KeyError:
            times = self._times[message] = [0] * _BUCKETS
        times[int((ended - began) * 1e6).bit_length()] += 1
        if self._traces:
            for trace in tuple(self._traces):
                trace.add((message, sender, began, ended))

    def recent(self) -> tuple[Handled, ...]:
        """Return the last messages, the newest first."""
        now = time.monotonic()
        return tuple(_handled(note, now) for note in reversed(list(self._recent)))

    def classes(self) -> tuple[ClassStatistics, ...]:
        """Return the times by message class, the most frequent first."""
        found = [_summary(kind.__name__, list(times)) for kind, times in list(self._times.items())]
        return tuple(sorted(found, key=lambda each: -each.handled))

    def start_trace(self, limit: int, done: Callable[[tuple[Handled, ...]], object]) -> Trace:
        """Call ``done`` once with the next ``limit`` messages, or fewer when it is ended before.

        In the brain's loop.
        """
        trace = Trace(limit, done, self._traces)
        self._traces.append(trace)
        return trace


class Trace:
    """One person's look at what comes next; ends by itself."""

    def __init__(
        self, limit: int, done: Callable[[tuple[Handled, ...]], object], traces: list[Trace]
    ) -> None:
        self._limit = limit
        self._done = done
        self._traces = traces
        self._notes: list[_Note] = []

    def add(self, note: _Note) -> None:
        """Take one message; the last one ends the trace."""
        self._notes.append(note)
        if len(self._notes) >= self._limit:
            self.end()

    def end(self) -> None:
        """Hand over what was seen; a second call does nothing."""
        if self in self._traces:
            self._traces.remove(self)
            now = time.monotonic()
            self._done(tuple(_handled(note, now) for note in self._notes))


def limited(value: Any) -> Any:
    """Return builtin types of bounded depth and size, without what a name calls a secret.

    What is no builtin type is shown as its class alone, because its text could hold anything.
    """
    return _limited(value, _MAX_DEPTH, [_MAX_VALUES])


def _limited(value: Any, depth: int, room: list[int]) -> Any:
    room[0] -= 1
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= _MAX_CHARS else f"{value[: _MAX_CHARS - 1]}…"
    is_mapping = isinstance(value, Mapping)
    if not is_mapping and not isinstance(value, Sequence | set | frozenset):
        return f"<{type(value).__name__}>"
    if isinstance(value, bytes | bytearray | memoryview) or depth == 0 or room[0] <= 0:
        return f"<{type(value).__name__} of {len(value)}>"
    if isinstance(value, Mapping):
        shown: dict[str, Any] = {}
        for key in list(value)[:_MAX_ITEMS]:
            text = str(key)[:_MAX_CHARS]
            is_secret = any(word in text.lower() for word in _SECRET_WORDS)
            shown[text] = "***" if is_secret else _limited(value[key], depth - 1, room)
        if len(value) > _MAX_ITEMS:
            shown["…"] = f"{len(value) - _MAX_ITEMS} more"
        return shown
    items = [_limited(item, depth - 1, room) for item in list(value)[:_MAX_ITEMS]]
    return [*items, f"… {len(value) - _MAX_ITEMS} more"] if len(value) > _MAX_ITEMS else items


def _handled(note: _Note, now: float) -> Handled:
    message, sender, began, ended = note
    return Handled(message.__name__, sender, now - began, ended - began)


def _summary(name: str, times: list[int]) -> ClassStatistics:
    total = sum(times)
    edges = (_edge(times, math_rank) for math_rank in (total * 0.5, total * 0.99, total))
    return ClassStatistics(name, total, *edges)


def _edge(times: list[int], rank: float) -> float:
    """Return the upper edge of the bucket that holds the message of that rank."""
    seen = 0
    for bucket, count in enumerate(times):
        seen += count
        if seen >= rank:
            return float(2**bucket) / 1e6
    return 0.0
