"""An unmodified ccxt client trades on the simulated venue; only its addresses are ours."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import ccxt
import pytest

from krator_actors.exchange import rest_account, tickers
from krator_actors.exchange.signing import DEFAULT_KEY, DEFAULT_SECRET

MODULES_UNDER_TEST = (rest_account, tickers)
PAIR = "BTC/USDT"


@pytest.fixture(autouse=True)
def _rounding_of_others() -> Iterator[None]:
    """Give back the rounding that ccxt changes for its whole thread."""
    context = decimal.getcontext()
    rounding, traps = context.rounding, dict(context.traps)
    yield
    context.rounding = rounding
    context.traps.update(traps)


@pytest.fixture
def client(launch: Callable[..., Any], tmp_path: Path) -> ccxt.binance:
    url = launch(tmp_path, "--symbols", "BTCUSDT,ETHUSDT", "--ticks-per-sec", "5").url
    exchange = ccxt.binance(
        {
            "apiKey": DEFAULT_KEY,
            "secret": DEFAULT_SECRET,
            "enableRateLimit": False,
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchMargins": False},
        }
    )
    exchange.urls["api"] |= {
        "public": f"{url}/api/v3",
        "private": f"{url}/api/v3",
        "sapi": f"{url}/sapi/v1",
    }
    return exchange


def test_ccxt_reads_the_markets_and_prices(client: ccxt.binance) -> None:
    markets = client.load_markets()
    ticker = client.fetch_ticker(PAIR)
    book = client.fetch_order_book(PAIR, 5)

    assert {PAIR, "ETH/USDT"} <= set(markets)
    assert markets[PAIR]["limits"]["cost"]["min"] == 5
    assert ticker["bid"] < ticker["ask"]
    assert book["bids"][0][0] < book["asks"][0][0]


def test_ccxt_places_fetches_and_cancels_a_limit_order(client: ccxt.binance) -> None:
    placed = client.create_order(PAIR, "limit", "buy", 0.01, 50_000)

    fetched = client.fetch_order(placed["id"], PAIR)
    opened = client.fetch_open_orders(PAIR)
    canceled = client.cancel_order(placed["id"], PAIR)

    assert (fetched["status"], fetched["price"], fetched["amount"]) == ("open", 50_000, 0.01)
    assert [order["id"] for order in opened] == [placed["id"]]
    assert canceled["status"] == "canceled"
    assert client.fetch_open_orders(PAIR) == []
    assert [order["status"] for order in client.fetch_orders(PAIR)] == ["canceled"]


def test_ccxt_buys_and_sees_its_trades_and_balance(client: ccxt.binance) -> None:
    before = client.fetch_balance()

    bought = client.create_order(PAIR, "market", "buy", 0.01)

    trades = client.fetch_my_trades(PAIR)
    after = client.fetch_balance()
    assert bought["status"] == "closed"
    assert sum(trade["amount"] for trade in trades) == pytest.approx(0.01)
    assert after["BTC"]["total"] == pytest.approx(0.01 * (1 - 0.001))
    assert after["USDT"]["total"] < before["USDT"]["total"]


def test_ccxt_places_a_stop_order_and_replaces_a_limit_order(client: ccxt.binance) -> None:
    client.create_order(PAIR, "market", "buy", 0.02)
    low = client.fetch_ticker(PAIR)["last"] * 0.9

    stop = client.create_order(PAIR, "STOP_LOSS", "sell", 0.01, None, {"stopPrice": low})
    limit = client.create_order(PAIR, "limit", "buy", 0.01, 50_000)
    client.edit_order(limit["id"], PAIR, "limit", "buy", 0.01, 51_000)

    opened = {order["id"]: order for order in client.fetch_open_orders(PAIR)}
    assert opened[stop["id"]]["stopPrice"] == pytest.approx(low, abs=0.01)
    assert limit["id"] not in opened
    assert {order["price"] for order in opened.values() if order["type"] == "limit"} == {51_000}


def test_ccxt_is_told_what_went_wrong(client: ccxt.binance) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order(PAIR, "limit", "buy", 100, 50_000)
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order("999", PAIR)
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        client.fetch_balance()


def test_half_done_replacement_says_over_http_which_half(
    client: ccxt.binance,
) -> None:
    client.load_markets()
    params = {
        "symbol": "BTCUSDT",
        "cancelReplaceMode": "STOP_ON_FAILURE",
        "cancelOrigClientOrderId": "gone",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "50000",
    }

    with pytest.raises(ccxt.BaseError, match="NOT_ATTEMPTED"):
        client.private_post_order_cancelreplace(params)


async def test_signature_over_http_is_of_the_text_as_it_was_sent(still: Any) -> None:
    async with aiohttp.ClientSession() as http:
        unsigned = f"{still.url}/api/v3/account?timestamp=1&signature=00"
        async with http.get(unsigned) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, -2014)
        async with http.get(unsigned, headers={"X-MBX-APIKEY": "x"}) as answer:
            assert (answer.status, (await answer.json())["code"]) == (401, -2015)
        async with http.get(unsigned, headers={"X-MBX-APIKEY": DEFAULT_KEY}) as answer:
            assert (await answer.json())["code"] == -1022
    await asyncio.sleep(0)
