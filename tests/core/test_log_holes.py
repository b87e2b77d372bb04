from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.log_holes import Hole, Piece, UnknownEndError, holes


def numbers(hole: Hole) -> range:
    return range(hole.first, hole.last + 1)


@st.composite
def logs(draw: st.DrawFn) -> list[Piece]:
    """Segments of one log, of which any may be removed, damaged or empty."""
    sizes = draw(st.lists(st.integers(1, 5), max_size=6))
    found, first = [], 1
    for size in sizes:
        harm = draw(st.sampled_from(["none", "removed", "damaged"]))
        last = first + size - 1
        if harm == "damaged":
            found.append(Piece(first, draw(st.integers(first - 1, last)), is_damaged=True))
        elif harm == "none":
            found.append(Piece(first, last))
        first += size
    return found


@given(logs(), st.integers(0, 40))
def test_kept_segments_and_filled_holes_are_every_record_once(
    pieces: list[Piece], journal_last: int
) -> None:
    if pieces and pieces[-1].is_damaged:
        with pytest.raises(UnknownEndError):
            holes(pieces, journal_last)
        return

    found = holes(pieces, journal_last)

    replaced = {hole.first for hole in found if hole.replaces}
    kept = [range(p.first, p.last + 1) for p in pieces if p.first not in replaced]
    written = [numbers(hole) for hole in found]
    everything = sorted(number for part in (*kept, *written) for number in part)
    end = max([journal_last, *(piece.last for piece in pieces)])
    assert everything == list(range(1, end + 1))
    assert replaced <= {piece.first for piece in pieces}


def test_whole_log_that_is_ahead_of_the_journal_has_no_hole() -> None:
    assert holes([Piece(1, 10), Piece(11, 25)], 20) == []


def test_log_that_ends_before_the_journal_gets_its_last_segment_anew() -> None:
    assert holes([Piece(1, 10), Piece(11, 15)], 20) == [Hole(11, 20, replaces=True)]


def test_removed_head_is_a_hole() -> None:
    assert holes([Piece(11, 15)], 12) == [Hole(1, 10, replaces=False)]


def test_log_that_is_not_there_is_one_hole() -> None:
    assert holes([], 9) == [Hole(1, 9, replaces=False)]
    assert holes([], 0) == []
