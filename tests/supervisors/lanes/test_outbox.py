import asyncio
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors.frames import ASK, TELL, encode
from supervisors.messages import Delivery, Message
from supervisors.outbox import Counters, Outbox, Parcel


class Order(Message, frozen=True, kw_only=True):
    number: int


class Quote(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    number: int

    def conflation_key(self) -> str:
        return self.symbol


class Gap(Message, frozen=True, kw_only=True):
    symbol: str
    first: int
    last: int
    count: int


class Trade(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.GAP

    symbol: str
    number: int

    def gap_key(self) -> str:
        return self.symbol

    def gap_message(self, last: Message, count: int) -> Gap:
        assert isinstance(last, Trade)
        return Gap(symbol=self.symbol, first=self.number, last=last.number, count=count)


class Undeclarable(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.GAP


def parcel(message: Message) -> Parcel:
    return Parcel(TELL, message, encode(message))


def taken(outbox: Outbox) -> list[Message]:
    return [outbox.take().message for _ in range(len(outbox))]


def order(number: int) -> Order:
    return Order(number=number)


def quote(number: int, symbol: str = "BTC") -> Quote:
    return Quote(symbol=symbol, number=number)


def trade(number: int, symbol: str = "BTC") -> Trade:
    return Trade(symbol=symbol, number=number)


def test_parcels_leave_in_the_order_they_came() -> None:
    outbox = Outbox(10, Counters())

    for message in (order(1), quote(2), trade(3), order(4)):
        assert outbox.put(parcel(message)) is None

    assert taken(outbox) == [order(1), quote(2), trade(3), order(4)]


def test_newer_quote_replaces_the_waiting_one_in_its_place() -> None:
    counters = Counters()
    outbox = Outbox(10, counters)

    for message in (quote(1), order(2), quote(3), quote(4, "ETH"), quote(5)):
        outbox.put(parcel(message))
    first = outbox.take()

    assert (first.message, first.body) == (quote(5), encode(quote(5)))
    assert taken(outbox) == [order(2), quote(4, "ETH")]
    assert counters.conflated == 2


def test_quote_that_has_left_is_not_replaced() -> None:
    outbox = Outbox(10, Counters())
    outbox.put(parcel(quote(1)))

    left = outbox.take()
    outbox.put(parcel(quote(2)))

    assert left.message == quote(1)
    assert taken(outbox) == [quote(2)]


def test_trades_without_room_become_one_gap_until_its_turn() -> None:
    counters = Counters()
    outbox = Outbox(2, counters)

    for number in range(1, 5):
        outbox.put(parcel(trade(number)))
    first = outbox.take().message
    # There is room again, but the gap's turn has not come.
    outbox.put(parcel(trade(5)))
    second = outbox.take().message
    gap = outbox.take().message
    outbox.put(parcel(trade(6)))

    assert [first, second] == [trade(1), trade(2)]
    assert gap == Gap(symbol="BTC", first=3, last=5, count=3)
    assert taken(outbox) == [trade(6)]
    assert counters.dropped == 3


def test_each_stream_has_its_own_gap() -> None:
    outbox = Outbox(1, Counters())

    for message in (trade(1), trade(2), trade(1, "ETH"), order(9), trade(3)):
        outbox.put(parcel(message))

    assert taken(outbox) == [
        trade(1),
        Gap(symbol="BTC", first=2, last=3, count=2),
        Gap(symbol="ETH", first=1, last=1, count=1),
        order(9),
    ]


def test_class_that_cannot_declare_its_gap_fails_its_teller() -> None:
    outbox = Outbox(1, Counters())
    outbox.put(parcel(Undeclarable()))

    with pytest.raises(TypeError, match="Undeclarable may not be left out"):
        outbox.put(parcel(Undeclarable()))


async def test_order_without_room_waits_for_its_place_and_overflowing_trades_take_none() -> None:
    outbox = Outbox(1, Counters())
    for number in range(3):
        outbox.put(parcel(trade(number)))
    outbox.put(parcel(order(1)))

    admitted = [outbox.put(parcel(order(number))) for number in (2, 3)]
    outbox.take()
    outbox.take()

    assert [future is not None and future.done() for future in admitted] == [False, False]
    assert outbox.take().message == order(1)
    assert [future is not None and future.done() for future in admitted] == [True, False]
    assert outbox.take().message == order(2)
    assert outbox.take().message == order(3)


async def test_who_gives_up_waiting_sends_nothing() -> None:
    outbox = Outbox(1, Counters())
    outbox.put(parcel(order(1)))
    futures = [outbox.put(parcel(order(number))) for number in (2, 3, 4)]

    for future in futures[:2]:
        assert future is not None
        future.cancel()

    assert outbox.take().message == order(1)
    assert taken(outbox) == [order(4)]


async def test_parcels_given_up_while_blocked_do_not_pile_up() -> None:
    outbox = Outbox(1, Counters())
    outbox.put(parcel(order(0)))

    for number in range(100):
        future = outbox.put(parcel(order(number)))
        assert future is not None
        future.cancel()

    assert sum(map(len, outbox._blocked.values())) == 1


async def test_blocked_quote_replaces_a_waiting_one_of_its_key_when_there_is_room() -> None:
    outbox = Outbox(1, Counters())
    outbox.put(parcel(quote(1)))
    eth = [outbox.put(parcel(quote(number, "ETH"))) for number in (2, 3)]

    assert outbox.take().message == quote(1)

    assert [future is not None and future.done() for future in eth] == [True, False]
    assert outbox.take().message == quote(2, "ETH")
    assert outbox.take().message == quote(3, "ETH")


async def test_discarded_parcel_frees_its_place() -> None:
    outbox = Outbox(1, Counters())
    future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    ask = Parcel(ASK, quote(1), b"", future)
    outbox.put(ask)

    outbox.discard(ask)
    outbox.discard(ask)

    assert outbox.put(parcel(order(2))) is None
    assert taken(outbox) == [order(2)]


async def test_clearing_returns_all_parcels_and_releases_who_is_blocked() -> None:
    outbox = Outbox(1, Counters())
    outbox.put(parcel(order(1)))
    blocked = outbox.put(parcel(order(2)))
    for number in range(2):
        outbox.put(parcel(trade(number)))

    cleared = [each.message for each in outbox.clear()]

    assert cleared == [order(1), trade(0), order(2)]
    assert blocked is not None
    assert blocked.cancelled()
    assert len(outbox) == 0


def test_asks_are_never_conflated_nor_left_out() -> None:
    loop = asyncio.new_event_loop()
    outbox = Outbox(5, Counters())

    for number in range(2):
        outbox.put(Parcel(ASK, quote(number), b"", loop.create_future()))
    loop.close()

    assert taken(outbox) == [quote(0), quote(1)]


STEP = st.one_of(
    st.just("take"),
    st.tuples(st.sampled_from([Quote, Trade]), st.sampled_from(["BTC", "ETH"])),
)


@given(st.lists(STEP, max_size=80), st.integers(2, 5))
def test_every_trade_is_taken_or_declared_and_every_key_ends_with_its_newest(
    steps: list[object], limit: int
) -> None:
    counters = Counters()
    outbox = Outbox(limit, counters)
    put: list[Quote | Trade] = []
    out: list[Message] = []

    for step in steps:
        if isinstance(step, tuple):
            message = step[0](symbol=step[1], number=len(put))
            put.append(message)
            outbox.put(parcel(message))
        elif outbox:
            out.append(outbox.take().message)
        assert len(outbox) <= 3 * limit + 2
    out += taken(outbox)

    for symbol in ("BTC", "ETH"):
        covered: list[int] = []
        for message in out:
            if isinstance(message, Trade) and message.symbol == symbol:
                covered.append(message.number)
            elif isinstance(message, Gap) and message.symbol == symbol:
                left_out = [
                    each.number
                    for each in put
                    if isinstance(each, Trade)
                    and each.symbol == symbol
                    and message.first <= each.number <= message.last
                ]
                assert len(left_out) == message.count
                covered += left_out
        numbers = [each.number for each in put if isinstance(each, Trade) and each.symbol == symbol]
        assert covered == numbers
        quotes = [each for each in put if isinstance(each, Quote) and each.symbol == symbol]
        quotes_out = [each for each in out if isinstance(each, Quote) and each.symbol == symbol]
        assert quotes_out[-1:] == quotes[-1:]
        assert quotes_out == sorted(quotes_out, key=lambda each: each.number)
    quotes_put = sum(isinstance(each, Quote) for each in put)
    assert counters.conflated == quotes_put - sum(isinstance(each, Quote) for each in out)
