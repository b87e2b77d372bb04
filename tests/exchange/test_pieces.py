"""The small pure pieces: numbers, rules, rate limits, signatures, parameters, options."""

from __future__ import annotations

import base64
import dataclasses
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.exchange import fixed, options, params
from krator_actors.exchange.errors import ApiError, ExchangeStartError, OrderRejectedError
from krator_actors.exchange.limits import RateLimits
from krator_actors.exchange.orders import Order, is_reached
from krator_actors.exchange.replay_market import ReplayMarket
from krator_actors.exchange.rules import MAX_OPEN_ORDERS, rules_of
from krator_actors.exchange.signing import Credentials, check_timestamp, payload_of
from krator_actors.model import OrderSide

BTC = rules_of("BTCUSDT")


@given(st.decimals(min_value=0, max_value=10**11, places=8))
def test_number_survives_text(value: Decimal) -> None:
    units = fixed.parse(f"{value:f}")

    assert Decimal(fixed.show(units)) == value
    assert fixed.parse_recorded(fixed.show(units)) == units
    assert fixed.from_decimal(value) == units


def test_negative_number_is_shown_with_its_sign() -> None:
    assert fixed.show(-150_000_000) == "-1.50000000"


@pytest.mark.parametrize("text", ["", "-1", "1e5", " 1", "1.", ".5", "1,5", "nan", "٣", "1" * 21])
def test_text_that_is_no_plain_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="plain decimal number"):
        fixed.parse(text)
    with pytest.raises(ValueError, match="plain decimal number"):
        fixed.parse_recorded(text)


def test_ninth_decimal_is_too_precise_unless_it_is_zero() -> None:
    assert fixed.parse("1.100000000") == 110_000_000
    with pytest.raises(fixed.TooPreciseError):
        fixed.parse("1.000000001")


@pytest.mark.parametrize(
    ("quantity", "market", "name"),
    [
        ("0.000001", False, "LOT_SIZE"),
        ("0.000015", False, "LOT_SIZE"),
        ("9001", False, "LOT_SIZE"),
        ("111", True, "MARKET_LOT_SIZE"),
    ],
)
def test_quantity_off_its_grid_fails_the_filter(quantity: str, name: str, *, market: bool) -> None:
    with pytest.raises(ApiError, match=f"-1013: Filter failure: {name}"):
        BTC.check_quantity(fixed.parse(quantity), market=market)


@pytest.mark.parametrize("price", ["0", "60000.001", "1000000.01"])
def test_price_off_its_grid_fails_the_filter(price: str) -> None:
    with pytest.raises(ApiError, match="PRICE_FILTER"):
        BTC.check_price(fixed.parse(price))


def test_order_of_too_little_value_fails_the_filter() -> None:
    BTC.check_notional(fixed.parse("50000"), fixed.parse("0.0001"), market=True)
    with pytest.raises(ApiError, match="NOTIONAL"):
        BTC.check_notional(fixed.parse("49999.99"), fixed.parse("0.0001"), market=True)


def test_order_of_too_much_value_fails_the_filter_unless_at_market() -> None:
    BTC.check_notional(fixed.parse("60000"), fixed.parse("151"), market=True)
    with pytest.raises(ApiError, match="NOTIONAL"):
        BTC.check_notional(fixed.parse("60000"), fixed.parse("151"), market=False)


def test_price_far_from_the_average_fails_the_filter() -> None:
    average = fixed.parse("60000")
    for price in ("12000", "60000", "300000"):
        BTC.check_band(fixed.parse(price), average)
    for price in ("11999.99", "300000.01"):
        with pytest.raises(ApiError, match="PERCENT_PRICE_BY_SIDE"):
            BTC.check_band(fixed.parse(price), average)
    BTC.check_band(fixed.parse("1"), 0)


