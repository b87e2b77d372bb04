"""Which codec and which addresses belong to a kind of venue.

Market data of all of them; orders only to ``sim`` and ``binance`` (``venue_login``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from krator_actors.adapters.alpaca_market import AlpacaMarket
from krator_actors.adapters.alpaca_rest import AlpacaRest
from krator_actors.adapters.binance_futures import BinanceFuturesMarket, BinanceFuturesRest
from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.adapters.binance_rest import BinanceRest
from krator_actors.adapters.coinbase_market import CoinbaseMarket
from krator_actors.adapters.coinbase_rest import CoinbaseRest
from krator_actors.adapters.kraken_market import KrakenMarket
from krator_actors.adapters.kraken_rest import KrakenRest
from krator_actors.config import ConfigError
from krator_actors.core.market_hours import Hours, us_stock_hours
from krator_actors.ports import MarketCodec, MarketRequests


@dataclass(frozen=True, kw_only=True)
class MarketVenue:
    """A kind of venue, as far as its market data goes."""

    streams_url: str
    """``wss://host`` without a path; empty for the simulated venue, which may be anywhere"""
    stream_path: str
    rest_url: str
    """``https://host`` without a path; empty as above"""
    codec: Callable[[Sequence[str]], MarketCodec]
    """makes the codec of one connection, for the configured symbols"""
    requests: Callable[[Sequence[str]], MarketRequests]
    is_open: Callable[[int], bool] = lambda _ts_ns: True
    """whether trades are to be expected at a UTC time; outside of it silence is no stall"""


def _is_regular(ts_ns: int) -> bool:
    # Before and after, a stock may well be silent for hours.
    return us_stock_hours(ts_ns) is Hours.REGULAR


_ALPACA_STREAMS: Final = "wss://stream.data.alpaca.markets"
_ALPACA_REST: Final = "https://data.alpaca.markets"

MARKET_VENUES: Final[Mapping[str, MarketVenue]] = {
    "sim": MarketVenue(
        streams_url="",
        stream_path="/stream",
        rest_url="",
        codec=BinanceMarket,
        requests=BinanceRest,
    ),
    "binance": MarketVenue(
        streams_url="wss://stream.binance.com:9443",
        stream_path="/stream",
        rest_url="https://api.binance.com",
        codec=BinanceMarket,
        requests=BinanceRest,
    ),
    "binance_usdm": MarketVenue(
        streams_url="wss://fstream.binance.com",
        stream_path="/stream",
        rest_url="https://fapi.binance.com",
        codec=BinanceFuturesMarket,
        requests=BinanceFuturesRest,
    ),
    "coinbase": MarketVenue(
        streams_url="wss://advanced-trade-ws.coinbase.com",
        stream_path="/",
        rest_url="https://api.coinbase.com",
        codec=CoinbaseMarket,
        requests=CoinbaseRest,
    ),
    "kraken": MarketVenue(
        streams_url="wss://ws.kraken.com",
        stream_path="/v2",
        rest_url="https://api.kraken.com",
        codec=KrakenMarket,
        requests=KrakenRest,
    ),
    "alpaca_iex": MarketVenue(
        streams_url=_ALPACA_STREAMS,
        stream_path="/v2/iex",
        rest_url=_ALPACA_REST,
        codec=AlpacaMarket,
        requests=partial(AlpacaRest, feed="iex"),
        is_open=_is_regular,
    ),
    "alpaca_sip": MarketVenue(
        streams_url=_ALPACA_STREAMS,
        stream_path="/v2/sip",
        rest_url=_ALPACA_REST,
        codec=AlpacaMarket,
        requests=partial(AlpacaRest, feed="sip"),
        is_open=_is_regular,
    ),
}
"""By ``venue.kind`` of the configuration."""


def addresses(venue: MarketVenue, url: str) -> tuple[str, str]:
    """Return where the streams are, and the REST API.

    ``url`` is the HTTP base of a simulated venue; empty for the venue's own hosts. Raises
    ConfigError.
    """
    if not url and venue.streams_url:
        return venue.streams_url, venue.rest_url
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"venue.url {url!r} is no address of a venue; expected http://HOST:PORT")
    base = url.rstrip("/")
    return "ws" + base.removeprefix("http"), base
