"""Risk and a model of the order actor, killed at every point: no limit is passed, nothing is lost.

The model follows the handshake of docs/ARCHITECTURE.md and nothing else; its messages arrive late.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import Decimal

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from krator_actors.core.handshake import Answer, Handshake, Order
from krator_actors.core.orders import OrderTable
from krator_actors.core.reservations import Exposure
from krator_actors.core.risk import RiskEngine, RiskEvent, RiskState
from krator_actors.messages.handshake import OrdersSynced, SyncOrders, VenueStatus
from krator_actors.messages.market import Instruments, MarketStatus, QuoteTick, TradeSummary
from krator_actors.messages.orders import (
    AccountReport,
    OrderCanceled,
    OrderDenied,
    OrderEvent,
    OrderEventTold,
    OrderFilled,
    OrderInitialized,
    OrderRejected,
    OrderUnknown,
    PlaceOrder,
    SubmitOrder,
)
from krator_actors.messages.risk import OrderApproved
from krator_actors.model import Instrument, OrderSide, OrderStatus, OrderType
from tests.core.risk_desk import risk_limits

D = Decimal
BTC, ETH = "BTC-USDT.SIM", "ETH-USDT.SIM"
SYMBOLS = (BTC, ETH)
CASH = D(1_000)
POSITION_FRACTION, GROSS_FRACTION = D("0.6"), D("0.9")
SYMBOL_ORDERS, ORDERS = 4, 6
LIMITS = risk_limits(
    max_position_fraction=POSITION_FRACTION,
    max_gross_fraction=GROSS_FRACTION,
    max_net_fraction=GROSS_FRACTION,
    max_daily_loss_fraction="0.9",
    max_orders_per_sec=1_000_000,
    max_strategy_orders_per_sec=1_000_000,
    max_symbol_orders_per_sec=1_000_000,
    max_messages_per_sec=1_000_000,
    max_strategy_messages_per_sec=1_000_000,
    max_symbol_messages_per_sec=1_000_000,
    max_executions=1_000_000,
    max_symbol_open_orders=SYMBOL_ORDERS,
    max_open_orders=ORDERS,
)
PRICE = D(100)
LIMIT_PRICES = {OrderSide.BUY: PRICE, OrderSide.SELL: PRICE + 1}
MOSTLY = st.sampled_from((True,) * 7 + (False,))


class OrderActor:
    """The order actor as risk sees it: a log that survives, and what a process loses."""

    def __init__(self) -> None:
        self.log: list[OrderEvent] = [AccountReport(balances={"USDT": CASH}, ts_event=1)]
        self.risk_generation = 0

    def table(self) -> OrderTable:
        table = OrderTable()
        for number, event in enumerate(self.log, 1):
            table.apply(event, number)
        return table

    def place(self, message: PlaceOrder) -> None:
        order = message.order
        if order.client_order_id in self.table().orders:
            return
        self.log.append(
            OrderInitialized(
                order=order,
                risk_generation=message.risk_generation,
                request_valid_until_ms=1,
                ts_event=1,
            )
        )
        if message.risk_generation < self.risk_generation:
            self.log.append(
                OrderDenied(
                    client_order_id=order.client_order_id,
                    strategy=order.strategy,
                    symbol=order.symbol,
                    reason="RISK_RESTARTED",
                    detail="",
                    ts_event=1,
                )
            )

    def sync(self, message: SyncOrders) -> list[OrderEventTold | OrdersSynced] | None:
        if message.risk_generation < self.risk_generation:
            return None
        self.risk_generation = message.risk_generation
        told: list[OrderEventTold | OrdersSynced] = [
            OrderEventTold(venue="SIM", number=number, event=event)
            for number, event in enumerate(self.log, 1)
            if number > message.watermark
        ]
        open_orders = tuple(o.to_open_order() for o in self.table().open_orders)
        told.append(
            OrdersSynced(
                venue="SIM",
                risk_generation=message.risk_generation,
                number=len(self.log),
                open_orders=open_orders,
                sync_id=message.sync_id,
            )
        )
        return told


class RestartMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.order = OrderActor()
        self.own_log: list[tuple[int, RiskEvent]] = []
        self.snapshot: tuple[int, int, RiskState] | None = None
        self.generation = 0
        self.to_order: deque[PlaceOrder | SyncOrders] = deque()
        self.to_risk: deque[OrderEventTold | OrdersSynced] = deque()
        self.submitted = 0
        self.trades = 0
        # Nanoseconds, one each submit, so that no order looks like a repeated one.
        self.now_ns = 0
        self.start_risk()

    # -- risk ------------------------------------------------------------------------------------

    def start_risk(self) -> None:
        self.generation += 1
        self.engine = RiskEngine(LIMITS, symbols=SYMBOLS, venue="SIM")
        own_number = watermark = 0
        if self.snapshot is not None:
            own_number, watermark, state = self.snapshot
            self.engine.restore(state, now_ns=0, utc_ns=0)
        for number, (generation, event) in enumerate(self.own_log, 1):
            if number > own_number:
                self.engine.record(event, number=number, generation=generation, now_ns=0)
        self.handshake = Handshake(generation=self.generation, watermark=watermark)
        self.engine.on_venue_status(VenueStatus(venue="SIM", reachable=True, reason="", ts_event=1))
        for symbol in SYMBOLS:
            self.engine.on_instruments(Instruments(instruments=(_instrument(symbol),)))
            self.engine.on_market_status(
                MarketStatus(symbol=symbol, fresh=True, reason="LIVE", ts_event=1)
            )
            self.engine.on_quote(_quote(symbol), 0)
            self.engine.on_trade_summary(_traded(symbol), 0)
        self.ask_order()

    def ask_order(self) -> None:
        self.to_order.append(self.handshake.request(len(self.own_log)))

    def log(self, event: RiskEvent) -> None:
        self.own_log.append((self.generation, event))
        self.engine.record(
            event, number=len(self.own_log), generation=self.generation, now_ns=self.now_ns
        )

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        side=st.sampled_from(OrderSide),
        quantity=st.integers(1, 6),
        told=MOSTLY,
        quiet=st.booleans(),
    )
    def submit(
        self, symbol: str, side: OrderSide, quantity: int, *, told: bool, quiet: bool
    ) -> None:
        """With ``told`` False risk dies between logging the approval and telling it.

        With ``quiet`` everything has arrived before, so that the order has a chance.
        """
        if quiet:
            self.deliver_everything()
        self.submitted += 1
        order = SubmitOrder(
            client_order_id=f"k{self.submitted}",
            strategy="strategy:x",
            symbol=symbol,
            side=side,
            order_type=OrderType.LIMIT,
            price=LIMIT_PRICES[side],
            quantity=D(quantity),
            cause="",
            ts_event=1,
            ts_init=1,
        )
        self.now_ns += 1
        verdict = self.engine.decide(order, now_ns=self.now_ns, utc_ns=0)
        self.log(verdict)
        if isinstance(verdict, OrderApproved):
            self.check_acceptance()
        if isinstance(verdict, OrderApproved) and told:
            self.to_order.append(PlaceOrder(order=order, risk_generation=self.generation))
        if not told:
            self.kill_risk(keep=0)

    @rule(keep=st.integers(0, 5), spare=MOSTLY)
    def kill_risk(self, keep: int, *, spare: bool = False) -> None:
        """Of what risk has told, the first ``keep`` messages are still handled."""
        if spare:
            return
        while len(self.to_order) > keep:
            self.to_order.pop()
        self.to_risk.clear()
        self.start_risk()

    @rule()
    def write_snapshot(self) -> None:
        state = msgspec.msgpack.encode(self.engine.state(now_ns=0, utc_ns=0))
        self.snapshot = (
            len(self.own_log),
            self.handshake.watermark,
            msgspec.msgpack.decode(state, type=RiskState),
        )

    @precondition(lambda self: self.to_risk)
    @rule(count=st.integers(1, 8))
    def risk_hears(self, count: int) -> None:
        for _ in range(min(count, len(self.to_risk))):
            self.risk_takes(self.to_risk.popleft())

    def risk_takes(self, message: OrderEventTold | OrdersSynced) -> None:
        match message:
            case OrderEventTold(number=number, event=event):
                placed = self.handshake.place(number)
                if placed is Order.NEXT:
                    self.engine.absorb(event)
                elif placed is Order.GAP and not self.handshake.is_pending:
                    self.ask_order()
            case OrdersSynced() as synced:
                answer = self.handshake.answer(synced)
                assert answer is not Answer.LOG_SHRANK
                if answer is Answer.GAP:
                    self.ask_order()
                elif answer is Answer.SYNCED:
                    self.on_synced(synced)

    def on_synced(self, synced: OrdersSynced) -> None:
        self.engine.is_recovered = True
        for denied in self.engine.lost_approvals(
            self.handshake.settled_approval,
            synced.open_orders,
            generation=self.generation,
            utc_ns=0,
        ):
            self.log(denied)

    # -- the order actor and the venue -----------------------------------------------------------

    @precondition(lambda self: self.to_order)
    @rule(count=st.integers(1, 4), lose=MOSTLY.map(lambda most: not most))
    def order_hears(self, count: int, *, lose: bool) -> None:
        """With ``lose`` the lane to risk breaks while the last answer is on it."""
        for _ in range(min(count, len(self.to_order))):
            self.order_takes()
        if lose and self.to_risk:
            self.to_risk.pop()

    def order_takes(self) -> None:
        before = len(self.order.log)
        message = self.to_order.popleft()
        if isinstance(message, PlaceOrder):
            self.order.place(message)
            self.tell_since(before)
        else:
            self.to_risk.extend(self.order.sync(message) or ())

    @rule(handled=st.integers(0, 5), spare=MOSTLY)
    def kill_order(self, handled: int, *, spare: bool) -> None:
        """Of what was told to it, some was handled; the rest comes back to risk."""
        if spare:
            return
        for _ in range(min(handled, len(self.to_order))):
            message = self.to_order.popleft()
            if isinstance(message, PlaceOrder):
                self.order.place(message)
        self.to_order.clear()
        self.to_risk.clear()
        self.order.risk_generation = max(
            (e.risk_generation for e in self.order.log if isinstance(e, OrderInitialized)),
            default=0,
        )
        self.ask_order()

    @rule(data=st.data(), news=st.sampled_from(["fill", "cancel", "reject", "unknown"]))
    def venue_speaks(self, data: st.DataObject, news: str) -> None:
        orders = self.order.table().open_orders
        if not orders:
            return
        order = data.draw(st.sampled_from(orders))
        before = len(self.order.log)
        id_and_symbol = {"client_order_id": order.client_order_id, "symbol": order.symbol}
        if news == "fill":
            self.trades += 1
            rest = int(order.quantity - order.filled)
            self.order.log.append(
                OrderFilled(
                    venue_order_id=order.client_order_id,
                    trade_id=str(self.trades),
                    strategy=order.strategy,
                    side=order.side,
                    last_quantity=D(data.draw(st.integers(1, rest))),
                    last_price=PRICE,
                    fee=D(0),
                    fee_currency="USDT",
                    ts_event=1,
                    ts_init=1,
                    **id_and_symbol,
                )
            )
        elif news == "cancel":
            self.order.log.append(OrderCanceled(ts_event=1, **id_and_symbol))
        elif order.status is OrderStatus.INITIALIZED:
            kind: Callable[..., OrderEvent] = OrderRejected if news == "reject" else OrderUnknown
            self.order.log.append(kind(reason="", ts_event=1, **id_and_symbol))
        self.tell_since(before)

    def tell_since(self, before: int) -> None:
        for number in range(before + 1, len(self.order.log) + 1):
            event = self.order.log[number - 1]
            self.to_risk.append(OrderEventTold(venue="SIM", number=number, event=event))

    @rule()
    def everything_arrives(self) -> None:
        """When all is quiet, risk and the order actor agree on every number."""
        self.ask_order()
        self.deliver_everything()
        table = self.order.table()
        ours = {o.client_order_id: o for o in self.engine.reservations.open_orders()}
        assert ours == {o.client_order_id: o.to_open_order() for o in table.open_orders}
        assert self.engine.is_recovered
        for symbol in SYMBOLS:
            held = self.held_at_venue(symbol)
            assert self.engine.portfolio.position(symbol).quantity == held

    def check_acceptance(self) -> None:
        """What is held and what is reserved, this order too, is within every limit."""
        engine = self.engine
        used = D(0)
        for symbol in SYMBOLS:
            exposure = engine.reservations.exposure(symbol)
            held = engine.portfolio.position(symbol).quantity
            assert held * PRICE + exposure.buy_notional <= POSITION_FRACTION * CASH
            assert exposure.sell_quantity <= held
            assert exposure.orders <= SYMBOL_ORDERS
            used += held * PRICE + exposure.buy_notional
        assert used <= GROSS_FRACTION * CASH
        assert engine.reservations.buy_notional <= engine.portfolio.cash
        assert len(engine.reservations) <= ORDERS

    def teardown(self) -> None:
        """In the end, when every order has ended, nothing is reserved."""
        if not hasattr(self, "order"):
            return
        self.everything_arrives()
        before = len(self.order.log)
        for order in self.order.table().open_orders:
            self.order.log.append(
                OrderCanceled(
                    client_order_id=order.client_order_id, symbol=order.symbol, ts_event=1
                )
            )
        self.tell_since(before)
        self.everything_arrives()
        assert len(self.engine.reservations) == 0
        assert self.engine.reservations.buy_notional == 0
        for symbol in SYMBOLS:
            assert self.engine.reservations.exposure(symbol) == Exposure()

    def deliver_everything(self) -> None:
        while self.to_order or self.to_risk:
            while self.to_order:
                self.order_takes()
            while self.to_risk:
                self.risk_takes(self.to_risk.popleft())

    # -- what must always hold -------------------------------------------------------------------

    @invariant()
    def venue_holds_nothing_past_a_limit(self) -> None:
        """Whatever is open at the venue fills: neither limit, holding nor cash is overdrawn."""
        if not hasattr(self, "order"):
            return
        spent = D(0)
        orders = self.order.table().open_orders
        for symbol in SYMBOLS:
            held = self.held_at_venue(symbol)
            rests = {
                side: sum(
                    (o.quantity - o.filled for o in orders if (o.symbol, o.side) == (symbol, side)),
                    D(0),
                )
                for side in OrderSide
            }
            assert (held + rests[OrderSide.BUY]) * PRICE <= POSITION_FRACTION * CASH
            assert len([o for o in orders if o.symbol == symbol]) <= SYMBOL_ORDERS
            assert rests[OrderSide.SELL] <= held
            spent += (held + rests[OrderSide.BUY]) * PRICE
        assert spent <= GROSS_FRACTION * CASH
        assert len(orders) <= ORDERS

    @invariant()
    def sums_are_those_of_the_open_orders(self) -> None:
        if not hasattr(self, "engine"):
            return
        reservations = self.engine.reservations
        orders = reservations.open_orders()
        for symbol in SYMBOLS:
            exposure = reservations.exposure(symbol)
            for side, total in (
                (OrderSide.BUY, exposure.buy_quantity),
                (OrderSide.SELL, exposure.sell_quantity),
            ):
                rests = [
                    o.quantity - o.filled for o in orders if (o.symbol, o.side) == (symbol, side)
                ]
                assert total == sum(rests)
            assert exposure.buy_notional == exposure.buy_quantity * PRICE
            assert exposure.orders == len([o for o in orders if o.symbol == symbol])
            for side, prices in exposure.prices.items():
                opened = [o.price for o in orders if (o.symbol, o.side) == (symbol, side)]
                assert prices == opened

    def held_at_venue(self, symbol: str) -> Decimal:
        fills = [e for e in self.order.log if isinstance(e, OrderFilled) and e.symbol == symbol]
        return sum((f.last_quantity * f.side.sign for f in fills), D(0))


def _instrument(symbol: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        venue_symbol="X",
        base=symbol.partition("-")[0],
        quote="USDT",
        tick_size=D("0.01"),
        lot_size=D(1),
        min_quantity=D(1),
        max_quantity=D(1_000),
        min_notional=D(1),
    )


def _quote(symbol: str) -> QuoteTick:
    return QuoteTick(
        symbol=symbol,
        bid=PRICE - 1,
        bid_size=D(1),
        ask=PRICE + 1,
        ask_size=D(1),
        update_id=1,
        ts_event=1,
        ts_init=1,
    )


def _traded(symbol: str) -> TradeSummary:
    return TradeSummary(
        symbol=symbol, last_price=PRICE, volume=D(1_000_000), counted_secs=1, ts_event=1
    )


TestRestarts = RestartMachine.TestCase
TestRestarts.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