@pytest.mark.parametrize(
    ("kind", "side", "reached", "not_reached"),
    [
        ("STOP_LOSS", OrderSide.SELL, 99, 101),
        ("STOP_LOSS_LIMIT", OrderSide.BUY, 101, 99),
        ("TAKE_PROFIT", OrderSide.SELL, 101, 99),
        ("TAKE_PROFIT_LIMIT", OrderSide.BUY, 99, 101),
    ],
)
def test_stop_order_is_reached_from_its_own_side(
    kind: str, side: OrderSide, reached: int, not_reached: int
) -> None:
    assert is_reached(kind, side, 100, reached)
    assert is_reached(kind, side, 100, 100)
    assert not is_reached(kind, side, 100, not_reached)
    assert not is_reached(kind, side, 100, 0)


def test_open_orders_of_a_symbol_have_a_limit() -> None:
    BTC.check_open_orders(MAX_OPEN_ORDERS - 1)
    with pytest.raises(ApiError, match="MAX_NUM_ORDERS"):
        BTC.check_open_orders(MAX_OPEN_ORDERS)


def test_unlisted_symbol_is_told_which_are_listed() -> None:
    with pytest.raises(ExchangeStartError, match="'DOGEUSD' is not listed; listed: BTCUSDT, ETH"):
        rules_of("DOGEUSD")


def test_weight_above_the_limit_is_refused_until_the_next_minute() -> None:
    limits = RateLimits(weight_limit=10, order_limit=5)
    limits.spend(10, now_ms=60_000)

    with pytest.raises(ApiError) as refused:
        limits.spend(1, now_ms=119_999)

    assert (refused.value.code, refused.value.status) == (-1003, 429)
    assert refused.value.data == {"serverTime": 119_999, "retryAfter": 120_000}
    limits.spend(1, now_ms=120_000)
    assert limits.used_weight(120_000) == 1


def test_orders_above_the_limit_are_refused_until_the_next_ten_seconds() -> None:
    limits = RateLimits(weight_limit=10, order_limit=2)
    for _ in range(2):
        limits.spend_order(now_ms=1_000)

    with pytest.raises(ApiError, match="-1015: Too many new orders; current limit is 2 orders"):
        limits.spend_order(now_ms=9_999)

    limits.spend_order(now_ms=10_000)
    counts = [(r["interval"], r.get("count")) for r in limits.listing(10_000, orders=True)]
    assert counts == [("SECOND", 1), ("DAY", 3), ("MINUTE", 0)]


def test_signature_of_binances_own_example_is_right() -> None:
    # the key, the payload and the result are published in Binance's documentation
    key = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
    credentials = Credentials(
        key, secret="NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    )
    request = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "newOrderRespType": "ACK",
        "recvWindow": 100,
        "timestamp": 1645423376532,
        "apiKey": key,
        "signature": "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a",
    }

    credentials.authorize(request, now_ms=1645423376600)

    with pytest.raises(ApiError, match="-1022"):
        credentials.authorize(request | {"price": "52000.01"}, now_ms=1645423376600)
    assert "NhqP" not in repr(credentials)


def test_boolean_is_signed_as_json_prints_it() -> None:
    assert payload_of({"b": True, "a": False, "signature": "x"}) == b"a=false&b=true"


@pytest.mark.parametrize(
    ("request_params", "code"),
    [
        ({"timestamp": 10_000}, None),
        ({"timestamp": "10000"}, None),
        ({"timestamp": 10_999}, None),
        ({"timestamp": 11_000}, -1021),
        ({"timestamp": 5_000}, None),
        ({"timestamp": 4_999}, -1021),
        ({"timestamp": 9_900, "recvWindow": 100}, None),
        ({"timestamp": 9_899, "recvWindow": "100"}, -1021),
        ({"timestamp": 9_000, "recvWindow": 60_001}, -1131),
        ({"timestamp": 9_000, "recvWindow": "soon"}, -1102),
        ({"timestamp": "now"}, -1102),
        ({"timestamp": True}, -1102),
        ({}, -1102),
    ],
)
def test_request_is_valid_within_its_window(request_params: Any, code: int | None) -> None:
    if code is None:
        check_timestamp(request_params, now_ms=10_000)
        return
    with pytest.raises(ApiError) as refused:
        check_timestamp(request_params, now_ms=10_000)
    assert refused.value.code == code


