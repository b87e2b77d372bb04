"""Betting on the way back: long from a fall that went too far to the average, with a stop."""

from __future__ import annotations

import math
from decimal import Decimal

from krator_actors.core.indicators import Bands, StreamingAtr, StreamingBollinger, StreamingRsi
from krator_actors.core.strategies import (
    Intent,
    Standing,
    Strategy,
    cause_of,
    readings,
    side_of,
)
from krator_actors.messages.market import Bar, TradeTick
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import OrderSide

_WILDER_WARM_UP_PERIODS = 5
"""After five periods the seed weighs below 2 % in Wilder's average: ((p - 1) / p) ** (4 p - 1)."""


class MeanReversionStrategy(Strategy):
    """Long when a close is below the lower Bollinger band and RSI is oversold; flat at the middle.

    The entry needs the bar on which both become true: a fall that was missed, or that has just
    been sold at the stop, is not bought while it goes on. The exit does not: while it is long and
    the close is at the middle band or above, it says so on every bar.

    The stop is a price, decided with the entry and written down with it: ``stop_atr`` average true
    ranges below the close that was bought on. It is watched on every trade and on every close,
    but says so once between two closes, because a denied sale would be tried on each trade. A
    position whose entry is not known counts as entered on the first bar it is seen on.
    """

    def __init__(
        self,
        bands: StreamingBollinger,
        rsi: StreamingRsi,
        atr: StreamingAtr,
        *,
        oversold: float,
        stop_atr: float,
    ) -> None:
        self._bands = bands
        self._rsi = rsi
        self._atr = atr
        self._oversold = oversold
        self._stop_atr = stop_atr
        # Bars at which all three indicators could tell.
        self._told_bars = 0
        # True when the newest of these had fallen too far.
        self._is_cheap = False
        # Where to sell at the latest; None when flat, and when long on an entry not known.
        self._stop_price: Decimal | None = None
        # True when a trade since the last close has hit the stop.
        self._stop_hit = False

    @property
    def warm_up_bars(self) -> int:
        """Enough for all three indicators before the bar that is decided on."""
        return max(self._bands.warm_up, self._rsi.warm_up, self._atr.warm_up) + 1

    @property
    def is_warm(self) -> bool:
        """True when the indicators were known one bar before the newest."""
        return self._told_bars > 1

    def recall(self, entry: SignalRaised, /) -> None:
        """Take back the stop that was decided with the entry."""
        self._stop_price = entry.stop_price

    def on_trade(self, trade: TradeTick, standing: Standing, /) -> list[Intent]:
        """Sell at the stop."""
        if standing is not Standing.LONG or not self.is_warm or self._stop_hit:
            return []
        if self._stop_price is None or trade.price > self._stop_price:
            return []
        self._stop_hit = True
        return [
            Intent(
                side=OrderSide.SELL,
                cause=cause_of(trade),
                price=trade.price,
                readings=(),
                stop_price=self._stop_price,
                ts_event=trade.ts_event,
            )
        ]

    def on_bar(self, bar: Bar, standing: Standing, /) -> list[Intent]:
        """Compare the close with the bands and the stop."""
        close = float(bar.close)
        bands, rsi = self._bands.update(close), self._rsi.update(close)
        atr = self._atr.update(float(bar.high), float(bar.low), close)
        self._stop_hit = False
        if standing is Standing.FLAT:
            self._stop_price = None
        if any(math.isnan(reading) for reading in (bands.lower, rsi, atr)):
            return []
        self._told_bars += 1
        was_cheap = self._is_cheap
        self._is_cheap = side_of(close, bands.lower) < 0 and rsi < self._oversold
        if not self.is_warm or standing is Standing.UNKNOWN:
            return []
        if self._stop_price is None:
            stop_price = bar.close - Decimal(str(self._stop_atr * atr))
        else:
            stop_price = self._stop_price
        if standing is Standing.LONG:
            self._stop_price = stop_price
            is_over = side_of(close, bands.middle) >= 0 or bar.close <= stop_price
            return [_intent(OrderSide.SELL, bar, bands, rsi, atr, stop_price)] if is_over else []
        if was_cheap or not self._is_cheap:
            return []
        self._stop_price = stop_price
        return [_intent(OrderSide.BUY, bar, bands, rsi, atr, stop_price)]


def mean_reversion(
    *,
    bollinger_period: int,
    bollinger_deviations: float,
    rsi_period: int,
    rsi_oversold: float,
    atr_period: int,
    stop_atr: float,
) -> MeanReversionStrategy:
    """Return a cold one. Periods in bars; ``rsi_oversold`` of 100; ``stop_atr`` in ATRs."""
    return MeanReversionStrategy(
        StreamingBollinger(bollinger_period, deviations=bollinger_deviations),
        StreamingRsi(rsi_period, warm_up=_WILDER_WARM_UP_PERIODS * rsi_period),
        StreamingAtr(atr_period, warm_up=_WILDER_WARM_UP_PERIODS * atr_period),
        oversold=rsi_oversold,
        stop_atr=stop_atr,
    )


def _intent(
    side: OrderSide, bar: Bar, bands: Bands[float], rsi: float, atr: float, stop_price: Decimal
) -> Intent:
    return Intent(
        side=side,
        cause=cause_of(bar),
        price=bar.close,
        readings=readings(lower=bands.lower, middle=bands.middle, rsi=rsi, atr=atr),
        stop_price=stop_price,
        ts_event=bar.ts_close,
    )
