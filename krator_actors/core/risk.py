"""The risk engine: owner of the portfolio; decides what may be sent. Pure: time is an argument.

``decide`` changes nothing. What it says takes effect when the caller has logged it and hands it to
``record``, and so does every other event of risk's own log; recovery is the same ``record`` over
the log. What the order actor's log says comes through ``absorb``.
"""

from __future__ import annotations

from collections import OrderedDict
from decimal import Decimal
from typing import assert_never

import msgspec

from krator_actors.core.controls import Case, denials
from krator_actors.core.duplicates import Approved, Duplicates
from krator_actors.core.latches import DueEvent, Latches, LatchEvent, LatchState
from krator_actors.core.limits import RiskLimits
from krator_actors.core.market import Market
from krator_actors.core.positions import Portfolio, PortfolioState, quote_of
from krator_actors.core.rates import Rates, Sent
from krator_actors.core.reservations import Reservations, ReservationsState
from krator_actors.core.rules import Denial, DenialReason, deny
from krator_actors.core.trading_states import RISK
from krator_actors.messages.handshake import OpenOrder, VenueStatus
from krator_actors.messages.market import Instruments, MarketStatus, QuoteTick, TradeSummary
from krator_actors.messages.orders import (
    AccountReport,
    CancelOrder,
    Difference,
    OrderDenied,
    OrderEvent,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    ReconciliationDifference,
    SubmitOrder,
    Unapproved,
)
from krator_actors.messages.risk import (
    ControlOverridden,
    DayStarted,
    DuplicateRefused,
    EquityPeaked,
    OrderApproved,
    TradingStateChanged,
)
from krator_actors.model import SELL, TradingState

KNOWN_LIMIT = 50_000
"""So many client order ids are remembered; the order actor refuses older ones by its own log."""

