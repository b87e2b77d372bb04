"""The risk actor: what it logs before it tells, and how it comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from krator_actors import clock, halt_file
from krator_actors.adapters.local_log import LocalLog, LogFullError, log_path, read_log
from krator_actors.config import RiskConfig
from krator_actors.core.risk import RiskEvent
from krator_actors.halt_file import FiledHalt
from krator_actors.messages.handshake import (
    OpenOrder,
    OrderActorStarted,
    OrdersAbsorbed,
    OrdersSynced,
    SyncOrders,
    VenueStatus,
)
from krator_actors.messages.market import (
    Instruments,
    InstrumentsRequest,
    MarketStatus,
    QuoteTick,
    TradeSummary,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    AccountReport,
    CancelAllOrders,
    CancelOrder,
    Difference,
    ModifyOrder,
    OrderDenied,
    OrderEvent,
    OrderEventTold,
    OrderExternal,
    OrderFilled,
    OrderInitialized,
    OrderPendingCancel,
    OrderSubmitted,
    PlaceOrder,
    ReconciliationDifference,
    SubmitOrder,
)
from krator_actors.messages.risk import (
    ActRefused,
    ControlOverridden,
    DayStarted,
    DuplicateRefused,
    Halt,
    OrderApproved,
    OverrideControl,
    PortfolioReport,
    PortfolioRequest,
    Reduce,
    Resume,
    Scope,
    TradingStateChanged,
)
from krator_actors.messages.strategy import StrategyState, StrategyStateRequest
from krator_actors.model import Instrument, OrderSide, OrderType, TradingState
from krator_actors.risk import Housekeeping, OrderLogLostError, RiskActor, RiskActorConfig
from krator_actors.risk_ledger import SNAPSHOT_EVENTS
from supervisors.messages import Message, PeerDiedError
from supervisors.testing import ActorHarness

D = Decimal
BTC = "BTC-USDT.SIM"
ORDER, STRATEGY, FEED = "order:SIM", f"strategy:{BTC}/sma_cross", "feed:SIM"
INSTRUMENTS = Instruments(
    instruments=(
        Instrument(
            symbol=BTC,
            venue_symbol="BTCUSDT",
            base="BTC",
            quote="USDT",
            tick_size=D("0.01"),
            lot_size=D("0.001"),
            min_quantity=D("0.001"),
            max_quantity=D(1_000),
            min_notional=D(10),
        ),
    )
)
QUOTE = QuoteTick(
    symbol=BTC,
    bid=D("99.99"),
    bid_size=D(1),
    ask=D("100.01"),
    ask_size=D(1),
    update_id=1,
    ts_event=1,
    ts_init=1,
)


def order(client_order_id: str = "k1", side: OrderSide = OrderSide.BUY) -> SubmitOrder:
    return SubmitOrder(
        client_order_id=client_order_id,
        strategy=STRATEGY,
        symbol=BTC,
        side=side,
        order_type=OrderType.MARKET,
        quantity=D(1),
        cause="bar:1",
        ts_event=1,
        ts_init=1,
    )


def filled(client_order_id: str = "k1", trade_id: str = "1") -> OrderFilled:
    return OrderFilled(
        client_order_id=client_order_id,
        venue_order_id="1",
        trade_id=trade_id,
        symbol=BTC,
        strategy=STRATEGY,
        side=OrderSide.BUY,
        last_quantity=D(1),
        last_price=D(100),
        fee=D(0),
        fee_currency="USDT",
        ts_event=1,
        ts_init=1,
    )


def initialized(submitted: SubmitOrder) -> OrderInitialized:
    return OrderInitialized(
        order=submitted, risk_generation=1, request_valid_until_ms=1, ts_event=1
    )


class Bench:
    """A risk actor, and the order actor's log that the test writes."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.log: list[OrderEvent] = [
            AccountReport(balances={"USDT": D(100_000)}, ts_event=1),
        ]
        self.generation = 0
        self.harness: ActorHarness

    def start(self, **risk: Any) -> ActorHarness:
        """Return the next incarnation, to be entered."""
        self.generation += 1
        self.harness = ActorHarness(
            RiskActor,
            name="risk",
            generation=self.generation,
            config=RiskActorConfig(
                risk=RiskConfig(**({"duplicate_secs": 1e-9} | risk)),
                venue="SIM",
                symbols=(BTC,),
                permissions={STRATEGY: (BTC,)},
                data_dir=self.data_dir,
                durability="process",
            ),
            answers={FEED: INSTRUMENTS},
        )
        return self.harness

    async def recover(self) -> None:
        """Answer the latest SyncOrders as an order actor would; market and venue are fine."""
        await self.harness.eventually(lambda: bool(self.harness.asked))
        await self.harness.deliver(INSTRUMENTS, FEED)
        await self.harness.deliver(QUOTE, FEED)
        live = MarketStatus(symbol=BTC, fresh=True, reason="LIVE", ts_event=1)
        await self.harness.deliver(live, FEED)
        summary = TradeSummary(
            symbol=BTC, last_price=D(100), volume=D(1_000), counted_secs=1, ts_event=1
        )
        await self.harness.deliver(summary, FEED)
        await self.sync()
        status = VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1)
        await self.harness.deliver(status, ORDER)

    async def sync(self, *open_orders: OpenOrder) -> None:
        request = self.requests()[-1]
        for number in range(request.watermark + 1, len(self.log) + 1):
            await self.tell_number(number)
        await self.harness.deliver(self.synced(request, *open_orders), ORDER)

    def synced(self, request: SyncOrders, *open_orders: OpenOrder) -> OrdersSynced:
        return OrdersSynced(
            venue="SIM",
            risk_generation=request.risk_generation,
            number=len(self.log),
            open_orders=open_orders,
            sync_id=request.sync_id,
        )

    async def happen(self, event: OrderEvent) -> None:
        """The order actor logs an event and tells it."""
        self.log.append(event)
        await self.tell_number(len(self.log))

    async def tell_number(self, number: int) -> None:
        told = OrderEventTold(venue="SIM", number=number, event=self.log[number - 1])
        await self.harness.deliver(told, ORDER)

    async def submit(self, submitted: SubmitOrder) -> Message:
        """Return what became of an order."""
        before = len(self.harness.told)
        await self.harness.deliver(submitted, STRATEGY)
        told = self.harness.told[before:]
        answers = [
            m for to, m in told if to in {ORDER, STRATEGY} and not isinstance(m, OrdersAbsorbed)
        ]
        assert len(answers) == 1
        return answers[0]

    async def reason(self, submitted: SubmitOrder) -> str:
        verdict = await self.submit(submitted)
        return verdict.reason if isinstance(verdict, OrderDenied) else "APPROVED"

    async def portfolio(self) -> PortfolioReport:
        report = await self.harness.deliver(PortfolioRequest(), "cli")
        assert isinstance(report, PortfolioReport)
        return report

    def requests(self) -> list[SyncOrders]:
        return [m for m in self.harness.told_to(ORDER) if isinstance(m, SyncOrders)]

    def logged(self, kind: type[Message]) -> list[Any]:
        path = log_path(self.data_dir, "risk")
        return [r.event for r in read_log(path, types=RiskEvent) if isinstance(r.event, kind)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# -- orders --------------------------------------------------------------------------------------


async def test_approval_is_logged_then_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench.start() as harness:
        await bench.recover()
        seen: list[int] = []
        append = LocalLog.append

        def noting(log: LocalLog, event: Message, *, ts_ns: int) -> int:
            seen.append(len(harness.told))
            return append(log, event, ts_ns=ts_ns)

        monkeypatch.setattr(LocalLog, "append", noting)
        before = len(harness.told)

        placed = await bench.submit(order())
        state = harness.actor.describe_state()

    assert placed == PlaceOrder(order=order(), risk_generation=1)
    assert seen == [before]
    assert (state["is_recovered"], state["approved"], state["open_orders"]) == (True, 1, 1)
    assert bench.logged(OrderApproved)[0].order == order()
    assert harness.told_to("journal")[-1] == LogGrew(writer="risk")


async def test_denial_is_logged_and_told_to_the_strategy(bench: Bench) -> None:
    async with bench.start():
        denied = await bench.submit(order())

    assert isinstance(denied, OrderDenied)
    assert denied.reason == "RISK_RECOVERING"
    assert bench.logged(OrderDenied) == [denied]


async def test_duplicate_is_refused_also_after_a_restart(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
        first = await bench.submit(order())
    (bench.data_dir / "log" / "risk.snapshot").unlink()
    async with bench.start():
        second = await bench.submit(order())

    assert isinstance(first, DuplicateRefused)
    assert isinstance(second, DuplicateRefused)
    assert len(bench.logged(DuplicateRefused)) == 2


async def test_cancel_passes_while_recovering_and_halted(bench: Bench) -> None:
    cancel = CancelOrder(client_order_id="k1", symbol=BTC, requester=STRATEGY)
    async with bench.start() as harness:
        await harness.deliver(cancel, STRATEGY)
        await bench.recover()
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        await harness.deliver(cancel, STRATEGY)

    assert harness.told_to(ORDER).count(cancel) == 2


@pytest.mark.parametrize(
    "command",
    [
        CancelAllOrders(symbol=BTC, requester="ada"),
        ModifyOrder(client_order_id="k1", symbol=BTC, quantity=Decimal(1), requester=STRATEGY),
    ],
)
async def test_what_can_only_lower_exposure_passes_while_halted(
    bench: Bench, command: Message
) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        await harness.deliver(command, STRATEGY)

    assert harness.told_to(ORDER).count(command) == 1


async def test_stale_market_and_unreachable_venue_deny(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(
            MarketStatus(symbol=BTC, fresh=False, reason="DISCONNECTED", ts_event=1), FEED
        )
        stale = await bench.reason(order("k1"))
        await harness.deliver(OrderActorStarted(venue="SIM", generation=2), ORDER)
        unreachable = await bench.reason(order("k2"))

    assert (stale, unreachable) == ("STALE_PRICE", "VENUE_UNREACHABLE")


async def test_fill_becomes_position(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await bench.submit(order())
        await bench.happen(initialized(order()))
        await bench.happen(filled())
        report = await bench.portfolio()
        state = await harness.deliver(StrategyStateRequest(strategy=STRATEGY, symbol=BTC), STRATEGY)

    assert report.positions[0].quantity == 1
    assert report.cash == 99_900
    assert report.open_orders == ()
    assert isinstance(state, StrategyState)
    assert (state.position, state.recovered) == (D(1), True)


async def test_instruments_are_asked_for_until_the_feed_is_there(bench: Bench) -> None:
    harness = bench.start()
    harness.answer(FEED, PeerDiedError("feed died"))
    async with harness:
        await harness.eventually(lambda: len(harness.asked) > 1)
        harness.answer(FEED, INSTRUMENTS)
        await harness.eventually(lambda: harness.actor._engine.markets[BTC].instrument is not None)

    assert harness.asked[0] == (FEED, InstrumentsRequest())


# -- the handshake -------------------------------------------------------------------------------


async def test_first_start_asks_for_everything(bench: Bench) -> None:
    async with bench.start():
        requests = bench.requests()

    assert requests == [SyncOrders(risk_generation=1, watermark=0, sync_id=1)]


async def test_everything_is_denied_until_synced(bench: Bench) -> None:
    async with bench.start():
        before = await bench.reason(order("k1"))
        await bench.recover()
        after = await bench.reason(order("k2"))
        report = await bench.portfolio()

    assert (before, after) == ("RISK_RECOVERING", "APPROVED")
    assert report.recovered
    assert report.equity == 100_000


async def test_external_buy_at_market_blocks_buys_after_a_restart_until_it_has_a_price(
    bench: Bench,
) -> None:
    bench.log.append(
        OrderExternal(
            client_order_id="web_1",
            venue_order_id="1",
            symbol=BTC,
            side=OrderSide.BUY,
            order_type=OrderType.MARKET,
            quantity=D(15),
            price=None,
            ts_event=1,
        )
    )
    async with bench.start() as harness:
        await harness.deliver(INSTRUMENTS, FEED)
        await bench.sync()
        status = VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1)
        await harness.deliver(status, ORDER)
        unpriced = await bench.reason(order("k1"))
    async with bench.start():
        await bench.recover()
        fits = await bench.reason(order("k2"))
        too_much = await bench.reason(msgspec.structs.replace(order("k3"), quantity=D(5)))

    assert (unpriced, fits, too_much) == ("POSITIONS_STALE", "APPROVED", "MAX_POSITION")


async def test_restarted_risk_approves_nothing_before_it_has_heard_what_happened_meanwhile(
    bench: Bench,
) -> None:
    async with bench.start():
        await bench.recover()
    bench.log += [initialized(order("k0")), filled("k0")]
    async with bench.start() as harness:
        await harness.deliver(INSTRUMENTS, FEED)
        live = MarketStatus(symbol=BTC, fresh=True, reason="LIVE", ts_event=1)
        summary = TradeSummary(
            symbol=BTC, last_price=D(100), volume=D(1_000), counted_secs=1, ts_event=1
        )
        reachable = VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1)
        for message, sender in (
            (QUOTE, FEED),
            (live, FEED),
            (summary, FEED),
            (reachable, ORDER),
        ):
            await harness.deliver(message, sender)
        before = await bench.reason(order("k1"))
        await bench.sync()
        after = await bench.reason(order("k2"))

    assert (before, after) == ("RISK_RECOVERING", "APPROVED")


async def test_answer_to_an_earlier_incarnation_is_not_ours(bench: Bench) -> None:
    async with bench.start() as harness:
        synced = OrdersSynced(venue="SIM", risk_generation=0, number=0, open_orders=())
        await harness.deliver(synced, ORDER)
        report = await bench.portfolio()

    assert not report.recovered


async def test_answer_beyond_what_was_told_is_a_gap_and_is_asked_again(bench: Bench) -> None:
    async with bench.start() as harness:
        await harness.deliver(bench.synced(bench.requests()[0]), ORDER)
        report = await bench.portfolio()
        await harness.eventually(lambda: len(bench.requests()) == 2)

    assert not report.recovered


async def test_missing_event_is_asked_for_once(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        bench.log += [initialized(order()), filled()]
        await bench.tell_number(3)
        await bench.tell_number(3)
        requests = bench.requests()
        await bench.sync()
        report = await bench.portfolio()

    assert requests[1:] == [SyncOrders(risk_generation=1, watermark=1, sync_id=2)]
    assert report.fills == 1


async def test_event_told_again_is_ignored(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.happen(filled())
        await bench.tell_number(2)
        await bench.tell_number(1)
        report = await bench.portfolio()

    assert report.fills == 1
    assert report.cash == 99_900


async def test_order_actor_that_started_is_asked(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(OrderActorStarted(venue="SIM", generation=2), ORDER)
        requests = bench.requests()

    assert requests[-1] == SyncOrders(risk_generation=1, watermark=1, sync_id=2)


async def test_approval_that_came_back_is_kept_until_the_order_actor_has_told(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        placed = await bench.submit(order())
        await harness.undelivered(ORDER, placed)
        kept = (await bench.portfolio()).open_orders
        await harness.eventually(lambda: len(bench.requests()) == 2)
        await bench.sync()
        released = (await bench.portfolio()).open_orders
        denied = harness.told_to(STRATEGY)[-1]

    assert [o.client_order_id for o in kept] == ["k1"]
    assert released == ()
    assert isinstance(denied, OrderDenied)
    assert denied.reason == "LOST_APPROVAL"
    assert bench.logged(OrderDenied) == [denied]


async def test_other_messages_that_come_back_ask_for_nothing(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.undelivered("journal", LogGrew(writer="risk"))
        cancel = CancelOrder(client_order_id="k1", symbol=BTC, requester=STRATEGY)
        await harness.undelivered(ORDER, cancel)
        due = harness.actor._is_sync_due

    assert not due


async def test_approval_made_after_the_request_is_not_settled_by_its_answer(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(OrderActorStarted(venue="SIM", generation=2), ORDER)
        await harness.deliver(
            VenueStatus(venue="SIM", reachable=True, reason="CONNECTED", ts_event=1), ORDER
        )
        await bench.submit(order())
        await bench.sync()
        report = await bench.portfolio()

    assert [o.client_order_id for o in report.open_orders] == ["k1"]


async def test_silent_order_actor_is_asked_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.start() as harness:
        await harness.deliver(Housekeeping(), "risk")
        patient = len(bench.requests())
        later_ns = clock.monotonic_ns() + 11_000_000_000
        with monkeypatch.context() as patch:
            patch.setattr(clock, "monotonic_ns", lambda: later_ns)
            await harness.deliver(Housekeeping(), "risk")
        impatient = len(bench.requests())

    assert (patient, impatient) == (1, 2)


async def test_shorter_order_log_crashes_and_the_next_start_begins_anew(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.happen(filled())
    bench.log = bench.log[:1]

    with pytest.raises(OrderLogLostError, match="order:SIM has 1 records"):
        async with bench.start() as harness:
            await harness.deliver(bench.synced(bench.requests()[0]), ORDER)
    harness.actor._ledger.close()  # as the death of the process would
    async with bench.start():
        watermark = bench.requests()[0].watermark
        await bench.recover()
        report = await bench.portfolio()

    assert watermark == 0
    assert report.fills == 0


# -- restarts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil", ["nothing", "snapshot missing", "snapshot damaged", "log shorter"]
)
async def test_portfolio_is_the_same_after_a_restart(bench: Bench, spoil: str) -> None:
    async with bench.start():
        await bench.recover()
        for number in (1, 2):
            await bench.submit(order(f"k{number}"))
            await bench.happen(initialized(order(f"k{number}")))
        await bench.happen(filled("k1"))
        before = await bench.portfolio()
    snapshot = bench.data_dir / "log" / "risk.snapshot"
    if spoil == "snapshot missing":
        snapshot.unlink()
    elif spoil == "snapshot damaged":
        snapshot.write_bytes(snapshot.read_bytes()[:-1] + b"?")
    elif spoil == "log shorter":
        log_path(bench.data_dir, "risk").unlink()

    async with bench.start():
        watermark = bench.requests()[0].watermark
        await bench.recover()
        after = await bench.portfolio()

    assert watermark == (4 if spoil == "nothing" else 0)
    assert after.positions == before.positions
    assert after.cash == before.cash
    assert [o.client_order_id for o in after.open_orders] == ["k2"]
    assert after.orders_approved == (0 if spoil == "log shorter" else 2)


async def test_approval_that_was_not_told_before_the_crash_is_released(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start() as harness:
        recovering = (await bench.portfolio()).open_orders
        await bench.recover()
        released = (await bench.portfolio()).open_orders
        denied = harness.told_to(STRATEGY)

    assert [o.client_order_id for o in recovering] == ["k1"]
    assert released == ()
    assert [d.reason for d in denied if isinstance(d, OrderDenied)] == ["RISK_RESTARTED"]


async def test_order_that_the_venue_works_is_reserved_after_a_restart(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
        bench.log.append(initialized(order()))
    async with bench.start():
        await bench.recover()
        report = await bench.portfolio()

    assert [o.client_order_id for o in report.open_orders] == ["k1"]


async def test_rate_and_duplicates_hold_across_a_restart(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    utc_ns, now_ns = clock.utc_ns(), clock.monotonic_ns()
    monkeypatch.setattr(clock, "utc_ns", lambda: utc_ns)
    monkeypatch.setattr(clock, "monotonic_ns", lambda: now_ns)
    async with bench.start(max_orders_per_sec=1):
        await bench.recover()
        first = await bench.reason(order("k1"))
    async with bench.start(max_orders_per_sec=1):
        await bench.recover()
        again = await bench.reason(order("k2"))
        second = await bench.reason(msgspec.structs.replace(order("k3"), quantity=D(2)))

    assert (first, again, second) == ("APPROVED", "DUPLICATE_ORDER", "ORDER_RATE")


async def test_snapshot_is_written_along_the_way(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        for number in range(SNAPSHOT_EVENTS):
            await bench.happen(filled("external", str(number)))
        await harness.eventually((bench.data_dir / "log" / "risk.snapshot").exists)


async def test_snapshot_that_cannot_be_written_costs_nothing_but_time(bench: Bench) -> None:
    draft = bench.data_dir / "log" / "risk.snapshot.new"
    draft.mkdir(parents=True)
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start():
        requests = bench.requests()

    assert requests[0].watermark == 0


# -- halts and days ------------------------------------------------------------------------------


async def test_halt_holds_across_restarts_until_a_person_resumes(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        halted = await harness.deliver(Halt(by="ada", reason="test"), "cli")
        denied = await bench.reason(order("k1"))
    (bench.data_dir / "log" / "risk.snapshot").unlink()
    async with bench.start() as harness:
        await bench.recover()
        still = await bench.reason(order("k2"))
        resumed = await harness.deliver(Resume(by="ada", reason="seen"), "cli")
        allowed = await bench.reason(order("k3"))

    assert bench.logged(TradingStateChanged) == [halted, resumed]
    assert (denied, still, allowed) == ("TRADING_HALTED", "TRADING_HALTED", "APPROVED")


async def test_resume_without_a_name_changes_nothing(bench: Bench) -> None:
    async with bench.start() as harness:
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        answer = await harness.deliver(Resume(by=" ", reason="x"), "cli")

    assert isinstance(answer, ActRefused)
    assert "named person" in answer.reason
    assert len(bench.logged(TradingStateChanged)) == 1


async def test_loss_of_the_day_halts_when_the_price_falls(bench: Bench) -> None:
    bench.log = [AccountReport(balances={"USDT": D(100), "BTC": D(1)}, ts_event=1)]
    async with bench.start(max_gap_fraction=1, max_volatility_fraction=1) as harness:
        await bench.recover()
        await harness.deliver(
            QuoteTick(
                symbol=BTC,
                bid=D("89.99"),
                bid_size=D(1),
                ask=D("90.01"),
                ask_size=D(1),
                update_id=2,
                ts_event=1,
                ts_init=1,
            ),
            FEED,
        )
        denied = await bench.reason(order(side=OrderSide.SELL))

    assert denied == "DAILY_LOSS"
    (day,) = bench.logged(DayStarted)
    (halted,) = bench.logged(TradingStateChanged)
    assert day.equity == 200
    assert halted.by == "risk"


async def test_day_starts_once_also_across_restarts(bench: Bench) -> None:
    for _ in range(2):
        async with bench.start() as harness:
            await bench.recover()
            await harness.deliver(QUOTE, FEED)

    assert len(bench.logged(DayStarted)) == 1


async def open_order(bench: Bench) -> SubmitOrder:
    """An order that is approved and begun."""
    resting = order("resting")
    await bench.submit(resting)
    await bench.happen(initialized(resting))
    await bench.happen(OrderSubmitted(client_order_id="resting", symbol=BTC, ts_event=1))
    return resting


async def test_halt_by_a_limit_cancels_what_is_open_until_it_has_gone(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await open_order(bench)
        jumped = msgspec.structs.replace(QUOTE, bid=D("109.99"), ask=D("110.01"))
        await harness.deliver(jumped, FEED)
        at_once = cancels(harness)
        await harness.deliver(Housekeeping(), "risk")
        again = cancels(harness)
        await bench.happen(OrderPendingCancel(client_order_id="resting", symbol=BTC, ts_event=1))
        await harness.deliver(Housekeeping(), "risk")
        denied = await bench.reason(order("k2"))

    assert (at_once, again, cancels(harness)) == (["resting"], ["resting"] * 2, ["resting"] * 2)
    assert denied == "PRICE_GAP"
    (halted,) = bench.logged(TradingStateChanged)
    assert (halted.scope, halted.target, halted.by) == (Scope.SYMBOL, BTC, "risk")


def cancels(harness: ActorHarness) -> list[str]:
    told = harness.told_to(ORDER)
    return [m.client_order_id for m in told if isinstance(m, CancelOrder)]


async def test_halt_of_a_person_cancels_only_when_it_says_so(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await open_order(bench)
        await harness.deliver(Halt(by="ada", reason="test"), "cli")
        kept = cancels(harness)
        await harness.deliver(Halt(by="ada", reason="test", cancels=True), "cli")

    assert (kept, cancels(harness)) == ([], ["resting"])


async def test_halts_of_symbols_and_strategies_are_told_and_lifted_one_by_one(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await harness.deliver(Halt(scope=Scope.SYMBOL, target=BTC, by="ada", reason="x"), "cli")
        await harness.deliver(
            Reduce(scope=Scope.STRATEGY, target=STRATEGY, by="bob", reason="y"), "cli"
        )
        states = (await bench.portfolio()).states
        halted = await bench.reason(order("k1"))
        await harness.deliver(Resume(scope=Scope.SYMBOL, target=BTC, by="ada", reason="x"), "cli")
        reducing = await bench.reason(order("k2"))
        lift = Resume(scope=Scope.STRATEGY, target=STRATEGY, by="bob", reason="y")
        await harness.deliver(lift, "cli")
        active = await bench.reason(order("k3"))

    assert [(s.target, s.by) for s in states] == [(BTC, "ada"), (STRATEGY, "bob")]
    assert (halted, reducing, active) == ("TRADING_HALTED", "TRADING_REDUCING", "APPROVED")


async def test_override_is_recorded_and_refused_without_room(
    bench: Bench, fill_disk: Callable[[], None]
) -> None:
    act = OverrideControl(control="MAX_POSITION", symbol=BTC, secs=60, by="ada", reason="test")
    async with bench.start(max_position_fraction="0.0001") as harness:
        await bench.recover()
        before = await bench.reason(order("k1"))
        done = await harness.deliver(act, "cli")
        after = await bench.reason(order("k2"))
        report = await bench.portfolio()
        fill_disk()
        refused = await harness.deliver(act, "cli")

    assert (before, after) == ("MAX_POSITION", "APPROVED")
    assert bench.logged(ControlOverridden) == [done] == list(report.overrides)
    assert isinstance(refused, ActRefused)


# -- the halt that waits on disk -------------------------------------------------------------------

FILED = FiledHalt(by="ada", reason="kill", ts_event=7)


async def test_halt_on_disk_is_in_force_before_anything_else(bench: Bench) -> None:
    halt_file.write(bench.data_dir, FILED)
    async with bench.start() as harness:
        state = harness.actor._engine.latches.states.system
        await bench.recover()
        denied = await bench.reason(order())

    assert (state.by, state.cancels, state.ts_event) == ("ada", True, 7)
    assert denied == "TRADING_HALTED"
    assert len(bench.logged(TradingStateChanged)) == 1
    assert halt_file.read(bench.data_dir) is None


async def test_halt_on_disk_is_found_by_a_risk_that_runs(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await open_order(bench)
        halt_file.write(bench.data_dir, FILED)
        await harness.deliver(Housekeeping(), "risk")
        told = await harness.deliver(Halt(by="ada", reason="kill", cancels=True), "cli")

    assert set(cancels(harness)) == {"resting"}
    assert isinstance(told, TradingStateChanged)
    assert halt_file.read(bench.data_dir) is None


async def test_kill_that_is_told_and_on_disk_is_one_halt(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        halt_file.write(bench.data_dir, FILED)
        told = await harness.deliver(Halt(by="ada", reason="kill", cancels=True), "cli")

    assert bench.logged(TradingStateChanged) == [told]


async def test_halt_on_disk_stays_there_until_the_log_has_it(
    bench: Bench, fill_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.start() as harness:
        await bench.recover()
        fill_disk()
        halt_file.write(bench.data_dir, FILED)
        await harness.deliver(Housekeeping(), "risk")
        denied = await bench.reason(order())
        kept = halt_file.read(bench.data_dir)
        monkeypatch.undo()
        await harness.deliver(Halt(by="bob", reason="x", scope=Scope.SYMBOL, target=BTC), "cli")
        await harness.deliver(Housekeeping(), "risk")

    assert denied == "TRADING_HALTED"
    assert kept == FILED
    assert halt_file.read(bench.data_dir) is None
    assert [s.by for s in bench.logged(TradingStateChanged)] == ["ada", "bob"]


async def test_halt_on_disk_that_cannot_be_read_halts_all_the_same(bench: Bench) -> None:
    (bench.data_dir / "halt.json").write_text("{")
    async with bench.start():
        await bench.recover()
        denied = await bench.reason(order())

    assert denied == "TRADING_HALTED"
    (halted,) = bench.logged(TradingStateChanged)
    assert "cannot be read" in halted.reason


async def test_resume_lifts_also_the_halt_that_waited_on_disk(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        halt_file.write(bench.data_dir, FILED)
        await harness.deliver(Resume(by="bob", reason="seen"), "cli")
        await harness.deliver(Housekeeping(), "risk")
        reason = await bench.reason(order())

    assert reason == "APPROVED"
    assert [s.by for s in bench.logged(TradingStateChanged)] == ["ada", "bob"]


async def test_missing_order_events_let_only_reductions_pass_until_they_have_come(
    bench: Bench,
) -> None:
    bench.log = [AccountReport(balances={"USDT": D(100_000), "BTC": D(1)}, ts_event=1)]
    async with bench.start():
        await bench.recover()
        bench.log += [initialized(order()), filled()]
        await bench.tell_number(3)
        buy = await bench.reason(order("k2"))
        sell = await bench.reason(order("k3", OrderSide.SELL))
        await bench.sync()
        after = await bench.reason(order("k4"))

    assert (buy, sell, after) == ("POSITIONS_STALE", "APPROVED", "SELF_MATCH")


# -- the log is full -----------------------------------------------------------------------------


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def full(*_: object, **__: object) -> int:
        raise LogFullError("no space left on device")

    return lambda: monkeypatch.setattr(LocalLog, "append", full)


async def test_nothing_is_approved_that_cannot_be_written(
    bench: Bench, fill_disk: Callable[[], None]
) -> None:
    async with bench.start():
        await bench.recover()
        fill_disk()
        reason = await bench.reason(order())
        report = await bench.portfolio()

    assert reason == "LOG_FULL"
    assert report.open_orders == ()


async def test_halt_holds_without_room_and_is_written_when_there_is_some(
    bench: Bench, fill_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench.start() as harness:
        await bench.recover()
        fill_disk()
        halted = await harness.deliver(Halt(by="ada", reason="test"), "cli")
        refused = await harness.deliver(Resume(by="ada", reason="test"), "cli")
        monkeypatch.undo()
        denied = await bench.reason(order())

    assert isinstance(refused, ActRefused)
    assert "LOG_FULL" in refused.reason
    assert denied == "TRADING_HALTED"
    assert bench.logged(TradingStateChanged) == [halted]


async def test_lost_approval_stays_reserved_while_its_denial_cannot_be_written(
    bench: Bench, fill_disk: Callable[[], None]
) -> None:
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start():
        fill_disk()
        await bench.recover()
        report = await bench.portfolio()

    assert [o.client_order_id for o in report.open_orders] == ["k1"]


async def test_lost_approval_is_released_when_its_denial_can_be_written_again(
    bench: Bench, fill_disk: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Found by the simulation.
    monkeypatch.setattr("krator_actors.risk._SYNC_AGAIN_SECS", 0.01)
    async with bench.start():
        await bench.recover()
        await bench.submit(order())
    async with bench.start() as harness:
        fill_disk()
        await bench.recover()
        monkeypatch.undo()

        await harness.eventually(lambda: len(bench.requests()) > 1)
        await bench.sync()
        report = await bench.portfolio()

    assert report.open_orders == ()


async def test_log_past_its_bound_lets_only_reductions_pass(bench: Bench) -> None:
    bench.log = [AccountReport(balances={"USDT": D(100_000), "BTC": D(1)}, ts_event=1)]
    async with bench.start(max_log_bytes=1):
        await bench.recover()
        buy = await bench.reason(order("k1"))
        sell = await bench.reason(order("k2", OrderSide.SELL))

    assert (buy, sell) == ("LOG_FULL", "APPROVED")


# -- reconciliation ------------------------------------------------------------------------------


async def test_difference_above_the_limit_halts_until_a_person_resumes(bench: Bench) -> None:
    missing = ReconciliationDifference(
        what=Difference.BALANCE,
        subject="USDT",
        symbol="",
        ours=D(100_000),
        venue=D(90_000),
        ts_event=time.time_ns(),
    )
    async with bench.start() as harness:
        await bench.recover()
        await bench.happen(missing)
        halted = await bench.portfolio()
        denied = await bench.reason(order("k1"))
        await harness.deliver(Resume(by="anna", reason="a withdrawal"), "anna")
    (bench.data_dir / "log" / "risk.snapshot").unlink()
    async with bench.start():
        await bench.recover()
        resumed = await bench.portfolio()

    assert (halted.state, halted.cash) == (TradingState.HALTED, D(90_000))
    assert denied == "RECONCILIATION"
    assert (resumed.state, resumed.cash) == (TradingState.ACTIVE, D(90_000))


async def test_difference_within_the_limit_is_taken_over_and_does_not_halt(bench: Bench) -> None:
    dust = ReconciliationDifference(
        what=Difference.BALANCE,
        subject="USDT",
        symbol="",
        ours=D(100_000),
        venue=D(99_991),
        ts_event=time.time_ns(),
    )
    async with bench.start():
        await bench.recover()
        await bench.happen(dust)
        report = await bench.portfolio()

    assert (report.state, report.cash) == (TradingState.ACTIVE, D(99_991))
