"""What the market of a symbol was: the part of docs/RISK.md that is about prices and volume."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

SEC = 1_000_000_000


class Market:
    """Quotes and trade summaries of one symbol, as they came."""

    def __init__(self, limits: Mapping[str, Any] | None) -> None:
        self.limits = limits
        self.is_fresh = False
        # Bid and ask of the last good quote, whatever came after it.
        self.touch: tuple[Decimal, Decimal] | None = None
        # The same and when it came; None after a quote that is not good.
        self.quote: tuple[Decimal, Decimal, int] | None = None
        self.mark: Decimal | None = None
        self.last: Decimal | None = None
        # By slot: the newest mid, and all of them.
        self.mids: dict[int, Decimal] = {}
        self.all_mids: dict[int, list[Decimal]] = {}
        self.before: Decimal | None = None
        self.added: dict[int, Decimal] = {}
        self.counted: Decimal | None = None

    def begin_anew(self) -> None:
        """Forget average, range and gap: the symbol was resumed."""
        self.mids = {}
        self.all_mids = {}
        self.before = None

    def on_quote(self, bid: Decimal, ask: Decimal, now: int, offset: int) -> str:
        """Take a quote and return the code of the halt that it makes, or nothing.

        ``offset`` is what the engine's monotonic clock is ahead of ours: slots are of that one.
        """
        if not (bid.is_finite() and ask.is_finite() and bid > 0 and ask > 0):
            self.quote = None
            return ""
        if self.limits is None:
            return ""
        self.touch = (bid, ask)
        self.quote = (bid, ask, now)
        if bid >= ask:
            return ""
        mid = (bid + ask) / 2
        self.mark = mid
        before, self.before = self.before, mid
        slot = (now + offset) // (int(self.limits["price_window_secs"] * SEC) // 20)
        self.mids[slot] = mid
        self.mids = {s: m for s, m in self.mids.items() if slot - 19 <= s}
        self.all_mids.setdefault(slot, []).append(mid)
        self.all_mids = {s: m for s, m in self.all_mids.items() if slot - 19 <= s}
        gap = Decimal(self.limits["max_gap_fraction"])
        if before is not None and abs(mid - before) > gap * before:
            return "PRICE_GAP"
        highest = max(map(max, self.all_mids.values()))
        lowest = min(map(min, self.all_mids.values()))
        if highest - lowest > Decimal(self.limits["max_volatility_fraction"]) * lowest:
            return "VOLATILITY"
        return ""

    def on_summary(self, last: Decimal, volume: Decimal, counted_secs: float, now: int) -> None:
        self.last = last
        if self.limits is None:
            return
        window = self.limits["volume_window_secs"]
        if self.counted is None:
            added = volume
            if counted_secs > window:
                added = volume * Decimal(window) / Decimal(counted_secs)
        else:
            added = volume if volume < self.counted else volume - self.counted
        self.counted = volume
        slot = now // (int(window * SEC) // 60)
        self.added[slot] = self.added.get(slot, Decimal(0)) + added
        self.added = {s: a for s, a in self.added.items() if slot - 59 <= s <= slot}

    @property
    def mid(self) -> Decimal | None:
        return None if self.touch is None else (self.touch[0] + self.touch[1]) / 2

    @property
    def traded(self) -> Decimal:
        return sum(self.added.values(), Decimal(0))

    def is_stale(self, now: int) -> bool:
        assert self.limits is not None
        return self.quote is not None and now - self.quote[2] > int(
            self.limits["quote_stale_secs"] * SEC
        )

    def is_usable(self, now: int) -> bool:
        return (
            self.is_fresh
            and self.quote is not None
            and not self.is_stale(now)
            and self.quote[0] < self.quote[1]
        )
