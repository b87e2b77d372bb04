"""The matching engine against a naive reference, and its rules one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.exchange.matching import MatchingEngine
from krator_actors.model import OrderSide

BUY, SELL = OrderSide.BUY, OrderSide.SELL


@dataclass
class NaiveBook:
    """All resting orders in one list, searched whole every time."""

    resting: list[list[int]] = field(default_factory=list)  # id, sign, price, left

    def submit(
        self, order_id: int, sign: int, left: int, limit: int | None, *, rests: bool
    ) -> list[tuple[int, int, int]]:
        traded = []
        while left:
            facing = [r for r in self.resting if r[1] == -sign]
            facing = [r for r in facing if limit is None or (limit - r[2]) * sign >= 0]
            if not facing:
                break
            maker = min(facing, key=lambda r: r[2] * sign)  # min keeps the first of equals
            part = min(left, maker[3])
            maker[3] -= part
            left -= part
            traded.append((maker[0], maker[2], part))
            self.resting = [r for r in self.resting if r[3]]
        if left and rests and limit is not None:
            self.resting.append([order_id, sign, limit, left])
        return traded

    def cancel(self, order_id: int) -> None:
        self.resting = [r for r in self.resting if r[0] != order_id]


orders = st.tuples(
    st.sampled_from([BUY, SELL]),
    st.integers(1, 9),
    st.one_of(st.none(), st.integers(95, 105)),
    st.booleans(),
)
steps = st.lists(st.one_of(orders, st.integers(1, 40)), max_size=40)


@given(steps)
def test_engine_trades_as_the_naive_reference_does(steps: list[object]) -> None:
    engine, naive = MatchingEngine(), NaiveBook()

    for order_id, step in enumerate(steps, start=1):
        if isinstance(step, int):
            engine.cancel(step)
            naive.cancel(step)
            continue
        assert isinstance(step, tuple)
        side, quantity, limit, wants_to_rest = step
        rests = wants_to_rest and limit is not None
        matches = engine.submit(
            order_id=order_id, side=side, quantity=quantity, limit=limit, rests=rests
        )
        expected = naive.submit(order_id, side.sign, quantity, limit, rests=rests)

        assert [(m.maker_id, m.price, m.quantity) for m in matches] == expected

    book = [(o.order_id, o.price, o.remaining) for o in engine.bids.orders()]
    assert book == sorted(
        ((r[0], r[2], r[3]) for r in naive.resting if r[1] > 0), key=lambda r: (-r[1], r[0])
    )


@given(steps)
def test_book_is_never_crossed_and_no_quantity_appears_or_is_lost(steps: list[object]) -> None:
    engine = MatchingEngine()
    sent = matched = dropped = 0

    for order_id, step in enumerate(steps, start=1):
        if isinstance(step, int):
            dropped += engine.cancel(step)
            continue
        assert isinstance(step, tuple)
        side, quantity, limit, wants_to_rest = step
        rests = wants_to_rest and limit is not None
        foreseen = engine.quote_fill(side, quantity, limit)
        matches = engine.submit(
            order_id=order_id, side=side, quantity=quantity, limit=limit, rests=rests
        )
        traded = sum(m.quantity for m in matches)
        sent += quantity
        matched += traded
        if not rests:
            dropped += quantity - traded

        assert sum(part for _, part in foreseen) == traded
        bid, ask = engine.bids.best_price(), engine.asks.best_price()
        assert bid is None or ask is None or bid < ask

    resting = sum(o.remaining for ladder in (engine.bids, engine.asks) for o in ladder.orders())
    assert sent == 2 * matched + dropped + resting
    for ladder in (engine.bids, engine.asks):
        assert sum(size for _, size in ladder.levels()) == sum(o.remaining for o in ladder.orders())


def test_earlier_order_of_a_price_trades_first() -> None:
    engine = MatchingEngine()
    engine.submit(order_id=1, side=SELL, quantity=5, limit=100, rests=True)
    engine.submit(order_id=2, side=SELL, quantity=5, limit=100, rests=True)

    matches = engine.submit(order_id=3, side=BUY, quantity=7, limit=100, rests=True)

    assert [(m.maker_id, m.quantity) for m in matches] == [(1, 5), (2, 2)]


def test_trade_has_the_resting_orders_price() -> None:
    engine = MatchingEngine()
    engine.submit(order_id=1, side=BUY, quantity=5, limit=101, rests=True)

    matches = engine.submit(order_id=2, side=SELL, quantity=5, limit=99, rests=True)

    assert [m.price for m in matches] == [101]


def test_order_at_the_limit_crosses_and_beyond_it_does_not() -> None:
    engine = MatchingEngine()
    engine.submit(order_id=1, side=SELL, quantity=5, limit=100, rests=True)

    assert engine.crosses(BUY, 100)
    assert engine.crosses(BUY, None)
    assert not engine.crosses(BUY, 99)
    assert not engine.crosses(SELL, 1)


def test_changes_tell_each_touched_price_once_with_its_size_now() -> None:
    engine = MatchingEngine()
    engine.submit(order_id=1, side=SELL, quantity=5, limit=100, rests=True)
    engine.submit(order_id=2, side=SELL, quantity=4, limit=101, rests=True)
    engine.asks.take_changes()

    engine.submit(order_id=3, side=BUY, quantity=6, limit=None, rests=False)

    assert engine.asks.take_changes() == {100: 0, 101: 3}
    assert engine.asks.take_changes() == {}


def test_cancel_of_an_unknown_order_takes_nothing() -> None:
    engine = MatchingEngine()

    assert engine.cancel(7) == 0
