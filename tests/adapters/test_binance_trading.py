"""Requests, signatures, answers and events of Binance's WebSocket API for spot."""

from __future__ import annotations

import base64
import contextlib
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.binance_errors import error_of
from krator_actors.adapters.binance_reports import (
    Answer,
    BinanceReports,
    Execution,
    MalformedFrameError,
    StreamEnded,
    venue_symbol_of,
)
from krator_actors.adapters.binance_trading import BinanceTrading
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderStatus, OrderType, TimeInForce
from krator_actors.venue_errors import (
    OutcomeUnknownError,
    VenueError,
    VenueRefusedError,
    VenueUnavailableError,
)

DATA = Path(os.environ.get("KRATOR_TEST_DATA", Path(__file__).parents[3] / "shared/data"))
BINANCE = DATA / "protocol/binance"
SYMBOL = "BTC-USDT.BINANCE"

# The example of web-socket-api.md, "SIGNED request example (HMAC)".
DOCUMENTED_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
DOCUMENTED_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"


def order(**changes: Any) -> SubmitOrder:
    made = SubmitOrder(
        client_order_id="k1",
        strategy="strategy:x",
        symbol=SYMBOL,
        side=OrderSide.SELL,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=Decimal("5.2E+4"),
        time_in_force=TimeInForce.IOC,
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )
    return msgspec.structs.replace(made, **changes)


def requests(secret: str = "secret") -> BinanceTrading:
    return BinanceTrading(api_key="key", secret=secret, recv_window_ms=5_000)


def reports(*symbols: str) -> BinanceReports:
    return BinanceReports(symbols or (SYMBOL,))


def frame(**content: Any) -> str:
    return json.dumps(content)


def result(content: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(content).encode())


PLACED = {
    "symbol": "BTCUSDT",
    "orderId": 12510053279,
    "orderListId": -1,
    "clientOrderId": "k1",
    "transactTime": 1655716096505,
    "price": "0.00000000",
    "origQty": "0.00847000",
    "executedQty": "0.00847000",
    "cummulativeQuoteQty": "198.33521500",
    "status": "FILLED",
    "timeInForce": "GTC",
    "type": "MARKET",
    "side": "SELL",
    "fills": [
        {
            "price": "23416.10000000",
            "qty": "0.00635000",
            "commission": "0.000000",
            "commissionAsset": "BNB",
            "tradeId": 1650422481,
        },
        {
            "price": "23416.50000000",
            "qty": "0.00212000",
            "commission": "0.10000000",
            "commissionAsset": "USDT",
            "tradeId": 1650422482,
        },
    ],
}
EXECUTION = {
    "e": "executionReport",
    "E": 1499405658658,
    "s": "BTCUSDT",
    "c": "k1",
    "S": "BUY",
    "o": "LIMIT",
    "f": "GTC",
    "q": "1.00000000",
    "p": "0.10264410",
    "C": "",
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "r": "NONE",
    "i": 4293153,
    "l": "0.40000000",
    "z": "0.60000000",
    "L": "0.10264400",
    "n": "0.00040000",
    "N": "BTC",
    "T": 1499405658657,
    "t": 77,
}


# -- requests ----------------------------------------------------------------------------------


def test_hmac_signature_is_the_documented_one() -> None:
    documented = BinanceTrading(
        api_key=DOCUMENTED_KEY, secret=DOCUMENTED_SECRET, recv_window_ms=100
    )
    params: dict[str, str | int] = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "newOrderRespType": "ACK",
    }

    request = documented._signed("order.place", params, 1645423376532)

    assert request.params["signature"] == (
        "cc15477742bd704c29492d96c7ead9414dfd8e0ec4a00f947bb5bb454ddbd08a"
    )


def test_ed25519_signature_verifies() -> None:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    params = dict(requests(pem).account(timestamp_ms=1).params)

    signature = base64.b64decode(str(params.pop("signature")))
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    key.public_key().verify(signature, payload.encode())


