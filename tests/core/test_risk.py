"""The risk engine: each rule at, below and above its limit, and what it recovers."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest

from krator_actors.core.portfolio_report import portfolio_report, strategy_state
from krator_actors.core.risk import KNOWN_LIMIT, RiskEngine, RiskState
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.market import Instruments
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderDenied,
    OrderExternal,
    OrderRejected,
    SubmitOrder,
)
from krator_actors.messages.risk import (
    DayStarted,
    DuplicateRefused,
    OrderApproved,
    TradingStateChanged,
)
from krator_actors.messages.strategy import StrategyStateRequest
from krator_actors.model import (
    NANOS_PER_SEC,
    OrderSide,
    OrderStatus,
    OrderType,
    TradingState,
)
from tests.core.risk_desk import (
    BTC,
    BUY,
    DAY_NS,
    ETH,
    NOON_NS,
    SELL,
    Desk,
    instrument,
    limit,
    order,
    risk_limits,
)

D = Decimal


# -- approval ------------------------------------------------------------------------------------


def test_approval_holds_the_numbers_that_were_compared() -> None:
    desk = Desk()

    verdict = desk.submit(order(quantity="2"))

    assert verdict == OrderApproved(
        order=order(quantity="2"),
        reference_price=D("100.01"),
        reserved_notional=D("200.02"),
        position_limit_notional=D(2_000),
        equity=D(100_000),
        mid_price=D(100),
        ts_event=NOON_NS,
    )


def test_market_sell_refers_to_the_bid() -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"})

    verdict = desk.submit(order(side=SELL))

    assert isinstance(verdict, OrderApproved)
    assert verdict.reference_price == D("99.99")


def test_limit_order_refers_to_its_price() -> None:
    verdict = Desk().submit(limit("99.50"))

    assert isinstance(verdict, OrderApproved)
    assert verdict.reference_price == D("99.50")


def test_deciding_changes_nothing() -> None:
    desk = Desk()

    first = desk.engine.decide(order(), now_ns=desk.now_ns, utc_ns=NOON_NS)
    second = desk.engine.decide(order(), now_ns=desk.now_ns, utc_ns=NOON_NS)

    assert first == second
    assert desk.engine.reservations.open_orders() == ()


# -- duplicates ----------------------------------------------------------------------------------


def test_known_id_is_refused_and_the_first_order_stands() -> None:
    desk = Desk()
    desk.submit(order("k1", quantity="1"))

    verdict = desk.submit(order("k1", quantity="2"))

    assert isinstance(verdict, DuplicateRefused)
    (standing,) = desk.engine.reservations.open_orders()
    assert standing.quantity == 1


def test_denied_id_is_never_approved_later() -> None:
    desk = Desk()
    desk.engine.is_recovered = False
    desk.submit(order("k1"))
    desk.engine.is_recovered = True

    assert isinstance(desk.submit(order("k1")), DuplicateRefused)


def test_id_that_the_order_actor_has_is_known() -> None:
    desk = Desk()
    desk.begin(order("k1"))

    assert isinstance(desk.submit(order("k1")), DuplicateRefused)


def test_id_of_a_finished_order_is_known() -> None:
    desk = Desk()
    desk.submit(order("k1"))
    desk.begin(order("k1"))
    desk.fill(order("k1"), "1")

    assert isinstance(desk.submit(order("k1")), DuplicateRefused)


def test_known_ids_are_bounded() -> None:
    desk = Desk()
    for number in range(KNOWN_LIMIT + 1):
        denied = OrderDenied(
            client_order_id=str(number), strategy="", symbol=BTC, reason="", detail="", ts_event=1
        )
        desk.record(denied)

    state = desk.engine.state(now_ns=1, utc_ns=1)

    assert len(state.known) == KNOWN_LIMIT
    assert state.known[-1] == str(KNOWN_LIMIT)


# -- gates ---------------------------------------------------------------------------------------


def test_everything_is_denied_until_recovered() -> None:
    desk = Desk()
    desk.engine.is_recovered = False

    assert desk.reason(order()) == "RISK_RECOVERING"


def test_halted_denies_also_what_reduces() -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"})
    desk.latch(TradingState.HALTED)

    assert desk.reason(order(side=SELL)) == "TRADING_HALTED"
    assert desk.reason(order()) == "TRADING_HALTED"


def test_unreachable_venue_denies() -> None:
    desk = Desk()
    desk.engine.on_venue_status(
        VenueStatus(venue="SIM", reachable=False, reason="CONNECTING", ts_event=1)
    )

    assert desk.reason(order()) == "VENUE_UNREACHABLE"


def test_symbol_that_is_not_configured_is_denied() -> None:
    assert Desk().reason(order(symbol="XRP-USDT.SIM")) == "UNKNOWN_SYMBOL"


def test_symbol_without_trading_rules_is_denied() -> None:
    desk = Desk()
    desk.engine.markets[BTC].instrument = None

    assert desk.reason(order()) == "UNKNOWN_SYMBOL"


def test_instrument_of_another_symbol_is_ignored() -> None:
    desk = Desk()

    desk.engine.on_instruments(Instruments(instruments=(instrument("XRP-USDT.SIM"),)))

    assert set(desk.engine.markets) == {BTC, ETH}


def reducing(desk: Desk) -> str:
    desk.latch(TradingState.REDUCING)
    return "TRADING_REDUCING"


def full_log(desk: Desk) -> str:
    desk.engine.is_log_full = True
    return "LOG_FULL"


@pytest.mark.parametrize("restrict", [reducing, full_log])
@pytest.mark.parametrize(
    ("side", "quantity", "allowed"),
    [(SELL, "0.6", True), (SELL, "0.601", False), (BUY, "0.001", False)],
)
def test_only_reductions_pass_and_open_orders_count(
    restrict: Callable[[Desk], str], side: OrderSide, quantity: str, *, allowed: bool
) -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"})
    desk.submit(limit("100.50", "0.4", SELL, client_order_id="open"))
    reason = restrict(desk)
    desk.engine.markets[BTC].instrument = msgspec.structs.replace(instrument(), min_notional=D(0))

    assert desk.reason(order(side=side, quantity=quantity)) == ("APPROVED" if allowed else reason)


@pytest.mark.parametrize(("quantity", "allowed"), [("0.7", True), ("0.701", False)])
def test_buying_back_what_the_venue_oversold_reduces(quantity: str, *, allowed: bool) -> None:
    desk = Desk()
    desk.fill(order("external", side=SELL), "1")
    desk.submit(limit("99.50", "0.3", client_order_id="open"))
    reason = reducing(desk)

    assert desk.reason(order(quantity=quantity)) == ("APPROVED" if allowed else reason)


# -- the order and its market --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("submitted", "reason"),
    [
        (order(quantity="0"), "QUANTITY_INVALID"),
        (order(quantity="-1"), "QUANTITY_INVALID"),
        (order(quantity="NaN"), "QUANTITY_INVALID"),
        (order(quantity="Infinity"), "QUANTITY_INVALID"),
        (order(quantity="0.0009"), "QUANTITY_INVALID"),
        (order(quantity="0.001", price=D("100")), "MIN_NOTIONAL"),
        (order(quantity="1000"), "MAX_ORDER_NOTIONAL"),
        (order(quantity="1000.001"), "QUANTITY_INVALID"),
        (order(quantity="0.1005"), "LOT_SIZE"),
        (order(quantity="0.101"), "APPROVED"),
        (order(order_type=OrderType.LIMIT), "PRICE_INVALID"),
        (order(order_type=OrderType.MARKET, price=D(100)), "PRICE_INVALID"),
        (limit("0"), "PRICE_INVALID"),
        (limit("NaN"), "PRICE_INVALID"),
        (limit("1E+16"), "PRICE_INVALID"),
        (limit("9E+15"), "PRICE_COLLAR"),
        (limit("99.995"), "TICK_SIZE"),
        (limit("99.99"), "APPROVED"),
        (limit("100", "0.1"), "APPROVED"),
        (limit("100", "0.099"), "MIN_NOTIONAL"),
    ],
)
def test_order_fits_the_trading_rules(submitted: SubmitOrder, reason: str) -> None:
    assert Desk().reason(submitted) == reason


def test_step_of_zero_is_no_rule() -> None:
    desk = Desk()
    free = msgspec.structs.replace(instrument(), lot_size=D(0), tick_size=D(0))
    desk.engine.markets[BTC].instrument = free

    assert desk.reason(limit("99.9999", "0.12345")) == "APPROVED"


@pytest.mark.parametrize(
    ("age_ns", "reason"),
    [(5 * NANOS_PER_SEC, "APPROVED"), (5 * NANOS_PER_SEC + 1, "STALE_PRICE")],
)
def test_quote_ages_by_the_monotonic_clock(age_ns: int, reason: str) -> None:
    desk = Desk()
    desk.now_ns += age_ns

    assert desk.reason(order()) == reason


def test_symbol_that_the_feed_calls_stale_is_denied_until_it_is_fresh() -> None:
    desk = Desk()

    desk.market_status(BTC, "GAP")
    stale = desk.reason(order()), desk.reason(order(symbol=ETH))
    desk.market_status(BTC, "LIVE")

    assert stale == ("STALE_PRICE", "APPROVED")
    assert desk.reason(order()) == "APPROVED"


def test_symbol_is_stale_before_the_feed_has_said_anything() -> None:
    desk = Desk()
    desk.engine.markets[BTC].is_fresh = None

    assert desk.reason(order()) == "STALE_PRICE"


def test_market_data_of_other_symbols_is_ignored() -> None:
    desk = Desk()

    desk.quote(symbol="XRP-USDT.SIM")
    desk.market_status("XRP-USDT.SIM", "GAP")

    assert desk.reason(order()) == "APPROVED"


@pytest.mark.parametrize(("bid", "ask"), [("0", "100"), ("100", "0"), ("NaN", "100")])
def test_quote_with_an_empty_side_is_no_quote(bid: str, ask: str) -> None:
    desk = Desk()

    desk.quote(bid, ask)

    assert desk.reason(order()) == "STALE_PRICE"


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [
        ("100.00", "100.01", "APPROVED"),
        ("100.00", "100.00", "CROSSED_MARKET"),
        ("100.01", "100.00", "CROSSED_MARKET"),
    ],
)
def test_crossed_market_is_denied(bid: str, ask: str, reason: str) -> None:
    desk = Desk()

    desk.quote(bid, ask)

    assert desk.reason(order()) == reason


def test_crossed_quote_does_not_value_positions() -> None:
    desk = Desk(balances={"USDT": "0", "BTC": "1"})

    desk.quote("200", "150")

    assert desk.engine.portfolio.equity == 100


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("99.00", "APPROVED"),
        ("98.99", "PRICE_COLLAR"),
        ("101.00", "APPROVED"),
        ("101.01", "PRICE_COLLAR"),
    ],
)
def test_limit_price_is_within_the_collar(price: str, reason: str) -> None:
    assert Desk().reason(limit(price)) == reason


@pytest.mark.parametrize(
    ("bid", "ask", "reason"),
    [("99", "101", "APPROVED"), ("98.99", "101.01", "PRICE_COLLAR")],
)
def test_touch_of_a_market_order_is_within_the_collar(bid: str, ask: str, reason: str) -> None:
    desk = Desk()

    desk.quote(bid, ask)

    assert desk.reason(order()) == reason


@pytest.mark.parametrize(
    ("quantity", "reason"), [("50", "APPROVED"), ("50.001", "MAX_ORDER_NOTIONAL")]
)
def test_order_notional_has_a_maximum(quantity: str, reason: str) -> None:
    desk = Desk(max_position_fraction=D(1))

    assert desk.reason(limit("100", quantity)) == reason


# -- the account ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "reason"), [("20", "APPROVED"), ("20.001", "MAX_POSITION")])
def test_position_has_a_maximum(quantity: str, reason: str) -> None:
    assert Desk().reason(limit("100", quantity)) == reason


@pytest.mark.parametrize(("quantity", "reason"), [("5", "APPROVED"), ("5.001", "MAX_POSITION")])
def test_position_limit_counts_holding_and_open_buys(quantity: str, reason: str) -> None:
    desk = Desk()
    held, open_buy = order("held", quantity="5"), limit("100", "10", client_order_id="open")
    desk.submit(held)
    desk.fill(held, "5")
    desk.submit(open_buy)

    assert desk.reason(limit("100", quantity)) == reason


def test_position_limit_of_one_symbol_leaves_the_other_its_own() -> None:
    desk = Desk()
    desk.submit(limit("100", "20", client_order_id="btc"))

    assert desk.reason(limit("100", "20", symbol=ETH)) == "APPROVED"


def test_sell_passes_with_a_position_past_its_limit() -> None:
    desk = Desk(balances={"USDT": "0", "BTC": "10"})

    assert desk.reason(order(side=SELL, quantity="10")) == "APPROVED"


@pytest.mark.parametrize(
    ("quantity", "reason"), [("0.6", "APPROVED"), ("0.601", "INSUFFICIENT_POSITION")]
)
def test_what_is_not_held_or_is_being_sold_cannot_be_sold(quantity: str, reason: str) -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"})
    desk.submit(limit("100.50", "0.4", SELL, client_order_id="open"))

    assert desk.reason(order(side=SELL, quantity=quantity)) == reason


@pytest.mark.parametrize(
    ("quantity", "reason"), [("3", "APPROVED"), ("3.001", "INSUFFICIENT_CASH")]
)
def test_cash_is_reserved_by_open_buys_of_all_symbols(quantity: str, reason: str) -> None:
    desk = Desk(balances={"USDT": "1000"}, max_position_fraction=D(1))
    desk.submit(limit("100", "7", symbol=ETH, client_order_id="open"))

    assert desk.reason(limit("100", quantity)) == reason


@pytest.mark.parametrize("side", [BUY, SELL])
def test_nothing_passes_before_the_balances_are_known(side: OrderSide) -> None:
    desk = Desk(balances={})

    assert desk.reason(order(side=side)) == "EQUITY_UNKNOWN"


def test_nothing_passes_while_a_holding_has_no_price() -> None:
    desk = Desk(balances={"USDT": "1000", "ETH": "1"}, quoted=(BTC,))

    unknown = desk.reason(order())
    desk.quote(symbol=ETH)

    assert unknown == "EQUITY_UNKNOWN"
    assert desk.reason(limit("100", "0.1")) == "APPROVED"


def test_tenth_order_of_a_second_passes_and_the_eleventh_does_not() -> None:
    desk = Desk()
    for number in range(9):
        desk.submit(order(f"k{number}", quantity=f"0.10{number}"))

    tenth = desk.submit(order("k9", quantity="0.109"))
    eleventh = desk.reason(order("k10", quantity="0.2"))

    assert isinstance(tenth, OrderApproved)
    assert eleventh == "ORDER_RATE"


@pytest.mark.parametrize(
    ("later_ns", "reason"),
    [(NANOS_PER_SEC - 1, "ORDER_RATE"), (NANOS_PER_SEC, "APPROVED")],
)
def test_rate_window_slides(later_ns: int, reason: str) -> None:
    desk = Desk(max_orders_per_sec=2)
    desk.submit(order("k1", quantity="0.1"))
    desk.now_ns += NANOS_PER_SEC // 2
    desk.submit(order("k2", quantity="0.1"))

    desk.now_ns += later_ns - NANOS_PER_SEC // 2

    assert desk.reason(order("k3", quantity="0.1")) == reason


def test_denied_orders_do_not_use_up_the_rate() -> None:
    desk = Desk(max_orders_per_sec=1)
    desk.submit(order("k1", quantity="0.1005"))

    assert desk.reason(order("k2")) == "APPROVED"


# -- reservations --------------------------------------------------------------------------------


def test_rest_of_a_partly_filled_order_stays_reserved() -> None:
    desk = Desk()
    big = limit("100", "15", client_order_id="big")
    desk.submit(big)
    desk.begin(big)

    desk.fill(big, "5")

    assert desk.engine.reservations.exposure(BTC).buy_quantity == 10
    assert desk.reason(limit("100", "5")) == "APPROVED"
    assert desk.reason(limit("100", "5.001")) == "MAX_POSITION"


def test_rejected_order_is_released_and_comes_back_when_the_venue_works_it() -> None:
    desk = Desk()
    big = limit("100", "20", client_order_id="big")
    desk.submit(big)
    desk.begin(big)

    desk.engine.absorb(
        OrderRejected(client_order_id="big", symbol=BTC, reason="NEVER_ARRIVED", ts_event=1)
    )
    desk.now_ns += 1
    released = desk.reason(limit("100", "20"))
    desk.engine.absorb(
        OrderAccepted(client_order_id="big", venue_order_id="1", symbol=BTC, ts_event=1)
    )

    assert released == "APPROVED"
    assert desk.reason(limit("100", "0.1")) == "MAX_POSITION"


def test_external_order_counts() -> None:
    desk = Desk()

    desk.engine.absorb(
        OrderExternal(
            client_order_id="web_1",
            venue_order_id="1",
            symbol=BTC,
            side=BUY,
            order_type=OrderType.MARKET,
            quantity=D("15"),
            price=None,
            ts_event=1,
        )
    )

    assert desk.engine.reservations.buy_notional == 1500
    assert desk.reason(limit("100", "5")) == "APPROVED"
    assert desk.reason(limit("100", "5.001")) == "MAX_POSITION"


def test_fill_told_twice_releases_once() -> None:
    desk = Desk()
    big = limit("100", "15", client_order_id="big")
    desk.submit(big)

    desk.fill(big, "5", trade_id="1")
    desk.fill(big, "5", trade_id="1")

    assert desk.engine.reservations.exposure(BTC).buy_quantity == 10


def test_approval_that_never_began_is_lost_and_one_that_did_is_not() -> None:
    desk = Desk()
    begun, lost, later = order("begun"), order("lost", quantity="2"), order("later", quantity="3")
    desk.submit(begun)
    desk.begin(begun)
    desk.submit(lost)
    settled = desk.number
    desk.submit(later)

    denied = desk.engine.lost_approvals(settled, (), generation=1, utc_ns=NOON_NS)
    for event in denied:
        desk.record(event)

    assert [(d.client_order_id, d.reason) for d in denied] == [("lost", "LOST_APPROVAL")]
    left = desk.engine.reservations.open_orders()
    assert [o.client_order_id for o in left] == ["begun", "later"]
    assert isinstance(desk.submit(lost), DuplicateRefused)


def test_approval_of_an_earlier_incarnation_is_lost_by_its_restart() -> None:
    desk = Desk()
    desk.submit(order("lost"))

    (denied,) = desk.engine.lost_approvals(desk.number, (), generation=2, utc_ns=NOON_NS)

    assert denied.reason == "RISK_RESTARTED"


def test_approval_that_the_order_actor_has_open_is_not_lost() -> None:
    desk = Desk()
    desk.submit(order("queued"))

    assert (
        desk.engine.lost_approvals(
            desk.number, desk.engine.reservations.open_orders(), generation=1, utc_ns=NOON_NS
        )
        == []
    )


# -- halts and days ------------------------------------------------------------------------------


def test_day_starts_once_with_the_equity_of_then() -> None:
    desk = Desk()

    first, second = desk.due(), desk.due()
    desk.utc_ns = 20_001 * DAY_NS - 1
    before_midnight = desk.due()
    desk.utc_ns += 1
    after_midnight = desk.due()

    assert first == DayStarted(day="2024-10-04", equity=D(100_000), ts_event=NOON_NS)
    assert second is None
    assert before_midnight is None
    assert isinstance(after_midnight, DayStarted)
    assert after_midnight.day == "2024-10-05"


def test_day_does_not_start_again_when_the_clock_goes_back() -> None:
    desk = Desk()
    desk.due()

    desk.utc_ns -= DAY_NS

    assert desk.due() is None


def test_no_day_starts_before_the_portfolio_is_known() -> None:
    unopened, recovering = Desk(balances={}), Desk()
    recovering.engine.is_recovered = False

    assert unopened.due() is None
    assert recovering.due() is None


def losing_desk() -> Desk:
    """Half of 1,000 is in BTC at 100: each 20 % off the price are 10 % off the equity."""
    desk = Desk(balances={"USDT": "500", "BTC": "5"}, max_position_fraction=D(1))
    desk.due()
    return desk


@pytest.mark.parametrize(("mid", "halts"), [("90.02", False), ("90.00", True), ("89.98", True)])
def test_daily_loss_halts_at_its_limit(mid: str, *, halts: bool) -> None:
    desk = losing_desk()

    desk.quote(D(mid) - D("0.01"), D(mid) + D("0.01"))
    event = desk.due()

    if halts:
        assert isinstance(event, TradingStateChanged)
        assert (event.state, event.by) == (TradingState.HALTED, "risk")
        assert desk.reason(order(side=SELL)) == "DAILY_LOSS"
        assert desk.due() is None
    else:
        assert event is None
        assert desk.reason(order(side=SELL)) == "APPROVED"


def test_halt_by_loss_outlives_the_day_and_the_recovery_of_the_price() -> None:
    desk = losing_desk()
    desk.quote("80", "80.01")
    desk.due()

    desk.quote("120", "120.01")
    desk.utc_ns += DAY_NS
    desk.due()

    assert desk.reason(order(side=SELL)) == "DAILY_LOSS"


def test_resume_while_the_loss_is_past_its_limit_measures_anew() -> None:
    desk = losing_desk()
    desk.quote("79.99", "80.01")
    desk.due()

    resumed = desk.resume()
    still = desk.due()
    desk.quote("70.99", "71.01")
    again = desk.due()

    assert resumed.loss_base == 900
    assert still is None
    assert isinstance(again, TradingStateChanged)
    assert again.state is TradingState.HALTED


def test_resume_of_a_manual_halt_leaves_the_day_its_measure() -> None:
    desk = losing_desk()
    desk.quote("94.99", "95.01")
    desk.latch(TradingState.HALTED)

    resumed = desk.resume()

    assert resumed.loss_base is None
    assert desk.engine.latches.daily_loss.base == 1000
    assert desk.reason(order(side=SELL)) == "APPROVED"


@pytest.mark.parametrize("by", ["", "  ", "risk", "Risk", "order:SIM"])
def test_halt_is_lifted_by_a_named_person_only(by: str) -> None:
    with pytest.raises(ValueError, match="named person"):
        Desk().resume(by=by)


def test_account_worth_nothing_has_nothing_to_lose() -> None:
    desk = Desk(balances={"USDT": "0"})

    assert isinstance(desk.due(), DayStarted)
    assert desk.due() is None


# -- recovery ------------------------------------------------------------------------------------


def through_msgpack(state: RiskState) -> RiskState:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=RiskState)


def restarted(desk: Desk) -> Desk:
    """Return a desk whose engine begins from a snapshot of ``desk``'s, taken now."""
    state = desk.engine.state(now_ns=desk.now_ns, utc_ns=desk.utc_ns)
    fresh = Desk(balances={}, duplicate_secs=3.0)
    fresh.engine = RiskEngine(desk.engine.limits, symbols=(BTC, ETH), venue="SIM")
    fresh.engine.restore(through_msgpack(state), now_ns=fresh.now_ns, utc_ns=fresh.utc_ns)
    fresh.resume_market()
    return fresh


