"""Market data: feed to strategies and risk, and what they ask the feed for."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from krator_actors.model import Instrument, OrderSide
from supervisors.messages import Delivery, Message


class MarketDataGap(Message, frozen=True, kw_only=True):
    """Data of a stream is missing between two events; what depends on it is no longer true."""

    symbol: str
    stream: str
    """``trade``, ``quote`` or ``book``"""
    first_id: int
    """first missing trade or update id, 0 when not known"""
    last_id: int
    count: int
    reason: str
    ts_event: int
    ts_init: int


class TradeTick(Message, frozen=True, kw_only=True):
    """One trade at the venue."""

    delivery: ClassVar[Delivery] = Delivery.GAP

    symbol: str
    price: Decimal
    size: Decimal
    aggressor: OrderSide
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
    """``LIVE``, ``CONNECTING``, ``DISCONNECTED``, ``STALE_TRADES``, ``STALE_QUOTES``, ``GAP``"""
    ts_event: int

    def conflation_key(self) -> str:
        """Only the newest word on a symbol matters: a receiver that is away never blocks a feed."""
        return self.symbol


class Bar(Message, frozen=True, kw_only=True):
    """Open, high, low, close and volume of one period of event time; ``ts_open`` inclusive."""

    symbol: str
    period_secs: int
    ts_open: int
    ts_close: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    trades: int


class BarsRequest(Message, frozen=True, kw_only=True):
    """Strategy to feed (ask): the last ``count`` finished bars. Answer: ``BarHistory``."""

    symbol: str
    period_secs: int
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
