"""The order actor: what it sends, what it refuses, and what it tells."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from krator_actors.config import ConfigError
from krator_actors.core import order_rules
from krator_actors.messages.handshake import (
    OrderActorStarted,
    OrdersSynced,
    SyncOrders,
    VenueStatus,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEventTold,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderRejected,
    OrderSubmitted,
    OrderUnknown,
    PlaceOrder,
)
from krator_actors.model import OrderSide
from krator_actors.venue_errors import VenueUnavailableError
from tests.actors.order_scene import (
    NAME,
    OPENING,
    STRATEGY,
    SYMBOL,
    FakeVenue,
    buy,
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


# -- start -------------------------------------------------------------------------------------


async def test_first_record_is_the_opening_account(venue: FakeVenue, tmp_path: Path) -> None:
    venue.place("web-1")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()

    first, second = logged(tmp_path)
    assert isinstance(first, AccountReport)
    assert first.balances == {"USDT": Decimal(100_000)}
    assert isinstance(second, OrderExternal)


async def test_start_tells_risk_before_the_venue_is_there(tmp_path: Path) -> None:
    nobody = FakeVenue()
    nobody.url = "http://127.0.0.1:1"

    async with started(nobody, tmp_path) as scene:
        assert isinstance(scene.harness.told_to("risk")[0], OrderActorStarted)


async def test_same_balances_are_logged_once(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()
        venue.balances["USDT"] = "99000"
        venue.drop()
        await scene.reachable(times=2)

    assert [type(e) for e in logged(tmp_path)] == [AccountReport, AccountReport]


async def test_real_venue_without_keys_does_not_start(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KRATOR_VENUE_API_KEY", raising=False)

    with pytest.raises(ConfigError, match="KRATOR_VENUE_API_KEY"):
        async with started(venue, tmp_path, kind="binance"):
            pass


# -- the life of an order ----------------------------------------------------------------------


async def test_order_is_logged_sent_accepted_and_filled(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.fill("k1", "2")
        await scene.until(OrderFilled)

        assert scene.kinds() == [OrderInitialized, OrderSubmitted, OrderAccepted, OrderFilled]
        assert [m.event for m in scene.harness.told_to(STRATEGY)] == scene.events()[1:]  # type: ignore[attr-defined]
        assert scene.harness.told_to("journal")[0] == LogGrew(writer=NAME)
    params = next(p for m, p in venue.received if m == "order.place")
    first = next(e for e in logged(tmp_path) if isinstance(e, OrderInitialized))
    assert first.request_valid_until_ms == params["timestamp"] + 200


async def test_numbers_told_to_risk_are_gapless(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)

        told = [m for m in scene.harness.told_to("risk") if isinstance(m, OrderEventTold)]

        assert [m.number for m in told] == list(range(1, len(told) + 1))


async def test_fill_told_twice_by_answer_and_stream_counts_once(
    venue: FakeVenue, tmp_path: Path
) -> None:
    venue.fill_at_once = True

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.place("k2")
        await scene.until(OrderFilled, "k2")

        assert scene.kinds().count(OrderFilled) == 1


async def test_placing_does_not_wait_for_the_venue(venue: FakeVenue, tmp_path: Path) -> None:
    venue.mute, venue.report_live = {"order.place"}, False

    async with started(venue, tmp_path, request_timeout_secs=30.0) as scene:
        await scene.reachable()
        for number in range(20):
            await scene.place(f"k{number}")

        await scene.harness.eventually(lambda: len(venue.placed()) == 20)
        state = scene.harness.actor.describe_state()
        assert state["reachable"] is True
        assert state["open_orders"] == {"SUBMITTED": 20}
        assert "k19" not in str(state)


async def test_venue_refusal_rejects_the_order(venue: FakeVenue, tmp_path: Path) -> None:
    venue.errors["order.place"] = (400, -2010, "Account has insufficient balance.")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)


async def test_rate_limited_order_did_not_happen(venue: FakeVenue, tmp_path: Path) -> None:
    venue.errors["order.place"] = (429, -1015, "Too many new orders.")

    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderRejected)


async def test_clock_is_measured_again_when_the_venue_disagrees(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        measured = [m for m, _ in venue.received].count("time")
        venue.errors["order.place"] = (400, -1021, "Timestamp outside of the recvWindow.")

        await scene.place()
        await scene.until(OrderRejected)

        await scene.harness.eventually(
            lambda: [m for m, _ in venue.received].count("time") > measured
        )


async def test_order_is_canceled_on_request(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        await scene.cancel()
        await scene.until(OrderCanceled)
        await scene.cancel()
        await scene.cancel("nobody")

        assert scene.kinds()[-2:] == [OrderPendingCancel, OrderCanceled]


async def test_cancel_that_came_too_late_finds_the_fill(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.report_live = False
        venue.fill("k1", "2")
        venue.errors["order.cancel"] = (400, -2011, "Unknown order sent.")

        await scene.cancel()

        await scene.until(OrderFilled)


# -- what is not sent --------------------------------------------------------------------------


async def test_duplicate_order_sends_nothing_and_tells_the_latest_event_again(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        before = scene.harness.told_to(STRATEGY)

        await scene.place()

        assert scene.harness.told_to(STRATEGY) == [*before, before[-1]]
        assert venue.placed() == ["k1"]


async def test_order_while_disconnected_is_denied(tmp_path: Path) -> None:
    nobody = FakeVenue()
    nobody.url = "http://127.0.0.1:1"

    async with started(nobody, tmp_path) as scene:
        await scene.place()

        *_, first, second = scene.events()
        assert isinstance(first, OrderInitialized)
        assert isinstance(second, OrderDenied)
        assert second.reason == "VENUE_UNREACHABLE"
        assert first.request_valid_until_ms == order_rules.NEVER_SENT


async def test_order_beyond_the_venues_limits_is_denied_and_a_cancel_is_not(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        # Binance's own window, until it tells another: 100 orders in ten seconds.
        for number in range(250):
            await scene.place(f"k{number}")
            if isinstance(scene.events()[-1], OrderDenied):
                break
        await scene.until(OrderAccepted, "k0")
        await scene.cancel("k0")

        await scene.until(OrderCanceled, "k0")
        denied = [event for event in scene.events() if isinstance(event, OrderDenied)]
        assert {event.reason for event in denied} == {"VENUE_RATE_LIMIT"}
        assert not {event.client_order_id for event in denied} & set(venue.placed())
        assert all(scene.statuses())


async def test_key_that_may_withdraw_is_never_used(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_KEY", "key")
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "secret")
    venue.withdrawals = True

    async with started(venue, tmp_path, kind="binance", dry_run=False) as scene:
        told = scene.harness.told_to
        await scene.harness.eventually(
            lambda: any(
                isinstance(m, VenueStatus) and m.reason.startswith("KEY_CAN_WITHDRAW")
                for m in told("risk")
            )
        )
        await scene.place()

        denied = scene.events()[-1]
        assert isinstance(denied, OrderDenied)
        assert denied.reason == "VENUE_UNREACHABLE"
    assert venue.received == []


async def test_dry_run_sends_no_order_to_a_real_venue(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_KEY", "key")
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "secret")
    pending = OrderPendingCancel(client_order_id="k0", symbol=SYMBOL, ts_event=1)
    write_log(
        tmp_path, OPENING, initialized("k0", valid_until_ms=now_ms()), pending_unknown(), pending
    )
    venue.place("k0")

    async with started(venue, tmp_path, kind="binance") as scene:
        await scene.reachable()
        await scene.place()
        await scene.cancel("k0")

        denied = scene.events()[-1]
        assert isinstance(denied, OrderDenied)
        assert denied.reason == "DRY_RUN"
    assert not {"order.place", "order.cancel"} & {method for method, _ in venue.received}


def pending_unknown() -> OrderUnknown:
    return OrderUnknown(client_order_id="k0", symbol=SYMBOL, reason="R", ts_event=1)


async def test_approval_of_an_older_risk_is_denied(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=0), "risk")

        await scene.place(risk_generation=1)

        denied = scene.events()[-1]
        assert isinstance(denied, OrderDenied)
        assert denied.reason == "RISK_RESTARTED"
    assert venue.placed() == []


async def test_order_that_did_not_come_from_risk_is_not_sent(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()

        await scene.harness.deliver(PlaceOrder(order=buy("k1"), risk_generation=1), STRATEGY)

        assert scene.kinds() == []


async def test_cancel_while_disconnected_goes_out_after_the_reconnect(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(
        venue, tmp_path, reconnect_initial_secs=0.3, reconnect_max_secs=0.3
    ) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.drop()
        await scene.harness.eventually(lambda: not scene.statuses()[-1])

        await scene.cancel()

        await scene.until(OrderCanceled)
        assert scene.kinds()[-2:] == [OrderPendingCancel, OrderCanceled]


async def test_order_that_the_connection_cannot_take_is_denied(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()

        def refuse(_: object) -> None:
            raise VenueUnavailableError("the venue has stopped reading")

        monkeypatch.setattr(scene.harness.actor._client._session, "send", refuse)
        await scene.place()

        assert scene.kinds() == [OrderInitialized, OrderDenied]


async def test_order_doubled_at_the_venue_is_external(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        venue.place("k1")

        await scene.until(OrderExternal, f"external-{SYMBOL}-2")


async def test_trade_between_two_of_our_orders_is_two_fills(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place("k1")
        await scene.place("k2", side=OrderSide.SELL)
        await scene.until(OrderAccepted, "k2")
        venue.report_live = False
        trade = venue.fill("k1", "2")
        venue.fill("k2", "2")["id"] = trade["id"]
        venue.drop()

        await scene.until(OrderFilled, "k1")
        await scene.until(OrderFilled, "k2")


# -- the handshake -----------------------------------------------------------------------------


async def test_sync_tells_everything_after_the_watermark_then_synced(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place()
        await scene.until(OrderAccepted)
        already = len(scene.harness.told)

        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=1), "risk")

        *told, synced, status = [m for _, m in scene.harness.told[already:]]
        assert [m.number for m in told] == [2, 3, 4]  # type: ignore[attr-defined]
        assert isinstance(synced, OrdersSynced)
        assert (synced.number, synced.risk_generation) == (4, 2)
        assert [o.client_order_id for o in synced.open_orders] == ["k1"]
        assert isinstance(status, VenueStatus)


async def test_sync_of_an_older_risk_is_ignored(venue: FakeVenue, tmp_path: Path) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=0), "risk")
        already = len(scene.harness.told)

        await scene.harness.deliver(SyncOrders(risk_generation=1, watermark=0), "risk")

        assert len(scene.harness.told) == already