def test_timestamp_may_be_in_microseconds() -> None:
    check_timestamp({"timestamp": 1_700_000_000_000_123}, now_ms=1_700_000_000_000)


@pytest.mark.parametrize(
    ("given_params", "code"),
    [
        ({}, -2015),
        ({"apiKey": "other"}, -2015),
        ({"apiKey": "krator-sim"}, -1102),
        ({"apiKey": "krator-sim", "signature": "00"}, -1022),
    ],
)
def test_request_without_a_valid_key_or_signature_is_refused(
    given_params: dict[str, str], code: int
) -> None:
    credentials = Credentials.load({}, None)

    with pytest.raises(ApiError) as refused:
        credentials.authorize(given_params, now_ms=0)

    assert refused.value.code in {code, -1102}


def test_public_key_must_be_an_ed25519_key(tmp_path: Path) -> None:
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = rsa_key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "rsa.pem").write_bytes(pem)
    (tmp_path / "bad.pem").write_text("no key")

    for name, text in (("rsa.pem", "not an Ed25519"), ("bad.pem", "no public key")):
        with pytest.raises(ExchangeStartError, match=text):
            Credentials.load({}, tmp_path / name)
    with pytest.raises(ExchangeStartError, match="no public key"):
        Credentials.load({}, tmp_path / "absent.pem")


def test_ed25519_secret_of_the_environment_gives_the_public_key() -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )

    credentials = Credentials.load({"KRATOR_VENUE_API_SECRET": pem}, None)

    assert credentials.secret == ""
    signed = {"apiKey": "krator-sim", "timestamp": 1}
    signature = base64.b64encode(key.sign(payload_of(signed))).decode()
    credentials.authorize(signed | {"signature": signature}, now_ms=1)
    for wrong, text in ((pem[:60], "no private key"), (other.decode(), "not an Ed25519")):
        with pytest.raises(ExchangeStartError, match=text):
            Credentials.load({"KRATOR_VENUE_API_SECRET": wrong}, None)


GOOD = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "60000",
    "quantity": "0.01",
}


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"symbol": None}, -1102, "'symbol'"),
        ({"symbol": "btcusdt"}, -1121, "Invalid symbol."),
        ({"side": "LONG"}, -1117, "Invalid side."),
        ({"type": "TRAILING_STOP"}, -1116, "Invalid orderType."),
        ({"timeInForce": None}, -1102, "'timeInForce'"),
        ({"timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
        ({"price": None}, -1102, "'price'"),
        ({"price": "six"}, -1100, "'price'"),
        ({"price": True}, -1102, "'price'"),
        ({"quantity": "0.000000001"}, -1111, "'quantity' has too much precision"),
        ({"quantity": "-1"}, -1100, "'quantity'"),
        ({"quantity": ""}, -1102, "'quantity'"),
        ({"newClientOrderId": "a b"}, -1100, "'newClientOrderId'"),
        ({"newClientOrderId": "x" * 37}, -1100, "'newClientOrderId'"),
        ({"newClientOrderId": ""}, -1102, "'newClientOrderId'"),
        ({"newOrderRespType": "ALL"}, -1130, "'newOrderRespType'"),
        ({"selfTradePreventionMode": "EXPIRE_BOTH"}, -1130, "'selfTradePreventionMode'"),
        ({"quoteOrderQty": "10"}, -2010, "Quote order qty"),
        ({"type": "MARKET"}, -1106, "'timeInForce' sent when not required"),
        ({"type": "MARKET", "timeInForce": None}, -1106, "'price' sent when not required"),
        ({"type": "LIMIT_MAKER"}, -1106, "'timeInForce' sent when not required"),
    ],
)
def test_malformed_order_gets_binances_error(changes: dict[str, Any], code: int, text: str) -> None:
    sent = {name: value for name, value in (GOOD | changes).items() if value is not None}
    market = ReplayMarket(BTC, own_trade_ids=None)  # type: ignore[arg-type]

    with pytest.raises(ApiError) as refused:
        params.place_request(sent, {"BTCUSDT": market}, received_ns=1)

    assert refused.value.code == code
    assert text in refused.value.message


