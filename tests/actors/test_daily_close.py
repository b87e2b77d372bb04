"""A day's close asks the venue itself, and lists what it has otherwise."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from krator_actors import clock
from krator_actors.adapters.postgres import JournalStore
from krator_actors.config import Config
from krator_actors.core.daily_report import DayReport, day_of
from krator_actors.core.daily_tables import day_text
from krator_actors.core.log_frames import RawRecord
from krator_actors.core.venue_look import DayDifference
from krator_actors.daily_close import close_day
from krator_actors.messages.orders import (
    AccountReport,
    OrderAccepted,
    OrderInitialized,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.messages.risk import PortfolioReport, PositionReport
from krator_actors.model import OrderSide, OrderStatus, OrderType, TradingState
from krator_actors.venue_desk import VenueDesk
from supervisors.messages import Message, PeerUnreachableError

BTC = "BTC-USDT.SIM"
_ZERO = Decimal(0)
CONFIG = Config.model_validate({"strategies": [{"symbol": BTC, "kind": "sma_cross"}]})


class Exchange:
    """A simulated venue, a process of its own."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(folder)]
        command += ["--symbols", "BTCUSDT"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url: str = json.loads(self.process.stdout.readline())["url"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Exchange]:
    made = Exchange(tmp_path / "x")
    try:
        yield made
    finally:
        made.kill()
        assert made.process.stdout is not None
        made.process.stdout.close()


async def opening(url: str) -> AccountReport:
    async with VenueDesk(CONFIG, url) as desk:
        return AccountReport(balances=await desk.balances(), ts_event=1)


async def journal(dsn: str, *events: Message) -> None:
    store = await JournalStore.connect(dsn, generation=1, now_ns=clock.utc_ns())
    records = [
        ("order:SIM", RawRecord(n, 1, clock.utc_ns(), type(e).__name__, msgspec.msgpack.encode(e)))
        for n, e in enumerate(events, 1)
    ]
    await store.append(records, ts_written=clock.utc_ns())
    await store.close()


def portfolio(
    account: AccountReport, *, recovered: bool = True, **more: Decimal
) -> PortfolioReport:
    """What a risk actor answers that has the account, and ``more`` of some assets."""
    balances = {a: account.balances.get(a, _ZERO) + more.get(a, _ZERO) for a in ("BTC", "USDT")}
    position = PositionReport(
        symbol=BTC,
        quantity=balances["BTC"],
        average_price=Decimal(0),
        mark_price=None,
        realized_pnl=Decimal(0),
        unrealized_pnl=Decimal(0),
        fees=Decimal(0),
        reserved_buy=Decimal(0),
        reserved_sell=Decimal(0),
    )
    return PortfolioReport(
        state=TradingState.ACTIVE,
        recovered=recovered,
        venue_reachable=True,
        cash=balances["USDT"],
        equity=Decimal(0),
        day_start_equity=Decimal(0),
        positions=(position,),
        open_orders=(),
        orders_approved=0,
        orders_denied=0,
        fills=0,
        ts_event=1,
    )


async def closed(
    folder: Path, dsn: str, url: str, risk: PortfolioReport | Exception | None = None
) -> DayReport:
    folder.mkdir(exist_ok=True)
    today: dt.date = day_of(clock.utc_ns())

    async def ask_risk() -> PortfolioReport:
        if isinstance(risk, PortfolioReport):
            return risk
        raise risk or PeerUnreachableError("risk is away")

    report, path = await close_day(
        CONFIG, folder, dsn, today, venue_url=url, ask_risk=None if risk is None else ask_risk
    )
    assert path.exists()
    return report


async def somebody_trades(url: str, *, price: Decimal | None) -> None:
    """Buy on the account past Krator: at market, or with an order that stays open."""
    order = SubmitOrder(
        client_order_id=f"somebody-else-{price}",
        strategy="",
        symbol=BTC,
        side=OrderSide.BUY,
        order_type=OrderType.MARKET if price is None else OrderType.LIMIT,
        quantity=Decimal("0.01"),
        price=price,
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )
    async with VenueDesk(CONFIG, url) as desk:
        outcome = await desk.send(order, valid_until_ms=desk.valid_until_ms())
    assert outcome.status is (OrderStatus.FILLED if price is None else OrderStatus.ACCEPTED)


def of(report: DayReport, what: str) -> list[DayDifference]:
    return [each for each in report.differences if each.what == what]


async def test_account_that_is_as_the_journal_says_has_no_difference(
    exchange: Exchange, postgres_dsn: str, tmp_path: Path
) -> None:
    account = await opening(exchange.url)
    await journal(postgres_dsn, account)

    report = await closed(tmp_path / "data", postgres_dsn, exchange.url, portfolio(account))

    assert report.differences == []
    assert report.venue.silent == report.risk.silent == ""
    assert report.venue.balances
    assert report.risk.held["USDT"] == account.balances["USDT"]
    assert "venue and risk agree with the journal" in day_text(report)


async def test_position_and_cash_that_risk_counts_otherwise_are_listed(
    exchange: Exchange, postgres_dsn: str, tmp_path: Path
) -> None:
    account = await opening(exchange.url)
    await journal(postgres_dsn, account)
    wrong = portfolio(account, BTC=Decimal("0.5"), USDT=Decimal(-7))

    report = await closed(tmp_path / "data", postgres_dsn, exchange.url, wrong)

    found = {each.subject: each for each in of(report, "position")}
    assert found["BTC"].detail == "+0.5 in risk now"
    assert Decimal(found["USDT"].theirs) == account.balances["USDT"] - 7
    assert found["USDT"].ours == f"{account.balances['USDT']:f}"
    assert report.differences == list(found.values())


@pytest.mark.parametrize("kind", ["stopped", "away", "recovering"])
async def test_risk_that_cannot_be_asked_is_said(
    exchange: Exchange, postgres_dsn: str, tmp_path: Path, kind: str
) -> None:
    account = await opening(exchange.url)
    await journal(postgres_dsn, account)
    risk = {
        "stopped": None,
        "away": PeerUnreachableError("risk is away"),
        "recovering": portfolio(account, recovered=False, BTC=Decimal(1)),
    }[kind]

    report = await closed(tmp_path / "data", postgres_dsn, exchange.url, risk)

    assert report.differences == []
    assert report.risk.silent
    assert "venue agrees with the journal; RISK WAS NOT COMPARED" in day_text(report)


async def test_what_somebody_else_did_at_the_venue_is_listed_in_full(
    exchange: Exchange, postgres_dsn: str, tmp_path: Path
) -> None:
    account = await opening(exchange.url)
    await journal(postgres_dsn, account)

    await somebody_trades(exchange.url, price=None)
    await somebody_trades(exchange.url, price=Decimal(30_000))
    report = await closed(tmp_path / "data", postgres_dsn, exchange.url)

    found = {each.subject: each for each in of(report, "balance")}
    assert found.keys() == {"BTC", "USDT"}
    bought = Decimal(found["BTC"].theirs) - Decimal(found["BTC"].ours)
    assert 0 < bought <= Decimal("0.01")
    assert found["BTC"].detail == f"{bought:+f} at SIM now"
    assert Decimal(found["USDT"].theirs) < account.balances["USDT"]
    (order,) = of(report, "order")
    assert (order.ours, order.theirs) == ("none", "open")
    assert order.subject.startswith(f"external-{BTC}-")
    assert "3 DIFFERENCES" in day_text(report)


async def test_order_that_the_journal_has_open_and_the_venue_has_not_is_listed(
    exchange: Exchange, postgres_dsn: str, tmp_path: Path
) -> None:
    order = SubmitOrder(
        client_order_id="k-1",
        strategy="s",
        symbol=BTC,
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal(1),
        price=Decimal(1),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )
    await journal(
        postgres_dsn,
        await opening(exchange.url),
        OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=1, ts_event=1),
        OrderSubmitted(client_order_id="k-1", symbol=BTC, ts_event=1),
        OrderAccepted(client_order_id="k-1", venue_order_id="77", symbol=BTC, ts_event=1),
    )

    report = await closed(tmp_path / "data", postgres_dsn, exchange.url)

    (found,) = of(report, "order")
    assert (found.subject, found.ours, found.theirs) == ("k-1", "ACCEPTED", "none")


