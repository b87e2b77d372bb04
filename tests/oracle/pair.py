"""A risk engine and the oracle, who hear the same; every order is put to both."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

import msgspec

from krator_actors.config import RiskConfig
from krator_actors.core.risk import RiskEngine, RiskEvent, RiskState
from krator_actors.messages.handshake import OpenOrder, VenueStatus
from krator_actors.messages.market import Instruments, MarketStatus, QuoteTick, TradeSummary
from krator_actors.messages.orders import (
    AccountReport,
    CancelOrder,
    ModifyOrder,
    OrderAccepted,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderExpired,
    OrderExternal,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    OrderUpdated,
    SubmitOrder,
)
from krator_actors.messages.risk import (
    ControlOverridden,
    DuplicateRefused,
    OrderApproved,
    Scope,
    TradingStateChanged,
)
from krator_actors.model import Instrument, OrderStatus, TradingState
from krator_actors.risk_limits import limits_of
from tests.oracle.oracle import Oracle
from tests.oracle.questions import No, judge, price_of
from tests.oracle.states import States

VENUE, QUOTE = "SIM", "USDT"


@dataclass
class Tally:
    """What came of the orders."""

    orders: int = 0
    valid: int = 0
    denied: Counter[str] = field(default_factory=Counter)
    """by the oracle's reason"""
    wrong_denials: Counter[str] = field(default_factory=Counter)
    """valid orders that were denied, by the engine's reason"""
    wrong_passes: Counter[str] = field(default_factory=Counter)
    """invalid orders that passed, by the oracle's reason"""
    wrong_reasons: Counter[str] = field(default_factory=Counter)
    """``right -> given``"""
    wrong_numbers: Counter[str] = field(default_factory=Counter)
    """right reason, but not the value and limit of docs/RISK.md"""
    wrong_acts: Counter[str] = field(default_factory=Counter)
    """what else differed: approvals lost in a restart"""
    examples: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name in (each.name for each in dataclasses.fields(self)):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def differs(self, kind: Counter[str], what: str, example: str) -> None:
        kind[what] += 1
        if kind[what] <= 2 and len(self.examples) < 40:
            self.examples.append(f"{what}: {example}")

    def compare(self, no: No | None, verdict: object, order: SubmitOrder, where: str) -> None:
        self.orders += 1
        match verdict:
            case OrderApproved():
                given = None
            case OrderDenied():
                given = verdict.reason
            case _:
                given = type(verdict).__name__
        example = f"{where}: {order}; oracle {no}; engine {verdict}"
        if no is None:
            self.valid += 1
            if given is not None:
                self.differs(self.wrong_denials, given, example)
            return
        self.denied[no.reason] += 1
        if given is None:
            self.differs(self.wrong_passes, no.reason, example)
        elif given != no.reason:
            self.differs(self.wrong_reasons, f"{no.reason} -> {given}", example)
        elif isinstance(verdict, OrderDenied) and not (
            is_near(no.value, verdict.value) and is_near(no.limit, verdict.limit)
        ):
            self.differs(self.wrong_numbers, given, example)


def is_near(one: Decimal | None, other: Decimal | None) -> bool:
    """Return whether both are None, or equal but for the last digits of a quotient."""
    if one is None or other is None or one == other:
        return one == other
    return abs(one - other) <= abs(one) * Decimal("1e-20")


@dataclass
class Snapshot:
    """Where a restart begins: the state and how much of the logs is in it."""

    state: RiskState | None = None
    marks: dict[str, Decimal] = field(default_factory=dict)


