"""The risk actor and the order actor: what each knows of the other's log."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from krator_actors import clock
from krator_actors.messages.handshake import (
    OrderActorStarted,
    OrdersSynced,
    SyncOrders,
    VenueStatus,
)
from krator_actors.messages.market import MarketStatus, TradeSummary
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    AccountReport,
    CancelOrder,
    OrderDenied,
    OrderExternal,
)
from krator_actors.model import OrderSide, OrderType
from krator_actors.risk import Housekeeping, OrderLogLostError
from tests.actors.risk_scene import (
    BTC,
    FEED,
    INSTRUMENTS,
    ORDER,
    QUOTE,
    STRATEGY,
    Bench,
    D,
    filled,
    initialized,
    order,
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_first_start_asks_for_everything(bench: Bench) -> None:
    async with bench.start():
        requests = bench.requests()

    assert requests == [SyncOrders(risk_generation=1, watermark=0, sync_id=1)]


async def test_everything_is_denied_until_synced(bench: Bench) -> None:
    async with bench.start():
        before = await bench.reason(order("k1"))
        await bench.recover()
        after = await bench.reason(order("k2"))
        report = await bench.portfolio()

    assert (before, after) == ("RISK_RECOVERING", "APPROVED")
    assert report.recovered
    assert report.equity == 100_000


async def test_external_buy_at_market_blocks_buys_after_a_restart_until_it_has_a_price(
    bench: Bench,
) -> None:
    bench.log.append(
        OrderExternal(
            client_order_id="web_1",
            venue_order_id="1",
            symbol=BTC,
            side=OrderSide.BUY,
            order_type=OrderType.MARKET,
            quantity=D(15),
            price=None,
            ts_event=1,
        )
    )
    async with bench.start() as harness:
        await harness.deliver(INSTRUMENTS, FEED)
        await bench.sync()
        status = VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1)
        await harness.deliver(status, ORDER)
        unpriced = await bench.reason(order("k1"))
    async with bench.start():
        await bench.recover()
        fits = await bench.reason(order("k2"))
        too_much = await bench.reason(msgspec.structs.replace(order("k3"), quantity=D(5)))

    assert (unpriced, fits, too_much) == ("POSITIONS_STALE", "APPROVED", "MAX_POSITION")


async def test_restarted_risk_approves_nothing_before_it_has_heard_what_happened_meanwhile(
    bench: Bench,
) -> None:
    async with bench.start():
        await bench.recover()
    bench.log += [initialized(order("k0")), filled("k0")]
    async with bench.start() as harness:
        await harness.deliver(INSTRUMENTS, FEED)
        live = MarketStatus(symbol=BTC, fresh=True, reason="LIVE", ts_event=1)
        summary = TradeSummary(
            symbol=BTC, last_price=D(100), volume=D(1_000), counted_secs=1, ts_event=1
        )
        reachable = VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1)
        for message, sender in (
            (QUOTE, FEED),
            (live, FEED),
            (summary, FEED),
            (reachable, ORDER),
        ):
            await harness.deliver(message, sender)
        before = await bench.reason(order("k1"))
        await bench.sync()
        after = await bench.reason(order("k2"))

    assert (before, after) == ("RISK_RECOVERING", "APPROVED")


async def test_answer_to_an_earlier_incarnation_is_not_ours(bench: Bench) -> None:
    async with bench.start() as harness:
        synced = OrdersSynced(venue="SIM", risk_generation=0, number=0, open_orders=())
        await harness.deliver(synced, ORDER)
        report = await bench.portfolio()

    assert not report.recovered


async def test_answer_beyond_what_was_told_is_a_gap_and_is_asked_again(bench: Bench) -> None:
    async with bench.start() as harness:
        await harness.deliver(bench.synced(bench.requests()[0]), ORDER)
        report = await bench.portfolio()
        await harness.eventually(lambda: len(bench.requests()) == 2)

    assert not report.recovered


async def test_missing_event_is_asked_for_once(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        bench.log += [initialized(order()), filled()]
        await bench.tell_number(3)
        await bench.tell_number(3)
        requests = bench.requests()
        await bench.sync()
        report = await bench.portfolio()

    assert requests[1:] == [SyncOrders(risk_generation=1, watermark=1, sync_id=2)]
    assert report.fills == 1


async def test_event_told_again_is_ignored(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.happen(filled())
        await bench.tell_number(2)
        await bench.tell_number(1)
        report = await bench.portfolio()

    assert report.fills == 1
    assert report.cash == 99_900


async def test_order_actor_that_started_is_asked(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(OrderActorStarted(venue="SIM", generation=2), ORDER)
        requests = bench.requests()

    assert requests[-1] == SyncOrders(risk_generation=1, watermark=1, sync_id=2)


async def test_approval_that_came_back_is_kept_until_the_order_actor_has_told(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        placed = await bench.submit(order())
        await harness.undelivered(ORDER, placed)
        kept = (await bench.portfolio()).open_orders
        await harness.eventually(lambda: len(bench.requests()) == 2)
        await bench.sync()
        released = (await bench.portfolio()).open_orders
        denied = harness.told_to(STRATEGY)[-1]

    assert [o.client_order_id for o in kept] == ["k1"]
    assert released == ()
    assert isinstance(denied, OrderDenied)
    assert denied.reason == "LOST_APPROVAL"
    assert bench.logged(OrderDenied) == [denied]


async def test_other_messages_that_come_back_ask_for_nothing(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.undelivered("journal", LogGrew(writer="risk"))
        cancel = CancelOrder(client_order_id="k1", symbol=BTC, requester=STRATEGY)
        await harness.undelivered(ORDER, cancel)
        due = harness.actor._is_sync_due

    assert not due


async def test_approval_made_after_the_request_is_not_settled_by_its_answer(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(OrderActorStarted(venue="SIM", generation=2), ORDER)
        await harness.deliver(
            VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1), ORDER
        )
        await bench.submit(order())
        await bench.sync()
        report = await bench.portfolio()

    assert [o.client_order_id for o in report.open_orders] == ["k1"]


async def test_silent_order_actor_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.start() as harness:
        await harness.deliver(Housekeeping(), "risk")
        patient = len(bench.requests())
        later_ns = clock.monotonic_ns() + 11_000_000_000
        with monkeypatch.context() as patch:
            patch.setattr(clock, "monotonic_ns", lambda: later_ns)
            await harness.deliver(Housekeeping(), "risk")
        impatient = len(bench.requests())

    assert (patient, impatient) == (1, 2)


async def test_shorter_order_log_crashes_and_the_next_start_begins_anew(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.happen(filled())
    bench.log = bench.log[:1]

    with pytest.raises(OrderLogLostError, match="order:SIM has 1 records"):
        async with bench.start() as harness:
            await harness.deliver(bench.synced(bench.requests()[0]), ORDER)
    harness.actor._ledger.close()  # as the death of the process would
    async with bench.start():
        watermark = bench.requests()[0].watermark
        await bench.recover()
        report = await bench.portfolio()

    assert watermark == 0
    assert report.fills == 0


async def test_missing_order_events_let_only_reductions_pass_until_they_have_come(
    bench: Bench,
) -> None:
    bench.log = [AccountReport(balances={"USDT": D(100_000), "BTC": D(1)}, ts_event=1)]
    async with bench.start():
        await bench.recover()
        bench.log += [initialized(order()), filled()]
        await bench.tell_number(3)
        buy = await bench.reason(order("k2"))
        sell = await bench.reason(order("k3", OrderSide.SELL))
        await bench.sync()
        after = await bench.reason(order("k4"))

    assert (buy, sell, after) == ("POSITIONS_STALE", "APPROVED", "SELF_MATCH")