def test_key_of_another_kind_is_refused() -> None:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    with pytest.raises(ValueError, match="not an Ed25519 key"):
        requests(pem)


def test_limit_order_has_plain_numbers_and_all_fields() -> None:
    params = requests().place(order(), timestamp_ms=1_000).params

    del params["signature"]
    assert params == {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "quantity": "0.01",
        "price": "52000",
        "timeInForce": "IOC",
        "newClientOrderId": "k1",
        "newOrderRespType": "FULL",
        "recvWindow": 5_000,
        "timestamp": 1_000,
        "apiKey": "key",
    }


def test_market_order_has_neither_price_nor_time_in_force() -> None:
    made = requests().place(order(order_type=OrderType.MARKET, price=None), timestamp_ms=1)

    assert not {"price", "timeInForce"} & made.params.keys()


def test_limit_order_without_price_is_an_error() -> None:
    with pytest.raises(ValueError, match="k1 has no price"):
        requests().place(order(price=None), timestamp_ms=1)


def test_venue_order_id_is_preferred_to_the_client_order_id() -> None:
    known = requests().cancel(SYMBOL, venue_order_id="7", client_order_id="k1", timestamp_ms=1)
    unknown = requests().order_status(
        SYMBOL, venue_order_id="", client_order_id="k1", timestamp_ms=1
    )

    assert (known.params["orderId"], "origClientOrderId" in known.params) == (7, False)
    assert (unknown.params["origClientOrderId"], "orderId" in unknown.params) == ("k1", False)


def test_trades_are_asked_for_by_order_or_from_an_id() -> None:
    by_order = requests().trades(SYMBOL, venue_order_id="7", timestamp_ms=1).params
    from_id = requests().trades(SYMBOL, from_id="9", timestamp_ms=1).params

    assert by_order["orderId"] == 7
    assert from_id["fromId"] == 9


def test_unsigned_request_carries_no_params() -> None:
    encoded = json.loads(requests().encode("1", requests().time()))

    assert encoded == {"id": "1", "method": "time"}


def test_subscription_and_open_orders_are_signed() -> None:
    assert "signature" in requests().subscribe(timestamp_ms=1).params
    assert requests().open_orders(SYMBOL, timestamp_ms=1).params["symbol"] == "BTCUSDT"


def test_venue_symbol_has_no_dash_and_no_venue() -> None:
    assert venue_symbol_of("BTC-USDT.SIM") == "BTCUSDT"


# -- answers -----------------------------------------------------------------------------------


def test_placed_order_is_read_with_its_fills() -> None:
    answer = reports().decode(frame(id="1", status=200, result=PLACED))

    assert isinstance(answer, Answer)
    assert isinstance(answer.result, msgspec.Raw)
    report, fills = reports().read_order(answer.result)
    assert (report.status, report.filled, report.price) == (
        OrderStatus.FILLED,
        Decimal("0.00847"),
        None,
    )
    assert report.ts_event == 1655716096505 * 1_000_000
    assert [(f.trade_id, f.fee, f.fee_currency) for f in fills] == [
        ("1650422481", Decimal(0), "BNB"),
        ("1650422482", Decimal("0.1"), "USDT"),
    ]


def test_answer_to_a_cancel_names_the_order_that_was_canceled() -> None:
    canceled = {**PLACED, "clientOrderId": "cancel-9", "origClientOrderId": "k1", "fills": []}

    report, _ = reports().read_order(result(canceled | {"status": "CANCELED"}))

    assert (report.client_order_id, report.status) == ("k1", OrderStatus.CANCELED)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("NEW", OrderStatus.ACCEPTED),
        ("PARTIALLY_FILLED", OrderStatus.PARTIALLY_FILLED),
        ("EXPIRED_IN_MATCH", OrderStatus.EXPIRED),
        ("REJECTED", OrderStatus.REJECTED),
    ],
)
def test_venue_status_becomes_ours(status: str, expected: OrderStatus) -> None:
    report, _ = reports().read_order(result(PLACED | {"status": status}))

    assert report.status is expected


