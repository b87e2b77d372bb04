"""What risk knows of one symbol's market, and when that market is not to be trusted. Pure."""

from __future__ import annotations

from decimal import Decimal

from krator_actors.core.limits import SymbolLimits
from krator_actors.core.market_windows import PriceWindow, VolumeWindow
from krator_actors.core.rules import Denial, DenialReason
from krator_actors.messages.market import QuoteTick, TradeSummary
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import BUY, Instrument

_TWO = Decimal(2)
_ZERO = Decimal(0)


class Market:
    """Quotes, the last trade, recent prices and volume of one symbol. Not thread-safe."""

    __slots__ = (
        "ask",
        "bid",
        "instrument",
        "is_fresh",
        "last",
        "limits",
        "mid",
        "prices",
        "quote_ts_init",
        "quoted_ns",
        "status_reason",
        "volumes",
    )

    def __init__(self, limits: SymbolLimits) -> None:
        self.limits = limits
        # None until the venue's trading rules are known.
        self.instrument: Instrument | None = None
        self.bid = Decimal(0)
        self.ask = Decimal(0)
        # Of the last quote with two sides, crossed or not; 0 before the first.
        self.mid = Decimal(0)
        # Monotonic; when the quote came to risk. None: there is no usable quote.
        self.quoted_ns: int | None = None
        # UTC; when the quote came to the feed. Stays when there is no usable quote any more.
        self.quote_ts_init: int | None = None
        # What the feed said last; None before it has said anything.
        self.is_fresh: bool | None = None
        self.status_reason = "nothing yet"
        # Price of the last trade; None before the first that risk heard of.
        self.last: Decimal | None = None
        # Of uncrossed quotes only.
        self.prices = PriceWindow(limits.price_window_secs)
        self.volumes = VolumeWindow(limits.volume_window_secs)

    def take(self, quote: QuoteTick, now_ns: int) -> tuple[bool, Denial | None]:
        """Take a quote.

        Returns whether its mid is a price to value positions at, and what is anomalous about it.
        One with an empty side leaves no usable quote. A crossed one is kept, for the denial.
        """
        bid, ask = quote.bid, quote.ask
        if not (bid.is_finite() and ask.is_finite() and bid > _ZERO and ask > _ZERO):
            self.quoted_ns = None
            return False, None
        self.bid = bid
        self.ask = ask
        self.mid = mid = (bid + ask) / _TWO
        self.quoted_ns = now_ns
        self.quote_ts_init = quote.ts_init
        if bid >= ask:
            return False, None
        anomaly = self._gap(mid)
        self.prices.take(mid, now_ns)
        return True, anomaly or self._volatility()

    def take_summary(self, summary: TradeSummary, now_ns: int) -> None:
        """Take the last trade and the volume."""
        if summary.last_price.is_finite() and summary.last_price > 0:
            self.last = summary.last_price
        if summary.volume.is_finite() and summary.volume >= 0:
            self.volumes.take(summary.volume, summary.counted_secs, now_ns)

    def calm(self) -> None:
        """Begin the prices anew, because a person has seen them and lifted the halt."""
        self.prices.clear()

    def is_usable(self, now_ns: int) -> bool:
        """Return whether there is a fresh, uncrossed quote."""
        return (
            self.is_fresh is True
            and self.quoted_ns is not None
            and now_ns - self.quoted_ns <= self.limits.quote_stale_ns
            and self.bid < self.ask
        )

    def reference_price(self, order: SubmitOrder) -> Decimal:
        """Return what a unit of ``order`` costs: its limit, its stop, or the touch it meets."""
        price = order.stop_price if order.price is None else order.price
        if price is not None:
            return price
        return self.ask if order.side is BUY else self.bid

    def _gap(self, mid: Decimal) -> Denial | None:
        before = self.prices.latest
        limit = self.limits.max_gap_fraction
        if before is None or abs(mid - before) <= limit * before:
            return None
        moved = abs(mid - before) / before
        return Denial(
            DenialReason.PRICE_GAP,
            f"mid went from {before} to {mid}, by more than {limit} of it, in one quote",
            moved,
            limit,
        )

    def _volatility(self) -> Denial | None:
        low, high = self.prices.range
        limit = self.limits.max_volatility_fraction
        if high - low <= limit * low:
            return None
        return Denial(
            DenialReason.VOLATILITY,
            f"mid was between {low} and {high} in {self.limits.price_window_secs:g} s, more than "
            f"{limit} apart",
            (high - low) / low,
            limit,
        )
