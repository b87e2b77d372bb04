"""The strategy actor: one symbol's market data in, at most one order at a time out."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from loguru import logger

from krator_actors import clock
from krator_actors.adapters.local_log import Durability, LocalLog, log_path, read_log
from krator_actors.core import cross, mean_reversion  # noqa: F401 - here, and not in every fork
from krator_actors.core.bars import BarSeries
from krator_actors.core.holding import Holding
from krator_actors.core.identity import client_order_id
from krator_actors.core.strategies import (
    Intent,
    Standing,
    Strategy,
    bracket_around,
    signal_of,
)
from krator_actors.messages.market import (
    BarHistory,
    BarsRequest,
    BookTop,
    Instruments,
    MarketDataGap,
    MarketStatus,
    QuoteTick,
    TradeTick,
)
from krator_actors.messages.operations import LogGrew
from krator_actors.messages.orders import (
    Bracket,
    OrderDenied,
    OrderEventTold,
    OrderFilled,
    SubmitOrder,
)
from krator_actors.messages.risk import DuplicateRefused
from krator_actors.messages.strategy import (
    Settled,
    SettleRequest,
    SignalRaised,
    StrategyState,
    StrategyStateRequest,
)
from krator_actors.model import BUY, SELL, OrderType
from krator_actors.strategy_config import StrategyConfig
from supervisors.actor import Actor
from supervisors.messages import ActorError, Message

PENDING_SILENCE_SECS = 10.0
"""No news of the order under way for so long: risk is asked what became of it."""

_ASK_TIMEOUT_SECS = 2.0
_RETRY_INITIAL_SECS, _RETRY_MAX_SECS = 0.05, 1.0
_HISTORY_FACTOR = 2
"""More history than the warm-up is asked for, because periods without a trade are left out."""


class StrategyActorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What ``ChildSpec.config`` holds for this actor."""

    strategy: StrategyConfig
    venue: str
    data_dir: Path
    durability: Durability


class RiskAnswer(Message, frozen=True, kw_only=True):
    """To itself: what risk answered to question ``number``."""

    number: int
    state: StrategyState


class PendingSilent(Message, frozen=True, kw_only=True):
    """To itself: time to see whether the order under way has had news since ``news``."""

    client_order_id: str
    news: int


