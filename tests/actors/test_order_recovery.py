"""The order actor when answers are lost, processes are killed and venues have moods."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from krator_actors.adapters.local_log import log_path
from krator_actors.core import order_rules
from krator_actors.core.order_life import OrderTransitionError
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
)
from krator_actors.model import OrderStatus
from krator_actors.order_ledger import OrderLedger
from krator_actors.order_telemetry import log_order_event
from krator_actors.reconciliation import Reconciled
from tests.actors.order_scene import (
    NAME,
    OPENING,
    STRATEGY,
    SUBMITTED,
    SYMBOL,
    FakeVenue,
    initialized,
    logged,
    now_ms,
    serving,
    started,
    write_log,
)


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    async with serving() as fake:
        yield fake


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_rules, "CERTAINTY_MARGIN_MS", 50)


# -- unknown outcomes --------------------------------------------------------------------------


async def test_answer_lost_after_acting_is_found_and_not_resent(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.lose_after, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        assert scene.kinds() == [OrderInitialized, OrderSubmitted, OrderUnknown, OrderAccepted]
        await scene.reachable(times=2)
        assert scene.statuses()[-2:] == [False, True]
    assert venue.placed() == ["k1"]


@pytest.mark.parametrize("error", [(500, -1001, ""), (400, -1006, ""), (400, -1007, "")])
async def test_answer_that_says_nothing_is_asked_for(
    venue: FakeVenue, tmp_path: Path, error: tuple[int, int, str]
) -> None:
    venue.errors["order.place"] = error
    venue.place("k1")
    venue.fill("k1", "2")

    async with started(venue, tmp_path, reconcile_secs=60.0) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderFilled)

        assert OrderUnknown in scene.kinds()


async def test_answer_that_never_comes_is_asked_for(venue: FakeVenue, tmp_path: Path) -> None:
    venue.mute, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        assert OrderUnknown in scene.kinds()


@pytest.mark.usefixtures("quick")
async def test_order_that_never_arrived_is_rejected_only_after_its_validity(
    venue: FakeVenue, tmp_path: Path
) -> None:
    valid_until_ms = now_ms() + 300
    write_log(tmp_path, OPENING, initialized(valid_until_ms=valid_until_ms), SUBMITTED)

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderRejected)

        assert now_ms() > valid_until_ms
        assert scene.kinds() == [OrderUnknown, OrderRejected]
        rejected = scene.events()[-1]
        assert isinstance(rejected, OrderRejected)
        assert rejected.reason == "NEVER_ARRIVED"
    assert venue.placed() == []


async def test_bytes_of_a_killed_process_that_arrive_late_are_found(
    venue: FakeVenue, tmp_path: Path
) -> None:
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms() + 60_000))

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()
        asked = [m for m, _ in venue.received].count("order.status")
        venue.report_live = False
        venue.place("k1")
        await scene.until(OrderAccepted)

        assert asked >= 1
        assert scene.kinds()[0] is OrderUnknown


async def test_venue_whose_clock_is_ahead_gets_its_own_time(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.ahead_ms = 3_600_000

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

    params = next(p for m, p in venue.received if m == "order.place")
    assert abs(params["timestamp"] - venue.now_ms) < 60_000


# -- killed and started again ------------------------------------------------------------------


async def test_order_logged_and_sent_by_a_killed_process_is_found(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.place("k1")
    venue.fill("k1", "2")
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms() + 200))

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderFilled)

        assert scene.kinds() == [OrderUnknown, OrderAccepted, OrderFilled]
        assert scene.harness.told_to(STRATEGY) != []


async def test_denial_that_a_kill_cut_in_half_is_finished(venue: FakeVenue, tmp_path: Path) -> None:
    write_log(tmp_path, OPENING, initialized(valid_until_ms=order_rules.NEVER_SENT))

    async with started(venue, tmp_path, generation=2) as scene:
        assert scene.kinds() == [OrderDenied]


async def test_fills_and_end_missed_while_away_are_found_at_start(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
    venue.fill("k1", "1")
    venue.end("k1", "CANCELED")

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderCanceled)

        assert scene.kinds() == [OrderFilled, OrderCanceled]


async def test_fills_missed_while_disconnected_are_found_after_reconnect(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live = False
        venue.fill("k1", "1")
        venue.fill("k1", "1")
        venue.report_live = True
        venue.drop()
        await scene.until(OrderFilled)

        assert scene.kinds().count(OrderFilled) == 2
        assert scene.harness.actor._table.orders["k1"].status is OrderStatus.FILLED


async def test_fill_that_the_stream_skipped_is_asked_for(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live = False
        venue.fill("k1", "1")
        venue.report_live = True
        venue.fill("k1", "1")

        await scene.harness.eventually(lambda: scene.kinds().count(OrderFilled) == 2)


async def test_cancel_logged_by_a_killed_process_goes_out_first(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.place("k1")
    accepted = OrderAccepted(client_order_id="k1", venue_order_id="1", symbol=SYMBOL, ts_event=1)
    pending = OrderPendingCancel(client_order_id="k1", symbol=SYMBOL, ts_event=1)
    write_log(tmp_path, OPENING, initialized(valid_until_ms=now_ms()), accepted, pending)

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderCanceled)

    assert [method for method, _ in venue.received][:2] == ["time", "order.cancel"]


async def test_cancel_of_an_unknown_order_goes_out_when_it_is_found(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.mute, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        venue.errors["order.status"] = (500, -1001, "")
        venue.errors["order.cancel"] = (500, -1001, "")
        await scene.place()
        await scene.until(OrderUnknown)
        await scene.cancel()
        venue.errors.clear()

        await scene.until(OrderCanceled)


async def test_open_orders_are_left_at_work_when_stopped(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

    assert venue.order("k1")["status"] == "NEW"


# -- orders of others --------------------------------------------------------------------------


async def test_order_placed_by_hand_is_external_with_its_fills(
    venue: FakeVenue, tmp_path: Path
) -> None:
    external = f"external-{SYMBOL}-1"

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        venue.place("web-1")
        await scene.until(OrderExternal, external)
        venue.fill("web-1", "2")
        await scene.until(OrderFilled, external)

        filled = scene.events()[-1]
        assert isinstance(filled, OrderFilled)
        assert filled.strategy == ""
        assert scene.harness.told_to("") == []


async def test_external_order_traded_while_away_is_found_by_its_trades(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
    venue.place("web-1")
    venue.fill("web-1", "2")

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.until(OrderFilled, f"external-{SYMBOL}-1")


async def test_external_order_first_heard_of_by_a_trade_is_taken_over(
    venue: FakeVenue, tmp_path: Path
) -> None:
    external = f"external-{SYMBOL}-1"

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        venue.report_live = False
        venue.place("web-1")
        venue.report_live = True
        venue.fill("web-1", "1")
        await scene.until(OrderFilled, external)

        assert scene.kinds(external) == [OrderExternal, OrderFilled]


async def test_external_order_that_came_and_went_unfilled_is_no_event(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        venue.report_live = False
        venue.place("web-1")
        venue.report_live = True
        venue.end("web-1", "CANCELED")
        venue.place("web-2")
        await scene.until(OrderExternal, f"external-{SYMBOL}-2")

        assert scene.kinds(f"external-{SYMBOL}-1") == []


async def test_trades_from_before_the_opening_are_not_counted(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.ahead_ms = -60_000
    venue.place("web-1")
    venue.fill("web-1", "1")
    venue.ahead_ms = 0

    async with started(venue, tmp_path) as scene:
        await scene.reachable()

        (external,) = [e for e in scene.events() if isinstance(e, OrderExternal)]
        assert external.quantity == 1
        assert OrderFilled not in scene.kinds(external.client_order_id)


# -- the venue's moods -------------------------------------------------------------------------


async def test_refused_log_on_is_told_to_risk_and_tried_again(
    venue: FakeVenue, tmp_path: Path
) -> None:
    subscribe = "userDataStream.subscribe.signature"
    venue.errors[subscribe] = (401, -2015, "Invalid API-key.")

    async with started(venue, tmp_path) as scene:
        await scene.harness.eventually(
            lambda: any(
                isinstance(m, VenueStatus) and "Invalid API-key" in m.reason
                for m in scene.harness.told_to("risk")
            )
        )
        del venue.errors[subscribe]
        await scene.reachable()


async def test_one_lost_answer_keeps_no_other_question_from_being_asked(
    venue: FakeVenue, tmp_path: Path
) -> None:
    subscribe = "userDataStream.subscribe.signature"
    write_log(tmp_path, OPENING)
    venue.mute.add("openOrders.status")

    async with started(venue, tmp_path) as scene:
        await scene.harness.eventually(
            lambda: {"myTrades", "account.status"} <= {m for m, _ in venue.received}
        )
        assert [m for m, _ in venue.received][:2] == ["time", subscribe]
        assert True not in scene.statuses()
        venue.mute.clear()
        await scene.reachable()


async def test_wait_that_the_venue_asks_for_is_kept(venue: FakeVenue, tmp_path: Path) -> None:
    venue.errors["openOrders.status"] = (429, -1003, "Too many requests.")
    venue.error_data = {"serverTime": 1_000, "retryAfter": 1_300}

    async with started(venue, tmp_path) as scene:
        await scene.harness.eventually(
            lambda: "openOrders.status" in [m for m, _ in venue.received]
        )
        began = time.monotonic()
        venue.errors.clear()
        await scene.reachable()

        assert time.monotonic() - began > 0.2


async def test_fills_that_the_venue_lists_late_are_waited_for(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live, venue.list_trades = False, False
        venue.fill("k1", "1")
        venue.report_live = True
        venue.fill("k1", "1")
        asked = [m for m, _ in venue.received].count("myTrades")
        await scene.harness.eventually(
            lambda: [m for m, _ in venue.received].count("myTrades") > asked
        )
        venue.list_trades = True

        await scene.harness.eventually(lambda: scene.kinds().count(OrderFilled) == 2)


async def test_open_order_of_a_symbol_no_longer_configured_does_not_stop_the_rest(
    venue: FakeVenue, tmp_path: Path
) -> None:
    first = initialized(valid_until_ms=now_ms())
    order = msgspec.structs.replace(first.order, symbol="ETH-USDT.SIM")
    write_log(tmp_path, OPENING, msgspec.structs.replace(first, order=order))

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()

        assert scene.kinds() == [OrderUnknown]


async def test_reconciliation_of_a_lost_connection_does_not_count(tmp_path: Path) -> None:
    nobody = FakeVenue()
    nobody.url = "http://127.0.0.1:1"

    async with started(nobody, tmp_path) as scene:
        await scene.harness.deliver(Reconciled(connection=0), NAME)

        assert True not in scene.statuses()


def test_event_that_the_table_refuses_is_not_in_the_log(tmp_path: Path) -> None:
    ledger = OrderLedger.open(
        tmp_path, writer=NAME, venue="SIM", generation=1, durability="process"
    )

    with pytest.raises(OrderTransitionError):
        ledger.record(SUBMITTED)

    ledger.close()
    assert logged(tmp_path) == []


async def test_accepted_order_that_the_venue_forgot_is_kept(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.orders.clear()
        venue.drop()
        await scene.reachable(times=2)

        assert scene.kinds()[-1] is OrderAccepted


async def test_secret_is_in_no_log_and_no_event(
    venue: FakeVenue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "hush-hush-hush")
    venue.errors["order.place"] = (400, -2010, "no")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)

    assert b"hush" not in log_path(tmp_path, NAME).read_bytes()
    assert "hush" not in "".join(capfd.readouterr())


def test_account_report_has_a_log_line_without_an_order() -> None:
    log_order_event(OPENING, None, 1)
