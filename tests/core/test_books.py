from __future__ import annotations

import zlib
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.books import BookRule, BookState, OrderBook, checksum_of
from krator_actors.messages.market import BookDelta, BookLevel, BookSnapshot

SYMBOL = "BTC-USD.X"
Pairs = Sequence[tuple[str | int, str | int]]


def levels(pairs: Pairs) -> tuple[BookLevel, ...]:
    return tuple((Decimal(price), Decimal(size)) for price, size in pairs)


def snapshot(
    bids: Pairs,
    asks: Pairs,
    *,
    last_id: int = 0,
    depth: int | None = None,
    checksum: int | None = None,
) -> BookSnapshot:
    return BookSnapshot(
        symbol=SYMBOL,
        last_id=last_id,
        bids=levels(bids),
        asks=levels(asks),
        depth=depth,
        checksum=checksum,
        ts_event=1,
        ts_init=2,
    )


def delta(
    bids: Pairs = (),
    asks: Pairs = (),
    *,
    ids: tuple[int, int] = (0, 0),
    previous: int | None = None,
    checksum: int | None = None,
) -> BookDelta:
    return BookDelta(
        symbol=SYMBOL,
        first_id=ids[0],
        last_id=ids[1],
        previous_id=previous,
        bids=levels(bids),
        asks=levels(asks),
        checksum=checksum,
        ts_event=3,
        ts_init=4,
    )


def book(rule: BookRule = BookRule.CONNECTION, *, last_id: int = 0) -> OrderBook:
    made = OrderBook(SYMBOL, rule)
    made.on_snapshot(snapshot([(99, 1), (98, 2)], [(101, 3), (102, 4)], last_id=last_id))
    return made


def test_book_without_a_snapshot_has_no_top() -> None:
    made = OrderBook(SYMBOL, BookRule.CONNECTION)

    assert made.on_delta(delta([(99, 1)], [(101, 1)])) is BookState.NO_SNAPSHOT
    assert made.top(1) is None


def test_top_has_the_best_levels_first_and_no_more_than_asked_for() -> None:
    top = book().top(5)
    best = book().top(1)

    assert top is not None
    assert best is not None
    assert top.bids == levels(((99, 1), (98, 2)))
    assert top.asks == levels(((101, 3), (102, 4)))
    assert (best.bids, best.asks) == (levels([(99, 1)]), levels([(101, 3)]))
    assert len(book()) == 4


def test_delta_sets_adds_and_removes_levels() -> None:
    made = book()

    state = made.on_delta(delta([(99, 0), (97, 5)], [(101, 9), ("100.5", 1)]))

    top = made.top(9)
    assert state is BookState.LIVE
    assert top is not None
    assert top.bids == levels(((98, 2), (97, 5)))
    assert top.asks == levels((("100.5", 1), (101, 9), (102, 4)))
    assert (top.ts_event, top.ts_init) == (3, 4)


def test_removing_what_is_not_there_changes_nothing() -> None:
    made = book()

    made.on_delta(delta([(50, 0)], [(150, 0)]))

    assert len(made) == 4


def test_mid_micro_price_and_imbalance_are_of_the_levels_shown() -> None:
    top = book().top(1)
    both = book().top(2)

    assert top is not None
    assert both is not None
    assert top.mid == 100
    # 3 are offered and 1 is bid for, so the price is drawn down to the bid.
    assert top.micro_price == Decimal("99.5")
    assert top.imbalance == Decimal("-0.5")
    assert both.imbalance == Decimal("-0.4")


@pytest.mark.parametrize("bid", ["101", "105"])
def test_crossed_or_locked_book_is_not_to_be_believed_until_a_snapshot(bid: str) -> None:
    made = book()

    crossed = made.on_delta(delta([(bid, 1)]))
    hidden = made.top(1)
    later = made.on_delta(delta([(bid, 0)]))
    again = made.on_snapshot(snapshot([(99, 1)], [(101, 1)]))

    assert (crossed, later) == (BookState.CROSSED, BookState.CROSSED)
    assert hidden is None
    assert again is BookState.LIVE


def test_one_sided_book_has_no_top() -> None:
    made = book()

    state = made.on_delta(delta(asks=[(101, 0), (102, 0)]))

    assert state is BookState.LIVE
    assert made.top(1) is None


@pytest.mark.parametrize(
    ("ids", "state"),
    [
        ((8, 10), BookState.LIVE),  # is in the snapshot already
        ((8, 11), BookState.LIVE),  # straddles it
        ((11, 12), BookState.LIVE),
        ((12, 13), BookState.GAP),
    ],
)
def test_spot_book_begins_with_the_update_after_the_snapshot(
    ids: tuple[int, int], state: BookState
) -> None:
    assert book(BookRule.NEXT_ID, last_id=10).on_delta(delta(ids=ids)) is state


@pytest.mark.parametrize(
    ("first", "state"), [(12, BookState.GAP), (13, BookState.LIVE), (14, BookState.GAP)]
)
def test_spot_book_goes_on_with_the_very_next_update(first: int, state: BookState) -> None:
    made = book(BookRule.NEXT_ID, last_id=10)
    made.on_delta(delta(ids=(11, 12)))

    assert made.on_delta(delta(ids=(first, 20))) is state


