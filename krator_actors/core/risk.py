"""The risk engine: owner of the portfolio; decides what may be sent. Pure: time is an argument.

``decide`` changes nothing. What it says takes effect when the caller has logged it and hands it to
``record``, and so does every other event of risk's own log; recovery is the same ``record`` over
the log. What the order actor's log says comes through ``absorb``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import assert_never

import msgspec

from krator_actors.core.daily_loss import DailyLoss, DailyLossState
from krator_actors.core.limits import (
    Account,
    RiskLimits,
    check_account,
    check_notional,
    check_reducing,
)
from krator_actors.core.positions import Portfolio, PortfolioState
from krator_actors.core.rates import RateWindow
from krator_actors.core.reservations import Reservation, Reservations
from krator_actors.core.rules import Denial, DenialReason, Market, check_instrument, check_market
from krator_actors.core.unreconciled import RECONCILIATION, Unreconciled, UnreconciledState
from krator_actors.messages.handshake import OpenOrder, VenueStatus
from krator_actors.messages.market import Instruments, MarketStatus, QuoteTick
from krator_actors.messages.orders import (
    AccountReport,
    Difference,
    OrderDenied,
    OrderEvent,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    ReconciliationDifference,
    SubmitOrder,
)
from krator_actors.messages.risk import (
    DayStarted,
    DuplicateRefused,
    OrderApproved,
    TradingStateChanged,
)
from krator_actors.model import NANOS_PER_SEC, TradingState

RISK = "risk"
"""Who halts trading when a limit is hit; no person can have this name."""

KNOWN_LIMIT = 50_000
"""So many client order ids are remembered; the order actor refuses older ones by its own log."""

_ZERO = Decimal(0)

Verdict = OrderApproved | OrderDenied | DuplicateRefused
RiskEvent = OrderApproved | OrderDenied | DuplicateRefused | TradingStateChanged | DayStarted
"""What risk's own log holds."""