def test_foreign_order_types_are_ours_by_price_and_trigger() -> None:
    opened = [PLACED | {"type": kind} for kind in ("LIMIT_MAKER", "STOP_LOSS_LIMIT", "STOP_LOSS")]

    read = reports().read_open_orders(result(opened))

    assert [r.order_type for r in read] == [
        OrderType.LIMIT,
        OrderType.STOP_LIMIT,
        OrderType.STOP_MARKET,
    ]


def test_trades_are_read() -> None:
    (fill,) = reports().read_trades(
        result(
            [
                {
                    "symbol": "BTCUSDT",
                    "id": 1650422481,
                    "orderId": 12510053279,
                    "price": "23416.50000000",
                    "qty": "0.00212000",
                    "quoteQty": "49.64298000",
                    "commission": "0.00000212",
                    "commissionAsset": "BTC",
                    "time": 1655716096505,
                    "isBuyer": True,
                    "isMaker": False,
                    "isBestMatch": True,
                }
            ]
        )
    )

    assert (fill.side, fill.fee_currency, fill.trade_id) == (OrderSide.BUY, "BTC", "1650422481")


def test_balances_are_totals_without_empty_ones() -> None:
    balances = reports().read_balances(
        result(
            {
                "makerCommission": 15,
                "balances": [
                    {"asset": "USDT", "free": "1021.21", "locked": "8.79"},
                    {"asset": "BNB", "free": "0.000", "locked": "0.000"},
                ],
            }
        )
    )

    assert balances == {"USDT": Decimal(1030)}


def test_time_is_read() -> None:
    assert reports().read_time(result({"serverTime": 1656400526260})) == 1656400526260


# -- events ------------------------------------------------------------------------------------


def test_trade_event_is_a_report_and_a_fill() -> None:
    execution = reports().decode(frame(subscriptionId=0, event=EXECUTION))

    assert isinstance(execution, Execution)
    assert execution.fill is not None
    assert (execution.report.filled, execution.report.status) == (
        Decimal("0.6"),
        OrderStatus.PARTIALLY_FILLED,
    )
    assert (execution.fill.quantity, execution.fill.trade_id) == (Decimal("0.4"), "77")
    assert execution.fill.ts_event == 1499405658657 * 1_000_000


def test_cancel_event_names_the_order_that_was_canceled() -> None:
    event = EXECUTION | {"x": "CANCELED", "X": "CANCELED", "c": "cancel-9", "C": "k1", "t": -1}

    execution = reports().decode(frame(event=event))

    assert isinstance(execution, Execution)
    assert (execution.report.client_order_id, execution.fill) == ("k1", None)


def test_rejection_event_has_its_reason() -> None:
    event = EXECUTION | {"x": "REJECTED", "X": "REJECTED", "r": "INSUFFICIENT_BALANCES", "t": -1}

    execution = reports().decode(frame(event=event))

    assert isinstance(execution, Execution)
    assert execution.report.reason == "INSUFFICIENT_BALANCES"


@pytest.mark.parametrize(
    "event", [{"e": "outboundAccountPosition"}, {"e": "balanceUpdate"}, EXECUTION | {"s": "XRPETH"}]
)
def test_event_of_no_concern_is_nothing(event: dict[str, Any]) -> None:
    assert reports().decode(frame(event=event)) is None


def test_end_of_the_user_stream_is_told() -> None:
    ended = reports().decode(frame(event={"e": "eventStreamTerminated", "E": 1}))

    assert isinstance(ended, StreamEnded)


# -- what is not as documented -----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"event":{}}',
        '{"event":{"e":"executionReport"}}',
        frame(event=EXECUTION | {"q": "NaN"}),
        frame(event=EXECUTION | {"q": "-1"}),
        frame(event=EXECUTION | {"T": -5}),
        frame(event=EXECUTION | {"X": "DREAMING"}),
    ],
)
def test_undocumented_frame_is_malformed(text: str) -> None:
    with pytest.raises(MalformedFrameError):
        reports().decode(text)


