"""Risk: what it writes in its own log, what people ask of it, and the portfolio."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import Choice, TradingState
from supervisors.messages import Message


class OrderApproved(Message, frozen=True, kw_only=True):
    """Risk's verdict and the numbers it compared; written before ``PlaceOrder`` is told."""

    order: SubmitOrder
    reference_price: Decimal
    reserved_notional: Decimal
    position_limit_notional: Decimal
    equity: Decimal
    mid_price: Decimal | None = None
    """mid of the quote that it was decided on: what slippage is measured from; None: there was
    none, or the record is from before it was written down"""
    ts_event: int


class Scope(Choice):
    """What a trading state holds for. The strictest of the four that meet in an order decides."""

    SYSTEM = "SYSTEM"
    VENUE = "VENUE"
    SYMBOL = "SYMBOL"
    STRATEGY = "STRATEGY"


class TradingStateChanged(Message, frozen=True, kw_only=True):
    """Latched: it holds across restarts until the next one of the same scope and target."""

    state: TradingState
    scope: Scope = Scope.SYSTEM
    target: str = ""
    """the venue, symbol or strategy; empty for the system"""
    by: str
    """a person's name, or ``risk`` for a limit that was hit"""
    reason: str
    code: str = "TRADING_HALTED"
    """the reason that an order is denied with while this is HALTED"""
    cancels: bool = False
    """True: the open orders that it holds for are canceled, until there are none"""
    loss_base: Decimal | None = None
    """equity from which the daily loss is measured from now on; None: as before"""
    peak_base: Decimal | None = None
    """equity from which the drawdown is measured from now on; None: as before"""
    ts_event: int


class DayStarted(Message, frozen=True, kw_only=True):
    """Equity at the beginning of the trading day; the daily loss is measured from here."""

    day: str
    """``2026-11-22`` (UTC)"""
    equity: Decimal
    ts_event: int


class EquityPeaked(Message, frozen=True, kw_only=True):
    """The highest equity so far; the drawdown is measured from here."""

    equity: Decimal
    ts_event: int


class ControlOverridden(Message, frozen=True, kw_only=True):
    """A named person lets orders of one symbol pass one control, until a time."""

    control: str
    """the reason that the control denies with"""
    symbol: str
    until_ns: int
    """UTC, exclusive"""
    by: str
    reason: str
    ts_event: int


class DuplicateRefused(Message, frozen=True, kw_only=True):
    """The same decision came again (e.g. after a restart). The first order stands untouched."""

    client_order_id: str
    strategy: str
    symbol: str
    ts_event: int


class Halt(Message, frozen=True, kw_only=True):
    """Only cancels pass. Anybody to risk (ask). Answer: ``TradingStateChanged``."""

    scope: Scope = Scope.SYSTEM
    target: str = ""
    by: str
    reason: str
    cancels: bool = False
    """also cancel what is open"""


class Reduce(Message, frozen=True, kw_only=True):
    """Only cancels and reductions pass. Person to risk (ask). Answer: ``TradingStateChanged``."""

    scope: Scope = Scope.SYSTEM
    target: str = ""
    by: str
    reason: str


class Resume(Message, frozen=True, kw_only=True):
    """Person to risk (ask). Answer: ``TradingStateChanged``. There is no automatic resume."""

    scope: Scope = Scope.SYSTEM
    target: str = ""
    by: str
    reason: str


class OverrideControl(Message, frozen=True, kw_only=True):
    """Person to risk (ask). Answer: ``ControlOverridden``, or ``ActRefused``."""

    control: str
    symbol: str
    secs: float
    by: str
    reason: str


class ActRefused(Message, frozen=True, kw_only=True):
    """To a person: what was asked for was not done."""

    reason: str
    ts_event: int


class PortfolioRequest(Message, frozen=True, kw_only=True):
    """Anybody to risk (ask). Answer: ``PortfolioReport``."""


class PositionReport(msgspec.Struct, frozen=True, kw_only=True):
    """One symbol's position; money in the quote currency."""

    symbol: str
    quantity: Decimal
    average_price: Decimal
    mark_price: Decimal | None
    """mid, None before the first quote"""
    realized_pnl: Decimal
    """fees not included"""
    unrealized_pnl: Decimal
    fees: Decimal
    reserved_buy: Decimal
    """quantity of open buy orders"""
    reserved_sell: Decimal
    exposure: Decimal = Decimal(0)
    """``quantity`` at ``mark_price``, signed; 0 without a price, or when it is not configured"""
    quote_ts_init: int | None = None
    """UTC ns, when the quote behind ``mark_price`` came; None: there has been none"""


class PortfolioReport(Message, frozen=True, kw_only=True):
    """What risk knows now."""

    state: TradingState
    """the strictest of system and venue"""
    states: tuple[TradingStateChanged, ...] = ()
    """every state that is not ACTIVE"""
    overrides: tuple[ControlOverridden, ...] = ()
    """those that have not expired"""
    recovered: bool
    """False while risk still waits for the order actor: everything but cancels is denied"""
    venue_reachable: bool = False
    """what the order actor said last: while it is False everything but cancels is denied"""
    cash: Decimal
    equity: Decimal
    day_start_equity: Decimal
    positions: tuple[PositionReport, ...]
    open_orders: tuple[OpenOrder, ...]
    orders_approved: int
    orders_denied: int
    fills: int
    peak_equity: Decimal | None = None
    """the highest equity so far, to within a thousandth; None before the first"""
    net_exposure: Decimal = Decimal(0)
    """sum of the positions' ``exposure``: longs less shorts"""
    gross_exposure: Decimal = Decimal(0)
    """the same without their signs"""
    transfers: Decimal = Decimal(0)
    """what came (or went) without a trade, at the price of then: no profit, no loss"""
    unvalued_fees: dict[str, Decimal] = msgspec.field(default_factory=dict)
    """asset to fees that nothing priced when they were paid: in no other number here"""
    ts_event: int