@pytest.mark.parametrize(
    ("ids", "previous", "state"),
    [
        ((5, 9), 4, BookState.LIVE),  # is in the snapshot already
        ((8, 10), 7, BookState.LIVE),
        ((8, 12), 7, BookState.LIVE),
        ((12, 13), 10, BookState.LIVE),
        ((12, 13), 11, BookState.GAP),
    ],
)
def test_futures_book_begins_with_the_update_that_holds_the_snapshot(
    ids: tuple[int, int], previous: int, state: BookState
) -> None:
    made = book(BookRule.PREVIOUS_ID, last_id=10)

    assert made.on_delta(delta(ids=ids, previous=previous)) is state


def test_futures_book_goes_on_with_the_update_that_names_the_last() -> None:
    made = book(BookRule.PREVIOUS_ID, last_id=10)
    made.on_delta(delta(ids=(8, 12), previous=7))

    repeated = made.on_delta(delta(ids=(8, 12), previous=7))
    joined = made.on_delta(delta(ids=(15, 16), previous=12))
    torn = made.on_delta(delta(ids=(17, 18), previous=15))

    assert [repeated, joined, torn] == [BookState.LIVE, BookState.LIVE, BookState.GAP]


def test_deltas_that_waited_for_the_snapshot_are_applied() -> None:
    made = OrderBook(SYMBOL, BookRule.NEXT_ID)
    made.on_delta(delta([(97, 9)], ids=(5, 8)))
    made.on_delta(delta([(96, 7)], ids=(9, 12)))
    made.on_delta(delta([(96, 8)], ids=(13, 13)))

    state = made.on_snapshot(snapshot([(99, 1)], [(101, 1)], last_id=10))

    top = made.top(9)
    assert state is BookState.LIVE
    assert top is not None
    assert top.bids == levels(((99, 1), (96, 8)))
    assert made.last_id == 13


def test_snapshot_from_before_the_deltas_that_waited_is_a_gap_and_a_newer_one_heals_it() -> None:
    made = OrderBook(SYMBOL, BookRule.NEXT_ID)
    made.on_delta(delta([(97, 9)], ids=(15, 18)))

    too_old = made.on_snapshot(snapshot([(99, 1)], [(101, 1)], last_id=10))
    healed = made.on_snapshot(snapshot([(99, 1)], [(101, 1)], last_id=16))

    assert (too_old, healed) == (BookState.GAP, BookState.LIVE)
    assert made.last_id == 18


def test_gap_of_the_stream_makes_the_book_wait_for_a_snapshot() -> None:
    made = book()

    made.on_gap()

    assert made.state is BookState.NO_SNAPSHOT
    assert made.top(1) is None


def test_checksum_is_of_the_digits_as_they_were_written() -> None:
    bids, asks = levels([("99.2", "1.00000000")]), levels([("101.3", "3.00000000")])

    assert checksum_of(bids, asks) == zlib.crc32(b"1013300000000992100000000")
    assert checksum_of(levels([("99.20", "1.0")]), asks) != checksum_of(bids, asks)


def test_wrong_checksum_stops_a_kraken_book() -> None:
    right = checksum_of(levels([("99.0", "1.0")]), levels([("101.0", "3.0")]))
    made = OrderBook(SYMBOL, BookRule.CHECKSUM)

    begun = made.on_snapshot(snapshot([("99.0", "1.0")], [("101.0", "3.0")], checksum=right))
    torn = made.on_delta(delta([("98.0", "1.0")], checksum=right))

    assert (begun, torn) == (BookState.LIVE, BookState.BAD_CHECKSUM)


def test_levels_beyond_the_depth_are_forgotten() -> None:
    made = OrderBook(SYMBOL, BookRule.CONNECTION)
    made.on_snapshot(snapshot([(99, 1), (98, 1)], [(101, 1), (102, 1)], depth=2))

    made.on_delta(delta([("98.5", 1)], [("101.5", 1)]))

    top = made.top(9)
    assert top is not None
    assert [price for price, _ in top.bids] == [99, Decimal("98.5")]
    assert [price for price, _ in top.asks] == [101, Decimal("101.5")]


sides = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), max_size=8)


@given(sides, sides, st.lists(st.tuples(sides, sides), max_size=12), st.integers(1, 6))
def test_book_is_what_a_dict_of_prices_would_be(
    bids: Pairs, asks: Pairs, deltas: list[tuple[Pairs, Pairs]], shown: int
) -> None:
    # Asks are put above all bids, so that nothing crosses.
    def above(pairs: Pairs) -> Pairs:
        return [(int(price) + 100, size) for price, size in pairs]

    naive: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]] = ({}, {})
    made = OrderBook(SYMBOL, BookRule.CONNECTION)
    made.on_snapshot(snapshot(bids, above(asks)))
    for side, pairs in zip(naive, (bids, above(asks)), strict=True):
        side.update(levels(pairs))

    for changed_bids, changed_asks in deltas:
        made.on_delta(delta(changed_bids, above(changed_asks)))
        for side, pairs in zip(naive, (changed_bids, above(changed_asks)), strict=True):
            side.update(levels(pairs))

    best_bids = sorted(((p, s) for p, s in naive[0].items() if s), reverse=True)
    best_asks = sorted((p, s) for p, s in naive[1].items() if s)
    top = made.top(shown)
    assert made.state is BookState.LIVE
    assert len(made) == len(best_bids) + len(best_asks)
    if best_bids and best_asks:
        assert top is not None
        assert top.bids == tuple(best_bids[:shown])
        assert top.asks == tuple(best_asks[:shown])
        assert top.bids[0][0] <= top.micro_price <= top.asks[0][0]
        assert -1 <= top.imbalance <= 1
    else:
        assert top is None
