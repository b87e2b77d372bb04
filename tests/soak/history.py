"""What every actor wrote down of what it said and heard, and what must never be in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import msgspec

What = Literal["told", "asked", "answered", "unknown", "failed", "handled"]


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One line. ``handled`` is the receiver's, all others are the sender's."""

    what: What
    """``told`` and ``asked`` are written before the sending; ``answered``, ``unknown`` (it may have
    been handled or not) and ``failed`` (it was not, and never will be) when that is known."""
    peer: str
    generation: int
    """The sender's."""
    number: int
    """Counts what a sender's incarnation said to this peer, from 1."""


History = Mapping[str, Iterable[Entry]]
"""By actor: what it wrote, in its order, over all its incarnations."""


class Pen:
    """Appends to one actor's file, a whole line or nothing, whenever the process is killed."""

    def __init__(self, folder: Path, name: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(folder / f"{name}.jsonl", flags, 0o600)
        self._encoder = msgspec.json.Encoder()

    def write(self, *entries: Entry) -> None:
        """Append the entries, in one write."""
        os.write(self._fd, b"".join(self._encoder.encode(entry) + b"\n" for entry in entries))


def read_history(folder: Path) -> dict[str, list[Entry]]:
    """Return what all have written. Raises on a line that is none."""
    decode = msgspec.json.Decoder(Entry).decode
    return {
        path.stem: [decode(line) for line in path.read_bytes().splitlines()]
        for path in sorted(folder.glob("*.jsonl"))
    }


def breaches(history: History) -> list[str]:
    """Return each promise that the history shows broken, in words; none is the only good answer.

    An answer acknowledges all that was told before it on the same lane and has not come back.
    """
    heard, found = _heard(history)
    for sender, entries in history.items():
        found += _sender_breaches(sender, entries, heard)
    found += [f"{_words(key)} was handled and never sent" for key in sorted(heard.unclaimed)]
    return found


def outcomes(history: History) -> Counter[str]:
    """Count the lines of each kind."""
    return Counter(entry.what for entries in history.values() for entry in entries)


_Key = tuple[str, str, int, int]  # sender, receiver, the sender's generation, number


class _Heard:
    def __init__(self) -> None:
        self.keys: set[_Key] = set()
        # What no sender has been found for yet.
        self.unclaimed: set[_Key] = set()


def _heard(history: History) -> tuple[_Heard, list[str]]:
    """Collect what was handled; say what was twice, or out of order."""
    heard = _Heard()
    found: list[str] = []
    last: dict[tuple[str, str], tuple[int, int]] = {}
    for receiver, entries in history.items():
        for entry in entries:
            if entry.what != "handled":
                continue
            key = (entry.peer, receiver, entry.generation, entry.number)
            pair, place = (entry.peer, receiver), (entry.generation, entry.number)
            if key in heard.keys:
                found.append(f"{_words(key)} was handled twice")
            elif place < last.get(pair, (0, 0)):
                found.append(f"{_words(key)} was handled after {last[pair]}")
            heard.keys.add(key)
            last[pair] = max(place, last.get(pair, (0, 0)))
    heard.unclaimed = set(heard.keys)
    return heard, found


def _sender_breaches(sender: str, entries: Iterable[Entry], heard: _Heard) -> list[str]:
    found: list[str] = []
    acknowledged: set[_Key] = set()
    # By lane, what has neither been acknowledged nor come back.
    open_: dict[tuple[str, int], list[_Key]] = {}
    for entry in entries:
        key = (sender, entry.peer, entry.generation, entry.number)
        waiting = open_.setdefault((entry.peer, entry.generation), [])
        match entry.what:
            case "told" | "asked":
                waiting.append(key)
                heard.unclaimed.discard(key)
            case "answered":
                acknowledged |= {each for each in waiting if each <= key}
                waiting[:] = [each for each in waiting if each > key]
            case "unknown" | "failed":
                if key in acknowledged:
                    found.append(f"{_words(key)} was acknowledged and {entry.what}")
                elif entry.what == "failed" and key in heard.keys:
                    found.append(f"{_words(key)} failed and was handled")
                waiting[:] = [each for each in waiting if each != key]
            case "handled":
                pass
    lost = sorted(acknowledged - heard.keys)
    return found + [f"{_words(key)} was acknowledged and not handled" for key in lost]


def _words(key: _Key) -> str:
    sender, receiver, generation, number = key
    return f"message {number} of {sender} (generation {generation}) to {receiver}"
