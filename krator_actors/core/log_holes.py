"""Which records a local log lacks, and how the journal's fill the holes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """A segment of a local log, as it was found."""

    first: int
    """the number of its first record"""
    last: int
    """the number of its last whole record; one less than ``first`` when it has none"""
    is_damaged: bool = False
    """True: what follows its last whole record is not what was written"""


class Hole(NamedTuple):
    """Records that are to be written from the journal, as segments of their own."""

    first: int
    last: int
    replaces: bool
    """True: in the place of the segment that begins with ``first``"""


class UnknownEndError(Exception):
    """The last segment is damaged: nobody knows how many records it had."""


def holes(pieces: Sequence[Piece], journal_last: int) -> list[Hole]:
    """Return what a log needs to have every record from 1 on, oldest first; [] for nothing.

    ``pieces`` are its segments, oldest first; ``journal_last`` is the last record that the journal
    has of it. A segment that is damaged, or ends too early, is replaced whole. Raises
    UnknownEndError.
    """
    found: list[Hole] = []
    expected = 1
    for index, piece in enumerate(pieces):
        if piece.first > expected:
            found.append(Hole(expected, piece.first - 1, replaces=False))
        if index + 1 < len(pieces):
            expected = pieces[index + 1].first
            if piece.is_damaged or piece.last != expected - 1:
                found.append(Hole(piece.first, expected - 1, replaces=True))
            continue
        if piece.is_damaged:
            raise UnknownEndError
        if journal_last > piece.last:
            found.append(Hole(piece.first, journal_last, replaces=True))
    if not pieces and journal_last:
        found.append(Hole(1, journal_last, replaces=False))
    return found
