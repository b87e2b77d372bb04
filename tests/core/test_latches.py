"""What halts a symbol, a strategy, a venue or everything, and who lifts it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from krator_actors.core.drawdown import PEAK_STEP, Drawdown
from krator_actors.core.executions import Executions
from krator_actors.core.latches import Latches
from krator_actors.core.market import Market
from krator_actors.core.trading_states import TradingStates
from krator_actors.messages.orders import OrderInitialized, OrderPendingCancel, OrderSubmitted
from krator_actors.messages.risk import EquityPeaked, Scope, TradingStateChanged
from krator_actors.model import NANOS_PER_SEC, TradingState
from tests.core.risk_desk import BTC, ETH, SELL, Desk, limit, order, risk_limits

D = Decimal
SEC = NANOS_PER_SEC
STRATEGY = "strategy:x"
HALTED, REDUCING = TradingState.HALTED, TradingState.REDUCING
SCOPES = ((Scope.SYSTEM, ""), (Scope.VENUE, "SIM"), (Scope.SYMBOL, BTC), (Scope.STRATEGY, STRATEGY))


# -- scopes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scope", "target"), SCOPES)
def test_each_scope_halts_and_reduces_what_it_holds_for(scope: Scope, target: str) -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"})

    desk.latch(REDUCING, scope, target)
    reducing = desk.reason(order()), desk.reason(order(side=SELL))
    desk.latch(HALTED, scope, target)
    halted = desk.reason(order()), desk.reason(order(side=SELL))
    desk.resume(scope, target)

    assert reducing == ("TRADING_REDUCING", "APPROVED")
    assert halted == ("TRADING_HALTED", "TRADING_HALTED")
    assert desk.reason(order()) == "APPROVED"
    assert desk.engine.latches.states.latched == ()


@pytest.mark.parametrize(
    ("scope", "target"),
    [(Scope.VENUE, "NYSE"), (Scope.SYMBOL, ETH), (Scope.STRATEGY, "strategy:y")],
)
def test_halt_of_another_holds_nobody_else_up(scope: Scope, target: str) -> None:
    desk = Desk()

    desk.latch(HALTED, scope, target)

    assert desk.reason(order()) == "APPROVED"


@pytest.mark.parametrize("halted", SCOPES)
@pytest.mark.parametrize("reducing", SCOPES)
def test_strictest_state_wins(halted: tuple[Scope, str], reducing: tuple[Scope, str]) -> None:
    if halted == reducing:
        return
    desk = Desk()

    desk.latch(REDUCING, *reducing)
    desk.latch(HALTED, *halted)

    assert desk.reason(order()) == "TRADING_HALTED"
    desk.resume(*halted)
    assert desk.reason(order()) == "TRADING_REDUCING"


def test_of_two_halts_the_wider_one_gives_the_reason() -> None:
    states = TradingStates("SIM")
    for by, (scope, target) in enumerate(SCOPES):
        states.set(changed(scope, target, by=str(by)))

    governing = states.governing(BTC, STRATEGY)

    assert governing is not None
    assert governing.by == "0"


def changed(scope: Scope, target: str, *, by: str = "ada") -> TradingStateChanged:
    return TradingStateChanged(
        state=HALTED, scope=scope, target=target, by=by, reason="x", ts_event=1
    )


@pytest.mark.parametrize(("scope", "target"), SCOPES)
def test_states_outlive_a_restart(scope: Scope, target: str) -> None:
    desk, restarted = Desk(), Desk(balances={})
    desk.latch(HALTED, scope, target)

    restart(desk, restarted)

    assert restarted.reason(order()) == "TRADING_HALTED"


def restart(desk: Desk, restarted: Desk, later_ns: int = 0) -> None:
    state = desk.engine.state(now_ns=desk.now_ns, utc_ns=desk.utc_ns)
    restarted.engine.restore(state, now_ns=restarted.now_ns, utc_ns=desk.utc_ns + later_ns)


def test_only_open_orders_of_the_scope_are_canceled_and_each_until_it_is_asked_for() -> None:
    desk = Desk()
    btc, eth = limit("99", client_order_id="btc"), limit("99", symbol=ETH, client_order_id="eth")
    for opened in (btc, eth):
        desk.submit(opened)
        desk.engine.absorb(
            OrderInitialized(order=opened, risk_generation=1, request_valid_until_ms=1, ts_event=1)
        )
        desk.engine.absorb(
            OrderSubmitted(client_order_id=opened.client_order_id, symbol=opened.symbol, ts_event=1)
        )

    nothing = desk.engine.to_cancel()
    desk.latch(HALTED, Scope.SYMBOL, BTC, cancels=True)
    of_symbol = [c.client_order_id for c in desk.engine.to_cancel()]
    desk.engine.absorb(OrderPendingCancel(client_order_id="btc", symbol=BTC, ts_event=1))
    asked = desk.engine.to_cancel()
    desk.latch(HALTED, cancels=True)

    assert (nothing, of_symbol, asked) == ([], ["btc"], [])
    assert [c.client_order_id for c in desk.engine.to_cancel()] == ["eth"]


# -- losses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mid", "halts"), [("90.02", False), ("90.00", True), ("89.98", True)])
def test_drawdown_from_the_highest_equity_halts_and_cancels(mid: str, *, halts: bool) -> None:
    """Half of the equity is in BTC: 100 to 120 is a peak of 1,100; a fall to 90 leaves 950."""
    desk = Desk(
        balances={"USDT": "500", "BTC": "5"},
        max_daily_loss_fraction=1,
        max_drawdown_fraction=D(150) / D(1_100),
    )
    desk.due()
    desk.quote("119.99", "120.01")
    assert desk.due() is None

    desk.quote(D(mid) - D("0.01"), D(mid) + D("0.01"))
    event = desk.due()

    if not halts:
        assert event is None
        return
    assert isinstance(event, TradingStateChanged)
    assert (event.state, event.by, event.code, event.cancels) == (HALTED, "risk", "DRAWDOWN", True)
    assert desk.reason(order(side=SELL)) == "DRAWDOWN"
    assert desk.due() is None


def test_resume_after_a_drawdown_measures_anew() -> None:
    desk = Desk(balances={"USDT": "500", "BTC": "5"}, max_drawdown_fraction="0.05")
    desk.due()
    assert desk.due() is None
    desk.quote("89.99", "90.01")
    desk.due()

    resumed = desk.resume()

    assert resumed.peak_base == 950
    assert desk.due() is None


def test_peak_is_written_when_it_is_by_a_step_higher() -> None:
    drawdown = Drawdown(D("0.05"))
    first = drawdown.new_peak(D(1_000), 1)
    drawdown.measure_from(D(1_000))

    assert first == EquityPeaked(equity=D(1_000), ts_event=1)
    assert drawdown.new_peak(D(1_000) * (1 + PEAK_STEP), 1) is None
    assert drawdown.new_peak(D(1_000) * (1 + PEAK_STEP) + D("0.01"), 1) is not None


def test_peak_outlives_a_restart() -> None:
    desk, restarted = Desk(), Desk(balances={})
    desk.due()
    assert desk.due() is None

    restart(desk, restarted)

    assert restarted.engine.latches.drawdown.peak == 100_000


# -- the repeated-execution throttle ---------------------------------------------------------------


def throttled(orders: int, *, apart_ns: int = 0) -> Desk:
    desk = Desk(max_executions=3, executions_secs=10)
    for number in range(orders):
        desk.now_ns += apart_ns
        desk.quote()
        desk.submit(order(f"k{number}", quantity=f"0.1{number}"))
    return desk


def test_strategy_that_has_traded_so_often_is_halted_until_a_person_resumes_it() -> None:
    below, desk = throttled(2), throttled(3)
    halted = desk.due()

    denied = desk.reason(order("k9"))
    desk.now_ns += 60 * SEC
    desk.quote()
    later = desk.reason(order("k9"))
    desk.resume(Scope.STRATEGY, STRATEGY)

    assert below.due() is None or not isinstance(below.due(), TradingStateChanged)
    assert isinstance(halted, TradingStateChanged)
    assert (halted.scope, halted.target, halted.by) == (Scope.STRATEGY, STRATEGY, "risk")
    assert (denied, later) == ("EXECUTION_THROTTLE", "EXECUTION_THROTTLE")
    assert desk.reason(order("k9")) == "APPROVED"
    assert not isinstance(desk.due(), TradingStateChanged)


@pytest.mark.parametrize(("apart_ns", "halts"), [(5 * SEC - 1, True), (5 * SEC, False)])
def test_executions_count_within_their_period(apart_ns: int, *, halts: bool) -> None:
    desk = throttled(3, apart_ns=apart_ns)

    assert isinstance(desk.due(), TradingStateChanged) == halts


def test_throttle_that_was_not_written_yet_is_found_after_a_restart() -> None:
    desk, restarted = throttled(3), Desk(balances={}, max_executions=3, executions_secs=10)

    restart(desk, restarted)

    assert isinstance(restarted.due(), TradingStateChanged)


def test_throttle_that_halted_is_not_halted_again_after_a_restart() -> None:
    desk, restarted = throttled(3), Desk(balances={}, max_executions=3, executions_secs=10)
    desk.due()

    restart(desk, restarted)

    assert restarted.reason(order("k9")) == "EXECUTION_THROTTLE"
    assert not isinstance(restarted.due(), TradingStateChanged)


def test_resume_of_one_strategy_leaves_the_others() -> None:
    executions = Executions(1, 10)
    executions.add("a", 1)
    executions.add("b", 1)

    executions.clear("a")

    assert list(executions.exhausted) == ["b"]


# -- anomalous markets -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mid", "code"),
    [("104.99", None), ("105", None), ("105.01", "PRICE_GAP"), ("94.99", "PRICE_GAP")],
)
def test_jump_of_the_price_halts_the_symbol(mid: str, code: str | None) -> None:
    desk = Desk(max_gap_fraction="0.05")
    desk.due()

    desk.quote(D(mid) - D("0.01"), D(mid) + D("0.01"))
    event = desk.due()

    assert (event.code if isinstance(event, TradingStateChanged) else None) == code
    if code is not None:
        assert desk.reason(order()) == code
        assert desk.reason(order(symbol=ETH)) == "APPROVED"


@pytest.mark.parametrize(("mid", "halts"), [("110", False), ("110.01", True)])
def test_price_that_moves_far_in_a_time_halts_the_symbol(mid: str, *, halts: bool) -> None:
    desk = Desk(max_volatility_fraction="0.1", price_window_secs=20)
    desk.due()
    desk.now_ns += SEC
    desk.quote("104.99", "105.01")
    desk.now_ns += SEC

    desk.quote(D(mid) - D("0.01"), D(mid) + D("0.01"))
    event = desk.due()

    assert isinstance(event, TradingStateChanged) == halts
    if halts:
        assert desk.reason(order()) == "VOLATILITY"


def test_move_over_a_longer_time_is_no_anomaly() -> None:
    desk = Desk(max_volatility_fraction="0.1", price_window_secs=20)
    desk.due()
    for mid in ("105", "110", "115"):
        desk.now_ns += 20 * SEC
        desk.quote(D(mid) - D("0.01"), D(mid) + D("0.01"))

    assert not isinstance(desk.due(), TradingStateChanged)


def test_person_who_lifts_a_breaker_accepts_the_price() -> None:
    desk = Desk(max_gap_fraction="0.05", max_volatility_fraction="0.1")
    desk.due()
    desk.quote("149.99", "150.01")
    desk.due()

    desk.resume(Scope.SYMBOL, BTC)
    desk.quote("150.99", "151.01")

    assert desk.due() is None
    assert desk.reason(order()) == "APPROVED"


def test_market_that_is_halted_is_not_halted_again() -> None:
    desk = Desk(max_gap_fraction="0.05")
    desk.due()
    desk.quote("149.99", "150.01")
    desk.due()

    desk.quote("99.99", "100.01")

    assert desk.due() is None


def test_crossed_quote_is_no_anomaly() -> None:
    desk = Desk(max_gap_fraction="0.05")
    desk.due()

    desk.quote("300", "200")

    assert desk.due() is None


def test_breaker_halts_also_before_risk_has_recovered() -> None:
    desk = Desk(max_gap_fraction="0.05")
    desk.engine.is_recovered = False

    desk.quote("149.99", "150.01")

    assert isinstance(desk.due(), TradingStateChanged)


def test_nothing_is_due_in_new_latches() -> None:
    assert Latches(risk_limits(), "SIM").due_event(None, 1) is None


def test_market_without_a_quote_has_no_price() -> None:
    market = Market(risk_limits().symbols[BTC])

    assert market.last is None
    assert market.mid == 0
    assert not market.is_usable(0)
