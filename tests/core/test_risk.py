"""The risk engine: what it approves, what it has seen before, and what shuts its gates."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from krator_actors.core.risk import KNOWN_LIMIT, RiskEngine
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.market import Instruments
from krator_actors.messages.orders import (
    OrderDenied,
)
from krator_actors.messages.risk import (
    DuplicateRefused,
    OrderApproved,
)
from krator_actors.model import (
    OrderSide,
    TradingState,
)
from tests.core.risk_desk import (
    BTC,
    BUY,
    ETH,
    NOON_NS,
    SELL,
    D,
    Desk,
    instrument,
    limit,
    order,
    risk_limits,
)


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


def test_symbols_share_one_quote_currency() -> None:
    with pytest.raises(ValueError, match=r"one quote currency.*BTC.*USDT"):
        RiskEngine(risk_limits(), symbols=(BTC, "ETH-BTC.SIM"), venue="SIM")