def test_duplicate_is_known_after_a_restart_from_a_snapshot() -> None:
    desk = Desk(duplicate_secs=3.0)
    desk.submit(limit("99.50", client_order_id="first"))

    fresh = restarted(desk)
    fresh.now_ns += 2 * NANOS_PER_SEC

    assert fresh.reason(limit("99.50", client_order_id="again")) == "DUPLICATE_ORDER"
    fresh.now_ns += NANOS_PER_SEC
    assert fresh.reason(limit("99.50", client_order_id="again")) == "APPROVED"


def test_rejected_order_that_the_venue_works_is_counted_after_a_restart() -> None:
    desk = Desk()
    desk.submit(order("k1", quantity="3"))
    desk.begin(order("k1", quantity="3"))
    desk.engine.absorb(OrderRejected(client_order_id="k1", symbol=BTC, reason="x", ts_event=1))

    fresh = restarted(desk)
    fresh.engine.absorb(
        OrderAccepted(client_order_id="k1", venue_order_id="1", symbol=BTC, ts_event=2)
    )

    assert fresh.engine.reservations.exposure(BTC).buy_quantity == 3


def test_restored_engine_decides_as_the_first_would_have() -> None:
    desk = Desk(max_orders_per_sec=2)
    desk.due()
    held, opened = limit("100", "5", client_order_id="held"), limit("100", "10")
    for submitted in (held, opened):
        desk.submit(submitted)
        desk.begin(submitted)
    desk.fill(held, "5")
    desk.latch(TradingState.HALTED)

    restored = Desk(balances={}, max_orders_per_sec=2)
    restored.engine = RiskEngine(desk.engine.limits, symbols=(BTC, ETH), venue="SIM")
    state = through_msgpack(desk.engine.state(now_ns=desk.now_ns, utc_ns=desk.utc_ns))
    restored.now_ns = 5 * NANOS_PER_SEC
    restored.engine.restore(state, now_ns=restored.now_ns, utc_ns=NOON_NS + NANOS_PER_SEC // 2)

    engine = restored.engine
    assert engine.reservations.open_orders() == desk.engine.reservations.open_orders()
    assert engine.portfolio.equity == desk.engine.portfolio.equity
    assert engine.latches.daily_loss.start_equity == 100_000
    (latched,) = engine.latches.states.latched
    assert (latched.state, latched.by) == (TradingState.HALTED, "ada")
    assert (engine.approved, engine.denied) == (2, 0)
    assert isinstance(restored.submit(held), DuplicateRefused)
    sent = engine.state(now_ns=restored.now_ns, utc_ns=1).sent
    assert [s.age_ns for s in sent] == [500_000_000] * 2


def test_state_before_the_first_day_is_restored() -> None:
    desk = Desk()
    fresh = RiskEngine(risk_limits(), symbols=(BTC,), venue="SIM")

    fresh.restore(desk.engine.state(now_ns=1, utc_ns=1), now_ns=1, utc_ns=1)

    assert fresh.latches.daily_loss.base is None


def test_symbols_share_one_quote_currency() -> None:
    with pytest.raises(ValueError, match=r"one quote currency.*BTC.*USDT"):
        RiskEngine(risk_limits(), symbols=(BTC, "ETH-BTC.SIM"), venue="SIM")


# -- reports -------------------------------------------------------------------------------------


def test_portfolio_report_says_what_is_held_reserved_and_owned() -> None:
    desk = Desk(balances={"USDT": "100000", "BNB": "3"})
    desk.due()
    held = limit("100", "5", client_order_id="held")
    desk.submit(held)
    desk.fill(held, "2", "100")
    desk.quote("109.99", "110.01")

    report = portfolio_report(desk.engine, NOON_NS)

    btc, eth, bnb = report.positions
    assert (btc.quantity, btc.average_price, btc.mark_price) == (D(2), D(100), D(110))
    assert (btc.unrealized_pnl, btc.reserved_buy, btc.reserved_sell) == (D(20), D(3), D(0))
    assert (eth.symbol, eth.quantity) == (ETH, D(0))
    assert (bnb.symbol, bnb.quantity, bnb.mark_price) == ("BNB-USDT.SIM", D(3), None)
    assert (report.cash, report.equity) == (D(99_800), D(100_020))
    assert report.day_start_equity == 100_000
    assert (report.orders_approved, report.orders_denied, report.fills) == (1, 0, 1)
    assert report.open_orders[0].status is OrderStatus.PARTIALLY_FILLED


def test_portfolio_report_before_anything_is_known() -> None:
    report = portfolio_report(RiskEngine(risk_limits(), symbols=(BTC,), venue="SIM"), NOON_NS)

    assert not report.recovered
    assert (report.equity, report.day_start_equity) == (D(0), D(0))


def test_strategy_state_is_that_of_its_symbol() -> None:
    desk = Desk()
    desk.submit(order("btc"))
    desk.submit(order("eth", symbol=ETH))

    state = strategy_state(desk.engine, StrategyStateRequest(strategy="strategy:x", symbol=BTC))

    assert state.instrument == instrument(BTC)
    assert [o.client_order_id for o in state.open_orders] == ["btc"]
    assert state.position == 0
    assert state.equity == 100_000


def test_strategy_state_of_an_unknown_symbol_has_no_instrument() -> None:
    request = StrategyStateRequest(strategy="strategy:x", symbol="XRP-USDT.SIM")

    assert strategy_state(Desk().engine, request).instrument is None
