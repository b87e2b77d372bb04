"""What Binance's tickers say of a market."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from krator_actors.exchange import fixed
from krator_actors.exchange import params as parameters
from krator_actors.exchange.market import Market
from krator_actors.exchange.params import Params

_HOURS = 24
_HOUR_MS = 3_600_000


def of_symbols(
    params: Params, markets: Mapping[str, Market], ticker: Callable[[Market], dict[str, Any]]
) -> Any:
    """Return the ticker of ``symbol``, or a list: of ``symbols``, or without them of all."""
    if "symbol" in params:
        return ticker(parameters.market(params, markets))
    if "symbols" in params:
        return [ticker(market) for market in parameters.listed_markets(params, markets)]
    return [ticker(market) for market in markets.values()]


def price(market: Market) -> dict[str, Any]:
    """``ticker.price``: the last price."""
    return {"symbol": market.rules.symbol, "price": fixed.show(market.tape.last_price)}


def book(market: Market) -> dict[str, Any]:
    """``ticker.book``: the best prices and what is there."""
    depth = market.depth(1)
    bid, bid_size = depth.bids[0] if depth.bids else (0, 0)
    ask, ask_size = depth.asks[0] if depth.asks else (0, 0)
    return {
        "symbol": market.rules.symbol,
        "bidPrice": fixed.show(bid),
        "bidQty": fixed.show(bid_size),
        "askPrice": fixed.show(ask),
        "askQty": fixed.show(ask_size),
    }


def day(market: Market) -> dict[str, Any]:
    """``ticker/24hr``: the hours of the last day, the unfinished one included."""
    now_ms, tape = market.event_ms(), market.tape
    hours = tape.klines("1h", now_ms=now_ms, limit=_HOURS)
    last = tape.last_price
    opened = fixed.parse(hours[0][1]) if hours else last
    volume = sum(fixed.parse(hour[5]) for hour in hours)
    quote = sum(fixed.parse(hour[7]) for hour in hours)
    best = book(market)
    average = quote * fixed.SCALE // volume if volume else last
    change = (last - opened) * 100 * fixed.SCALE // opened if opened else 0
    return {
        **best,
        "priceChange": fixed.show(last - opened),
        "priceChangePercent": fixed.show(change),
        "weightedAvgPrice": fixed.show(average),
        "prevClosePrice": fixed.show(opened),
        "lastPrice": fixed.show(last),
        "lastQty": fixed.show(tape.recent[-1].quantity if tape.recent else 0),
        "openPrice": fixed.show(opened),
        "highPrice": max((hour[2] for hour in hours), key=fixed.parse, default=fixed.show(last)),
        "lowPrice": min((hour[3] for hour in hours), key=fixed.parse, default=fixed.show(last)),
        "volume": fixed.show(volume),
        "quoteVolume": fixed.show(quote),
        "openTime": hours[0][0] if hours else now_ms - _HOURS * _HOUR_MS,
        "closeTime": now_ms,
        "firstId": tape.recent[0].trade_id if tape.recent else -1,
        "lastId": tape.recent[-1].trade_id if tape.recent else -1,
        "count": sum(hour[8] for hour in hours),
    }