class RiskState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a RiskEngine knows but the market; what a snapshot holds."""

    portfolio: PortfolioState
    reservations: tuple[Reservation, ...]
    known: tuple[str, ...]
    trading_state: TradingState
    halted_by: str
    halted_reason: str
    unreconciled: UnreconciledState
    daily_loss: DailyLossState
    approved: int
    denied: int
    order_ages_ns: tuple[int, ...]
    """how long before ``ts_ns`` the latest approvals were"""
    ts_ns: int


class RiskEngine:
    """Positions, cash, reservations and limits of one account at one venue. Not thread-safe.

    Fails closed: until ``is_recovered`` is set, the venue is reachable, the opening balances are
    known, and every holding has a price, every order is denied. ``symbols`` must share one quote
    currency (ValueError).
    """

    def __init__(self, limits: RiskLimits, *, symbols: tuple[str, ...], venue: str) -> None:
        self.limits = limits
        self.portfolio = Portfolio(quote=_quote_of(symbols), venue=venue, symbols=symbols)
        self.reservations = Reservations()
        self.daily_loss = DailyLoss(limits.max_daily_loss_fraction)
        self.markets = {symbol: Market() for symbol in symbols}
        self.trading_state = TradingState.ACTIVE
        # Who made the trading state what it is; empty while nobody has.
        self.halted_by = ""
        self.halted_reason = ""
        self.unreconciled = Unreconciled(limits.max_reconciliation_difference)
        # Set when the order actor's events have been read to their end.
        self.is_recovered = False
        # What the order actor said last.
        self.is_venue_reachable = False
        # True when risk's log is past its bound: only reductions may be approved.
        self.is_log_full = False
        self.approved = 0
        self.denied = 0
        self._rate = RateWindow(limits.max_orders_per_sec)
        self._stale_ns = int(limits.quote_stale_secs * NANOS_PER_SEC)
        # Client order ids that were decided on or seen, oldest first.
        self._known: dict[str, None] = {}

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
        denial = self._check_gates() or self._check_order(order, now_ns)
        if denial is not None:
            return deny(order, denial.reason, denial.detail, utc_ns)
        equity = self.portfolio.equity
        assert equity is not None
        price = self.markets[order.symbol].reference_price(order)
        return OrderApproved(
            order=order,
            reference_price=price,
            reserved_notional=order.quantity * price,
            position_limit_notional=self.limits.max_position_fraction * equity,
            equity=equity,
            ts_event=utc_ns,
        )

    def _check_gates(self) -> Denial | None:
        if not self.is_recovered:
            return Denial(DenialReason.RISK_RECOVERING, "risk waits for the order actor")
        if self.trading_state is TradingState.HALTED:
            return Denial(self._halt_code(), f"halted by {self.halted_by} until a person resumes")
        if not self.is_venue_reachable:
            return Denial(DenialReason.VENUE_UNREACHABLE, f"no session with {self.portfolio.venue}")
        return None

    def _halt_code(self) -> DenialReason:
        if self.halted_by != RISK:
            return DenialReason.TRADING_HALTED
        by_difference = self.halted_reason.startswith(RECONCILIATION)
        return DenialReason.RECONCILIATION if by_difference else DenialReason.DAILY_LOSS

    def _check_order(self, order: SubmitOrder, now_ns: int) -> Denial | None:
        market = self.markets.get(order.symbol)
        if market is None or market.instrument is None:
            detail = "not configured" if market is None else "its trading rules are not known yet"
            return Denial(DenialReason.UNKNOWN_SYMBOL, f"{order.symbol}: {detail}")
        limits = self.limits
        account = Account(
            held=self.portfolio.position(order.symbol).quantity,
            exposure=self.reservations.exposure(order.symbol),
            equity=self.portfolio.equity,
            free_cash=self.portfolio.cash - self.reservations.buy_notional,
        )
        denial = (
            check_instrument(order, market.instrument)
            or self._check_reducing(order, account)
            or check_market(
                order,
                market,
                now_ns=now_ns,
                stale_ns=self._stale_ns,
                collar=limits.price_collar_fraction,
            )
            or check_notional(order, market, limits.max_order_notional)
            or check_account(order, market, account, limits.max_position_fraction)
        )
        if denial is None and self._rate.is_full(now_ns):
            # Reductions too: a strategy gone wild must not get the account banned by the venue.
            return Denial(DenialReason.ORDER_RATE, f"{self._rate.limit} orders in the last second")
        return denial

    def _check_reducing(self, order: SubmitOrder, account: Account) -> Denial | None:
        if self.trading_state is TradingState.REDUCING:
            return check_reducing(order, account, DenialReason.TRADING_REDUCING)
        if self.is_log_full:
            return check_reducing(order, account, DenialReason.LOG_FULL)
        return None

    # -- what happened --------------------------------------------------------------------------

    def record(self, event: RiskEvent, *, number: int, generation: int, now_ns: int) -> None:
        """Take an event of risk's own log: just logged, or read again in recovery.

        ``number`` and ``generation`` are the log record's; ``now_ns`` is when it was logged, by
        the monotonic clock of today.
        """
        match event:
            case OrderApproved():
                self.approved += 1
                self._know(event.order.client_order_id)
                self._rate.add(now_ns)
                self.reservations.reserve(
                    event.order,
                    reference_price=event.reference_price,
                    approval=number,
                    generation=generation,
                )
            case OrderDenied():
                self.denied += 1
                self._know(event.client_order_id)
                self.reservations.apply(event, mark=_ZERO)
            case DuplicateRefused():
                pass
            case TradingStateChanged():
                self.trading_state = event.state
                self.halted_by = event.by
                self.halted_reason = event.reason
                if event.by == RISK and event.reason.startswith(RECONCILIATION):
                    self.unreconciled.settle(event.ts_event)
                if event.loss_base is not None:
                    self.daily_loss.measure_from(event.loss_base)
            case DayStarted():
                self.daily_loss.start(event)
            case _:
                assert_never(event)

    def absorb(self, event: OrderEvent) -> None:
        """Take an event of the order actor's log; each exactly once and in its order.

        The first AccountReport is the account's opening, a later one changes nothing: what it says
        otherwise than our record comes as a ReconciliationDifference.
        """
        match event:
            case AccountReport():
                if not self.portfolio.is_opened:
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
        mark = self.portfolio.position(symbol).mark
        self.reservations.apply(event, mark=_ZERO if mark is None else mark)

    def on_quote(self, quote: QuoteTick, now_ns: int) -> None:
        """Take the top of a book; ``now_ns``: when it came, by the monotonic clock."""
        market = self.markets.get(quote.symbol)
        if market is not None and market.take(quote, now_ns):
            self.portfolio.mark(quote.symbol, market.mid)

    def on_market_status(self, status: MarketStatus) -> None:
        """Take the feed's word whether a symbol's data is fresh."""
        market = self.markets.get(status.symbol)
        if market is not None:
            market.is_fresh = status.fresh
            market.status_reason = status.reason

    def on_instruments(self, instruments: Instruments) -> None:
        """Take the venue's trading rules."""
        for instrument in instruments.instruments:
            market = self.markets.get(instrument.symbol)
            if market is not None:
                market.instrument = instrument

    def on_venue_status(self, status: VenueStatus) -> None:
        """Take the order actor's word whether orders can be sent."""
        self.is_venue_reachable = status.reachable

    # -- what is due ----------------------------------------------------------------------------

    def due_event(self, utc_ns: int) -> DayStarted | TradingStateChanged | None:
        """Return what must be logged and recorded now, or None; ask again until None.

        The halt when the venue's account is not what our record says, the day that has begun, the
        halt when the day's loss is used up.
        """
        if self.unreconciled.due is not None:
            return self.halt(by=RISK, reason=self.unreconciled.due, utc_ns=utc_ns)
        equity = self.portfolio.equity
        if equity is None or not self.is_recovered:
            return None
        day = self.daily_loss.new_day(utc_ns, equity)
        if day is not None:
            return day
        if self.trading_state is TradingState.HALTED or not self.daily_loss.is_reached(equity):
            return None
        return TradingStateChanged(
            state=TradingState.HALTED,
            by=RISK,
            reason=f"{DenialReason.DAILY_LOSS}: {self.daily_loss.describe(equity)}",
            ts_event=utc_ns,
        )

    def halt(self, *, by: str, reason: str, utc_ns: int) -> TradingStateChanged:
        """Return the halt, to be logged and recorded."""
        return TradingStateChanged(state=TradingState.HALTED, by=by, reason=reason, ts_event=utc_ns)

    def resume(self, *, by: str, reason: str, utc_ns: int) -> TradingStateChanged:
        """Return the resume of a named person, to be logged and recorded.

        While the day's loss is past its limit, resuming accepts that loss: it is measured anew
        from the equity of now (see ``DailyLoss``). ValueError when ``by`` names no person.
        """
        if not by.strip() or by.strip().lower() == RISK:
            raise ValueError(f"a halt is lifted by a named person only; by was {by!r}")
        equity = self.portfolio.equity
        past = equity is not None and self.daily_loss.is_reached(equity)
        return TradingStateChanged(
            state=TradingState.ACTIVE,
            by=by,
            reason=reason,
            loss_base=equity if past else None,
            ts_event=utc_ns,
        )

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
            trading_state=self.trading_state,
            halted_by=self.halted_by,
            halted_reason=self.halted_reason,
            unreconciled=self.unreconciled.state(),
            daily_loss=self.daily_loss.state(),
            approved=self.approved,
            denied=self.denied,
            order_ages_ns=self._rate.ages(now_ns),
            ts_ns=utc_ns,
        )

    def restore(self, state: RiskState, *, now_ns: int, utc_ns: int) -> None:
        """Become what ``state`` says; only for an engine that is new."""
        self.portfolio.restore(state.portfolio)
        self.reservations.restore(state.reservations)
        self._known = dict.fromkeys(state.known)
        self.trading_state = state.trading_state
        self.halted_by = state.halted_by
        self.halted_reason = state.halted_reason
        self.unreconciled.restore(state.unreconciled)
        self.daily_loss.restore(state.daily_loss)
        self.approved = state.approved
        self.denied = state.denied
        saved_ns = now_ns - max(0, utc_ns - state.ts_ns)
        for age_ns in state.order_ages_ns:
            self._rate.add(saved_ns - age_ns)

    def _know(self, client_order_id: str) -> None:
        self._known[client_order_id] = None
        if len(self._known) > KNOWN_LIMIT:
            del self._known[next(iter(self._known))]

    def _differ(self, difference: ReconciliationDifference) -> None:
        amount = difference.venue - difference.ours
        if difference.what is not Difference.BALANCE:
            mark = self.portfolio.position(difference.symbol).mark
            value = None if mark is None else amount * mark
        else:
            value = self.portfolio.adjust(difference.subject, amount)
            if value is None and not self._trades_in(difference.subject):
                return  # nothing of ours is measured in it
        self.unreconciled.notice(difference, value)

    def _trades_in(self, asset: str) -> bool:
        return any(symbol.startswith(f"{asset}-") for symbol in self.markets)


def deny(order: SubmitOrder, reason: DenialReason, detail: str, utc_ns: int) -> OrderDenied:
    """Return the denial of ``order``."""
    return OrderDenied(
        client_order_id=order.client_order_id,
        strategy=order.strategy,
        symbol=order.symbol,
        reason=reason.value,
        detail=detail,
        ts_event=utc_ns,
    )


def _quote_of(symbols: tuple[str, ...]) -> str:
    quotes = sorted({symbol.rpartition(".")[0].partition("-")[2] for symbol in symbols})
    if len(quotes) != 1:
        raise ValueError(f"one account has one quote currency; the symbols have {quotes}")
    return quotes[0]
