"""What waits to be told, and what happens when too much does."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.tick_queue import TickQueue
from krator_actors.messages.market import InstrumentsRequest, QuoteTick


def quote(symbol: str, update_id: int) -> QuoteTick:
    return QuoteTick(
        symbol=symbol,
        bid=Decimal(1),
        bid_size=Decimal(1),
        ask=Decimal(2),
        ask_size=Decimal(1),
        update_id=update_id,
        ts_event=1,
        ts_init=1,
    )


def drain(queue: TickQueue) -> list[object]:
    return [queue.take()[1] for _ in range(len(queue))]


def test_messages_come_out_in_order_with_their_receivers() -> None:
    queue = TickQueue(limit=10, conflate_above=10)
    queue.put(("risk",), InstrumentsRequest())
    queue.put_newest(("risk", "strategy:a"), quote("A", 1))

    assert queue.take() == (("risk",), InstrumentsRequest())
    assert queue.take() == (("risk", "strategy:a"), quote("A", 1))
    assert len(queue) == 0


def test_quotes_are_not_merged_while_few_wait() -> None:
    queue = TickQueue(limit=10, conflate_above=10)
    queue.put_newest((), quote("A", 1))
    queue.put_newest((), quote("A", 2))

    assert drain(queue) == [quote("A", 1), quote("A", 2)]
    assert queue.conflated == 0


def test_newest_quote_of_a_symbol_wins_while_many_wait() -> None:
    queue = TickQueue(limit=10, conflate_above=1)
    for one in (quote("A", 1), quote("B", 1), quote("A", 2), quote("B", 2), quote("A", 3)):
        queue.put_newest((), one)

    assert drain(queue) == [quote("A", 3), quote("B", 2)]
    assert queue.conflated == 3


def test_newest_quote_goes_to_its_receivers_and_not_to_those_of_the_one_before() -> None:
    queue = TickQueue(limit=10, conflate_above=0)
    queue.put_newest(["strategy"], quote("BTC-USDT.SIM", 1))

    queue.put_newest(["strategy", "risk"], quote("BTC-USDT.SIM", 2))

    assert queue.take() == (["strategy", "risk"], quote("BTC-USDT.SIM", 2))


def test_quote_that_was_taken_is_not_replaced() -> None:
    queue = TickQueue(limit=10, conflate_above=0)
    queue.put_newest((), quote("A", 1))
    queue.take()

    queue.put_newest((), quote("A", 2))

    assert drain(queue) == [quote("A", 2)]


def test_queue_is_full_at_its_limit() -> None:
    queue = TickQueue(limit=1, conflate_above=10)
    assert not queue.is_full

    queue.put((), InstrumentsRequest())

    assert queue.is_full


@given(
    symbols=st.lists(st.sampled_from("ABC"), max_size=60),
    conflate_above=st.integers(min_value=0, max_value=5),
)
def test_quotes_above_the_mark_are_one_a_symbol_and_the_last_is_the_newest(
    symbols: list[str], conflate_above: int
) -> None:
    queue = TickQueue(limit=10, conflate_above=conflate_above)
    for update_id, symbol in enumerate(symbols):
        queue.put_newest((), quote(symbol, update_id))

    told = [message for message in drain(queue) if isinstance(message, QuoteTick)]

    assert len(told) <= conflate_above + 1 + len(set(symbols))
    assert len(told) + queue.conflated == len(symbols)
    for symbol in set(symbols):
        newest = max(i for i, other in enumerate(symbols) if other == symbol)
        assert [one.update_id for one in told if one.symbol == symbol][-1] == newest