def test_number_is_taken_as_it_is_printed() -> None:
    assert params.amount({"quantity": 0.25}, "quantity") == 25_000_000
    assert params.optional_int({"limit": "7"}, "limit") == 7
    wrongs: tuple[Any, ...] = (True, 1.5, [])
    for wrong in wrongs:
        with pytest.raises(ApiError):
            params.optional_int({"limit": wrong}, "limit")
    with pytest.raises(ApiError, match="-1100"):
        params.optional_int({"limit": "many"}, "limit")
    with pytest.raises(ApiError, match="-1130"):
        params.limit({"limit": 0}, default=5, largest=10)
    assert params.limit({"limit": 11}, default=5, largest=10) == 10


def test_client_order_id_is_made_up_when_none_is_sent() -> None:
    first, second = params.client_id({}, "newClientOrderId"), params.client_id({}, "x")

    assert first != second
    assert len(first) == 22


def test_unknown_parameter_is_counted_in_the_error() -> None:
    with pytest.raises(ApiError, match=r"read '1' parameter\(s\) but was sent '2'"):
        params.refuse_unknown({"symbol": 1, "color": 2}, frozenset({"symbol"}))


def test_engines_refusal_has_the_reports_reason() -> None:
    error = OrderRejectedError("Account has insufficient balance.", reason="INSUFFICIENT_BALANCES")

    assert (error.code, error.reason) == (-2010, "INSUFFICIENT_BALANCES")


def order(side: OrderSide, kind: str) -> Order:
    return Order(
        order_id=1,
        client_order_id="a",
        rules=BTC,
        side=side,
        order_type=kind,
        time_in_force="GTC",
        quantity=fixed.parse("2"),
        price=fixed.parse("100"),
        stop_price=0,
        time_ms=0,
        update_ms=0,
        working_ms=1,
    )


def test_buy_locks_quote_and_sell_locks_base() -> None:
    buy, sell = order(OrderSide.BUY, "LIMIT"), order(OrderSide.SELL, "LIMIT")

    assert (buy.locked_asset, buy.reserve_for(buy.remaining)) == ("USDT", fixed.parse("200"))
    assert (sell.locked_asset, sell.reserve_for(sell.remaining)) == ("BTC", fixed.parse("2"))
    assert order(OrderSide.BUY, "MARKET").reserve_for(1) == 0


def test_only_good_till_canceled_orders_with_a_price_rest() -> None:
    def rests(kind: str, time_in_force: str) -> bool:
        return dataclasses.replace(order(OrderSide.BUY, kind), time_in_force=time_in_force).rests

    assert rests("LIMIT", "GTC")
    assert rests("LIMIT_MAKER", "GTC")
    assert rests("STOP_LOSS_LIMIT", "GTC")
    assert not rests("LIMIT", "IOC")
    assert not rests("MARKET", "GTC")
    assert not rests("STOP_LOSS", "GTC")
    assert order(OrderSide.BUY, "MARKET").limit is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--speed", "0"],
        ["--speed", "nan"],
        ["--symbols", ","],
        ["--quote-balance", "0"],
        ["--quote-balance", "much"],
        ["--fee-rate", "1"],
        ["--fee-rate", "-1"],
        ["--weight-limit", "0"],
        ["--linger", "5"],
        ["--linger", "-1", "--parent-pid", "1"],
        ["--start-at-once"],
        ["--colour", "red"],
    ],
)
def test_wrong_option_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        options.parse(["--data-dir", "x", *arguments])

    assert refused.value.code == 2
    assert "krator exchange: error:" in capsys.readouterr().err


def test_options_have_binances_defaults() -> None:
    given_options = options.parse(["--data-dir", "x"])

    assert given_options.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert given_options.fee_rate == fixed.parse("0.001")
    assert given_options.quote_balance == fixed.parse("100000")
    assert given_options.linger_secs is None
