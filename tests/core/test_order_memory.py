"""What is over is forgotten, and found again."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.order_memory import (
    KEEP_FILLS,
    ClosedOrders,
    MemoryState,
    OrderMemory,
    Place,
)
from krator_actors.core.orders import Order
from krator_actors.messages.orders import (
    AccountReport,
    Bracket,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderInitialized,
    SubmitOrder,
)
from krator_actors.model import Instrument, OrderSide, OrderStatus, OrderType

SYMBOL = "BTC-USDT.SIM"
STRATEGY = "strategy:x"


class Story:
    """A table with a numbered history."""

    def __init__(self) -> None:
        self.table = OrderMemory()
        self.number = 0

    def happen(self, *events: object) -> None:
        for event in events:
            self.number += 1
            self.table.apply(event, self.number)  # type: ignore[arg-type]

    def open(self, name: str, cause: str = "bar:1", bracket: Bracket | None = None) -> None:
        order = SubmitOrder(
            client_order_id=name,
            strategy=STRATEGY,
            symbol=SYMBOL,
            side=OrderSide.BUY,
            order_type=OrderType.LIMIT,
            quantity=Decimal(2),
            price=Decimal(1),
            cause=cause,
            bracket=bracket,
            ts_event=1,
            ts_init=1,
        )
        self.happen(
            OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=1, ts_event=1),
            OrderAccepted(
                client_order_id=name, venue_order_id=f"v{name}", symbol=SYMBOL, ts_event=1
            ),
        )

    def fill(self, name: str, trade_id: str, quantity: int = 2) -> None:
        self.happen(
            OrderFilled(
                client_order_id=name,
                venue_order_id=f"v{name}",
                trade_id=trade_id,
                symbol=SYMBOL,
                strategy=STRATEGY,
                side=OrderSide.BUY,
                last_quantity=Decimal(quantity),
                last_price=Decimal(1),
                fee=Decimal(0),
                fee_currency="USDT",
                ts_event=1,
                ts_init=1,
            )
        )

    def cancel(self, name: str) -> None:
        self.happen(OrderCanceled(client_order_id=name, symbol=SYMBOL, ts_event=1))


def forget_closed(table: OrderMemory, *, keep: int) -> list[Order]:
    forgotten = table.closed_beyond(keep=keep)
    table.forget(forgotten)
    return forgotten


def test_open_orders_are_never_forgotten() -> None:
    story = Story()
    story.open("resting")
    for n in range(5):
        story.open(f"k{n}")
        story.fill(f"k{n}", str(n))

    forgotten = forget_closed(story.table, keep=2)

    assert [order.client_order_id for order in forgotten] == ["k0", "k1", "k2"]
    assert set(story.table.orders) == {"resting", "k3", "k4"}
    assert story.table.find(SYMBOL, "vk0") is None
    assert story.table.find(SYMBOL, "vresting") is not None


def test_order_that_was_closed_last_is_forgotten_last() -> None:
    story = Story()
    story.open("early")
    story.open("late")
    story.cancel("late")
    story.cancel("early")

    forgotten = forget_closed(story.table, keep=1)

    assert [order.client_order_id for order in forgotten] == ["late"]


def test_fills_of_an_order_in_memory_stay_known_however_many_follow() -> None:
    story = Story()
    story.open("resting")
    story.fill("resting", "first", quantity=1)
    for n in range(KEEP_FILLS + 50):
        story.open(f"k{n}")
        story.fill(f"k{n}", str(n))

    forget_closed(story.table, keep=0)

    assert story.table.knows_fill(SYMBOL, "first", "vresting")
    assert not story.table.knows_fill(SYMBOL, "0", "vk0")
    assert story.table.knows_fill(SYMBOL, "50", "vk50")


def some_bracket() -> Bracket:
    instrument = Instrument(
        symbol=SYMBOL,
        venue_symbol="BTCUSDT",
        base="BTC",
        quote="USDT",
        tick_size=Decimal(1),
        lot_size=Decimal(1),
        min_quantity=Decimal(1),
        max_quantity=Decimal(9),
        min_notional=Decimal(1),
    )
    return Bracket(stop_price=Decimal(1), take_profit_price=Decimal(3), instrument=instrument)


def bracket_story() -> Story:
    """An entry that was sold by its second leg, and two orders after it."""
    story = Story()
    story.open("entry", bracket=some_bracket())
    story.fill("entry", "1")
    story.open("leg1", cause="bracket:entry")
    story.cancel("leg1")
    story.open("leg2", cause="bracket:entry")
    story.fill("leg2", "2")
    for name in ("k0", "k1"):
        story.open(name)
        story.cancel(name)
    return story


def test_orders_of_a_bracket_are_not_forgotten_before_it_is_left() -> None:
    story = bracket_story()

    forgotten = forget_closed(story.table, keep=0)

    assert [order.client_order_id for order in forgotten] == ["k0", "k1"]


def test_orders_of_a_bracket_that_was_left_are_forgotten_together() -> None:
    story = bracket_story()
    story.table.leave_bracket(story.table.orders["entry"])

    none_of_it = forget_closed(story.table, keep=3)
    all_of_it = forget_closed(story.table, keep=2)

    assert none_of_it == []
    assert [order.client_order_id for order in all_of_it] == ["entry", "leg1", "leg2"]
    assert story.table.brackets() == []


def test_bracket_that_was_left_is_looked_at_again_when_one_of_its_orders_changes() -> None:
    story = bracket_story()
    story.table.leave_bracket(story.table.orders["entry"])
    assert story.table.brackets() == []

    story.fill("leg1", "3", quantity=1)

    ((entry, legs),) = story.table.brackets()
    assert (entry.client_order_id, len(legs)) == ("entry", 2)


def test_adopted_entry_has_no_bracket_because_its_legs_are_not_known() -> None:
    story = bracket_story()
    entry = story.table.orders["entry"]
    story.table.leave_bracket(entry)
    forget_closed(story.table, keep=0)

    story.table.adopt(entry, ["1"])
    restored = OrderMemory()
    restored.restore(story.table.state())

    assert story.table.brackets() == []
    assert "entry" in restored.orders
    assert restored.brackets() == []


def test_adopted_order_knows_its_fills_again() -> None:
    story = Story()
    story.open("k0")
    story.fill("k0", "7")
    order = story.table.orders["k0"]
    (trade_ids,) = story.table.trade_ids([order])
    forget_closed(story.table, keep=0)

    story.table.adopt(order, trade_ids)

    assert trade_ids == ("7",)
    assert story.table.find(SYMBOL, "vk0") is order
    assert story.table.knows_fill(SYMBOL, "7", "vk0")
    assert story.table.open_orders == ()


def test_restored_table_is_the_same() -> None:
    story = Story()
    story.happen(AccountReport(balances={"USDT": Decimal(1)}, ts_event=1))
    story.open("k0")
    story.fill("k0", "7", quantity=1)
    story.open("k1")
    story.cancel("k1")
    story.open("leg", cause="bracket:k2")
    story.open("k2", bracket=some_bracket())
    story.open("leg1", cause="bracket:k2")

    encoded = msgspec.msgpack.encode(story.table.state())
    restored = OrderMemory()
    restored.restore(msgspec.msgpack.decode(encoded, type=MemoryState))

    assert restored.orders == story.table.orders
    assert restored.open_orders == story.table.open_orders
    ((entry, legs),) = restored.brackets()
    assert entry is restored.orders["k2"]
    assert legs == (restored.orders["leg1"],)
    assert restored.knows_fill(SYMBOL, "7", "vk0")
    assert restored.opening == story.table.opening
    assert restored.find(SYMBOL, "vk1", "") is restored.orders["k1"]


def closed_order(name: str, number: int) -> Order:
    story = Story()
    story.open(name)
    order = story.table.orders[name]
    order.number = number
    return order


@given(
    st.dictionaries(st.text(min_size=1, max_size=40), st.integers(1, 2**40), max_size=60),
    st.lists(st.booleans(), min_size=60, max_size=60),
    st.text(min_size=1, max_size=40),
)
def test_every_forgotten_name_is_found_and_no_other(
    firsts: dict[str, int], merges: list[bool], other: str
) -> None:
    closed = ClosedOrders()
    for (name, first), merge in zip(firsts.items(), merges, strict=False):
        closed.add(closed_order(name, first + 3), first)
        if merge:
            closed.restore(closed.merged(closed.recent()), (), number=first)

    for name, first in firsts.items():
        assert closed.find(name) == (Place(first, first + 3),)
        assert closed.find(f"v{name}", SYMBOL) == (Place(first, first + 3),)
        assert closed.find(f"v{name}", "ETH-USDT.SIM") == ()
    assert closed.find(other) == () or other in firsts
    assert len(closed) == 2 * len(firsts)


def test_order_that_is_forgotten_again_is_found_where_it_ends_now() -> None:
    closed = ClosedOrders()
    closed.add(closed_order("k0", 9), 500)
    closed.add(closed_order("k0", 70), 100)

    assert closed.find("k0") == (Place(100, 70), Place(500, 9))
    assert closed.has(closed_order("k0", 70))
    assert not closed.has(closed_order("k0", 71))


def test_bytes_that_are_no_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="words are no 3 columns"):
        ClosedOrders().restore(b"12345678" * 4, (), number=1)


def test_order_without_a_venue_id_has_one_name() -> None:
    order = closed_order("k0", 2)
    order.venue_order_id = ""
    order.status = OrderStatus.DENIED
    closed = ClosedOrders()

    closed.add(order, 0)

    assert len(closed) == 1
