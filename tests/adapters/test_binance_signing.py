"""Signatures: the examples that Binance publishes, and what the API key may do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from krator_actors.adapters import binance_shapes
from krator_actors.adapters.binance_trading import BinanceTrading
from krator_actors.config import ConfigError, VenueConfig
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderType, TimeInForce
from krator_actors.venue_errors import VenueRefusedError, VenueUnavailableError
from krator_actors.venue_login import KeyRefusedError, check_key, trading_requests

MODULES_UNDER_TEST = (binance_shapes,)

# Published in Binance's documentation, "Request security": nobody's keys.
API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"

WIDE = "".join(chr(0xFF10 + digit) for digit in range(1, 7))
"""Binance's example of a symbol that is not ASCII: full-width digits"""


def signed(params: dict[str, str | int], *, timestamp_ms: int, window_ms: int) -> Any:
    requests = BinanceTrading(api_key=API_KEY, secret=SECRET, recv_window_ms=window_ms)
    return requests._signed("order.place", params, timestamp_ms).params["signature"]


@pytest.mark.parametrize(
    ("params", "window_ms", "signature"),
    [
        (
            {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01000000", "price": "52000.00"},
            100,
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            {
                "symbol": WIDE,
                "side": "BUY",
                "quantity": "1.00000000",
                "price": "0.10000000",
            },
            5_000,
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
    ],
)
def test_published_examples_of_the_websocket_api(
    params: dict[str, str | int], window_ms: int, signature: str
) -> None:
    whole = params | {"type": "LIMIT", "timeInForce": "GTC"}

    assert signed(whole, timestamp_ms=1_645_423_376_532, window_ms=window_ms) == signature


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (WIDE, "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
    ],
)
def test_published_examples_of_rest_are_percent_encoded_before_signing(
    symbol: str, signature: str
) -> None:
    requests = BinanceTrading(api_key=API_KEY, secret=SECRET, recv_window_ms=5_000)
    params: dict[str, str | int] = {
        "symbol": symbol,
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "1",
        "price": "0.1",
    }

    request = requests._signed_path("/api/v3/order", params, 1_499_827_319_559)

    assert dict(parse_qsl(urlsplit(request.path).query))["signature"] == signature
    assert request.headers == {"X-MBX-APIKEY": API_KEY}


def pem_of(key: Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def test_ed25519_signs_the_percent_encoded_text_and_is_encoded_itself() -> None:
    key = Ed25519PrivateKey.generate()
    requests = BinanceTrading(api_key="k", secret=pem_of(key), recv_window_ms=5_000)

    request = requests._signed_path("/api/v3/order", {"symbol": WIDE}, 1_668_481_559_918)

    query, _, signature = urlsplit(request.path).query.partition("&signature=")
    assert query.startswith("symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&")
    assert not set("+/=") & set(signature)
    key.public_key().verify(base64.b64decode(unquote(signature)), query.encode())


def test_key_may_be_pem_text_or_the_path_of_its_file(tmp_path: Path) -> None:
    pem = pem_of(Ed25519PrivateKey.generate())
    (tmp_path / "key.pem").write_text(pem)
    venue = VenueConfig(kind="binance")
    names = {"KRATOR_VENUE_API_KEY": "k", "KRATOR_VENUE_API_SECRET": pem}

    direct = trading_requests(venue, names)
    named = trading_requests(venue, names | {"KRATOR_VENUE_API_SECRET": str(tmp_path / "key.pem")})

    assert direct.account(timestamp_ms=1) == named.account(timestamp_ms=1)
    with pytest.raises(ConfigError, match="cannot be read"):
        trading_requests(venue, names | {"KRATOR_VENUE_API_SECRET": str(tmp_path / "no.pem")})


# -- what is sent for each kind of order -----------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"order_type": OrderType.MARKET}, {"type": "MARKET"}),
        (
            {"price": Decimal(100), "time_in_force": TimeInForce.GTD, "expires_ns": 5},
            {"type": "LIMIT", "price": "100", "timeInForce": "GTC"},
        ),
        (
            {"price": Decimal(100), "post_only": True},
            {"type": "LIMIT_MAKER", "price": "100"},
        ),
        (
            {"order_type": OrderType.STOP_MARKET, "stop_price": Decimal(90)},
            {"type": "STOP_LOSS", "stopPrice": "90"},
        ),
        (
            {"order_type": OrderType.STOP_LIMIT, "stop_price": Decimal(90), "price": Decimal(89)},
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "90", "price": "89", "timeInForce": "GTC"},
        ),
    ],
)
def test_order_is_sent_in_binances_words(fields: dict[str, Any], expected: dict[str, str]) -> None:
    terms: dict[str, Any] = {"order_type": OrderType.LIMIT} | fields
    order = SubmitOrder(
        client_order_id="k1",
        strategy="s",
        symbol="BTC-USDT.SIM",
        side=OrderSide.SELL,
        quantity=Decimal(1),
        cause="c",
        ts_event=1,
        ts_init=1,
        **terms,
    )
    requests = BinanceTrading(api_key="k", secret="s", recv_window_ms=5_000)

    params = requests.place(order, timestamp_ms=1).params

    told = {"type", "price", "stopPrice", "timeInForce"}
    assert {name: params[name] for name in told & set(params)} == expected
    digest = {name: params[name] for name in params if name != "signature"}
    payload = "&".join(f"{name}={digest[name]}" for name in sorted(digest)).encode()
    assert params["signature"] == hmac.new(b"s", payload, hashlib.sha256).hexdigest()


# -- what the key may do ---------------------------------------------------------------------------

NAMES = {"KRATOR_VENUE_API_KEY": "krator-sim", "KRATOR_VENUE_API_SECRET": "krator-sim-secret"}


@pytest.fixture
def exchange_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(tmp_path)]
    command += ["--symbols", "BTCUSDT", *getattr(request, "param", ())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split('"')[3]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("exchange_url", [["--withdrawals"]], indirect=True)
async def test_key_that_may_withdraw_is_refused(exchange_url: str) -> None:
    with pytest.raises(KeyRefusedError, match="KRATOR_VENUE_API_KEY may withdraw"):
        await check_key(VenueConfig(kind="binance"), exchange_url, NAMES)


async def test_key_that_may_only_trade_is_accepted(exchange_url: str) -> None:
    await check_key(VenueConfig(kind="binance"), exchange_url, NAMES)


async def test_key_that_the_venue_does_not_know_is_not_accepted(exchange_url: str) -> None:
    wrong = NAMES | {"KRATOR_VENUE_API_SECRET": "wrong"}
    with pytest.raises(VenueRefusedError):
        await check_key(VenueConfig(kind="binance"), exchange_url, wrong)


async def test_key_is_not_accepted_when_the_venue_cannot_be_asked() -> None:
    with pytest.raises(VenueUnavailableError):
        await check_key(VenueConfig(kind="binance"), "http://127.0.0.1:9", NAMES)