Verdict = OrderApproved | OrderDenied | DuplicateRefused
RiskEvent = Verdict | LatchEvent
"""What risk's own log holds."""


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a RiskEngine knows but the market; what a snapshot holds."""

    portfolio: PortfolioState
    reservations: ReservationsState
    known: tuple[str, ...]
    latches: LatchState
    approved: int
    denied: int
    sent: tuple[Sent, ...]
    """what was sent in the second before ``ts_ns``"""
    duplicates: tuple[Approved, ...]
    """what was approved so lately that the same again is one"""
    ts_ns: int


class RiskEngine:
    """Positions, cash, reservations and limits of one account at one venue. Not thread-safe.

    Fails closed: until ``is_recovered`` is set, the venue is reachable, the opening balances are
    known, and every holding has a price, every order is denied but a reduction, and that too while
    it cannot be judged. ``symbols`` must share one quote currency (ValueError).
    """

    def __init__(self, limits: RiskLimits, *, symbols: tuple[str, ...], venue: str) -> None:
        self.limits = limits
        self.portfolio = Portfolio(quote=quote_of(symbols), venue=venue, symbols=symbols)
        self.reservations = Reservations()
        self.latches = Latches(limits, venue)
        # A symbol without limits has no market: it is blocked, and its price is not looked at.
        self.markets = {s: Market(limits.symbols[s]) for s in symbols if s in limits.symbols}
        # Set when the order actor's events have been read to their end.
        self.is_recovered = False
        self.waits_for = "the order actor"
        # False while events of the order actor are known to be missing.
        self.are_positions_current = True
        # What the order actor said last.
        self.is_venue_reachable = False
        # True when risk's log is past its bound: only reductions may be approved.
        self.is_log_full = False
        self.approved = 0
        self.denied = 0
        self._symbols = frozenset(symbols)
        self._rates = Rates(
            limits.rates,
            {s: (o.max_orders_per_sec, o.max_messages_per_sec) for s, o in limits.symbols.items()},
        )
        self._duplicates = Duplicates(limits.longest_duplicate_ns)
        # Client order ids decided on or seen, oldest first: a plain dict takes 25 µs to find that.
        self._known: OrderedDict[str, None] = OrderedDict()

    # -- decisions ------------------------------------------------------------------------------

    def decide(self, order: SubmitOrder, *, now_ns: int, utc_ns: int) -> Verdict:
        """Return the verdict; the caller logs it, then hands it to ``record``, then acts.

        ``now_ns`` is the monotonic clock, ``utc_ns`` what the verdict is stamped with. A denied
        id is final as well: asked again it is a duplicate.
        """
        if order.client_order_id in self._known:
            return DuplicateRefused(
                client_order_id=order.client_order_id,
                strategy=order.strategy,
                symbol=order.symbol,
                ts_event=utc_ns,
            )
        state = self.latches.states.governing(order.symbol, order.strategy)
        market = self.markets.get(order.symbol)
        denial = self._check_gates(order, state, market)
        if denial is not None:
            return deny(order, denial, utc_ns)
        assert market is not None
        assert market.instrument is not None
        case = Case(
            order=order,
            market=market,
            instrument=market.instrument,
            limits=self.limits,
            portfolio=self.portfolio,
            reservations=self.reservations,
            duplicates=self._duplicates,
            only_reductions=self._only_reductions(state),
            exposure=self.reservations.exposure(order.symbol),
            held=self.portfolio.position(order.symbol).quantity,
            equity=self.portfolio.equity,
            is_sell=order.side is SELL,
            now_ns=now_ns,
            utc_ns=utc_ns,
        )
        denial = self._check(case) or self._check_rates(order, now_ns)
        if denial is not None:
            return deny(order, denial, utc_ns)
        equity = self.portfolio.known_equity
        return OrderApproved(
            order=order,
            reference_price=case.price,
            reserved_notional=case.notional,
            position_limit_notional=market.limits.max_position_fraction * equity,
            equity=equity,
            mid_price=market.mid or None,
            ts_event=utc_ns,
        )

    def _check_gates(
        self, order: SubmitOrder, state: TradingStateChanged | None, market: Market | None
    ) -> Denial | None:
        """What holds up every order, reductions too."""
        if not self.is_recovered:
            return Denial(DenialReason.RISK_RECOVERING, f"risk waits for {self.waits_for}")
        if state is not None and state.state is TradingState.HALTED:
            whose = f"{state.scope.value} {state.target}".rstrip()
            detail = f"{whose} halted by {state.by} until a person resumes: {state.reason}"
            return Denial(DenialReason(state.code), detail)
        if not self.is_venue_reachable:
            return Denial(DenialReason.VENUE_UNREACHABLE, f"no session with {self.portfolio.venue}")
        if market is None and order.symbol not in self._symbols:
            return Denial(DenialReason.UNKNOWN_SYMBOL, f"{order.symbol}: not configured")
        if market is None:
            return Denial(DenialReason.NO_LIMIT, f"{order.symbol} has no limits, so it is blocked")
        if order.symbol not in self.limits.permissions.get(order.strategy, ()):
            detail = f"{order.strategy} may not trade {order.symbol}"
            return Denial(DenialReason.NO_PERMISSION, detail)
        if market.instrument is None:
            return Denial(
                DenialReason.UNKNOWN_SYMBOL, f"{order.symbol}: its rules are not known yet"
            )
        return None

    def _only_reductions(self, state: TradingStateChanged | None) -> DenialReason | None:
        # Not HALTED, or the gates would have been closed.
        if state is not None:
            return DenialReason.TRADING_REDUCING
        if self.is_log_full:
            return DenialReason.LOG_FULL
        is_whole = self.are_positions_current and not self.reservations.unpriced
        return None if is_whole else DenialReason.POSITIONS_STALE

    def _check(self, case: Case) -> Denial | None:
        covers = self.latches.overrides.covers
        for denial in denials(case):
            if not covers(case.order.symbol, denial.reason, case.utc_ns):
                return denial
        return None

    def _check_rates(self, order: SubmitOrder, now_ns: int) -> Denial | None:
        # Reductions too: a strategy gone wild must not get the account banned by the venue.
        excess = self._rates.excess(order.symbol, order.strategy, now_ns)
        if excess is None:
            return None
        reason = DenialReason.ORDER_RATE if excess.what == "orders" else DenialReason.MESSAGE_RATE
        detail = f"{excess.limit} {excess.what} of {excess.whose} in the last second"
        return Denial(reason, detail, Decimal(excess.limit + 1), Decimal(excess.limit))

    # -- what happened --------------------------------------------------------------------------

    def record(self, event: RiskEvent, *, number: int, generation: int, now_ns: int) -> None:
        """Take an event of risk's own log: just logged, or read again in recovery.

        ``number`` and ``generation`` are the log record's; ``now_ns`` is when it was logged, by
        the monotonic clock of today.
        """
        match event:
            case OrderApproved():
                self.approved += 1
                self._approve(event, number=number, generation=generation, now_ns=now_ns)
            case OrderDenied():
                self.denied += 1
                self._know(event.client_order_id)
                self.reservations.apply(event, mark=None)
            case DuplicateRefused():
                pass
            case TradingStateChanged():
                self.latches.record(event)
                if event.state is TradingState.ACTIVE and event.target in self.markets:
                    self.markets[event.target].calm()
            case DayStarted() | EquityPeaked() | ControlOverridden():
                self.latches.record(event)
            case _:
                assert_never(event)

    def absorb(self, event: OrderEvent) -> None:
        """Take an event of the order actor's log; each exactly once and in its order.

        What an AccountReport says otherwise than our record comes as a ReconciliationDifference.
        """
        match event:
            case AccountReport():
                self.portfolio.open(event.balances)
                return
            case ReconciliationDifference():
                self._differ(event)
                return
            case OrderFilled():
                if not self.portfolio.apply_fill(event):
                    return
                symbol = event.symbol
            case OrderInitialized():
                self._know(event.order.client_order_id)
                symbol = event.order.symbol
            case OrderExternal():
                self._know(event.client_order_id)
                symbol = event.symbol
            case _:
                symbol = event.symbol
        self.reservations.apply(event, mark=self.portfolio.position(symbol).mark)

    def on_quote(self, quote: QuoteTick, now_ns: int) -> None:
        """Take the top of a book; ``now_ns``: when it came, by the monotonic clock."""
        market = self.markets.get(quote.symbol)
        if market is None:
            return
        is_price, anomaly = market.take(quote, now_ns)
        if is_price:
            self.portfolio.mark(quote.symbol, market.mid)
            self.reservations.value(quote.symbol, market.mid)
        if anomaly is not None:
            self.latches.notice(quote.symbol, anomaly)

    def on_trade_summary(self, summary: TradeSummary, now_ns: int) -> None:
        """Take what a symbol has traded; ``now_ns``: when it came, by the monotonic clock."""
        if (market := self.markets.get(summary.symbol)) is not None:
            market.take_summary(summary, now_ns)

    def on_message(self, message: Unapproved, now_ns: int) -> None:
        """Count what goes to the venue without a verdict."""
        self._rates.add_message(message, self.reservations, now_ns)

    def on_market_status(self, status: MarketStatus) -> None:
        """Take the feed's word whether a symbol's data is fresh."""
        if (market := self.markets.get(status.symbol)) is not None:
            market.is_fresh = status.fresh
            market.status_reason = status.reason

    def on_instruments(self, instruments: Instruments) -> None:
        """Take the venue's trading rules."""
        for instrument in instruments.instruments:
            if (market := self.markets.get(instrument.symbol)) is not None:
                market.instrument = instrument

    def on_venue_status(self, status: VenueStatus) -> None:
        """Take the order actor's word whether orders can be sent."""
        self.is_venue_reachable = status.reachable

    # -- what is due ----------------------------------------------------------------------------

    def due_event(self, utc_ns: int) -> DueEvent | None:
        """Return what must be logged and recorded now, or None; ask again until None."""
        return self.latches.due_event(self.portfolio.equity if self.is_recovered else None, utc_ns)

    def to_cancel(self) -> list[CancelOrder]:
        """Return the cancels of open orders that a halt wants gone and nobody has canceled yet."""
        states = self.latches.states
        if not states.may_cancel:
            return []
        return [
            CancelOrder(client_order_id=o.client_order_id, symbol=o.symbol, requester=RISK)
            for o in self.reservations.working()
            if states.cancels(o.symbol, o.strategy)
        ]

    def lost_approvals(
        self, approval: int, open_orders: tuple[OpenOrder, ...], *, generation: int, utc_ns: int
    ) -> list[OrderDenied]:
        """Return denials, to be logged and recorded, of approvals that never began and never will.

        ``approval`` is the last one that is settled (``Handshake.settled_approval``),
        ``open_orders`` is what the order actor has; ``generation`` is that of the risk actor now.
        """
        open_ids = {order.client_order_id for order in open_orders}
        return [
            OrderDenied(
                client_order_id=lost.client_order_id,
                strategy=lost.strategy,
                symbol=lost.symbol,
                reason=(
                    DenialReason.LOST_APPROVAL
                    if lost.generation == generation
                    else DenialReason.RISK_RESTARTED
                ),
                detail=f"approval {lost.approval} never reached the order actor",
                ts_event=utc_ns,
            )
            for lost in self.reservations.unbegun(approval)
            if lost.client_order_id not in open_ids
        ]

    # -- snapshots ------------------------------------------------------------------------------

    def state(self, *, now_ns: int, utc_ns: int) -> RiskState:
        """Return what ``restore`` needs."""
        return RiskState(
            portfolio=self.portfolio.state(),
            reservations=self.reservations.state(),
            known=tuple(self._known),
            latches=self.latches.state(now_ns=now_ns, utc_ns=utc_ns),
            approved=self.approved,
            denied=self.denied,
            sent=self._rates.state(now_ns),
            duplicates=self._duplicates.state(now_ns),
            ts_ns=utc_ns,
        )

    def restore(self, state: RiskState, *, now_ns: int, utc_ns: int) -> None:
        """Become what ``state`` says; only for an engine that is new."""
        self.portfolio.restore(state.portfolio)
        self._known = OrderedDict.fromkeys(state.known)
        self.approved = state.approved
        self.denied = state.denied
        saved_ns = now_ns - max(0, utc_ns - state.ts_ns)
        self.reservations.restore(state.reservations)
        self._duplicates.restore(state.duplicates, saved_ns)
        self._rates.restore(state.sent, saved_ns)
        self.latches.restore(state.latches, saved_ns)

    def _approve(
        self, approved: OrderApproved, *, number: int, generation: int, now_ns: int
    ) -> None:
        order = approved.order
        self._know(order.client_order_id)
        self._rates.add(order.symbol, order.strategy, now_ns, is_order=True)
        self.latches.executions.add(order.strategy, now_ns)
        self._duplicates.add(order, now_ns)
        self.reservations.reserve(
            order,
            reference_price=approved.reference_price,
            approval=number,
            generation=generation,
        )

    def _know(self, client_order_id: str) -> None:
        self._known[client_order_id] = None
        if len(self._known) > KNOWN_LIMIT:
            self._known.popitem(last=False)

    def _differ(self, difference: ReconciliationDifference) -> None:
        amount = difference.venue - difference.ours
        if difference.what is Difference.BALANCE:
            value = self.portfolio.adjust(difference.subject, amount)
        else:
            mark = self.portfolio.position(difference.symbol).mark
            value = None if mark is None else amount * mark
        self.latches.unreconciled.notice(difference, value)
