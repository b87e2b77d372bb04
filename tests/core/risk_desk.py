"""A risk engine with the clocks, the market and the log around it, and builders of orders."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from krator_actors.config import RiskConfig
from krator_actors.core.limits import RiskLimits
from krator_actors.core.risk import RiskEngine, RiskEvent, Verdict
from krator_actors.messages.handshake import VenueStatus
from krator_actors.messages.market import Instruments, MarketStatus, QuoteTick, TradeSummary
from krator_actors.messages.orders import (
    AccountReport,
    OrderDenied,
    OrderFilled,
    OrderInitialized,
    SubmitOrder,
)
from krator_actors.messages.risk import EquityPeaked, Scope, TradingStateChanged
from krator_actors.model import NANOS_PER_SEC, Instrument, OrderSide, OrderType, TradingState
from krator_actors.risk_limits import limits_of

D = Decimal
BTC, ETH = "BTC-USDT.SIM", "ETH-USDT.SIM"
BUY, SELL = OrderSide.BUY, OrderSide.SELL
DAY_NS = 86_400 * NANOS_PER_SEC
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2
LOOSE: dict[str, Any] = {
    "max_symbol_orders_per_sec": 1_000,
    "max_strategy_orders_per_sec": 1_000,
    "max_symbol_messages_per_sec": 1_000,
    "max_strategy_messages_per_sec": 1_000,
    "max_messages_per_sec": 1_000,
    "max_drawdown_fraction": 1,
    "last_collar_fraction": 1,
    "average_collar_fraction": 1,
    "max_volatility_fraction": 1,
    "max_gap_fraction": 1,
    "max_gross_fraction": 10,
    "max_net_fraction": 10,
    "duplicate_secs": 1e-9,
}
"""Where a test is not about them, the newer limits are out of the way."""


def risk_limits(**changes: Any) -> RiskLimits:
    config = RiskConfig(**(LOOSE | changes))
    return limits_of(config, (BTC, ETH), {"strategy:x": (BTC, ETH)})


def instrument(symbol: str = BTC) -> Instrument:
    base = symbol.partition("-")[0]
    return Instrument(
        symbol=symbol,
        venue_symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        tick_size=D("0.01"),
        lot_size=D("0.001"),
        min_quantity=D("0.001"),
        max_quantity=D(1_000),
        min_notional=D(10),
    )


def quote(bid: str | D = "99.99", ask: str | D = "100.01", symbol: str = BTC) -> QuoteTick:
    return QuoteTick(
        symbol=symbol,
        bid=D(bid),
        bid_size=D(1),
        ask=D(ask),
        ask_size=D(1),
        update_id=1,
        ts_event=1,
        ts_init=1,
    )


def order(
    client_order_id: str = "k1", side: OrderSide = BUY, quantity: str | D = "1", **fields: Any
) -> SubmitOrder:
    defaults = {
        "strategy": "strategy:x",
        "symbol": BTC,
        "order_type": OrderType.LIMIT if "price" in fields else OrderType.MARKET,
        "cause": "bar:1",
        "ts_event": 1,
        "ts_init": 1,
    }
    return SubmitOrder(
        client_order_id=client_order_id, side=side, quantity=D(quantity), **(defaults | fields)
    )


def limit(price: str, quantity: str = "1", side: OrderSide = BUY, **fields: Any) -> SubmitOrder:
    return order(side=side, quantity=quantity, price=D(price), **fields)


class Desk:
    """An engine, and the clocks and log around it."""

    def __init__(
        self,
        *,
        balances: dict[str, str] | None = None,
        quoted: tuple[str, ...] = (BTC, ETH),
        **limits: Any,
    ) -> None:
        self.engine = RiskEngine(risk_limits(**limits), symbols=(BTC, ETH), venue="SIM")
        self.now_ns = 1_000 * NANOS_PER_SEC
        self.utc_ns = NOON_NS
        self.number = 0
        if balances != {}:
            self.open(balances or {"USDT": "100000"})
        self.resume_market(quoted)

    def resume_market(self, quoted: tuple[str, ...] = (BTC, ETH)) -> None:
        """Tell the engine what nobody remembers for it: that all is well, and the market."""
        self.engine.is_recovered = True
        self.engine.on_venue_status(VenueStatus(venue="SIM", reachable=True, reason="", ts_event=1))
        self.engine.on_instruments(Instruments(instruments=(instrument(BTC), instrument(ETH))))
        for symbol in (BTC, ETH):
            self.market_status(symbol, "LIVE")
        for symbol in quoted:
            self.quote(symbol=symbol)
        for symbol in (BTC, ETH):
            self.traded(symbol)

    def open(self, balances: dict[str, str]) -> None:
        totals = {asset: D(total) for asset, total in balances.items()}
        self.engine.absorb(AccountReport(balances=totals, ts_event=1))

    def quote(self, bid: str | D = "99.99", ask: str | D = "100.01", symbol: str = BTC) -> None:
        self.engine.on_quote(quote(bid, ask, symbol), self.now_ns)

    def market_status(self, symbol: str, reason: str) -> None:
        self.engine.on_market_status(
            MarketStatus(symbol=symbol, fresh=reason == "LIVE", reason=reason, ts_event=1)
        )

    def traded(
        self, symbol: str = BTC, *, last: str = "100", volume: str = "1000000", secs: float = 1
    ) -> None:
        summary = TradeSummary(
            symbol=symbol, last_price=D(last), volume=D(volume), counted_secs=secs, ts_event=1
        )
        self.engine.on_trade_summary(summary, self.now_ns)

    def submit(self, order: SubmitOrder) -> Verdict:
        verdict = self.engine.decide(order, now_ns=self.now_ns, utc_ns=self.utc_ns)
        self.record(verdict)
        return verdict

    def reason(self, order: SubmitOrder) -> str:
        """Decide without consequences."""
        verdict = self.decide(order)
        return verdict.reason if isinstance(verdict, OrderDenied) else "APPROVED"

    def denial(self, order: SubmitOrder) -> OrderDenied:
        verdict = self.decide(order)
        assert isinstance(verdict, OrderDenied)
        return verdict

    def decide(self, order: SubmitOrder) -> Verdict:
        return self.engine.decide(order, now_ns=self.now_ns, utc_ns=self.utc_ns)

    def record(self, event: RiskEvent) -> None:
        self.number += 1
        self.engine.record(event, number=self.number, generation=1, now_ns=self.now_ns)

    def due(self) -> RiskEvent | None:
        """Let one due event take effect, peaks aside."""
        while (event := self.engine.due_event(self.utc_ns)) is not None:
            self.record(event)
            if not isinstance(event, EquityPeaked):
                break
        return event

    def latch(
        self,
        state: TradingState,
        scope: Scope = Scope.SYSTEM,
        target: str = "",
        *,
        cancels: bool = False,
    ) -> None:
        self.record(
            TradingStateChanged(
                state=state,
                scope=scope,
                target=target,
                by="ada",
                reason="test",
                cancels=cancels,
                ts_event=self.utc_ns,
            )
        )

    def resume(
        self, scope: Scope = Scope.SYSTEM, target: str = "", by: str = "ada"
    ) -> TradingStateChanged:
        changed = self.engine.latches.resume(
            scope,
            target,
            by=by,
            reason="seen",
            equity=self.engine.portfolio.equity,
            utc_ns=self.utc_ns,
        )
        self.record(changed)
        return changed

    def begin(self, order: SubmitOrder) -> None:
        self.engine.absorb(
            OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=1, ts_event=1)
        )

    def fill(
        self, order: SubmitOrder, quantity: str, price: str = "100", trade_id: str = "1"
    ) -> None:
        self.engine.absorb(
            OrderFilled(
                client_order_id=order.client_order_id,
                venue_order_id="1",
                trade_id=trade_id,
                symbol=order.symbol,
                strategy=order.strategy,
                side=order.side,
                last_quantity=D(quantity),
                last_price=D(price),
                fee=D(0),
                fee_currency="USDT",
                ts_event=1,
                ts_init=1,
            )
        )
