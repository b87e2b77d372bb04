"""What risk answers when it is asked what it knows. Pure."""

from __future__ import annotations

from decimal import Decimal

from krator_actors.core.risk import RiskEngine
from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.messages.strategy import StrategyState, StrategyStateRequest
from krator_actors.model import TradingState

_ZERO = Decimal(0)


def portfolio_report(engine: RiskEngine, utc_ns: int) -> PortfolioReport:
    """Return positions, money and open orders. A holding without a price counts as nothing."""
    latches = engine.latches
    system, start_equity = latches.states.of_system(), latches.daily_loss.start_equity
    return PortfolioReport(
        state=TradingState.ACTIVE if system is None else system.state,
        states=latches.states.latched,
        overrides=latches.overrides.live(utc_ns),
        recovered=engine.is_recovered,
        venue_reachable=engine.is_venue_reachable,
        cash=engine.portfolio.cash,
        equity=engine.portfolio.known_equity,
        day_start_equity=_ZERO if start_equity is None else start_equity,
        positions=tuple(_position_report(engine, symbol) for symbol in _symbols(engine)),
        open_orders=engine.reservations.open_orders(),
        orders_approved=engine.approved,
        orders_denied=engine.denied,
        fills=engine.portfolio.fills,
        peak_equity=latches.drawdown.peak,
        net_exposure=engine.portfolio.net_exposure,
        gross_exposure=engine.portfolio.gross_exposure,
        transfers=engine.portfolio.transfers,
        unvalued_fees=dict(engine.portfolio.unvalued_fees),
        ts_event=utc_ns,
    )


def strategy_state(engine: RiskEngine, request: StrategyStateRequest) -> StrategyState:
    """Return what a strategy that starts needs to know of its symbol."""
    market = engine.markets.get(request.symbol)
    return StrategyState(
        symbol=request.symbol,
        recovered=engine.is_recovered,
        position=engine.portfolio.position(request.symbol).quantity,
        open_orders=engine.reservations.open_orders(request.symbol),
        equity=engine.portfolio.known_equity,
        instrument=None if market is None else market.instrument,
    )


def _symbols(engine: RiskEngine) -> list[str]:
    """Return the configured symbols, then the others that were ever held."""
    others = sorted(engine.portfolio.positions.keys() - engine.markets.keys())
    return [*engine.markets, *others]


def _position_report(engine: RiskEngine, symbol: str) -> PositionReport:
    position = engine.portfolio.position(symbol)
    exposure = engine.reservations.exposure(symbol)
    market = engine.markets.get(symbol)
    return PositionReport(
        symbol=symbol,
        quantity=position.quantity,
        average_price=position.average_price,
        mark_price=position.mark,
        realized_pnl=position.realized_pnl,
        unrealized_pnl=position.unrealized_pnl,
        fees=position.fees,
        reserved_buy=exposure.buy_quantity,
        reserved_sell=exposure.sell_quantity,
        exposure=position.value,
        quote_ts_init=None if market is None else market.quote_ts_init,
    )