def test_order_of_a_symbol_nobody_asked_for_is_malformed() -> None:
    with pytest.raises(MalformedFrameError, match="XRPETH"):
        reports().read_order(result(PLACED | {"symbol": "XRPETH"}))


@given(st.binary() | st.text() | st.from_regex(r'\{"(id|event|status)":.*\}'))
def test_any_bytes_are_decoded_or_malformed(data: bytes | str) -> None:
    with contextlib.suppress(MalformedFrameError):
        reports().decode(data)


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "text", "expected"),
    [
        (400, -2010, "Account has insufficient balance.", VenueRefusedError),
        (400, -1013, "Filter failure: LOT_SIZE", VenueRefusedError),
        (400, -1021, "Timestamp outside of the recvWindow.", VenueRefusedError),
        (401, -2015, "Invalid API-key.", VenueRefusedError),
        (400, -2010, "Duplicate order sent.", OutcomeUnknownError),
        (400, -1000, "An unknown error.", OutcomeUnknownError),
        (500, -1001, "Internal error.", OutcomeUnknownError),
        (200, -1006, "Execution status unknown.", OutcomeUnknownError),
        (408, -1007, "Timeout.", OutcomeUnknownError),
        (503, 0, "", OutcomeUnknownError),
        (403, 0, "", VenueUnavailableError),
        (429, -1003, "Too many requests.", VenueUnavailableError),
        (418, -1003, "Banned.", VenueUnavailableError),
        (400, -1015, "Too many new orders.", VenueUnavailableError),
    ],
)
def test_error_is_sorted_by_what_it_means_for_the_request(
    status: int, code: int, text: str, expected: type[VenueError]
) -> None:
    answer = reports().decode(frame(id=None, status=status, error={"code": code, "msg": text}))

    assert isinstance(answer, Answer)
    assert type(answer.result) is expected


def test_refusal_keeps_the_venues_code() -> None:
    error = error_of(400, -2013, "Order does not exist.", {})

    assert isinstance(error, VenueRefusedError)
    assert error.code == -2013


def test_wait_that_the_venue_asks_for_is_kept() -> None:
    error = error_of(429, -1003, "", {"serverTime": 1_000, "retryAfter": 3_500})

    assert isinstance(error, VenueUnavailableError)
    assert error.retry_after_secs == 2.5


# -- recorded ----------------------------------------------------------------------------------


def lines(name: str) -> list[dict[str, Any]]:
    path = BINANCE / name
    if not path.exists():
        pytest.skip(f"no recorded data at {path}")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_recorded_user_event_decodes() -> None:
    codec = reports("MATIC-USDT.BINANCE", SYMBOL, "ARB-USDT.BINANCE")
    events = [json.loads(line["data"]) for line in lines("user_data_recorded.jsonl")]

    decoded = [codec.decode(frame(event=event)) for event in events if "e" in event]

    executions = [e for e in decoded if isinstance(e, Execution)]
    assert len(executions) == sum(event.get("e") == "executionReport" for event in events)
    assert {e.report.status for e in executions} == {
        OrderStatus.ACCEPTED,
        OrderStatus.CANCELED,
        OrderStatus.FILLED,
    }
    assert executions[0].report.client_order_id == executions[1].report.client_order_id


def test_every_recorded_answer_about_orders_decodes() -> None:
    symbols = ("XRP-USDT.BINANCE", "WABI-BTC.BINANCE", "LTC-BTC.BINANCE", SYMBOL)
    read = 0
    for line in lines("rest_vcr.jsonl"):
        url = line["request"]["url"]
        body = json.loads(line["response"]["body"])
        if "/api/v3/order" not in url and "/api/v3/openOrders" not in url:
            continue
        if isinstance(body, list):
            reports(*symbols).read_open_orders(result(body))
        elif "code" in body:
            assert isinstance(error_of(400, body["code"], body["msg"], {}), VenueRefusedError)
        else:
            reports(*symbols).read_order(result(body))
        read += 1

    assert read > 0
