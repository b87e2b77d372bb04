"""What an actor has handled lately: always on, cheap, and never the content of a message."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from supervisors.times import Times, TimesTaken

RECENT_MESSAGES: Final = 10
MAX_TRACE_MESSAGES: Final = 1000
MAX_TRACE_SECS: Final = 60.0

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
    """The handlers' times for one message class."""

    message: str
    handled: int
    p50_secs: float
    """half of the handlers took at most this; so with p99 and max, each an upper bound"""
    p99_secs: float
    max_secs: float


class MessageTimes(msgspec.Struct, frozen=True):
    """Of one message class, since the actor began."""

    handling: TimesTaken
    """how long its handlers took"""
    age: TimesTaken | None = None
    """from ``ts_init`` to the beginning of its handler; None: the class has no such field"""


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
        self._times: dict[type, Times] = {}
        # Only of classes that say when an instance was made: ``ts_init``, UTC nanoseconds.
        self._ages: dict[type, Times] = {}
        self._traces: list[Trace] = []

    def note(self, message: Any, sender: str, began: float) -> None:
        """Take down that a handler, begun at that monotonic time, has returned now."""
        ended = time.monotonic()
        kind = type(message)
        took_us = int((ended - began) * 1e6)
        self._recent.append((kind, sender, began, ended))
        try:
            times = self._times[kind]
        except KeyError:
            times = self._begin(kind)
        times.add(took_us)
        ages = self._ages.get(kind)
        if ages is not None:
            ages.add((time.time_ns() - message.ts_init) // 1000 - took_us)
        if self._traces:
            for trace in tuple(self._traces):
                trace.add((kind, sender, began, ended))

    def recent(self) -> tuple[Handled, ...]:
        """Return the last messages, the newest first."""
        now = time.monotonic()
        return tuple(_handled(note, now) for note in reversed(list(self._recent)))

    def classes(self) -> tuple[ClassStatistics, ...]:
        """Return the times by message class, the most frequent first."""
        found = [_summary(kind.__name__, times.take()) for kind, times in list(self._times.items())]
        return tuple(sorted(found, key=lambda each: -each.handled))

    def times(self) -> dict[str, MessageTimes]:
        """Return all that is counted, by the name of the message's class."""
        ages = dict(self._ages)
        return {
            kind.__name__: MessageTimes(times.take(), ages[kind].take() if kind in ages else None)
            for kind, times in list(self._times.items())
        }

    def start_trace(self, limit: int, done: Callable[[tuple[Handled, ...]], object]) -> Trace:
        """Call ``done`` once with the next ``limit`` messages, or fewer when it is ended before.

        In the brain's loop.
        """
        trace = Trace(limit, done, self._traces)
        self._traces.append(trace)
        return trace

    def _begin(self, kind: type) -> Times:
        # The ages first: who reads from another thread finds no class without them.
        if "ts_init" in getattr(kind, "__struct_fields__", ()):
            self._ages[kind] = Times()
        times = self._times[kind] = Times()
        return times


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


def _summary(name: str, taken: TimesTaken) -> ClassStatistics:
    return ClassStatistics(
        name, taken.count, *(taken.at_most_secs(share) for share in (0.5, 0.99, 1))
    )