class Pair:
    """The two, and the clocks and logs around them."""

    def __init__(self, world: Any, rng: Random, tally: Tally, name: str) -> None:
        self.world, self.rng, self.tally, self.name = world, rng, tally, name
        self.now, self.utc, self.offset = world.now, world.utc, 0
        self.generation = 1
        self.number = 0
        self.snapshot = Snapshot()
        # Since the snapshot: what risk logged, with its time and number; what the order actor did.
        self.risk_log: list[tuple[RiskEvent, int, int]] = []
        self.order_log: list[OrderEvent] = []
        self.begun: dict[str, SubmitOrder] = {}
        self.oracle = Oracle(
            symbols=world.symbols,
            limits={s: {**world.common, **world.own.get(s, {})} for s in world.limited},
            account=world.common,
            permissions=world.permissions,
            states=States(world.common, VENUE),
        )
        self.engine = self.new_engine()

    def new_engine(self) -> RiskEngine:
        world = self.world
        config = RiskConfig(**world.common, symbols=world.own)
        limits = limits_of(config, world.limited, world.permissions)
        return RiskEngine(limits, symbols=world.symbols, venue=VENUE)

    def advance(self, nanos: int) -> None:
        self.now += nanos
        self.utc += nanos

    def log(self, event: RiskEvent) -> None:
        self.number += 1
        self.risk_log.append((event, self.now, self.number))
        self.engine.record(
            event, number=self.number, generation=self.generation, now_ns=self.now + self.offset
        )

    def look(self) -> None:
        while (event := self.engine.due_event(self.utc)) is not None:
            self.log(event)
        self.oracle.look(self.utc)

    def submit(self, order: SubmitOrder) -> bool:
        """Put an order to both and return whether it was approved; both take the engine's word."""
        self.look()
        no = judge(self.oracle, order, self.now, self.utc)
        verdict = self.engine.decide(order, now_ns=self.now + self.offset, utc_ns=self.utc)
        self.tally.compare(no, verdict, order, f"{self.name} order {self.tally.orders}")
        self.log(verdict)
        if isinstance(verdict, OrderApproved):
            self.oracle.approve(order, price_of(self.oracle, order) or Decimal(0), self.now)
        elif not isinstance(verdict, DuplicateRefused):
            self.oracle.know(order.client_order_id)
        self.look()
        return isinstance(verdict, OrderApproved)

    # The market.

    def quote(self, symbol: str, bid: Decimal, ask: Decimal) -> None:
        one = Decimal(1)
        quote = QuoteTick(
            symbol=symbol, bid=bid, bid_size=one, ask=ask, ask_size=one,
            update_id=1, ts_event=1, ts_init=1,
        )  # fmt: skip
        self.engine.on_quote(quote, self.now + self.offset)
        # Slots are of the engine's monotonic clock, which begins anew with the machine.
        code = self.oracle.markets[symbol].on_quote(bid, ask, self.now, self.offset)
        self.oracle.price_the_unpriced(symbol)
        if code:
            self.oracle.states.halt(Scope.SYMBOL, symbol, code)
        self.look()

    def summary(self, symbol: str, last: Decimal, volume: Decimal, secs: float) -> None:
        summary = TradeSummary(
            symbol=symbol, last_price=last, volume=volume, counted_secs=secs, ts_event=1
        )
        self.engine.on_trade_summary(summary, self.now + self.offset)
        self.oracle.markets[symbol].on_summary(last, volume, secs, self.now + self.offset)

    def fresh(self, symbol: str, *, is_fresh: bool) -> None:
        self.engine.on_market_status(
            MarketStatus(symbol=symbol, fresh=is_fresh, reason="", ts_event=1)
        )
        self.oracle.markets[symbol].is_fresh = is_fresh

    def rules(self, instruments: tuple[Instrument, ...]) -> None:
        self.engine.on_instruments(Instruments(instruments=instruments))
        self.oracle.instruments |= {each.symbol: each for each in instruments}

    # The order actor.

    def reachable(self, *, is_reachable: bool) -> None:
        self.engine.on_venue_status(
            VenueStatus(venue=VENUE, reachable=is_reachable, reason="", ts_event=1)
        )
        self.oracle.is_reachable = is_reachable

    def recovered(self, *, is_recovered: bool) -> None:
        self.engine.is_recovered = self.oracle.is_recovered = is_recovered

    def happened(self, event: OrderEvent) -> None:
        """Tell both an event of the order actor's log."""
        self.order_log.append(event)
        self.engine.absorb(event)
        match event:
            case AccountReport():
                self.oracle.opening(event.balances, QUOTE)
            case OrderExternal():
                self.oracle.external(event)
            case OrderAccepted():
                self.oracle.accepted(event.client_order_id)
            case OrderFilled():
                self.oracle.filled(event, QUOTE)
            case OrderUpdated():
                self.oracle.updated(event.client_order_id, event.quantity)
            case OrderTriggered():
                self.oracle.tracked[event.client_order_id].is_in_book = True
            case OrderRejected():
                self.oracle.ended(event.client_order_id, "REJECTED")
            case OrderDenied():
                self.oracle.ended(event.client_order_id, "DENIED")
            case OrderCanceled() | OrderExpired():
                self.oracle.ended(event.client_order_id, "GONE")
            case _:
                pass
        self.look()

    def cancel(self, cancel: CancelOrder | ModifyOrder) -> None:
        self.engine.on_message(cancel, self.now + self.offset)
        self.oracle.cancel(cancel.requester, cancel.symbol, self.now)

    # People.

    def person(self, state: TradingState, scope: Scope, target: str, *, cancels: bool) -> None:
        self.log(
            TradingStateChanged(
                state=state, scope=scope, target=target, by="ada", reason="x",
                cancels=cancels, ts_event=self.utc,
            )
        )  # fmt: skip
        self.oracle.states.person(state, scope, target)
        self.look()

    def resume(self, scope: Scope, target: str) -> None:
        equity = self.engine.portfolio.equity
        self.log(
            self.engine.latches.resume(
                scope, target, by="ada", reason="x", equity=equity, utc_ns=self.utc
            )
        )
        self.oracle.states.resume(scope, target, self.oracle.equity())
        if scope is Scope.SYMBOL and target in self.oracle.markets:
            self.oracle.markets[target].begin_anew()
        self.look()

    def override(self, control: str, symbol: str, secs: int) -> None:
        until = self.utc + secs * 1_000_000_000
        self.log(
            ControlOverridden(
                control=control, symbol=symbol, until_ns=until, by="ada", reason="x",
                ts_event=self.utc,
            )
        )  # fmt: skip
        self.oracle.states.overrides[control, symbol] = until

    # Risk dies and comes back.

    def take_snapshot(self) -> None:
        state = self.engine.state(now_ns=self.now + self.offset, utc_ns=self.utc)
        state = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=RiskState)
        self.snapshot = Snapshot(state, self.oracle.saved())
        self.risk_log, self.order_log = [], []

    def restart(self) -> None:
        """Begin from the snapshot and the logs, as another generation on another clock."""
        self.offset = self.rng.randrange(10**15)
        self.engine = self.new_engine()
        if self.snapshot.state is not None:
            self.engine.restore(self.snapshot.state, now_ns=self.now + self.offset, utc_ns=self.utc)
        for event, at, number in self.risk_log:
            self.engine.record(
                event, number=number, generation=self.generation, now_ns=at + self.offset
            )
        marks = dict(self.snapshot.marks)
        for happened in self.order_log:
            self.engine.absorb(happened)
            if isinstance(happened, OrderFilled):
                marks[happened.symbol] = happened.last_price
            if isinstance(happened, OrderExternal) and happened.price is None:
                order = self.oracle.tracked[happened.client_order_id]
                order.reservation = marks.get(happened.symbol, Decimal(0))
        self.oracle.restarted(marks)
        self.generation += 1

    def lose_approvals(self) -> None:
        """Deny what the order actor never heard of, as after a sync."""
        ours = {i: o for i, o in self.oracle.open.items() if i in self.begun}
        there = tuple(
            OpenOrder(
                client_order_id=order_id, strategy="", symbol=order.symbol, side=order.side,
                order_type=self.begun[order_id].order_type, quantity=order.quantity,
                filled=order.filled, price=order.price, status=OrderStatus.SUBMITTED,
            )
            for order_id, order in ours.items()
        )  # fmt: skip
        denials = self.engine.lost_approvals(
            self.number, there, generation=self.generation, utc_ns=self.utc
        )
        lost = set(self.oracle.open) - set(self.begun)
        lost = {i for i in lost if not i.startswith("external")}
        if {each.client_order_id for each in denials} != lost:
            self.tally.differs(self.tally.wrong_acts, "lost approvals", f"{self.name}: {lost}")
        for denial in denials:
            self.log(denial)
            if denial.client_order_id in self.oracle.open:
                self.oracle.ended(denial.client_order_id, "DENIED")
