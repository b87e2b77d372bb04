"""The controls of an order: each at, below and above its limit; the first no stands."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from krator_actors.core import controls
from krator_actors.core.trading_states import OVERRIDABLE, OVERRIDE_LIMIT_SECS, override
from krator_actors.messages.orders import (
    CancelAllOrders,
    CancelOrder,
    ModifyOrder,
    OrderExternal,
    OrderTriggered,
    Unapproved,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import NANOS_PER_SEC, OrderType, TradingState
from tests.core.risk_desk import (
    BTC,
    DAY_NS,
    ETH,
    NOON_NS,
    SELL,
    Desk,
    limit,
    order,
    risk_limits,
)

D = Decimal


# -- who may trade what ----------------------------------------------------------------------------


def test_symbol_without_limits_is_blocked() -> None:
    desk = Desk()
    del desk.engine.markets[BTC]

    assert desk.reason(order()) == "NO_LIMIT"


def test_strategy_trades_only_what_it_may() -> None:
    desk = Desk()

    assert desk.reason(order(strategy="strategy:y")) == "NO_PERMISSION"


def test_restricted_symbol_is_not_traded_not_even_to_get_out() -> None:
    desk = Desk(balances={"USDT": "1000", "BTC": "1"}, restricted_symbols=(BTC,))

    assert desk.reason(order(side=SELL)) == "RESTRICTED_SYMBOL"
    assert desk.reason(limit("100", "0.1", symbol=ETH)) == "APPROVED"


@pytest.mark.parametrize(
    ("minute", "reason"),
    [
        (-1, "OUTSIDE_TRADING_HOURS"),
        (0, "APPROVED"),
        (89, "APPROVED"),
        (90, "OUTSIDE_TRADING_HOURS"),
    ],
)
def test_trading_hours_begin_inclusive_and_end_exclusive(minute: int, reason: str) -> None:
    desk = Desk(trading_hours=("Fri 12:00-Fri 13:30",))  # NOON_NS is a Friday

    desk.utc_ns = NOON_NS + minute * 60 * NANOS_PER_SEC

    assert desk.reason(order()) == reason


def test_no_trading_hours_are_never() -> None:
    assert Desk(trading_hours=()).reason(order()) == "OUTSIDE_TRADING_HOURS"


# -- the price -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("98.00", "APPROVED"),
        ("97.99", "LAST_PRICE_COLLAR"),
        ("102.00", "APPROVED"),
        ("102.01", "LAST_PRICE_COLLAR"),
    ],
)
def test_limit_price_is_near_the_last_trade(price: str, reason: str) -> None:
    desk = Desk(price_collar_fraction=1, last_collar_fraction="0.02")

    assert desk.reason(limit(price)) == reason


def test_nothing_is_bought_before_a_trade_is_known() -> None:
    desk = Desk()
    desk.engine.markets[BTC].last = None

    assert desk.reason(order()) == "LAST_PRICE_COLLAR"


def test_position_is_sold_before_a_trade_is_known() -> None:
    desk = Desk(balances={"USDT": "1000", "BTC": "1"})
    desk.engine.markets[BTC].last = None

    assert desk.reason(order(side=SELL)) == "APPROVED"


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("104.50", "APPROVED"),
        ("104.49", "AVERAGE_PRICE_COLLAR"),
        ("115.50", "APPROVED"),
        ("115.51", "AVERAGE_PRICE_COLLAR"),
    ],
)
def test_limit_price_is_near_the_average_of_a_time(price: str, reason: str) -> None:
    desk = Desk(
        price_collar_fraction=1, average_collar_fraction="0.05", price_window_secs=20, **BIG
    )
    desk.now_ns += NANOS_PER_SEC
    desk.quote("119.99", "120.01")  # the average of 100 and 120 is 110

    assert desk.reason(limit(price)) == reason


BIG: dict[str, Any] = {"max_position_fraction": 1}


def test_average_forgets_what_is_older_than_its_window() -> None:
    desk = Desk(price_collar_fraction=1, average_collar_fraction="0.05", price_window_secs=20)
    desk.now_ns += 20 * NANOS_PER_SEC
    desk.quote("119.99", "120.01")

    assert desk.reason(limit("115.00")) == "APPROVED"
    assert desk.reason(limit("113.99")) == "AVERAGE_PRICE_COLLAR"


def test_denial_carries_the_numbers_that_were_compared() -> None:
    denied = Desk().denial(limit("98.99"))

    assert (denied.reason, denied.value, denied.limit) == ("PRICE_COLLAR", D("98.99"), D("99.00"))


@pytest.mark.parametrize(
    ("submitted", "reason", "value", "bound"),
    [
        (limit("100", "50.001"), "MAX_ORDER_NOTIONAL", "5000.1", "5000"),
        (limit("100", "20.001"), "MAX_POSITION", "2000.1", "2000"),
        (order(side=SELL), "INSUFFICIENT_POSITION", "1", "0"),
        (order(quantity="0.1005"), "LOT_SIZE", "0.1005", "0.001"),
        (limit("99.995"), "TICK_SIZE", "99.995", "0.01"),
        (order(quantity="1000.001"), "QUANTITY_INVALID", "1000.001", "1000"),
    ],
)
def test_each_denial_has_typed_numbers(submitted: Any, reason: str, value: str, bound: str) -> None:
    denied = Desk().denial(submitted)

    assert (denied.reason, denied.value, denied.limit) == (reason, D(value), D(bound))


# -- the size --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "reason"), [("2", "APPROVED"), ("2.001", "MAX_ORDER_QUANTITY")]
)
def test_order_quantity_has_a_maximum(quantity: str, reason: str) -> None:
    assert Desk(max_order_quantity="2").reason(order(quantity=quantity)) == reason


@pytest.mark.parametrize(("quantity", "reason"), [("2", "APPROVED"), ("2.001", "MAX_VOLUME")])
def test_order_is_not_larger_than_a_share_of_the_volume(quantity: str, reason: str) -> None:
    desk = Desk(max_volume_fraction="0.5")
    desk.now_ns += 600 * NANOS_PER_SEC
    desk.traded(volume="1000004", secs=601)
    desk.quote()

    assert desk.reason(limit("100", quantity)) == reason


def test_volume_of_a_new_feed_is_added_to_that_of_the_old_one() -> None:
    desk = Desk()
    desk.now_ns += 600 * NANOS_PER_SEC
    desk.traded(volume="1000003", secs=601)
    desk.traded(volume="2", secs=1)
    desk.quote()

    assert desk.engine.markets[BTC].volumes.volume == 5


def test_first_volume_of_a_long_time_counts_as_its_average() -> None:
    desk = Desk()
    eth = desk.engine.markets[ETH]
    eth.volumes = type(eth.volumes)(300)

    desk.traded(ETH, volume="100", secs=3_000)

    assert eth.volumes.volume == 10


def test_position_is_sold_whatever_the_volume() -> None:
    desk = Desk(balances={"USDT": "1000", "BTC": "5"})
    desk.now_ns += 600 * NANOS_PER_SEC
    desk.traded(volume="1000001", secs=601)
    desk.quote()

    assert desk.reason(limit("100", "5", SELL)) == "APPROVED"


# -- the account -----------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["max_gross_fraction", "max_net_fraction"])
@pytest.mark.parametrize(("quantity", "is_denied"), [("3", False), ("3.001", True)])
def test_exposure_of_all_symbols_has_a_maximum(key: str, quantity: str, *, is_denied: bool) -> None:
    limits: dict[str, Any] = {key: "0.8", **BIG}
    desk = Desk(balances={"USDT": "800", "ETH": "2"}, **limits)
    desk.submit(limit("100", "3", symbol=ETH, client_order_id="open"))

    reason = desk.reason(limit("100", quantity))

    name = "MAX_GROSS_EXPOSURE" if key == "max_gross_fraction" else "MAX_NET_EXPOSURE"
    assert reason == (name if is_denied else "APPROVED")


def test_short_that_the_venue_made_is_gross_and_nets() -> None:
    desk = Desk(balances={"USDT": "1000"}, max_gross_fraction="0.5", **BIG)
    desk.fill(order("external", side=SELL, symbol=ETH), "3")

    assert desk.reason(limit("100", "2")) == "APPROVED"
    assert desk.reason(limit("100", "2.001")) == "MAX_GROSS_EXPOSURE"
    assert desk.engine.portfolio.net_exposure == -300


def test_reduction_passes_while_equity_is_not_known() -> None:
    desk = Desk(balances={"USDT": "1000", "BTC": "1", "ETH": "1"}, quoted=(BTC,))

    assert desk.reason(order()) == "EQUITY_UNKNOWN"
    assert desk.reason(order(side=SELL)) == "APPROVED"


# -- our other orders ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "opened", "reason"),
    [
        (BTC, 1, "APPROVED"),
        (BTC, 2, "MAX_OPEN_ORDERS"),
        (ETH, 2, "APPROVED"),
        (ETH, 3, "MAX_OPEN_ORDERS"),
    ],
)
def test_open_orders_of_a_symbol_and_in_all_have_a_maximum(
    symbol: str, opened: int, reason: str
) -> None:
    desk = Desk(max_symbol_open_orders=3 if opened == 3 else 2, max_open_orders=3)
    for number in range(opened):
        desk.submit(limit("99", f"1.00{number + 1}", client_order_id=f"open{number}"))

    assert desk.reason(limit("99", symbol=symbol)) == reason


@pytest.mark.parametrize(
    ("resting", "submitted", "reason"),
    [
        (limit("99.50"), limit("99.51", "0.5", SELL), "APPROVED"),
        (limit("99.50"), limit("99.50", "0.5", SELL), "SELF_MATCH"),
        (limit("99.50"), limit("99.49", "0.5", SELL), "SELF_MATCH"),
        (limit("99.50"), order(side=SELL, quantity="0.5"), "SELF_MATCH"),
        (order(), limit("100.50", "0.5", SELL), "SELF_MATCH"),
        (limit("100.50", "1", SELL), limit("100.49", "0.5"), "APPROVED"),
        (limit("100.50", "1", SELL), limit("100.50", "0.5"), "SELF_MATCH"),
        (limit("100.50", "1", SELL), order(quantity="0.5"), "SELF_MATCH"),
        (limit("100.50", "1", SELL), limit("100.60", "0.5", SELL), "APPROVED"),
    ],
)
def test_order_never_meets_one_of_our_own(resting: Any, submitted: Any, reason: str) -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "2"})
    first = msgspec.structs.replace(resting, client_order_id="resting")
    assert isinstance(desk.submit(first), OrderApproved)

    assert desk.reason(submitted) == reason


def test_order_that_ended_is_met_by_nothing() -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "2"})
    resting = limit("99.50", client_order_id="resting")
    desk.submit(resting)
    desk.fill(resting, "1")

    assert desk.reason(limit("99.50", "0.5", SELL)) == "APPROVED"


def test_stop_order_is_met_only_after_it_has_triggered() -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "2"})
    stop = order("s1", SELL, order_type=OrderType.STOP_MARKET, stop_price=D("99.50"))
    assert isinstance(desk.submit(stop), OrderApproved)
    before = desk.reason(limit("99.60", client_order_id="k2"))

    desk.engine.absorb(OrderTriggered(client_order_id="s1", symbol=BTC, ts_event=1))

    assert before == "APPROVED"
    assert desk.reason(limit("99.61", client_order_id="k3")) == "SELF_MATCH"


def test_stop_order_is_worth_its_stop_price() -> None:
    desk = Desk(max_order_notional=D("100.10"))
    stop = order("s1", order_type=OrderType.STOP_MARKET, stop_price=D("100.11"))

    assert desk.reason(stop) == "MAX_ORDER_NOTIONAL"
    assert desk.reason(order()) == "APPROVED"


def test_external_order_is_our_own_too() -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "2"})
    desk.engine.absorb(
        OrderExternal(
            client_order_id="web_1",
            venue_order_id="1",
            symbol=BTC,
            side=SELL,
            order_type=OrderType.LIMIT,
            quantity=D(1),
            price=D("100.50"),
            ts_event=1,
        )
    )

    assert desk.reason(limit("100.50")) == "SELF_MATCH"


@pytest.mark.parametrize(
    ("later_ns", "reason"), [(NANOS_PER_SEC - 1, "DUPLICATE_ORDER"), (NANOS_PER_SEC, "APPROVED")]
)
def test_same_order_again_waits(later_ns: int, reason: str) -> None:
    desk = Desk(duplicate_secs=1.0)
    desk.submit(limit("99.50", client_order_id="first"))

    desk.now_ns += later_ns

    assert desk.reason(limit("99.50")) == reason
    assert desk.reason(limit("99.51")) == "APPROVED"
    assert desk.reason(limit("99.50", symbol=ETH)) == "APPROVED"
    assert desk.reason(limit("99.50", post_only=True, client_order_id="maker")) == "APPROVED"


@pytest.mark.parametrize(
    ("key", "reason", "symbol"),
    [
        ("max_symbol_orders_per_sec", "ORDER_RATE", BTC),
        ("max_strategy_orders_per_sec", "ORDER_RATE", ETH),
        ("max_orders_per_sec", "ORDER_RATE", ETH),
        ("max_symbol_messages_per_sec", "MESSAGE_RATE", BTC),
        ("max_strategy_messages_per_sec", "MESSAGE_RATE", ETH),
        ("max_messages_per_sec", "MESSAGE_RATE", ETH),
    ],
)
def test_each_rate_has_a_maximum(key: str, reason: str, symbol: str) -> None:
    limits: dict[str, Any] = {key: 2}
    desk = Desk(**limits)
    desk.submit(order("k1", quantity="0.1"))
    below = desk.reason(order("k3", quantity="0.3", symbol=symbol))
    desk.submit(order("k2", quantity="0.2"))

    at_limit = desk.reason(order("k3", quantity="0.3", symbol=symbol))
    desk.now_ns += NANOS_PER_SEC

    assert (below, at_limit) == ("APPROVED", reason)
    assert desk.reason(order("k3", quantity="0.3", symbol=symbol)) == "APPROVED"


def test_rate_of_a_symbol_leaves_the_other_its_own() -> None:
    desk = Desk(max_symbol_orders_per_sec=1)
    desk.submit(order("k1", quantity="0.1"))

    assert desk.reason(order("k2", quantity="0.2", symbol=ETH)) == "APPROVED"


@pytest.mark.parametrize(
    "message",
    [
        CancelOrder(client_order_id="k0", symbol=BTC, requester="strategy:x"),
        ModifyOrder(client_order_id="k0", symbol=BTC, quantity=D(1), requester="strategy:x"),
    ],
)
def test_what_needs_no_approval_uses_up_the_message_rate(message: Unapproved) -> None:
    desk = Desk(max_symbol_messages_per_sec=2)
    for _ in range(2):
        desk.engine.on_message(message, desk.now_ns)

    assert desk.reason(order()) == "MESSAGE_RATE"


def test_cancel_all_uses_up_the_message_rate_once_for_each_order_that_it_means() -> None:
    desk = Desk(max_symbol_messages_per_sec=4)
    desk.submit(limit("99.50", "0.2", client_order_id="k1"))
    desk.submit(limit("99.51", "0.2", client_order_id="k2"))
    nobodys = CancelAllOrders(strategy="strategy:y", requester="ada")
    desk.engine.on_message(nobodys, desk.now_ns)
    third = desk.reason(limit("99.52", "0.2", client_order_id="k3"))

    desk.engine.on_message(CancelAllOrders(requester="ada"), desk.now_ns)

    assert third == "APPROVED"
    assert desk.reason(limit("99.53", "0.2", client_order_id="k4")) == "MESSAGE_RATE"
    assert desk.reason(limit("99.53", "0.2", symbol=ETH, client_order_id="k5")) == "APPROVED"


# -- fail closed -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["stale", "no quote", "crossed", "feed", "positions", "log"])
def test_without_data_or_room_only_reductions_pass(fault: str) -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"})
    market = desk.engine.markets[BTC]
    match fault:
        case "stale":
            desk.now_ns += 60 * NANOS_PER_SEC
        case "no quote":
            market.quoted_ns = None
        case "crossed":
            desk.quote("101", "100")
        case "feed":
            desk.market_status(BTC, "DISCONNECTED")
        case "positions":
            desk.engine.are_positions_current = False
        case _:
            desk.engine.is_log_full = True

    reasons = {
        "crossed": "CROSSED_MARKET",
        "positions": "POSITIONS_STALE",
        "log": "LOG_FULL",
    }
    assert desk.reason(order()) == reasons.get(fault, "STALE_PRICE")
    assert desk.reason(order(side=SELL, quantity="1")) == "APPROVED"
    assert desk.reason(order(side=SELL, quantity="1.001")) != "APPROVED"


def test_position_is_sold_at_market_before_the_first_quote() -> None:
    desk = Desk(balances={"USDT": "100000", "BTC": "1"}, quoted=(ETH,))

    assert desk.reason(order(side=SELL, quantity="1")) == "APPROVED"
    assert desk.reason(order(side=SELL, quantity="1.001")) == "STALE_PRICE"


# -- a person lets a control pass ------------------------------------------------------------------


def overridden(desk: Desk, control: str, secs: float = 60) -> None:
    desk.record(
        override(control, BTC, secs=secs, by="ada", reason="test", utc_ns=desk.utc_ns),
    )


def test_override_lets_one_control_of_one_symbol_pass_until_it_expires() -> None:
    desk = Desk()
    overridden(desk, "PRICE_COLLAR")

    assert desk.reason(limit("98.50")) == "APPROVED"
    assert desk.reason(limit("98.50", symbol=ETH)) == "PRICE_COLLAR"
    assert desk.reason(limit("98.50", "25")) == "MAX_POSITION"
    desk.utc_ns += 60 * NANOS_PER_SEC - 1
    assert desk.reason(limit("98.50")) == "APPROVED"
    desk.utc_ns += 1
    assert desk.reason(limit("98.50")) == "PRICE_COLLAR"


def test_override_outlives_a_restart_and_ends_in_time() -> None:
    desk, restarted = Desk(), Desk(balances={})
    overridden(desk, "PRICE_COLLAR")
    state = desk.engine.state(now_ns=desk.now_ns, utc_ns=desk.utc_ns)

    restarted.engine.restore(state, now_ns=restarted.now_ns, utc_ns=desk.utc_ns)

    assert restarted.reason(limit("98.50")) == "APPROVED"
    restarted.utc_ns += DAY_NS
    assert restarted.reason(limit("98.50")) == "PRICE_COLLAR"


@pytest.mark.parametrize(
    "wrong",
    [
        {"control": "TRADING_HALTED"},
        {"control": "DAILY_LOSS"},
        {"control": "INSUFFICIENT_CASH"},
        {"secs": 0},
        {"secs": OVERRIDE_LIMIT_SECS + 1},
        {"by": "risk"},
        {"reason": " "},
    ],
)
def test_override_is_named_timed_and_never_of_a_halt(wrong: dict[str, Any]) -> None:
    given = {"control": "PRICE_COLLAR", "secs": 1.0, "by": "ada", "reason": "x", **wrong}

    with pytest.raises(ValueError, match=r"overrid|named person"):
        override(given.pop("control"), BTC, utc_ns=1, **given)


def test_halt_stands_whatever_is_overridden() -> None:
    desk = Desk()
    for control in OVERRIDABLE:
        overridden(desk, control)
    desk.latch(TradingState.HALTED)

    assert desk.reason(order()) == "TRADING_HALTED"


# -- the table -------------------------------------------------------------------------------------


def test_first_no_of_the_table_stands() -> None:
    """Everything is wrong with this order; put right one by one, the next reason shows."""
    desk = Desk(
        balances={"USDT": "10"},
        price_collar_fraction="0.001",
        last_collar_fraction="0.001",
        average_collar_fraction="0.001",
        max_order_notional="100",
        max_order_quantity="1",
        max_volume_fraction="0.0000001",
        max_gross_fraction="0.1",
        max_net_fraction="0.1",
    )
    desk.engine.is_log_full = True
    submitted = limit("98.00", "2")
    reasons = [desk.reason(submitted)]
    desk.engine.is_log_full = False
    for control in (
        "PRICE_COLLAR",
        "LAST_PRICE_COLLAR",
        "AVERAGE_PRICE_COLLAR",
        "MAX_ORDER_NOTIONAL",
        "MAX_ORDER_QUANTITY",
        "MAX_VOLUME",
        "MAX_POSITION",
    ):
        reasons.append(desk.reason(submitted))
        overridden(desk, control)
    reasons.append(desk.reason(submitted))

    assert reasons == [
        "LOG_FULL",
        "PRICE_COLLAR",
        "LAST_PRICE_COLLAR",
        "AVERAGE_PRICE_COLLAR",
        "MAX_ORDER_NOTIONAL",
        "MAX_ORDER_QUANTITY",
        "MAX_VOLUME",
        "MAX_POSITION",
        "MAX_GROSS_EXPOSURE",
    ]


def test_every_section_of_controls_is_asked() -> None:
    sections = {
        name
        for name, value in vars(controls).items()
        if getattr(value, "__annotations__", {}).get("return") == "Iterator[Denial]"
    }

    asked = {section.__name__ for section in controls.SECTIONS}
    assert sections - asked == {"denials", "_form"}


def test_limits_of_a_symbol_are_its_own_keys_and_the_common_ones() -> None:
    limits = risk_limits(
        max_order_notional="5000", symbols={BTC: {"max_order_notional": "10000"}}
    ).symbols

    assert limits[BTC].max_order_notional == 10_000
    assert limits[ETH].max_order_notional == 5_000
    assert limits[BTC].max_order_quantity == limits[ETH].max_order_quantity


# -- the venue's own rules, and orders that may only reduce ----------------------------------------


def test_reduce_only_order_that_would_do_more_is_denied() -> None:
    submitted = msgspec.structs.replace(order(), reduce_only=True)

    assert Desk().reason(submitted) == "REDUCE_ONLY"


def test_order_that_the_venue_would_refuse_is_denied() -> None:
    submitted = msgspec.structs.replace(order(), post_only=True)

    assert Desk().reason(submitted) == "VENUE_RULE"
