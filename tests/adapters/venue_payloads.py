"""What each venue sends, in small: frames of our own, written from the venues' documentation.

The numbers are invented. The acceptance matrix, the fuzzing and the benchmark read them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from krator_actors.adapters.alpaca_market import AlpacaMarket
from krator_actors.adapters.binance_futures import BinanceFuturesMarket
from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.adapters.coinbase_market import CoinbaseMarket
from krator_actors.adapters.kraken_market import KrakenMarket
from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import Bar, BookDelta, BookSnapshot, QuoteTick, TradeTick
from krator_actors.model import OrderSide
from krator_actors.ports import (
    Channel,
    ClosingAnnounced,
    FramesMissing,
    Heartbeat,
    LoggedIn,
    MarketCodec,
    MarketEvent,
    RateLimited,
    Stream,
    StreamsChanged,
    StreamsRefused,
    TradeRevised,
    TradingStatus,
    UnknownFrame,
)

NOW_NS = 1_790_000_000_500_000_000
AT_MS = 1_790_000_000_000
AT_NS = AT_MS * 1_000_000
AT = "2026-09-21T14:13:20.000000Z"
MINUTE_NS = 60_000_000_000
OPEN_NS = 1_789_999_980_000_000_000
OPEN = "2026-09-21T14:13:00Z"


@dataclass(frozen=True)
class Case:
    """Frames that arrive one after another, and all that they are read as."""

    frames: Sequence[Any]
    events: Sequence[MarketEvent]


@dataclass(frozen=True)
class NotOffered:
    """This venue has no such thing, and why that is no hole."""

    why: str


@dataclass(frozen=True, kw_only=True)
class VenueCells:
    name: str
    symbol: str
    make: Callable[[Sequence[str]], MarketCodec]
    subscribe: Sequence[Any]
    unsubscribe: Sequence[Any]
    cells: dict[str, Case | NotOffered] = field(default_factory=dict)

    def codec(self) -> MarketCodec:
        return self.make((self.symbol,))

    @property
    def streams(self) -> frozenset[Stream]:
        return frozenset(Stream(self.symbol, channel) for channel in self.make(()).channels)

    def seeds(self) -> list[bytes]:
        return [
            text(frame)
            for case in self.cells.values()
            if isinstance(case, Case)
            for frame in case.frames
        ]


class Wire(str):
    """JSON that is written as it is, because its digits matter."""

    __slots__ = ()


def text(frame: Any) -> bytes:
    return frame.encode() if isinstance(frame, Wire) else json.dumps(frame).encode()


def d(number: str) -> Decimal:
    return Decimal(number)


def trade(symbol: str, trade_id: int, aggressor: OrderSide | None, **changes: Any) -> TradeTick:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "price": d("101.50"),
        "size": d("0.25"),
        "aggressor": aggressor,
        "trade_id": trade_id,
        "ts_event": AT_NS,
        "ts_init": NOW_NS,
    }
    return TradeTick(**{**fields, **changes})


def quote(symbol: str, **changes: Any) -> QuoteTick:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "bid": d("101.4"),
        "bid_size": d("2"),
        "ask": d("101.5"),
        "ask_size": d("3"),
        "update_id": 0,
        "ts_event": AT_NS,
        "ts_init": NOW_NS,
    }
    return QuoteTick(**{**fields, **changes})


def bar(symbol: str, spec: str = "1-MINUTE-LAST", **changes: Any) -> Bar:
    read = BarSpec.parse(spec)
    fields: dict[str, Any] = {
        "symbol": symbol,
        "spec": read,
        "ts_open": OPEN_NS,
        "ts_close": OPEN_NS + read.period_secs * 1_000_000_000,
        "open": d("100"),
        "high": d("103"),
        "low": d("99"),
        "close": d("101"),
        "volume": d("12.5"),
        "trades": 7,
    }
    return Bar(**{**fields, **changes})


def book(kind: type[BookSnapshot | BookDelta], symbol: str, **changes: Any) -> MarketEvent:
    fields: dict[str, Any] = {
        "symbol": symbol,
        "last_id": 0,
        "bids": ((d("101.4"), d("2")),),
        "asks": ((d("101.5"), d("3")),),
        "ts_event": AT_NS,
        "ts_init": NOW_NS,
    }
    if kind is BookDelta:
        fields.update(first_id=0, asks=((d("101.5"), d("0")),))
    made: MarketEvent = kind(**{**fields, **changes})
    return made


# -- Binance -------------------------------------------------------------------------------------


def binance(name: str, symbol: str, make: Callable[[Sequence[str]], MarketCodec]) -> VenueCells:
    futures = make is BinanceFuturesMarket
    trades = "aggTrade" if futures else "trade"

    def stream(suffix: str, data: dict[str, Any]) -> dict[str, Any]:
        return {"stream": f"btcusdt@{suffix}", "data": {"s": "BTCUSDT", **data}}

    kline = {"t": OPEN_NS // 10**6, "T": 1, "s": "BTCUSDT", "i": "1m", "o": "100", "h": "103",
             "l": "99", "c": "101", "v": "12.5", "n": 7}  # fmt: skip
    ticker: dict[str, Any] = {"u": 40, "b": "101.4", "B": "2", "a": "101.5", "A": "3"}
    depth: dict[str, Any] = {"e": "depthUpdate", "E": AT_MS, "U": 38, "u": 40,
                             "b": [["101.4", "2"]], "a": [["101.5", "0"]]}  # fmt: skip
    if futures:
        ticker |= {"T": AT_MS, "E": AT_MS + 4}
        depth |= {"pu": 37, "T": AT_MS}
    order = ["kline_1m", "depth@100ms", "bookTicker", trades]
    names = [f"btcusdt@{suffix}" for suffix in (order[1], order[0], order[2], order[3])]
    names = sorted(
        names,
        key=lambda n: ["kline_1m", "depth@100ms", "bookTicker", trades].index(n.partition("@")[2]),
    )
    all_streams = frozenset(Stream(symbol, channel) for channel in Channel)
    return VenueCells(
        name=name,
        symbol=symbol,
        make=make,
        subscribe=[{"method": "SUBSCRIBE", "params": names, "id": 1}],
        unsubscribe=[{"method": "UNSUBSCRIBE", "params": names, "id": 2}],
        cells={
            "login": NotOffered("market data is public"),
            "ack": Case([{"result": None, "id": 1}], [StreamsChanged(all_streams)]),
            "unsubscribed": Case(
                [{"result": None, "id": 1}, {"result": None, "id": 2}],
                [StreamsChanged(all_streams), StreamsChanged(frozenset())],
            ),
            "error": Case(
                [{"error": {"code": 2, "msg": "Invalid request"}, "id": 1}],
                [StreamsRefused(all_streams, "Invalid request (code 2)")],
            ),
            "heartbeat": NotOffered("WebSocket pings, which the connection answers"),
            "status": NotOffered("only over REST"),
            "snapshot": NotOffered("over REST: test_venue_rest.py"),
            "diff": Case(
                [stream("depth@100ms", depth)],
                [
                    book(
                        BookDelta,
                        symbol,
                        first_id=38,
                        last_id=40,
                        previous_id=37 if futures else None,
                    )
                ],
            ),
            "trade": Case(
                [
                    stream(
                        trades,
                        {
                            "a" if futures else "t": 9,
                            "p": "101.50",
                            "q": "0.25",
                            "T": AT_MS,
                            "m": True,
                        },
                    )
                ],
                [trade(symbol, 9, OrderSide.SELL)],
            ),
            "correction": NotOffered("a trade stands"),
            "quote": Case(
                [stream("bookTicker", ticker)],
                [quote(symbol, update_id=40, ts_event=AT_NS if futures else NOW_NS)],
            ),
            "bar": Case(
                [
                    stream("kline_1m", {"e": "kline", "k": {**kline, "x": False}}),
                    stream("kline_1m", {"e": "kline", "k": {**kline, "x": True}}),
                ],
                [bar(symbol)],
            ),
            "rate limit": Case(
                [{"error": {"code": -1003, "msg": "Too many requests"}, "id": 1}],
                [RateLimited("Too many requests (code -1003)")],
            ),
            "closing": Case(
                [{"e": "serverShutdown", "E": AT_MS}], [ClosingAnnounced("serverShutdown")]
            ),
            "missing frame": NotOffered("frames have no numbers; trades and updates have"),
            "unknown": Case([{"e": "news"}], [UnknownFrame("UNKNOWN_FRAME")]),
        },
    )


# -- Coinbase ------------------------------------------------------------------------------------


def coinbase() -> VenueCells:
    symbol = "BTC-USD.COINBASE"

    def frame(channel: str, event: dict[str, Any], number: int = 0) -> dict[str, Any]:
        return {"channel": channel, "timestamp": AT, "sequence_num": number, "events": [event]}

    def one(number: int, price: str = "101.50") -> dict[str, Any]:
        return {"product_id": "BTC-USD", "trade_id": str(number), "price": price, "size": "0.25",
                "time": AT, "side": "BUY"}  # fmt: skip

    def candle(start_ns: int) -> dict[str, Any]:
        return {"start": str(start_ns // 10**9), "open": "100", "high": "103", "low": "99",
                "close": "101", "volume": "12.5", "product_id": "BTC-USD"}  # fmt: skip

    def level(side: str, price: str, size: str) -> dict[str, Any]:
        return {"side": side, "event_time": AT, "price_level": price, "new_quantity": size}

    tick = {"product_id": "BTC-USD", "price": "101.5", "best_bid": "101.4", "best_ask": "101.5",
            "best_bid_quantity": "2", "best_ask_quantity": "3"}  # fmt: skip
    names = {"market_trades", "ticker", "level2", "candles"}
    ordered = [name for name in ("market_trades", "ticker", "level2", "candles") if name in names]
    all_streams = frozenset(Stream(symbol, channel) for channel in Channel)
    five = 1_789_999_800_000_000_000
    return VenueCells(
        name="coinbase",
        symbol=symbol,
        make=CoinbaseMarket,
        subscribe=[
            {"type": "subscribe", "channel": "heartbeats"},
            *(
                {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": name}
                for name in ordered
            ),
        ],
        unsubscribe=[
            {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channel": name} for name in ordered
        ],
        cells={
            "login": NotOffered("market data is public"),
            "ack": Case(
                [
                    frame(
                        "subscriptions",
                        {
                            "subscriptions": {
                                **{name: ["BTC-USD"] for name in names},
                                "heartbeats": ["heartbeats"],
                            }
                        },
                    )
                ],
                [StreamsChanged(all_streams)],
            ),
            "unsubscribed": Case(
                [frame("subscriptions", {"subscriptions": {"ticker": []}})],
                [StreamsChanged(frozenset())],
            ),
            "error": Case(
                [{"type": "error", "message": "channel is not supported"}],
                [StreamsRefused(frozenset(), "channel is not supported")],
            ),
            "heartbeat": Case(
                [frame("heartbeats", {"current_time": AT, "heartbeat_counter": 5})], [Heartbeat()]
            ),
            "status": NotOffered("the status channel describes products, it announces nothing"),
            "snapshot": Case(
                [
                    frame(
                        "l2_data",
                        {
                            "type": "snapshot",
                            "product_id": "BTC-USD",
                            "updates": [level("bid", "101.4", "2"), level("offer", "101.5", "3")],
                        },
                    )
                ],
                [book(BookSnapshot, symbol)],
            ),
            "diff": Case(
                [
                    frame(
                        "l2_data",
                        {
                            "type": "update",
                            "product_id": "BTC-USD",
                            "updates": [level("offer", "101.5", "0"), level("bid", "101.4", "2")],
                        },
                    )
                ],
                [book(BookDelta, symbol)],
            ),
            "trade": Case(
                [frame("market_trades", {"type": "update", "trades": [one(10), one(9)]})],
                [trade(symbol, 9, OrderSide.SELL), trade(symbol, 10, OrderSide.SELL)],
            ),
            "correction": NotOffered("a trade stands"),
            "quote": Case([frame("ticker", {"tickers": [tick]})], [quote(symbol)]),
            "bar": Case(
                [
                    frame("candles", {"candles": [candle(five)]}),
                    frame("candles", {"candles": [candle(five + 300 * 10**9)]}, 1),
                ],
                [
                    bar(
                        symbol,
                        "5-MINUTE-LAST",
                        ts_open=five,
                        ts_close=five + 300 * 10**9,
                        trades=None,
                    )
                ],
            ),
            "rate limit": Case(
                [{"type": "error", "message": "rate limit exceeded"}],
                [RateLimited("rate limit exceeded")],
            ),
            "closing": NotOffered("Coinbase announces no closing"),
            "missing frame": Case(
                [
                    frame("ticker", {"tickers": []}),
                    frame("ticker", {"tickers": [tick]}, 3),
                    frame("ticker", {"tickers": [tick]}, 2),
                ],
                [
                    FramesMissing(first=1, count=2),
                    quote(symbol),
                    UnknownFrame("FRAME_OUT_OF_ORDER", "2 came after 3"),
                ],
            ),
            "unknown": Case([frame("news", {})], [UnknownFrame("UNKNOWN_CHANNEL", "news")]),
        },
    )


# -- Kraken --------------------------------------------------------------------------------------


def kraken() -> VenueCells:
    symbol = "BTC-USD.KRAKEN"
    params: dict[str, dict[str, Any]] = {
        "trade": {"channel": "trade", "snapshot": False},
        "ticker": {"channel": "ticker", "event_trigger": "bbo"},
        "book": {"channel": "book", "depth": 100},
        "ohlc": {"channel": "ohlc", "interval": 1, "snapshot": False},
    }

    def asked(method: str, first: int) -> list[dict[str, Any]]:
        return [
            {"method": method, "params": {**p, "symbol": ["BTC/USD"]}, "req_id": first + n}
            for n, p in enumerate(params.values())
        ]

    def answered(method: str, channel: str, number: int) -> dict[str, Any]:
        result = {"channel": channel, "symbol": "BTC/USD"}
        return {"method": method, "req_id": number, "success": True, "result": result}

    def candle(opened: str) -> dict[str, Any]:
        return {"symbol": "BTC/USD", "open": 100, "high": 103, "low": 99, "close": 101, "trades": 7,
                "volume": 12.5, "vwap": 101, "interval_begin": opened, "interval": 1}  # fmt: skip

    channels = [Channel.TRADES, Channel.QUOTES, Channel.BOOK, Channel.BARS]
    steps = [frozenset(Stream(symbol, c) for c in channels[: n + 1]) for n in range(4)]
    level2 = (
        '{"channel":"book","type":"%s","data":[{"symbol":"BTC/USD",'
        '"bids":[{"price":101.4,"qty":2.00000000}],"asks":[{"price":101.5,"qty":%s}],'
        '"checksum":77,"timestamp":"' + AT + '"}]}'
    )
    return VenueCells(
        name="kraken",
        symbol=symbol,
        make=KrakenMarket,
        subscribe=asked("subscribe", 1),
        unsubscribe=asked("unsubscribe", 5),
        cells={
            "login": NotOffered("market data is public"),
            "ack": Case(
                [answered("subscribe", name, n + 1) for n, name in enumerate(params)],
                [StreamsChanged(step) for step in steps],
            ),
            "unsubscribed": Case(
                [answered("subscribe", "trade", 1), answered("unsubscribe", "trade", 5)],
                [StreamsChanged(steps[0]), StreamsChanged(frozenset())],
            ),
            "error": Case(
                [
                    {
                        "method": "subscribe",
                        "success": False,
                        "error": "Event(s) not found",
                        "req_id": 1,
                        "symbol": "BTC/USD",
                    }
                ],
                [StreamsRefused(steps[0], "Event(s) not found")],
            ),
            "heartbeat": Case(
                [{"channel": "heartbeat"}, {"method": "pong", "req_id": 3}],
                [Heartbeat(), Heartbeat()],
            ),
            "status": Case(
                [
                    {"channel": "status", "type": "update", "data": [{"system": word}]}
                    for word in ("online", "maintenance")
                ],
                [TradingStatus("", True, "online"), TradingStatus("", False, "maintenance")],
            ),
            "snapshot": Case(
                [Wire(level2 % ("snapshot", "3.00000000"))],
                [book(BookSnapshot, symbol, depth=100, checksum=77)],
            ),
            "diff": Case(
                [Wire(level2 % ("update", "0.00000000"))], [book(BookDelta, symbol, checksum=77)]
            ),
            "trade": Case(
                [
                    {
                        "channel": "trade",
                        "type": "update",
                        "data": [
                            {
                                "symbol": "BTC/USD",
                                "side": "sell",
                                "price": 101.5,
                                "qty": 0.25,
                                "ord_type": "limit",
                                "trade_id": 9,
                                "timestamp": AT,
                            }
                        ],
                    }
                ],
                [trade(symbol, 9, OrderSide.SELL)],
            ),
            "correction": NotOffered("a trade stands"),
            "quote": Case(
                [
                    {
                        "channel": "ticker",
                        "type": "update",
                        "data": [
                            {
                                "symbol": "BTC/USD",
                                "bid": 101.4,
                                "bid_qty": 2,
                                "ask": 101.5,
                                "ask_qty": 3,
                                "timestamp": AT,
                            }
                        ],
                    }
                ],
                [quote(symbol)],
            ),
            "bar": Case(
                [
                    {"channel": "ohlc", "type": "update", "data": [candle(opened)]}
                    for opened in (OPEN, OPEN, "2026-09-21T14:14:00.000000000Z")
                ],
                [bar(symbol)],
            ),
            "rate limit": Case(
                [
                    {
                        "method": "subscribe",
                        "success": False,
                        "error": "Exceeded msg rate",
                        "req_id": 1,
                    }
                ],
                [RateLimited("Exceeded msg rate")],
            ),
            "closing": NotOffered("the status channel tells of maintenance"),
            "missing frame": NotOffered("books have checksums, trades have ids"),
            "unknown": Case(
                [{"channel": "news", "data": []}], [UnknownFrame("UNKNOWN_CHANNEL", "news")]
            ),
        },
    )


# -- Alpaca --------------------------------------------------------------------------------------


def alpaca() -> VenueCells:
    symbol = "AAPL-USD.ALPACA"
    lists = {"trades": ["AAPL"], "quotes": ["AAPL"], "bars": ["AAPL"]}
    offered = frozenset(Stream(symbol, c) for c in Channel if c is not Channel.BOOK)
    return VenueCells(
        name="alpaca",
        symbol=symbol,
        make=AlpacaMarket,
        subscribe=[{"action": "subscribe", **lists, "statuses": ["AAPL"]}],
        unsubscribe=[{"action": "unsubscribe", **lists}],
        cells={
            "login": Case(
                [
                    [{"T": "success", "msg": "connected"}],
                    [{"T": "success", "msg": "authenticated"}],
                ],
                [LoggedIn()],
            ),
            "ack": Case(
                [[{"T": "subscription", **lists, "statuses": ["AAPL"], "corrections": ["AAPL"]}]],
                [StreamsChanged(offered)],
            ),
            "unsubscribed": Case(
                [[{"T": "subscription", "trades": [], "quotes": [], "bars": []}]],
                [StreamsChanged(frozenset())],
            ),
            "error": Case(
                [[{"T": "error", "code": 402, "msg": "auth failed"}]],
                [StreamsRefused(frozenset(), "auth failed (code 402)")],
            ),
            "heartbeat": NotOffered("WebSocket pings, which the connection answers"),
            "status": Case(
                [
                    [{"T": "s", "S": "AAPL", "sc": code, "sm": word, "t": AT, "z": "C"}]
                    for code, word in (("H", "Halted"), ("T", "Trading"))
                ],
                [
                    TradingStatus(symbol, False, "H Halted"),
                    TradingStatus(symbol, True, "T Trading"),
                ],
            ),
            "snapshot": NotOffered("there are no order books of stocks"),
            "diff": NotOffered("there are no order books of stocks"),
            "trade": Case(
                [
                    [
                        {
                            "T": "t",
                            "S": "AAPL",
                            "i": 9,
                            "x": "V",
                            "p": 101.5,
                            "s": 25,
                            "c": ["@"],
                            "z": "C",
                            "t": AT,
                        },
                        {
                            "T": "t",
                            "S": "AAPL",
                            "i": 4,
                            "x": "D",
                            "p": 101.5,
                            "s": 1,
                            "c": ["I"],
                            "z": "C",
                            "t": AT,
                        },
                    ]
                ],
                [trade(symbol, 9, None, size=d("25")), trade(symbol, 4, None, size=d("1"))],
            ),
            "correction": Case(
                [
                    [
                        {
                            "T": "c",
                            "S": "AAPL",
                            "x": "V",
                            "oi": 9,
                            "op": 101.5,
                            "os": 25,
                            "oc": ["@"],
                            "ci": 10,
                            "cp": 101.4,
                            "cs": 25,
                            "cc": ["@"],
                            "z": "C",
                            "t": AT,
                        },
                        {
                            "T": "x",
                            "S": "AAPL",
                            "i": 4,
                            "x": "D",
                            "p": 101.5,
                            "s": 1,
                            "a": "C",
                            "z": "C",
                            "t": AT,
                        },
                    ]
                ],
                [
                    TradeRevised(symbol, 9, "TRADE_CORRECTED", AT_NS, NOW_NS),
                    TradeRevised(symbol, 4, "TRADE_CANCELED", AT_NS, NOW_NS),
                ],
            ),
            "quote": Case(
                [
                    [
                        {
                            "T": "q",
                            "S": "AAPL",
                            "bx": "V",
                            "bp": 101.4,
                            "bs": 2,
                            "ax": "V",
                            "ap": 101.5,
                            "as": 3,
                            "c": ["R"],
                            "z": "C",
                            "t": AT,
                        }
                    ]
                ],
                [quote(symbol)],
            ),
            "bar": Case(
                [
                    [
                        {
                            "T": "b",
                            "S": "AAPL",
                            "o": 100,
                            "h": 103,
                            "l": 99,
                            "c": 101,
                            "v": 12.5,
                            "t": OPEN,
                            "n": 7,
                            "vw": 101,
                        }
                    ]
                ],
                [bar(symbol)],
            ),
            "rate limit": Case(
                [[{"T": "error", "code": 406, "msg": "connection limit exceeded"}]],
                [RateLimited("connection limit exceeded (code 406)")],
            ),
            "closing": Case(
                [[{"T": "error", "code": 407, "msg": "slow client"}]],
                [ClosingAnnounced("slow client (code 407)")],
            ),
            "missing frame": NotOffered("nothing is numbered: docs/adr/0012"),
            "unknown": Case(
                [[{"T": "news"}]],
                [UnknownFrame("UNKNOWN_FRAME", "news")],
            ),
        },
    )


VENUES = (
    binance("sim", "BTC-USDT.SIM", BinanceMarket),
    binance("binance", "BTC-USDT.BINANCE", BinanceMarket),
    binance("binance_usdm", "BTC-USDT.BINANCE_USDM", BinanceFuturesMarket),
    coinbase(),
    kraken(),
    alpaca(),
)
