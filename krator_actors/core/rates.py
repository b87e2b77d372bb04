"""How many in a time: windows for orders and messages, by symbol, strategy and in all. Pure.

A message is an approved order, a change of one, or a cancel: what goes to the venue. A cancel
counts, and is never held up.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import msgspec

from krator_actors.core.reservations import Reservations
from krator_actors.messages.orders import CancelAllOrders, Unapproved
from krator_actors.model import NANOS_PER_SEC

_NEVER_FULL = -(1 << 63)
"""Before every time of a clock."""


class RateWindow:
    """Counts events of the last ``period_ns`` of a monotonic clock, up to ``limit``."""

    def __init__(self, limit: int, period_ns: int = NANOS_PER_SEC) -> None:
        self.limit = limit
        self.period_ns = period_ns
        # Before this time one more would make more than ``limit`` within one period. An attribute,
        # because every order asks six windows.
        self.full_until_ns = _NEVER_FULL
        # When the latest ``limit`` events were; older ones cannot matter.
        self._times: deque[int] = deque(maxlen=limit)

    def add(self, now_ns: int) -> None:
        """Count one event. Times do not go back."""
        times = self._times
        times.append(now_ns)
        if len(times) == self.limit:
            self.full_until_ns = times[0] + self.period_ns

    def ages(self, now_ns: int) -> tuple[int, ...]:
        """Return how long ago the events of the last period were, in nanoseconds, oldest first."""
        return tuple(
            now_ns - time_ns for time_ns in self._times if now_ns - time_ns < self.period_ns
        )


class RateLimits(msgspec.Struct, frozen=True, kw_only=True):
    """So many in one second: in all, of one strategy, of one symbol."""

    orders: int
    strategy_orders: int
    symbol_orders: int
    messages: int
    strategy_messages: int
    symbol_messages: int


class Sent(msgspec.Struct, frozen=True, array_like=True):
    """Something that was sent in the last second."""

    age_ns: int
    symbol: str
    strategy: str
    is_order: bool


class Excess(NamedTuple):
    """A window that is full: of ``orders`` or ``messages``, of whom, and its limit."""

    what: str
    whose: str
    limit: int


class Rates:
    """The windows of the whole system. ``symbol_limits`` are those that are not the same for all.

    A symbol's limits are (orders, messages).
    """

    def __init__(self, limits: RateLimits, symbol_limits: dict[str, tuple[int, int]]) -> None:
        self._limits = limits
        self._symbol_limits = symbol_limits
        self._orders = RateWindow(limits.orders)
        self._messages = RateWindow(limits.messages)
        # (orders, messages) by name; made when the first one comes.
        self._strategies: dict[str, tuple[RateWindow, RateWindow]] = {}
        self._symbols: dict[str, tuple[RateWindow, RateWindow]] = {}
        # What came in the last second.
        self._sent: deque[tuple[int, str, str, bool]] = deque()

    def excess(self, symbol: str, strategy: str, now_ns: int) -> Excess | None:
        """Return the first window that has no room for one more order; None: all have."""
        symbol_orders, symbol_messages = self._of_symbol(symbol)
        strategy_orders, strategy_messages = self._of_strategy(strategy)
        if now_ns < self._orders.full_until_ns:
            return Excess("orders", "the system", self._orders.limit)
        if now_ns < strategy_orders.full_until_ns:
            return Excess("orders", strategy, strategy_orders.limit)
        if now_ns < symbol_orders.full_until_ns:
            return Excess("orders", symbol, symbol_orders.limit)
        if now_ns < self._messages.full_until_ns:
            return Excess("messages", "the system", self._messages.limit)
        if now_ns < strategy_messages.full_until_ns:
            return Excess("messages", strategy, strategy_messages.limit)
        if now_ns < symbol_messages.full_until_ns:
            return Excess("messages", symbol, symbol_messages.limit)
        return None

    def add(self, symbol: str, strategy: str, now_ns: int, *, is_order: bool) -> None:
        """Count an approved order, or another message."""
        of_symbol, of_strategy = self._of_symbol(symbol), self._of_strategy(strategy)
        if is_order:
            self._orders.add(now_ns)
            of_symbol[0].add(now_ns)
            of_strategy[0].add(now_ns)
        self._messages.add(now_ns)
        of_symbol[1].add(now_ns)
        of_strategy[1].add(now_ns)
        sent = self._sent
        sent.append((now_ns, symbol, strategy, is_order))
        while now_ns - sent[0][0] >= NANOS_PER_SEC:
            sent.popleft()

    def add_message(self, message: Unapproved, reservations: Reservations, now_ns: int) -> None:
        """Count what needs no approval; "all" counts once for each open order that it means."""
        if isinstance(message, CancelAllOrders):
            meant = reservations.open_orders(message.symbol)
            symbols = [o.symbol for o in meant if message.strategy in {None, o.strategy}]
        else:
            symbols = [message.symbol]
        for symbol in symbols:
            self.add(symbol, message.requester, now_ns, is_order=False)

    def state(self, now_ns: int) -> tuple[Sent, ...]:
        """Return what ``restore`` needs."""
        return tuple(
            Sent(now_ns - time_ns, symbol, strategy, is_order)
            for time_ns, symbol, strategy, is_order in self._sent
            if now_ns - time_ns < NANOS_PER_SEC
        )

    def restore(self, state: tuple[Sent, ...], saved_ns: int) -> None:
        """Count what ``state``, taken at ``saved_ns``, says. Only when nothing is counted yet."""
        for sent in state:
            self.add(sent.symbol, sent.strategy, saved_ns - sent.age_ns, is_order=sent.is_order)

    def _of_symbol(self, symbol: str) -> tuple[RateWindow, RateWindow]:
        windows = self._symbols.get(symbol)
        if windows is None:
            default = self._limits.symbol_orders, self._limits.symbol_messages
            orders, messages = self._symbol_limits.get(symbol, default)
            windows = self._symbols[symbol] = RateWindow(orders), RateWindow(messages)
        return windows

    def _of_strategy(self, strategy: str) -> tuple[RateWindow, RateWindow]:
        windows = self._strategies.get(strategy)
        if windows is None:
            limits = self._limits
            windows = self._strategies[strategy] = (
                RateWindow(limits.strategy_orders),
                RateWindow(limits.strategy_messages),
            )
        return windows
