"""Orders: plain ones, malformed ones, and those at, one step below and one step above a limit."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from krator_actors.messages.orders import SubmitOrder
from krator_actors.model import OrderSide, OrderType, TimeInForce
from tests.oracle.pair import Pair

D = Decimal
BUY, SELL = OrderSide.BUY, OrderSide.SELL
ROUND = tuple(sorted({D(2) ** a * D(5) ** b * D(10) ** -4 for a in range(15) for b in range(7)}))
"""Numbers whose quotients end: a bound divided by one of them is exact."""
BAD_QUANTITIES = tuple(map(D, ("0", "-1", "NaN", "Infinity", "-Infinity", "1e-30", "1e30")))
BAD_PRICES = tuple(
    map(D, ("0", "-1", "NaN", "Infinity", "1e16", "9999999999999999", "1e-9", "1e20"))
)
NOTIONAL_AIMS = (
    "MIN_NOTIONAL",
    "MAX_ORDER_NOTIONAL",
    "MAX_POSITION",
    "MAX_GROSS_EXPOSURE",
    "MAX_NET_EXPOSURE",
    "INSUFFICIENT_CASH",
)
QUANTITY_AIMS = (
    "MAX_ORDER_QUANTITY",
    "MIN_QUANTITY",
    "MAX_QUANTITY",
    "MAX_VOLUME",
    "INSUFFICIENT_POSITION",
)
PRICE_AIMS = ("PRICE_COLLAR", "LAST_PRICE_COLLAR", "AVERAGE_PRICE_COLLAR", "SELF_MATCH")


class Aim:
    """Makes orders for the market and the portfolio as they are now."""

    def __init__(self, pair: Pair, rng: Random) -> None:
        self.pair, self.rng, self.count = pair, rng, 0

    def order(self, symbol: str, side: OrderSide, quantity: Decimal, price: Decimal | None,
              **fields: Any) -> SubmitOrder:  # fmt: skip
        self.count += 1
        allowed = [s for s, may in self.pair.world.permissions.items() if symbol in may]
        time_in_force = self.rng.choice(list(TimeInForce))
        given: dict[str, Any] = {
            "client_order_id": f"k{self.count}",
            "strategy": self.rng.choice(allowed or list(self.pair.world.permissions)),
            "order_type": OrderType.MARKET if price is None else OrderType.LIMIT,
            "time_in_force": time_in_force,
            "expires_ns": 1 if time_in_force is TimeInForce.GTD else None,
            "reduce_only": self.rng.random() < 0.03,
        }
        return SubmitOrder(
            symbol=symbol, side=side, quantity=quantity, price=price, cause="bar:1",
            ts_event=1, ts_init=1, **(given | fields),
        )  # fmt: skip

    def mid(self, symbol: str) -> Decimal:
        market = self.pair.oracle.markets.get(symbol)
        return (market and market.mid) or self.pair.world.mids.get(symbol, D(100))

    def on_lot(self, symbol: str, quantity: Decimal) -> Decimal:
        lot = self.pair.world.instruments[symbol].lot_size
        return quantity // lot * lot if lot else round(quantity, 8)

    def on_tick(self, symbol: str, price: Decimal) -> Decimal:
        tick = self.pair.world.instruments[symbol].tick_size
        return price // tick * tick if tick else round(price, 10)

    def step(self, size: Decimal, finest: str) -> Decimal:
        """Return one step below, none, or one above."""
        return (size or D(finest)) * self.rng.choice((-1, 0, 1))

    def plain(self, symbol: str) -> SubmitOrder:
        """Return a small order, most often a valid one."""
        rng, rules = self.rng, self.pair.world.instruments[symbol]
        mid = self.mid(symbol)
        smallest = max(rules.min_notional * D("1.2") / mid, rules.min_quantity)
        quantity = self.on_lot(symbol, smallest * (1 + D(rng.randint(0, 800)) / 100))
        quantity += rules.lot_size
        reducible = self.pair.oracle.reducible(symbol, SELL)
        side = SELL if reducible >= quantity and rng.random() < 0.6 else BUY
        if rng.random() < 0.3:
            return self.order(symbol, side, quantity, None)
        off = D(rng.randint(-1, 18)) / 10_000
        if rng.random() < 0.1:
            stop = self.on_tick(symbol, mid * (1 + side.sign * off))
            price, kind = rng.choice(((None, OrderType.STOP_MARKET), (stop, OrderType.STOP_LIMIT)))
            return self.order(symbol, side, quantity, price, stop_price=stop, order_type=kind)
        return self.order(symbol, side, quantity, self.on_tick(symbol, mid * (1 - side.sign * off)))

    def malformed(self, symbol: str) -> SubmitOrder:
        """Return an order that is wrong in itself."""
        rng, order = self.rng, self.plain(symbol)
        rules = self.pair.world.instruments[symbol]
        side, quantity, price = order.side, order.quantity, order.price
        match rng.randrange(9):
            case 0:
                quantity = rng.choice(BAD_QUANTITIES)
            case 1:
                price = rng.choice(BAD_PRICES)
            case 2:
                quantity += (rules.lot_size or rules.min_quantity) / 2
            case 3 if price is not None:
                price += rules.tick_size / 4
            case 4:
                wrong = OrderType.LIMIT if price is None else OrderType.MARKET
                return self.order(symbol, side, quantity, price, order_type=wrong)
            case 5:
                return self.order(symbol, side, quantity, price, strategy="strategy:nobody")
            case 6:
                terms: dict[str, Any] = rng.choice(
                    (
                        {"expires_ns": 1, "time_in_force": TimeInForce.GTC},
                        {"post_only": True},
                        {"stop_price": rng.choice(BAD_PRICES)},
                        {"stop_price": price or rules.tick_size or D(1)},
                        {"order_type": OrderType.STOP_LIMIT},
                    )
                )
                return self.order(symbol, side, quantity, price, **terms)
            case 7:
                stop = rng.choice(BAD_PRICES)
                kind = OrderType.STOP_MARKET
                return self.order(symbol, side, quantity, None, stop_price=stop, order_type=kind)
            case _:
                world = self.pair.world
                other = rng.choice((world.unlimited, world.stranger))
                return self.order(other, side, quantity, price)
        return self.order(symbol, side, quantity, price)

    def near(self, symbol: str, aim: str) -> SubmitOrder:
        """Return an order at, one step below or one step above the limit that ``aim`` names."""
        if aim in NOTIONAL_AIMS:
            return self.near_notional(symbol, aim)
        if aim in QUANTITY_AIMS:
            return self.near_quantity(symbol, aim)
        return self.near_price(symbol, aim)

    def near_notional(self, symbol: str, aim: str) -> SubmitOrder:
        oracle, mid, rng = self.pair.oracle, self.mid(symbol), self.rng
        limits, account = oracle.limits[symbol], oracle.account
        rules, held = self.pair.world.instruments[symbol], oracle.held_of(symbol)
        equity, values = oracle.equity() or D(0), oracle.values() or []
        side = BUY
        match aim:
            case "MIN_NOTIONAL":
                bound, side = rules.min_notional, rng.choice((BUY, SELL))
            case "MAX_ORDER_NOTIONAL":
                bound, side = D(limits["max_order_notional"]), rng.choice((BUY, SELL))
            case "MAX_POSITION":
                bound = D(limits["max_position_fraction"]) * equity - held * mid
                bound -= oracle.reserved(symbol)
            case "MAX_GROSS_EXPOSURE":
                bound = D(account["max_gross_fraction"]) * equity
                bound -= sum(map(abs, values), D(0)) + oracle.reserved()
            case "MAX_NET_EXPOSURE":
                bound = D(account["max_net_fraction"]) * equity - sum(values, D(0))
                bound -= oracle.reserved()
            case _:
                bound = oracle.cash - oracle.reserved()
        if bound <= 0:
            return self.plain(symbol)
        if rng.random() < 0.2:
            # A market order: the price is what it is.
            quote = oracle.markets[symbol].quote
            price = mid if quote is None else quote[1 if side is BUY else 0]
            quantity = self.on_lot(symbol, bound / price)
            quantity += self.step(rules.lot_size, "1e-8")
            return self.order(symbol, side, quantity, None)
        wanted = bound / mid
        scale = D(10) ** wanted.adjusted()
        nearest = min(ROUND, key=lambda each: abs(each * scale - wanted))
        quantity = self.on_lot(symbol, nearest * scale) or rules.min_quantity
        price = self.on_tick(symbol, bound / quantity) + self.step(rules.tick_size, "1e-10")
        return self.order(symbol, side, quantity, price)

    def near_quantity(self, symbol: str, aim: str) -> SubmitOrder:
        oracle, rng = self.pair.oracle, self.rng
        limits, rules = oracle.limits[symbol], self.pair.world.instruments[symbol]
        side, bound = rng.choice((BUY, SELL)), rules.min_quantity
        match aim:
            case "MAX_ORDER_QUANTITY":
                bound = D(limits["max_order_quantity"])
            case "MAX_QUANTITY":
                bound = rules.max_quantity
            case "MAX_VOLUME":
                bound = D(limits["max_volume_fraction"]) * oracle.markets[symbol].traded
            case "INSUFFICIENT_POSITION":
                side = BUY if oracle.held_of(symbol) < 0 else SELL
                bound = oracle.reducible(symbol, side)
            case _:
                pass
        quantity = self.on_lot(symbol, bound) + self.step(rules.lot_size, "1e-8")
        price = None if rng.random() < 0.5 else self.on_tick(symbol, self.mid(symbol))
        return self.order(symbol, side, quantity, price)

    def near_price(self, symbol: str, aim: str) -> SubmitOrder:
        oracle, rng = self.pair.oracle, self.rng
        limits, market = oracle.limits[symbol], oracle.markets[symbol]
        plain, sign = self.plain(symbol), rng.choice((-1, 1))
        bound = self.mid(symbol)
        match aim:
            case "PRICE_COLLAR":
                bound *= 1 + sign * D(limits["price_collar_fraction"])
            case "LAST_PRICE_COLLAR":
                bound = (market.last or bound) * (1 + sign * D(limits["last_collar_fraction"]))
            case "AVERAGE_PRICE_COLLAR":
                if market.mids:
                    bound = sum(market.mids.values(), D(0)) / len(market.mids)
                bound *= 1 + sign * D(limits["average_collar_fraction"])
            case _:
                against = [
                    o.price for o in oracle.open.values()
                    if o.symbol == symbol and o.side is not plain.side and o.price is not None
                ]  # fmt: skip
                if against:
                    bound = min(against) if plain.side is BUY else max(against)
        tick = self.pair.world.instruments[symbol].tick_size
        price = self.on_tick(symbol, bound) + self.step(tick, "1e-10")
        return self.order(symbol, plain.side, plain.quantity, price)
