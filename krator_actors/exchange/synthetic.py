"""The synthetic market: the matching engine, fed by seeded order flow and by our own orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from krator_actors.exchange import fixed
from krator_actors.exchange.ids import IdSource
from krator_actors.exchange.market import Depth, Execution, Level, Publish
from krator_actors.exchange.matching import Match, MatchingEngine
from krator_actors.exchange.order_flow import OrderFlow, Quote
from krator_actors.exchange.orders import Order
from krator_actors.exchange.rules import Rules
from krator_actors.exchange.tape import PublicTrade, Tape
from krator_actors.model import NANOS_PER_MILLI, NANOS_PER_SEC, OrderSide

HISTORY_SECS = 900
_HISTORY_ACTIONS_PER_SEC = 4


@dataclass(frozen=True, slots=True)
class MarketIds:
    """Where a market's ids come from."""

    trades: IdSource
    updates: IdSource


class SyntheticMarket:
    """One symbol's market: ``act`` is called by the pacing, the rest by the venue."""

    def __init__(
        self,
        rules: Rules,
        *,
        seed: int,
        epoch_ns: int,
        ids: MarketIds,
        clock_ns: Callable[[], int],
        publish: Publish,
    ) -> None:
        self.rules = rules
        self.tape = Tape()
        self._clock_ns = clock_ns
        self._epoch_ns = epoch_ns
        # whole seconds after the epoch, so that every new ledger begins with the same market
        elapsed_secs = max(0, clock_ns() - epoch_ns) // NANOS_PER_SEC
        self._now_ns = epoch_ns + elapsed_secs * NANOS_PER_SEC
        self._publish = publish
        self._ids = ids
        self._engine = MatchingEngine()
        self._flow = OrderFlow(rules, seed=seed, start=elapsed_secs)
        self._stream = rules.symbol.lower()
        self._flow_orders = 0
        # the flow's order ids of each maker's bid and ask
        self._quotes: dict[int, tuple[int, int]] = {}
        # events not yet published
        self._pending: list[tuple[str, str]] = []
        self._update_id = ids.updates.take()
        self._told_update_id = self._update_id
        # level changes not yet told on the depth stream
        self._dirty: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self._top: tuple[Level | None, Level | None] = (None, None)

    def begin(self) -> None:
        """Live through the last minutes, so that there is a book and a history of klines."""
        end_ns = self._now_ns
        steps = HISTORY_SECS * _HISTORY_ACTIONS_PER_SEC
        step_ns = NANOS_PER_SEC // _HISTORY_ACTIONS_PER_SEC
        self._now_ns = end_ns - steps * step_ns
        self._flow.next_action(self._secs())
        for quote in self._flow.opening():
            self._requote(quote)
        for _ in range(steps):
            self._now_ns += step_ns
            self._do_next()
        self._after_change()
        self._take_changes()
        self._pending.clear()
        self._told_update_id = self._update_id

    def act(self) -> list[Execution]:
        """Let the next participant act; return what that did to the account's orders."""
        self._now_ns = self._clock_ns()
        executions = self._do_next()
        self._after_change()
        return executions

    def event_ms(self) -> int:
        """Return the wall clock: this market lives now."""
        return self._clock_ns() // NANOS_PER_MILLI

    def fillable(self, side: OrderSide, quantity: int, limit: int | None) -> list[Level]:
        """Return what an order would trade at once, changing nothing."""
        return self._engine.quote_fill(side, quantity, limit)

    def execute(self, order: Order) -> list[Execution]:
        """Trade an order at once as far as it goes; the rest of it stays when ``order.rests``."""
        self._now_ns = self._clock_ns()
        executions = self._submit(
            order.order_id, order.side, order.remaining, order.limit, rests=order.rests
        )
        self._after_change()
        return executions

    def rest(self, order: Order) -> list[Execution]:
        """Put an open order back after a restart; it trades if the price has moved past it."""
        return self.execute(order)

    def cancel(self, order_id: int) -> None:
        """Take an order out of the book."""
        self._now_ns = self._clock_ns()
        self._engine.cancel(order_id)
        self._after_change()

    def reduce(self, order_id: int, quantity: int) -> None:
        """Take ``quantity`` off an order in the book, which keeps its place."""
        self._now_ns = self._clock_ns()
        self._engine.reduce(order_id, quantity)
        self._after_change()

    def depth(self, limit: int) -> Depth:
        """Return the best levels."""
        bids = list(islice(self._engine.bids.levels(), limit))
        asks = list(islice(self._engine.asks.levels(), limit))
        return Depth(self._update_id, bids, asks)

    def flush(self) -> None:
        """Publish trades and tops of book."""
        pending, self._pending = self._pending, []
        for stream, text in pending:
            self._publish(stream, text)

    def flush_depth(self) -> None:
        """Publish the level changes since the last call on ``depth@100ms``; nothing when none."""
        self._take_changes()
        bids, asks = self._dirty
        if not bids and not asks:
            return
        text = (
            f'{{"e":"depthUpdate","E":{self.event_ms()},"s":"{self.rules.symbol}",'
            f'"U":{self._told_update_id + 1},"u":{self._update_id},'
            f'"b":{_levels(bids, best_last=True)},"a":{_levels(asks, best_last=False)}}}'
        )
        self._told_update_id = self._update_id
        self._dirty = ({}, {})
        self._publish(f"{self._stream}@depth@100ms", text)

    def close(self) -> None:
        """Give unused ids back."""
        self._ids.trades.close()
        self._ids.updates.close()

    def _secs(self) -> float:
        return (self._now_ns - self._epoch_ns) / NANOS_PER_SEC

    def _do_next(self) -> list[Execution]:
        action = self._flow.next_action(self._secs())
        if isinstance(action, Quote):
            return self._requote(action)
        return self._submit(self._flow_id(), action.side, action.quantity, None, rests=False)

    def _requote(self, quote: Quote) -> list[Execution]:
        for order_id in self._quotes.get(quote.maker, ()):
            self._engine.cancel(order_id)
        bid_id, ask_id = self._flow_id(), self._flow_id()
        self._quotes[quote.maker] = (bid_id, ask_id)
        executions = self._submit(bid_id, OrderSide.BUY, quote.bid_quantity, quote.bid, rests=True)
        executions += self._submit(
            ask_id, OrderSide.SELL, quote.ask_quantity, quote.ask, rests=True
        )
        return executions

    def _flow_id(self) -> int:
        self._flow_orders -= 1
        return self._flow_orders

    def _submit(
        self, order_id: int, side: OrderSide, quantity: int, limit: int | None, *, rests: bool
    ) -> list[Execution]:
        matches = self._engine.submit(
            order_id=order_id, side=side, quantity=quantity, limit=limit, rests=rests
        )
        executions: list[Execution] = []
        for match in matches:
            trade_id = self._print(match)
            for own, is_maker in ((match.maker_id, True), (match.taker_id, False)):
                if own > 0:  # the flow's order ids are negative
                    executions.append(
                        Execution(own, match.price, match.quantity, trade_id, is_maker)
                    )
        return executions

    def _print(self, match: Match) -> int:
        time_ms = self._now_ns // NANOS_PER_MILLI
        trade = PublicTrade(
            self._ids.trades.take(),
            match.price,
            match.quantity,
            time_ms,
            buyer_is_maker=match.taker_side is OrderSide.SELL,
        )
        self.tape.add(trade)
        text = (
            f'{{"e":"trade","E":{time_ms},"s":"{self.rules.symbol}","t":{trade.trade_id},'
            f'"p":"{fixed.show(trade.price)}","q":"{fixed.show(trade.quantity)}",'
            f'"T":{time_ms},"m":{"true" if trade.buyer_is_maker else "false"},"M":true}}'
        )
        self._pending.append((f"{self._stream}@trade", text))
        return trade.trade_id

    def _after_change(self) -> None:
        if not self._take_changes():
            return
        self._update_id = self._ids.updates.take()
        top = self._best(self._engine.bids.best_price()), self._best_ask()
        if top == self._top:
            return
        self._top = top
        bid, ask = top
        if bid is None or ask is None:
            return
        text = (
            f'{{"u":{self._update_id},"s":"{self.rules.symbol}",'
            f'"b":"{fixed.show(bid[0])}","B":"{fixed.show(bid[1])}",'
            f'"a":"{fixed.show(ask[0])}","A":"{fixed.show(ask[1])}"}}'
        )
        self._pending.append((f"{self._stream}@bookTicker", text))

    def _best(self, price: int | None) -> Level | None:
        return None if price is None else (price, self._engine.bids.size_at(price))

    def _best_ask(self) -> Level | None:
        price = self._engine.asks.best_price()
        return None if price is None else (price, self._engine.asks.size_at(price))

    def _take_changes(self) -> bool:
        bids, asks = self._engine.bids.take_changes(), self._engine.asks.take_changes()
        self._dirty[0].update(bids)
        self._dirty[1].update(asks)
        return bool(bids or asks)


def _levels(levels: dict[int, int], *, best_last: bool) -> str:
    ordered = sorted(levels.items(), reverse=best_last)
    return "[" + ",".join(f'["{fixed.show(p)}","{fixed.show(q)}"]' for p, q in ordered) + "]"
