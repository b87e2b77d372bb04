"""A venue of few lines: what it refuses, what fills at once or later, what waits for a price."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal

from krator_actors.adapters.binance_errors import INVALID_TIMESTAMP, REPLACE_FAILED
from krator_actors.adapters.binance_reports import Replaced
from krator_actors.core.venue_reports import FillReport, OrderReport
from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderStatus, OrderType, TimeInForce
from krator_actors.venue_errors import VenueRefusedError
from tests.simulation.model_account import QUOTE, ModelAccount, ModelOrder
from tests.simulation.virtual_time import World

TICK = Decimal("0.01")
_FILL_SECS = 8.0
_LAG_SECS = 0.4
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})

Placed = tuple[OrderReport, tuple[FillReport, ...]]


class ModelVenue:
    """Carries out requests at once. ``timestamp_ms`` and ``window_ms`` are a request's validity."""

    def __init__(self, world: World, prices: dict[str, Decimal]) -> None:
        self.prices = prices
        self.account = ModelAccount(world)
        self._world = world
        # Symbol to what ``open_orders`` says until when, because its list is copied now and then.
        self._listed: dict[str, tuple[int, tuple[OrderReport, ...]]] = {}

    # -- requests --------------------------------------------------------------------------------

    def place(self, submitted: SubmitOrder, timestamp_ms: int, window_ms: int) -> Placed:
        self._check_time(timestamp_ms, window_ms)
        return self._place(submitted)

    def replace(
        self, submitted: SubmitOrder, old: tuple[str, str], timestamp_ms: int, window_ms: int
    ) -> Replaced:
        """Take ``old`` off and only then place; ``old`` is named as in ``cancel``."""
        self._check_time(timestamp_ms, window_ms)
        order = self.account.find(*old)
        if order is None or not order.is_open:
            raise VenueRefusedError("Order cancel-replace failed.", code=REPLACE_FAILED)
        self.account.end(order, OrderStatus.CANCELED)
        canceled = self.account.report(order)
        try:
            return Replaced(canceled, self._place(submitted), "")
        except VenueRefusedError as refused:
            return Replaced(canceled, None, str(refused))

    def amend(
        self, named: tuple[str, str], quantity: Decimal, timestamp_ms: int, window_ms: int
    ) -> OrderReport:
        self._check_time(timestamp_ms, window_ms)
        order = self.account.find(*named)
        if order is None or not order.is_open or not order.filled < quantity < order.quantity:
            raise VenueRefusedError("Order amend is not supported.", code=-2038)
        self.account.amend(order, quantity)
        return self.account.report(order)

    def cancel(self, named: tuple[str, str], timestamp_ms: int, window_ms: int) -> OrderReport:
        """``named``: the venue's id, or if that is empty the client order id."""
        self._check_time(timestamp_ms, window_ms)
        order = self.account.find(*named)
        if order is None or not order.is_open:
            raise VenueRefusedError("Unknown order sent.", code=-2011)
        self.account.end(order, OrderStatus.CANCELED)
        return self.account.report(order)

    def order_status(self, named: tuple[str, str]) -> OrderReport | None:
        order = self.account.find(*named)
        return None if order is None else self.account.report(order)

    def open_orders(self, symbol: str) -> tuple[OrderReport, ...]:
        """Return what was open now or a moment ago: such lists lag."""
        until_ns, listed = self._listed.get(symbol, (0, ()))
        if self._world.now_ns >= until_ns:
            lag_ns = int(_LAG_SECS * 1e9 * self._world.dice.random() ** 4)
            listed = tuple(
                self.account.report(o)
                for o in self.account.orders
                if o.submitted.symbol == symbol and o.is_open
            )
            self._listed[symbol] = self._world.now_ns + lag_ns, listed
        return listed

    def trades(
        self, symbol: str, from_id: str | None, venue_order_id: str | None
    ) -> tuple[FillReport, ...]:
        return tuple(
            t
            for t in self.account.trades
            if t.symbol == symbol
            and venue_order_id in {None, t.venue_order_id}
            and (from_id is None or int(t.trade_id) >= int(from_id))
        )

    def balances(self) -> dict[str, Decimal]:
        return {asset: total for asset, total in self.account.totals.items() if total}

    def best_prices(self, symbols: Iterable[str]) -> dict[str, tuple[Decimal, Decimal]]:
        return {s: (self.prices[s] - TICK, self.prices[s] + TICK) for s in symbols}

    # -- what happens by itself ------------------------------------------------------------------

    def move(self, symbol: str) -> None:
        """Let the last price go up or down, and begin the stop orders that it reaches."""
        price = self.prices[symbol] * (1 + Decimal(self._world.dice.randint(-12, 12)) / 10_000)
        self.prices[symbol] = price.quantize(TICK)
        for order in tuple(self.account.orders):
            if order.is_open and order.is_waiting and order.submitted.symbol == symbol:
                self._trigger_if_reached(order)

    def _check_time(self, timestamp_ms: int, window_ms: int) -> None:
        if self.account.now_ms() > timestamp_ms + window_ms:
            raise VenueRefusedError(
                "Timestamp is outside of the recvWindow", code=INVALID_TIMESTAMP
            )

    def _place(self, submitted: SubmitOrder) -> Placed:
        self._check(submitted)
        before = len(self.account.trades)
        order = self.account.open(submitted)
        if not order.is_waiting:
            self._work(order)
        return self.account.report(order), tuple(self.account.trades[before:])

    def _check(self, submitted: SubmitOrder) -> None:
        client_order_id, price = submitted.client_order_id, self.prices[submitted.symbol]
        if any(
            o.is_open and o.submitted.client_order_id == client_order_id
            for o in self.account.orders
        ):
            raise VenueRefusedError("Duplicate order sent.", code=-2010)
        if submitted.order_type.has_stop and self._is_reached(submitted):
            raise VenueRefusedError("Stop price would trigger immediately.", code=-2010)
        limit = submitted.price or submitted.stop_price or price
        is_buy = submitted.side is OrderSide.BUY
        if submitted.post_only and (limit > price if is_buy else limit < price):
            raise VenueRefusedError("Order would immediately match and take.", code=-2010)
        asset, needed = submitted.symbol.partition("-")[0], submitted.quantity
        if is_buy:
            asset, needed = QUOTE, submitted.quantity * limit
        if needed > self.account.free(asset):
            raise VenueRefusedError("Account has insufficient balance.", code=-2010)

    def _work(self, order: ModelOrder) -> None:
        """Let an order into the market."""
        submitted = order.submitted
        if not submitted.order_type.has_price:
            for _ in range(self._world.dice.randint(0, 2)):
                self._fill(order, self._part(order))
            self._fill(order, order.remaining)
        elif submitted.time_in_force in _AT_ONCE:
            is_whole = submitted.time_in_force is TimeInForce.FOK
            part = order.remaining if self._world.dice.random() < 0.5 else Decimal(0)
            self._fill(order, part if is_whole else self._part(order))
            self.account.end(order, OrderStatus.EXPIRED)
        else:
            self._world.after(_FILL_SECS * self._world.dice.random(), self._trade, order)

    def _is_reached(self, submitted: SubmitOrder) -> bool:
        assert submitted.stop_price is not None
        return (self.prices[submitted.symbol] - submitted.stop_price) * submitted.side.sign >= 0

    def _trigger_if_reached(self, order: ModelOrder) -> None:
        submitted = order.submitted
        if not self._is_reached(submitted):
            return
        self.account.trigger(order)
        cost = order.remaining * self.prices[submitted.symbol]
        is_buy_at_market = (submitted.side, submitted.order_type) == (
            OrderSide.BUY,
            OrderType.STOP_MARKET,
        )
        if is_buy_at_market and cost > self.account.totals[QUOTE]:
            self.account.end(order, OrderStatus.EXPIRED)
        else:
            self._work(order)

    def _trade(self, order: ModelOrder) -> None:
        if not order.is_open:
            return
        self._fill(order, self._part(order))
        if order.is_open:
            self._world.after(_FILL_SECS * self._world.dice.random(), self._trade, order)

    def _part(self, order: ModelOrder) -> Decimal:
        rest = order.remaining
        return min(rest, Decimal(math.ceil(rest * 10 * Decimal(self._world.dice.random()))) / 10)

    def _fill(self, order: ModelOrder, quantity: Decimal) -> None:
        submitted = order.submitted
        self.account.fill(order, quantity, submitted.price or self.prices[submitted.symbol])
