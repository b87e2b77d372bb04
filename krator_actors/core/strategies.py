"""What every strategy is: market data and its standing in, intents out. And what may be ordered.

A strategy has no position of its own: whoever calls it says where it stands. The answer depends
on what it was shown, the standing and the entry it recalls from its log, so the same decision can
be taken again after a restart.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from decimal import Decimal
from typing import Any, Protocol

import msgspec

from krator_actors.messages.market import Bar, BookTop, QuoteTick, TradeTick
from krator_actors.messages.orders import Bracket, OrderEvent, SubmitOrder
from krator_actors.messages.strategy import Reading, SignalRaised
from krator_actors.model import Instrument, OrderSide, quantize_down

_SAME_FRACTION = 1e-12
"""Numbers closer than this are equal: a sum of 1000 doubles is wrong by up to 1e-13 of itself,
and equal prices must not look like a cross."""


class Standing(enum.Enum):
    """What a strategy holds, as far as it is known."""

    UNKNOWN = "unknown"
    """The position is not known, an order is under way, or the market is not fresh."""
    FLAT = "flat"
    """Nothing that could be sold."""
    LONG = "long"


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A decision: go long, or sell everything."""

    side: OrderSide
    cause: str
    """id of the event it was taken on: ``bar:<ts_open>`` or ``trade:<trade_id>``"""
    price: Decimal
    """the last traded price known when it was taken"""
    readings: tuple[Reading, ...]
    """what the indicators said"""
    stop_price: Decimal | None = None
    """where the position is to be sold at the latest; None: the strategy has no stop"""
    ts_event: int
    """event time of the cause, when it was complete"""

    def __post_init__(self) -> None:
        """Refuse what no order can be made of, where it was decided; ValueError, TypeError."""
        # Any, because foreign code is careless: sized as a sale, "BUY" would arrive as a buy.
        side: Any = self.side
        price: Any = self.price
        if not isinstance(side, OrderSide):
            raise TypeError(f"an intent's side was {side!r}, expected an OrderSide")
        if not (isinstance(price, Decimal) and price.is_finite() and price > 0):
            raise ValueError(f"an intent's price was {price!r}, expected a Decimal above 0")
        if not self.cause:
            raise ValueError("an intent's cause was empty, expected the id of what it is for")

    @property
    def leg(self) -> int:
        """0 for an entry, 1 for an exit: two decisions on one cause are two orders."""
        return 0 if self.side is OrderSide.BUY else 1


class Strategy(Protocol):
    """What the strategy actor asks. Each call returns what to do now, usually nothing.

    Calls that a strategy has no use for it leaves as they are here.
    """

    @property
    @abstractmethod
    def warm_up_bars(self) -> int:
        """How many bars it must have seen before it can decide on one."""
        ...

    @property
    @abstractmethod
    def is_warm(self) -> bool:
        """True when it has seen them; until then every call returns []."""
        ...

    @abstractmethod
    def on_bar(self, bar: Bar, standing: Standing, /) -> list[Intent]:
        """Take a finished bar; bars come in order of time, each once."""
        ...

    def recall(self, _entry: SignalRaised, /) -> None:
        """Take back its newest entry; called when it is cold, before anything else.

        Whether that entry ever became a position, or still is one, the next standing tells.
        """
        return

    def on_trade(self, _trade: TradeTick, _standing: Standing, /) -> list[Intent]:
        """Take one trade; the bar that it finishes comes after it."""
        return []

    def on_book(self, _book: BookTop, _standing: Standing, /) -> list[Intent]:
        """Return what to do, seeing a book's best levels; only where ``venue.books`` asks for them.

        The newest alone counts: books in between may have been left out.
        """
        return []

    def on_quote(self, _quote: QuoteTick, _standing: Standing, /) -> list[Intent]:
        """Take a new best bid and offer."""
        return []

    def on_order_event(self, _event: OrderEvent, _standing: Standing, /) -> list[Intent]:
        """Take what became of an own order; the same event may come twice."""
        return []


def side_of(value: float, level: float) -> int:
    """Return 1 when ``value`` is above ``level``, -1 below; 0 when equal or either is NaN."""
    difference = value - level
    # Also false for a NaN.
    if abs(difference) > _SAME_FRACTION * abs(level):
        return 1 if difference > 0 else -1
    return 0


def cause_of(event: Bar | TradeTick) -> str:
    """Return the id that a decision on ``event`` gives as its cause."""
    return f"bar:{event.ts_open}" if isinstance(event, Bar) else f"trade:{event.trade_id}"


def readings(**values: float) -> tuple[Reading, ...]:
    """Return named numbers as an intent carries them."""
    return tuple(Reading(name=name, value=value) for name, value in values.items())


def entry_quantity(notional: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    """Return how much ``notional`` (quote currency) buys at ``price``, in whole lots; 0 for none.

    None is bought when it is below the venue's minimum quantity or minimum value.
    """
    return _tradable(notional / price, price, instrument)


def exit_quantity(position: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    """Return how much of ``position`` (base currency) can be sold at ``price``, in whole lots.

    0 when that is nothing: what a fee left over ("dust") is not a position.
    """
    return _tradable(position, price, instrument) if position > 0 else Decimal(0)


def bracket_around(
    price: Decimal, instrument: Instrument, *, stop_loss: Decimal, take_profit: Decimal
) -> Bracket:
    """Return the ways out of an entry at ``price``: so much below and above it, as fractions."""
    return Bracket(
        stop_price=quantize_down(price * (1 - stop_loss), instrument.tick_size),
        take_profit_price=quantize_down(price * (1 + take_profit), instrument.tick_size),
        instrument=instrument,
    )


def signal_of(intent: Intent, order: SubmitOrder) -> SignalRaised:
    """Return what is logged before ``order``, which carries out ``intent``, goes to risk."""
    return SignalRaised(
        strategy=order.strategy,
        symbol=order.symbol,
        side=intent.side,
        client_order_id=order.client_order_id,
        cause=intent.cause,
        readings=intent.readings,
        stop_price=intent.stop_price if order.bracket is None else order.bracket.stop_price,
        is_bracketed=order.bracket is not None,
        price=intent.price,
        quantity=order.quantity,
        ts_event=intent.ts_event,
        ts_init=order.ts_init,
    )


def _tradable(quantity: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    lots = min(quantize_down(quantity, instrument.lot_size), instrument.max_quantity)
    if lots < instrument.min_quantity or lots * price < instrument.min_notional:
        return Decimal(0)
    return lots