async def test_venue_that_cannot_be_asked_is_said_and_nothing_old_is_compared(
    exchange: Exchange, postgres_dsn: str, tmp_path: Path
) -> None:
    account = await opening(exchange.url)
    older = AccountReport(balances={**account.balances, "USDT": Decimal(1)}, ts_event=2)
    await journal(postgres_dsn, account, older)
    exchange.kill()

    async with asyncio.timeout(60):
        report = await closed(tmp_path / "data", postgres_dsn, exchange.url)

    assert report.differences == []
    assert "not connected" in report.venue.silent
    assert "VENUE WAS NOT COMPARED" in day_text(report)


@pytest.mark.parametrize(
    ("kind", "said"),
    [("sim", "does not run"), ("binance", "a dry run has no account there")],
)
async def test_venue_without_an_account_of_ours_is_not_asked(
    postgres_dsn: str, tmp_path: Path, kind: str, said: str
) -> None:
    await journal(postgres_dsn, AccountReport(balances={}, ts_event=1))
    venue = CONFIG.venue.model_copy(update={"kind": kind})
    (tmp_path / "data").mkdir()

    report, _ = await close_day(
        CONFIG.model_copy(update={"venue": venue}),
        tmp_path / "data",
        postgres_dsn,
        day_of(clock.utc_ns()),
        venue_url="",
        ask_risk=None,
    )

    assert said in report.venue.silent
