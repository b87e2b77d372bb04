"""Changes, times and brackets: the order actor before the simulated venue, killed in the middle."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from krator_actors import order_holding, order_ledger
from krator_actors.core.orders import Order, OrderTable
from krator_actors.messages.orders import (
    CancelAllOrders,
    ModifyOrder,
    OrderCanceled,
    OrderEvent,
    OrderEventTold,
    OrderModifyRejected,
    OrderPendingUpdate,
    OrderTriggered,
    OrderUpdated,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.model import NANOS_PER_SEC, OrderSide, OrderStatus, OrderType, TimeInForce
from krator_actors.order_holding import HoldingDue
from supervisors.testing import ActorHarness
from tests.actors.order_venue import (
    NAME,
    SYMBOL,
    Exchange,
    bracket_of,
    harness_of,
    order_of,
    reachable,
    table_of,
)

MODULES_UNDER_TEST = (order_holding,)
S = OrderStatus
CENT = Decimal("0.01")


@pytest.fixture
def still(tmp_path: Path) -> Iterator[Exchange]:
    """A venue whose market does not move by itself."""
    running = Exchange(tmp_path / "exchange", "--ticks-per-sec", "0.001")
    yield running
    running.close()


async def place(harness: ActorHarness, order: SubmitOrder) -> None:
    await harness.deliver(PlaceOrder(order=order, risk_generation=1), "risk")


async def becomes(harness: ActorHarness, client_order_id: str, *statuses: OrderStatus) -> Order:
    table: OrderTable = harness.actor._table
    await harness.eventually(
        lambda: (
            client_order_id in table.orders and table.orders[client_order_id].status in statuses
        ),
        timeout_secs=20,
    )
    return table.orders[client_order_id]


def events_of(harness: ActorHarness, client_order_id: str) -> list[type[OrderEvent]]:
    told = [m.event for m in harness.told_to("risk") if isinstance(m, OrderEventTold)]
    return [type(e) for e in told if getattr(e, "client_order_id", "") == client_order_id]


def smaller(quantity: str) -> ModifyOrder:
    return ModifyOrder(
        client_order_id="k1", symbol=SYMBOL, quantity=Decimal(quantity), requester="test"
    )


async def test_order_is_made_smaller_in_its_place(still: Exchange, tmp_path: Path) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1", price=Decimal(50_000), quantity=Decimal("0.03")))
        before = await becomes(harness, "k1", S.ACCEPTED)
        venue_order_id = before.venue_order_id

        await harness.deliver(smaller("0.01"), "risk")

        await harness.eventually(lambda: before.quantity == Decimal("0.01"), timeout_secs=10)
        assert before.status is S.ACCEPTED
        assert before.venue_order_id == venue_order_id
        assert events_of(harness, "k1")[-2:] == [OrderPendingUpdate, OrderUpdated]


async def test_change_that_the_venue_refuses_leaves_the_order_as_it_was(
    still: Exchange, tmp_path: Path
) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1", price=Decimal(50_000), quantity=Decimal("0.03")))
        order = await becomes(harness, "k1", S.ACCEPTED)

        await harness.deliver(smaller("0.0000001"), "risk")

        await harness.eventually(
            lambda: OrderModifyRejected in events_of(harness, "k1"), timeout_secs=10
        )
        assert (order.status, order.quantity) == (S.ACCEPTED, Decimal("0.03"))


@pytest.mark.parametrize("acted", [True, False])
async def test_change_whose_answer_is_lost_is_asked_for(
    still: Exchange, tmp_path: Path, *, acted: bool
) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1", price=Decimal(50_000), quantity=Decimal("0.03")))
        order = await becomes(harness, "k1", S.ACCEPTED)
        still.fault("answer_error", method="order.amend.keepPriority", act=acted)

        await harness.deliver(smaller("0.01"), "risk")

        expected = OrderUpdated if acted else OrderModifyRejected
        await harness.eventually(lambda: events_of(harness, "k1")[-1] is expected, timeout_secs=20)
        assert order.quantity == (Decimal("0.01") if acted else Decimal("0.03"))


async def test_order_is_replaced_by_another(still: Exchange, tmp_path: Path) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1", price=Decimal(50_000)))
        await becomes(harness, "k1", S.ACCEPTED)

        await place(harness, order_of("k2", price=Decimal(51_000), replaces="k1"))

        await becomes(harness, "k2", S.ACCEPTED)
        await becomes(harness, "k1", S.CANCELED)
        opened = [o["clientOrderId"] for o in still.ledger("order")]
        assert opened == ["k1", "k2"]


async def test_half_done_replacement_is_told_as_it_is(still: Exchange, tmp_path: Path) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1", price=Decimal(50_000)))
        await becomes(harness, "k1", S.ACCEPTED)

        too_large = Decimal(100)
        await place(
            harness, order_of("k2", price=Decimal(51_000), quantity=too_large, replaces="k1")
        )

        await becomes(harness, "k1", S.CANCELED)
        await becomes(harness, "k2", S.REJECTED)


async def test_replacement_whose_order_is_gone_is_not_placed(
    still: Exchange, tmp_path: Path
) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1"))
        await becomes(harness, "k1", S.FILLED)

        await place(harness, order_of("k2", price=Decimal(51_000), replaces="k1"))

        await becomes(harness, "k2", S.DENIED)


@pytest.mark.parametrize("acted", [True, False])
async def test_replacement_whose_answer_is_lost_is_asked_for(
    still: Exchange, tmp_path: Path, *, acted: bool
) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1", price=Decimal(50_000)))
        await becomes(harness, "k1", S.ACCEPTED)
        still.fault("answer_error", method="order.cancelReplace", act=acted)

        await place(harness, order_of("k2", price=Decimal(51_000), replaces="k1"))

        await becomes(harness, "k1", S.CANCELED if acted else S.ACCEPTED)
        await becomes(harness, "k2", S.ACCEPTED if acted else S.REJECTED)


async def test_post_only_order_that_would_take_is_rejected(still: Exchange, tmp_path: Path) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        _, ask = still.best()

        await place(harness, order_of("k1", price=ask, post_only=True))

        await becomes(harness, "k1", S.REJECTED)


async def test_stop_order_triggers_and_sells(still: Exchange, tmp_path: Path) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("k1", quantity=Decimal("0.05")))
        await becomes(harness, "k1", S.FILLED)
        bid, _ = still.best()
        terms = {"order_type": OrderType.STOP_MARKET, "stop_price": bid, "side": OrderSide.SELL}
        await place(harness, order_of("k2", **terms))
        await becomes(harness, "k2", S.ACCEPTED)

        await place(harness, order_of("k3", side=OrderSide.SELL))

        await becomes(harness, "k2", S.FILLED)
        assert OrderTriggered in events_of(harness, "k2")


async def test_everything_of_a_strategy_is_canceled(still: Exchange, tmp_path: Path) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        for name in ("k1", "k2"):
            await place(harness, order_of(name, price=Decimal(50_000)))
            await becomes(harness, name, S.ACCEPTED)

        await harness.deliver(CancelAllOrders(strategy="strategy:test", requester="anna"), "risk")

        await becomes(harness, "k1", S.CANCELED)
        await becomes(harness, "k2", S.CANCELED)


async def test_order_whose_time_was_over_while_nobody_ran_expires(
    still: Exchange, tmp_path: Path
) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        soon_ns = time.time_ns() + 2 * NANOS_PER_SEC
        terms = {"time_in_force": TimeInForce.GTD, "expires_ns": soon_ns}
        await place(harness, order_of("k1", price=Decimal(50_000), **terms))
        await becomes(harness, "k1", S.ACCEPTED)

    async with harness_of(still.url, tmp_path, generation=2) as harness:
        await becomes(harness, "k1", S.EXPIRED)

        assert OrderCanceled not in events_of(harness, "k1")


# -- brackets --------------------------------------------------------------------------------------


async def test_take_profit_is_sold_and_the_stop_is_off(still: Exchange, tmp_path: Path) -> None:
    bid, _ = still.best()
    bracket = bracket_of(
        (bid * Decimal("0.5")).quantize(CENT), (bid * Decimal("0.9")).quantize(CENT)
    )
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("entry", bracket=bracket))
        table: OrderTable = harness.actor._table

        await harness.eventually(lambda: is_flat(table), timeout_secs=20)

        legs = [order for order in table.orders.values() if order.client_order_id != "entry"]
        assert [leg.status for leg in legs] == [S.CANCELED, S.FILLED]
        assert [leg.order_type for leg in legs] == [OrderType.STOP_MARKET, OrderType.LIMIT]
    bought, sold = bought_and_sold(still)
    assert sold == bought.quantize(Decimal("0.00001"), "ROUND_DOWN")
    assert open_sells(still) == []


async def test_stop_that_is_hit_sells_what_was_bought(still: Exchange, tmp_path: Path) -> None:
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("held", quantity=Decimal("0.05")))
        await becomes(harness, "held", S.FILLED)
        bid, ask = still.best()
        await place(harness, order_of("entry", bracket=bracket_of(bid, ask * 2)))
        await harness.eventually(lambda: working_stops(harness), timeout_secs=20)
        ((entry, (stop,)),) = harness.actor._table.brackets()

        await place(harness, order_of("seller", side=OrderSide.SELL))

        await harness.eventually(lambda: not harness.actor._table.brackets(), timeout_secs=20)
        assert (stop.order_type, stop.status) == (OrderType.STOP_MARKET, S.FILLED)
        assert stop.filled == (entry.filled - entry.base_fee).quantize(
            Decimal("0.00001"), "ROUND_DOWN"
        )
        assert open_sells(still) == []


async def test_bracket_outlives_many_other_orders_and_a_restart(
    still: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_ledger, "KEEP_CLOSED", 2)
    bid, ask = still.best()
    bracket = bracket_of((bid * Decimal("0.9")).quantize(CENT), ask * 2)
    async with harness_of(still.url, tmp_path) as harness:
        await reachable(harness)
        await place(harness, order_of("entry", bracket=bracket))
        await harness.eventually(lambda: working_stops(harness), timeout_secs=20)
        for number in range(8):
            await place(harness, order_of(f"k{number}", replaces="nobody"))

    async with harness_of(still.url, tmp_path, generation=2) as harness:
        await reachable(harness)
        assert "k0" not in harness.actor._table.orders
        ((entry, legs),) = harness.actor._table.brackets()
        (leg,) = legs
        assert (entry.client_order_id, leg.status) == ("entry", S.ACCEPTED)

        await harness.deliver(HoldingDue(), NAME)

        assert harness.actor._table.brackets() == [(entry, (leg,))]
    assert len(open_sells(still)) == 1


def is_flat(table: OrderTable) -> bool:
    return "entry" in table.orders and not table.open_orders and not table.brackets()


def working_stops(harness: ActorHarness) -> bool:
    table: OrderTable = harness.actor._table
    return any(leg.status is S.ACCEPTED for _, legs in table.brackets() for leg in legs)


# -- the actor as a process that is killed -------------------------------------------


class OrderProcess:
    """The actor in a process of its own."""

    def __init__(
        self, url: str, data_dir: Path, generation: int, order: SubmitOrder | None = None
    ) -> None:
        command = [sys.executable, "-m", "tests.actors.order_venue", url, str(data_dir)]
        command.append(str(generation))
        if order is not None:
            command.append(msgspec.json.encode(order).decode())
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def until(condition: Callable[[], object], secs: float = 30) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.002)


def legs_of(data_dir: Path) -> tuple[Order, ...]:
    held = table_of(data_dir).brackets()
    return held[0][1] if held else ()


def bought_and_sold(exchange: Exchange) -> tuple[Decimal, Decimal]:
    totals = {"BUY": Decimal(0), "SELL": Decimal(0)}
    for fill in exchange.ledger("fill"):
        totals[fill["side"]] += Decimal(fill["qty"])
        if fill["commissionAsset"] == "BTC":
            totals[fill["side"]] -= Decimal(fill["commission"])
    return totals["BUY"], totals["SELL"]


def open_sells(exchange: Exchange) -> list[dict[str, Any]]:
    ended = {record["orderId"] for record in exchange.ledger("ended")}
    sells = [record for record in exchange.ledger("order") if record["side"] == "SELL"]
    return [record for record in sells if record["orderId"] not in ended]


KILLED_WHEN: dict[str, Callable[[Path], bool]] = {
    "the entry is logged": lambda path: "entry" in table_of(path).orders,
    "the entry has filled": lambda path: any(
        order.filled for order in table_of(path).orders.values()
    ),
    "the stop is logged": lambda path: bool(legs_of(path)),
    "the stop works": lambda path: any(leg.status is S.ACCEPTED for leg in legs_of(path)),
}


@pytest.mark.parametrize("moment", list(KILLED_WHEN))
def test_bracket_is_alive_again_after_the_actor_was_killed(
    still: Exchange, tmp_path: Path, moment: str
) -> None:
    bid, ask = still.best()
    bracket = bracket_of((bid * Decimal("0.9")).quantize(CENT), ask * 2)
    entry = order_of("entry", bracket=bracket)
    data_dir = tmp_path / "log"
    first = OrderProcess(still.url, data_dir, 1, entry)
    try:
        until(lambda: KILLED_WHEN[moment](data_dir))
    finally:
        first.kill()

    second = OrderProcess(still.url, data_dir, 2)
    try:
        until(lambda: _is_settled(data_dir))
    finally:
        second.kill()

    (final,) = [order for order in table_of(data_dir).orders.values() if order.submitted == entry]
    sells = open_sells(still)
    bought, sold = bought_and_sold(still)
    if final.status is S.REJECTED:  # killed before its bytes had left
        assert bought == 0
        return
    assert len(sells) == 1
    assert sells[0]["type"] == "STOP_LOSS"
    assert Decimal(sells[0]["qty"]) == (bought - sold).quantize(Decimal("0.00001"), "ROUND_DOWN")
    assert len({leg.client_order_id for leg in legs_of(data_dir)}) == len(legs_of(data_dir))


def _is_settled(data_dir: Path) -> bool:
    ((entry, legs),) = table_of(data_dir).brackets()
    if entry.status is S.REJECTED:
        return True
    return entry.status is S.FILLED and bool(legs) and legs[-1].status is S.ACCEPTED


def test_take_profit_is_sold_once_though_the_actor_is_killed_while_the_stop_is_taken_off(
    still: Exchange, tmp_path: Path
) -> None:
    bid, _ = still.best()
    bracket = bracket_of(
        (bid * Decimal("0.5")).quantize(CENT), (bid * Decimal("0.9")).quantize(CENT)
    )
    data_dir = tmp_path / "log"
    first = OrderProcess(still.url, data_dir, 1, order_of("entry", bracket=bracket))
    try:
        until(lambda: any(leg.cancel_requested for leg in legs_of(data_dir)))
    finally:
        first.kill()

    second = OrderProcess(still.url, data_dir, 2)
    try:
        until(lambda: legs_of(data_dir)[-1].status is S.FILLED)
    finally:
        second.kill()

    bought, sold = bought_and_sold(still)
    assert sold == bought.quantize(Decimal("0.00001"), "ROUND_DOWN")
    assert open_sells(still) == []
