"""Market data: feed to strategies and risk, and what they ask the feed for."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from krator_actors.messages.bar_spec import BarSpec
from krator_actors.model import Instrument, OrderSide
from supervisors.messages import Delivery, Message


class MarketDataGap(Message, frozen=True, kw_only=True):
    """Data of a stream is missing between two events; what depends on it is no longer true."""

    delivery: ClassVar[Delivery] = Delivery.GAP

    symbol: str
    stream: str
    """``trade``, ``quote`` or ``book``"""
    first_id: int
    """first missing trade or update id, 0 when not known"""
    last_id: int
    count: int
    """how many stay missing; 0 with ``filled`` 0: nobody knows"""
    filled: int = 0
    """how many were asked of the venue and follow right behind this message, in order"""
    reason: str
    ts_event: int
    ts_init: int

    @property
    def is_filled(self) -> bool:
        """True when all that was missing follows: only late, nothing is lost."""
        return self.filled > 0 and self.count == 0

    def gap_key(self) -> str:
        """One gap never spans two streams."""
        return f"{self.symbol}/{self.stream}"

    def gap_message(self, last: Message, count: int) -> MarketDataGap:  # noqa: ARG002 - of messages
        """Declare from self to ``last`` as one gap of which nobody knows how much is missing."""
        assert isinstance(last, MarketDataGap)
        return MarketDataGap(
            symbol=self.symbol,
            stream=self.stream,
            first_id=self.first_id,
            last_id=last.last_id,
            count=0,
            reason="OVERFLOW",
            ts_event=last.ts_event,
            ts_init=last.ts_init,
        )


class TradeTick(Message, frozen=True, kw_only=True):
    """One trade at the venue."""

    delivery: ClassVar[Delivery] = Delivery.GAP

    symbol: str
    price: Decimal
    size: Decimal
    aggressor: OrderSide | None
    """who took liquidity; None where the venue does not say (stocks)"""
    trade_id: int
    ts_event: int
    ts_init: int

    def gap_key(self) -> str:
        """One gap never spans two symbols."""
        return self.symbol

    def gap_message(self, last: Message, count: int) -> MarketDataGap:
        """Declare the trades from self to ``last`` as missing."""
        assert isinstance(last, TradeTick)
        return MarketDataGap(
            symbol=self.symbol,
            stream="trade",
            first_id=self.trade_id,
            last_id=last.trade_id,
            count=count,
            reason="OVERFLOW",
            ts_event=last.ts_event,
            ts_init=last.ts_init,
        )


class QuoteTick(Message, frozen=True, kw_only=True):
    """Best bid and offer of one symbol."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    bid: Decimal
    bid_size: Decimal
    ask: Decimal
    ask_size: Decimal
    update_id: int
    """0 where the venue does not number its quotes"""
    ts_event: int
    """the venue's event time; ``ts_init`` where the venue sends none (Binance bookTicker)"""
    ts_init: int

    def conflation_key(self) -> str:
        """Only the newest quote of a symbol matters."""
        return self.symbol


class TradeSummary(Message, frozen=True, kw_only=True):
    """Feed to risk, once a second for each symbol that traded, and to risk when it asks."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    last_price: Decimal
    volume: Decimal
    """base quantity of all trades that this incarnation of the feed has seen"""
    counted_secs: float
    """for how long it has been counting"""
    ts_event: int

    def conflation_key(self) -> str:
        """Totals: the newest one holds the others."""
        return self.symbol


class MarketStatus(Message, frozen=True, kw_only=True):
    """Whether a symbol's data is fresh. Sent on every change, and to whoever asks."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    fresh: bool
    reason: str
    """``LIVE``, ``CONNECTING``, ``DISCONNECTED``, ``STALE_TRADES``, ``STALE_QUOTES``, ``GAP``
    (trades are missing and being fetched), ``REFUSED`` (the venue does not tell this symbol),
    ``HALTED`` (by the venue), ``CLOSED`` (its hours)"""
    ts_event: int

    def conflation_key(self) -> str:
        """Only the newest word on a symbol matters: a receiver that is away never blocks a feed."""
        return self.symbol


BookLevel = tuple[Decimal, Decimal]
"""price and size; in a delta a size of zero removes the price"""


class BookSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A whole order book at one moment, from the stream or from REST. Best prices first."""

    symbol: str
    last_id: int
    """the last update that is in it; 0 where the venue does not number updates"""
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    depth: int | None = None
    """levels a side that the venue keeps up to date; None: all that are in it"""
    checksum: int | None = None
    """CRC32 of the best levels (Kraken); None where the venue sends none"""
    ts_event: int
    ts_init: int


class BookDelta(msgspec.Struct, frozen=True, kw_only=True):
    """The levels of an order book that changed."""

    symbol: str
    first_id: int
    """first and last update in it, both 0 where the venue does not number updates"""
    last_id: int
    previous_id: int | None = None
    """the ``last_id`` that must come right before (Binance USD-M); None elsewhere"""
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    checksum: int | None = None
    """CRC32 of the best levels after it (Kraken); None where the venue sends none"""
    ts_event: int
    ts_init: int


class BookTop(Message, frozen=True, kw_only=True):
    """The best levels of an order book, best first; never crossed, at least one a side."""

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    update_id: int
    ts_event: int
    ts_init: int

    def conflation_key(self) -> str:
        """Only the newest book of a symbol matters."""
        return self.symbol

    @property
    def mid(self) -> Decimal:
        """Halfway between best bid and best ask."""
        return (self.bids[0][0] + self.asks[0][0]) / 2

    @property
    def micro_price(self) -> Decimal:
        """The mid, drawn to the thinner side: each best price weighted by the size opposite.

        Gatheral and Oomen, "Zero-intelligence realized variance estimation" (2010).
        """
        (bid, bid_size), (ask, ask_size) = self.bids[0], self.asks[0]
        return (bid * ask_size + ask * bid_size) / (bid_size + ask_size)

    @property
    def imbalance(self) -> Decimal:
        """(bids - asks) / (bids + asks) over the sizes of all levels here: from -1 to 1."""
        bids = sum((size for _, size in self.bids), Decimal(0))
        asks = sum((size for _, size in self.asks), Decimal(0))
        return (bids - asks) / (bids + asks)


class Bar(Message, frozen=True, kw_only=True):
    """Open, high, low, close and volume of one finished bar.

    Of time: ``ts_open`` inclusive, ``ts_close`` exclusive, whole periods since the Unix epoch. Of
    ticks, volume or value: the times of its first and last tick.
    """

    symbol: str
    spec: BarSpec
    ts_open: int
    ts_close: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    """0 in a bar of quotes"""
    trades: int | None
    """trades in it (quotes, in a bar of BID, ASK or MID); None where the venue does not say"""


class BarsRequest(Message, frozen=True, kw_only=True):
    """Strategy to feed (ask): the last ``count`` finished bars. Answer: ``BarHistory``."""

    symbol: str
    spec: BarSpec
    count: int


class BarHistory(Message, frozen=True, kw_only=True):
    """Oldest first; may be shorter than asked for. Only finished bars."""

    symbol: str
    bars: tuple[Bar, ...]


class InstrumentsRequest(Message, frozen=True, kw_only=True):
    """Anybody to feed (ask). Answer: ``Instruments``, empty while the venue has not answered."""


class Instruments(Message, frozen=True, kw_only=True):
    """The trading rules of the venue's configured symbols.

    Also told by the feed to risk and strategies when known or changed.
    """

    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    instruments: tuple[Instrument, ...]

    def conflation_key(self) -> str:
        """Only the newest rules matter."""
        return ""


class BookRequest(Message, frozen=True, kw_only=True):
    """A person to feed (ask): tell a symbol's order book, or no more. Answer: ``FeedStatus``.

    Carried out when a connection is there, within half a minute or not at all.
    """

    symbol: str
    wanted: bool


class FeedStatusRequest(Message, frozen=True, kw_only=True):
    """Anybody to feed (ask). Answer: ``FeedStatus``."""


class FeedStatus(Message, frozen=True, kw_only=True):
    """What a feed has now, and how far the clocks are apart."""

    connections: int
    """that the venue has confirmed"""
    symbols: dict[str, str]
    """symbol to ``MarketStatus.reason``"""
    unreadable: dict[str, int]
    """frames that could not be read or believed, by reason"""
    books: dict[str, str]
    """symbol to ``ON``, ``OFF`` or ``WAITING`` of its order book, or why a change was not made"""
    repeated: int
    """trades that came again and were left out"""
    merged: int
    """quotes that risk was not told, because a newer one came within a millisecond"""
    clock_offset_secs: float | None
    """by how much the venue's clock is ahead of this machine's; None: not known"""
    clock_error_secs: float | None
    """how wrong that may be"""
    clock_drift_ppm: float | None
    """by how many millionths the venue's clock runs faster; None before five measurements"""