class StrategyActor(Actor):
    """Decides on its bars; says nothing before it knows its position and is warm.

    What it needs from peers it asks for in the background, again and again, because the feed
    starts after it and risk may be recovering; live trades are counted meanwhile.
    """

    inbox: ClassVar[Any] = (
        TradeTick
        | QuoteTick
        | BookTop
        | MarketDataGap
        | MarketStatus
        | Instruments
        | OrderEventTold
        | OrderDenied
        | DuplicateRefused
        | BarHistory
        | RiskAnswer
        | PendingSilent
        | SettleRequest
    )
    answers: ClassVar[Any] = StrategyState | BarHistory
    config: StrategyActorConfig

    # Cold at the start and after a gap; shown every bar of _series.
    _strategy: Strategy
    _series: BarSeries

    async def on_start(self) -> None:
        """Open the log and begin to ask; ready at once."""
        config = self.config.strategy
        self._symbol = config.symbol
        self._feed = f"feed:{self.config.venue}"
        self._holding = Holding(self.name, self._symbol)
        # The newest traded price; None before the first live trade.
        self._price: Decimal | None = None
        # False while the feed says so. Before its first word a trade that arrives is the sign that
        # the market is fresh, and nothing is decided without one.
        self._fresh = True
        # The question to risk that is the newest; answers to older ones are out of date.
        self._question = 0
        self._risk_wanted = asyncio.Event()
        self._history_wanted = asyncio.Event()
        path = log_path(self.config.data_dir, self.name)
        self._log = LocalLog.open(
            path,
            writer=self.name,
            generation=self.generation,
            durability=self.config.durability,
        )
        # The newest entry in the log, of this incarnation or an earlier one; None before the first.
        self._entry = _newest_entry(path)
        self._begin_cold()
        self._logger = logger.bind(component=self.name, symbol=self._symbol)
        self._ask_for_position()
        self.start_task(self._keep_asking_risk(), name="ask_risk")
        self.start_task(self._keep_asking_feed(), name="ask_feed")

    async def on_stop(self) -> None:
        """Close the log."""
        self._log.close()

    async def receive(self, message: Message, sender: str) -> Message | None:  # noqa: ARG002 - names are in the messages
        """Take one message; only a replay's question is answered."""
        match message:
            case TradeTick():
                await self._on_trade(message)
            case QuoteTick():
                await self._on_quote(message)
            case BookTop():
                await self._act(self._strategy.on_book(message, self._standing()))
            case MarketDataGap():
                self._on_gap(message)
            case MarketStatus():
                self._fresh = message.fresh
            case Instruments():
                self._holding.on_instruments(message)
            case OrderEventTold():
                await self._on_order_event(message)
            case OrderDenied():
                self._on_denied(message)
            case DuplicateRefused():
                self._ask_for_position(pause_secs=_RETRY_INITIAL_SECS)
            case BarHistory():
                await self._on_history(message)
            case RiskAnswer():
                self._on_risk_answer(message)
            case PendingSilent():
                self._on_silence(message)
            case SettleRequest():
                self._history_delay_secs = 0.0  # because the replay stands still meanwhile
                idle = self._holding.is_settled and not self._history_wanted.is_set()
                return Settled(is_settled=idle)
            case _:
                raise TypeError(f"{type(message).__name__} is not in the inbox of {self.name}")
        return None

    async def on_undelivered(self, receiver: str, message: Message) -> None:  # noqa: ARG002 - orders go to risk only
        """An order whose arrival is unknown is not sent again: risk is asked."""
        if isinstance(message, SubmitOrder):
            self._ask_for_position()

    # -- market ---------------------------------------------------------------------------------

    async def _on_trade(self, trade: TradeTick) -> None:
        self._price = trade.price
        bar = self._series.on_trade(trade)
        await self._act(self._strategy.on_trade(trade, self._standing()))
        if bar is not None:
            await self._act(self._strategy.on_bar(bar, self._standing()))
        if not self._strategy.is_warm and self._series.wants_history:
            self._history_wanted.set()

    async def _on_quote(self, quote: QuoteTick) -> None:
        await self._act(self._strategy.on_quote(quote, self._standing()))
        bar = self._series.on_quote(quote)
        if bar is not None:
            await self._act(self._strategy.on_bar(bar, self._standing()))

    async def _on_history(self, history: BarHistory) -> None:
        if self._strategy.is_warm or not self._series.join(history.bars):
            return
        self._strategy = self._cold_strategy()
        *earlier, newest = self._series.bars
        for bar in earlier:
            self._strategy.on_bar(bar, Standing.UNKNOWN)
        # The newest bar was finished while nobody could decide on it. It still counts when no later
        # bar is finished: the same decision is the same order, should it have been taken before.
        in_time = self._series.newest_is_current
        standing = self._standing() if in_time else Standing.UNKNOWN
        self._logger.bind(
            event_type="history_joined", bars=len(history.bars), warm=self._strategy.is_warm
        ).info("history joined")
        await self._act(self._strategy.on_bar(newest, standing))

    def _on_gap(self, gap: MarketDataGap) -> None:
        if gap.stream == "trade" and not gap.is_filled:
            self._logger.bind(event_type="warm_up_again", count=gap.count).warning("trades missing")
            self._begin_cold()

    def _begin_cold(self) -> None:
        self._strategy = self._cold_strategy()
        self._history_count = self._strategy.warm_up_bars * _HISTORY_FACTOR
        spec = self.config.strategy.bar_spec
        self._series = BarSeries(self._symbol, spec, limit=self._history_count)
        self._history_delay_secs = _RETRY_INITIAL_SECS

    def _cold_strategy(self) -> Strategy:
        strategy = self.config.strategy.make()
        if self._entry is not None:
            strategy.recall(self._entry)
        return strategy

    # -- decisions ------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        return self._holding.standing(self._price) if self._fresh else Standing.UNKNOWN

    async def _act(self, intents: list[Intent]) -> None:
        for intent in intents:
            if self._holding.pending is None and not self._is_left_by_bracket(intent):
                await self._raise_signal(intent)

    def _is_left_by_bracket(self, intent: Intent) -> bool:
        # Two who sell one position could sell more than was bought.
        is_bracketed = self._entry is not None and self._entry.is_bracketed
        return intent.side is SELL and is_bracketed

    async def _raise_signal(self, intent: Intent) -> None:
        quantity = self._holding.quantity(intent, self.config.strategy.order_notional)
        order = self._order(intent, quantity)
        if not quantity:
            self._logger.bind(
                event_type="signal_too_small", side=intent.side.value, price=intent.price
            ).warning("nothing to trade in whole lots")
            return
        signal = signal_of(intent, order)
        number = self._log.append(signal, ts_ns=order.ts_init)
        if intent.side is BUY:
            self._entry = signal
        self._holding.begin(order)
        await self.tell("risk", order)
        self._expect_news()
        # An answer that is on its way was given before risk knew of this order.
        self._question += 1
        await self.tell("journal", LogGrew(writer=self.name))
        if intent.side is BUY:
            # What is before the newest entry is never read again.
            self._log.release(number - 1)
        self._logger.bind(
            event_type="signal",
            order_id=order.client_order_id,
            side=intent.side.value,
            quantity=quantity,
            price=intent.price,
        ).info("signal")

    def _order(self, intent: Intent, quantity: Decimal) -> SubmitOrder:
        return SubmitOrder(
            client_order_id=client_order_id(self.name, self._symbol, intent.cause, intent.leg),
            strategy=self.name,
            symbol=self._symbol,
            side=intent.side,
            order_type=OrderType.MARKET,
            quantity=quantity,
            bracket=self._bracket(intent),
            cause=intent.cause,
            ts_event=intent.ts_event,
            ts_init=clock.utc_ns(),
        )

    def _bracket(self, intent: Intent) -> Bracket | None:
        config, instrument = self.config.strategy, self._holding.instrument
        stop_loss, take_profit = config.stop_loss_fraction, config.take_profit_fraction
        if intent.side is SELL or not stop_loss:
            return None
        assert instrument is not None
        return bracket_around(
            intent.price, instrument, stop_loss=stop_loss, take_profit=take_profit
        )

    # -- orders ---------------------------------------------------------------------------------

    async def _on_order_event(self, told: OrderEventTold) -> None:
        if self._holding.on_order_event(told.event):
            # What was refused would be refused at the next tick too: not a thousand times a second.
            is_filled = isinstance(told.event, OrderFilled)
            self._ask_for_position(pause_secs=0.0 if is_filled else _RETRY_INITIAL_SECS)
        else:
            self._expect_news()
        await self._act(self._strategy.on_order_event(told.event, self._standing()))

    def _on_denied(self, denied: OrderDenied) -> None:
        self._logger.bind(
            event_type="order_denied", order_id=denied.client_order_id, reason=denied.reason
        ).warning("order denied")
        if self._holding.on_order_event(denied):
            self._ask_for_position(pause_secs=_RETRY_INITIAL_SECS)

    def _expect_news(self) -> None:
        pending = self._holding.pending
        if pending is not None:
            reminder = PendingSilent(client_order_id=pending.client_order_id, news=pending.news)
            self.after(PENDING_SILENCE_SECS, reminder)

    def _on_silence(self, reminder: PendingSilent) -> None:
        pending = self._holding.pending
        if pending is None or pending.client_order_id != reminder.client_order_id:
            return
        if pending.news == reminder.news:
            self._logger.bind(event_type="order_silent", order_id=pending.client_order_id).warning(
                "no news of the order"
            )
            self._ask_for_position()

    # -- questions ------------------------------------------------------------------------------

    def _ask_for_position(self, *, pause_secs: float = 0.0) -> None:
        self._holding.doubt()
        self._question += 1
        self._risk_pause_secs = pause_secs
        self._risk_wanted.set()

    def describe_state(self) -> dict[str, bool]:
        """Return what it knows and waits for, without an id or an amount."""
        return {**self._holding.described(), "is_warm": self._strategy.is_warm}

    def _on_risk_answer(self, answer: RiskAnswer) -> None:
        # An older answer may not know of the order that the newer question is about.
        if answer.number == self._question and not self._holding.on_state(answer.state):
            self._risk_wanted.set()

    async def _keep_asking_risk(self) -> None:
        request = StrategyStateRequest(strategy=self.name, symbol=self._symbol)
        while True:
            await self._risk_wanted.wait()
            self._risk_wanted.clear()
            pause_secs = self._risk_pause_secs
            # Only what this answer does not settle is asked again, later and later.
            self._risk_pause_secs = min(max(pause_secs * 2, _RETRY_INITIAL_SECS), _RETRY_MAX_SECS)
            await asyncio.sleep(pause_secs)
            number = self._question
            state = await self._answer_of("risk", request)
            if isinstance(state, StrategyState):
                self.tell_self(RiskAnswer(number=number, state=state))
            else:
                self._risk_wanted.set()

    async def _keep_asking_feed(self) -> None:
        spec = self.config.strategy.bar_spec
        while True:
            await self._history_wanted.wait()
            request = BarsRequest(symbol=self._symbol, spec=spec, count=self._history_count)
            history = await self._answer_of(self._feed, request)
            if isinstance(history, BarHistory):
                self.tell_self(history)
            await asyncio.sleep(self._history_delay_secs)
            # Only now, because a replay in lockstep waits for it; the next trade may set it again.
            self._history_wanted.clear()
            self._history_delay_secs = min(self._history_delay_secs * 2, _RETRY_MAX_SECS)

    async def _answer_of(self, peer: str, request: Message) -> Message | None:
        try:
            return await self.ask(peer, request, timeout_secs=_ASK_TIMEOUT_SECS)
        except ActorError:
            return None


def _newest_entry(path: Path) -> SignalRaised | None:
    signals = [record.event for record in read_log(path, after=None, types=SignalRaised)]
    return next((s for s in reversed(signals) if s.side is BUY), None)
