"""The portfolio as a person reads it in a terminal of 140 columns."""

from __future__ import annotations

from decimal import Decimal

from krator_actors.messages.handshake import OpenOrder
from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.report_text import computed, money, plain, profit
from krator_actors.terminal import print_table, say


def print_portfolio(report: PortfolioReport) -> None:
    """Print money and exposure, positions, open orders, and what could not be valued."""
    recovering = "" if report.recovered else " · risk still waits for the order actor"
    say(f"trading is {report.state.value}{recovering}")
    say(
        f"equity {money(report.equity)} · cash {money(report.cash)} · "
        f"since the day began {profit(report.equity - report.day_start_equity)}"
    )
    if report.peak_equity:
        down = max(report.peak_equity - report.equity, Decimal(0))
        say(
            f"peak {money(report.peak_equity)} · drawdown {money(down)} "
            f"({down / report.peak_equity:.2%})"
        )
    say(
        f"exposure: net {money(report.net_exposure)} · gross {money(report.gross_exposure)} · "
        f"orders approved {report.orders_approved} · denied {report.orders_denied} · "
        f"fills {report.fills}"
    )
    if report.transfers:
        say(f"came without a trade: {profit(report.transfers)}")
    for asset, fees in sorted(report.unvalued_fees.items()):
        say(f"fees of {plain(fees)} {asset} are in none of these numbers: nothing prices {asset}")
    _print_positions(report.positions)
    _print_open_orders(report.open_orders)


def _print_positions(positions: tuple[PositionReport, ...]) -> None:
    held = [p for p in positions if p.quantity or p.realized_pnl or p.fees]
    say(f"\npositions: {len(held)}")
    if not held:
        return
    header = (
        *("SYMBOL", "QUANTITY", "AVERAGE", "MARK", "EXPOSURE"),
        *("REALIZED", "UNREALIZED", "FEES", "BUYING", "SELLING"),
    )
    rows = [
        (
            p.symbol,
            plain(p.quantity),
            computed(p.average_price),
            computed(p.mark_price),
            money(p.exposure),
            profit(p.realized_pnl),
            profit(p.unrealized_pnl),
            money(p.fees),
            plain(p.reserved_buy),
            plain(p.reserved_sell),
        )
        for p in held
    ]
    print_table(header, rows, right=" ".join(header[1:]))


def _print_open_orders(orders: tuple[OpenOrder, ...]) -> None:
    say(f"\nopen orders: {len(orders)}")
    if not orders:
        return
    header = ("SYMBOL", "SIDE", "TYPE", "QUANTITY", "PRICE", "FILLED", "STATUS", "ID")
    rows = [
        (
            o.symbol,
            o.side.value,
            o.order_type.value,
            plain(o.quantity),
            "-" if o.price is None else plain(o.price),
            plain(o.filled),
            o.status.value,
            o.client_order_id,
        )
        for o in orders
    ]
    print_table(header, rows, right="QUANTITY PRICE FILLED")
