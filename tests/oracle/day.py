"""A day that never was: what the market, the venue, the strategies and people do, from a seed."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from krator_actors.messages.orders import AccountReport, CancelOrder, SubmitOrder
from krator_actors.messages.risk import Scope
from krator_actors.model import TradingState
from tests.oracle.aim import NOTIONAL_AIMS, PRICE_AIMS, QUANTITY_AIMS, Aim
from tests.oracle.pair import Pair, Tally
from tests.oracle.questions import OVERRIDABLE, SEC
from tests.oracle.venue import Venue
from tests.oracle.world import World

D = Decimal
MINUTE = 60 * SEC
AIMS = (*NOTIONAL_AIMS, *QUANTITY_AIMS, *PRICE_AIMS)
AIM_OF = {
    "max_position_fraction": "MAX_POSITION",
    "max_order_notional": "MAX_ORDER_NOTIONAL",
    "max_order_quantity": "MAX_ORDER_QUANTITY",
    "price_collar_fraction": "PRICE_COLLAR",
    "last_collar_fraction": "LAST_PRICE_COLLAR",
    "average_collar_fraction": "AVERAGE_PRICE_COLLAR",
    "max_volume_fraction": "MAX_VOLUME",
    "max_gross_fraction": "MAX_GROSS_EXPOSURE",
    "max_net_fraction": "MAX_NET_EXPOSURE",
}
EPISODES = (
    "recovering", "unreachable", "log_full", "positions", "halt", "reduce", "override",
    "instruments", "disconnect", "no_quote", "crossed", "stale", "gap", "volatility", "loss",
    "drawdown", "restart", "snapshot", "jump", "burst", "again", "report", "cancel",
    "duplicate", "duplicate", "duplicate",
)  # fmt: skip


class Day:
    """Runs until so many orders have been put to both."""

    def __init__(self, seed: int, tally: Tally) -> None:
        self.rng = rng = Random(seed)
        self.world = World(rng)
        self.tally = tally
        self.pair = pair = Pair(self.world, rng, tally, f"day {seed}")
        self.aim = Aim(pair, rng)
        self.venue = Venue(pair, rng)
        self.aims = [AIM_OF[key] for key in self.world.tight if key in AIM_OF] or list(AIMS)
        self.volumes = dict.fromkeys(self.world.symbols, D(0))
        self.last_order: SubmitOrder | None = None

    def run(self, orders: int) -> None:
        end = self.tally.orders + orders
        self.begin()
        while self.tally.orders < end:
            self.pair.advance(self.rng.choice((0, 1, 10**5, 10**7, 10**8, 3 * 10**8)))
            if self.rng.random() < 0.04:
                getattr(self, f"do_{self.rng.choice(EPISODES)}")()
            self.market()
            self.venue.step()
            self.lift()
            self.one()

    def begin(self) -> None:
        if self.rng.random() < 0.5:
            self.one(healthy=False)
        self.pair.recovered(is_recovered=True)
        self.pair.reachable(is_reachable=True)
        if self.rng.random() < 0.5:
            self.one(healthy=False)
        self.pair.rules(tuple(self.world.instruments.values()))
        for symbol in self.rng.sample(self.world.symbols, len(self.world.symbols) // 2):
            self.freshen(symbol)
        self.one()
        self.pair.happened(AccountReport(balances=self.world.balances, ts_event=1))
        if self.rng.random() < 0.8:
            for symbol in self.world.symbols:
                self.freshen(symbol)

    # Orders.

    def any_symbol(self) -> str:
        return self.rng.choice(self.world.limited)

    def one(self, symbol: str = "", *, healthy: bool = True) -> None:
        """Put one order to both."""
        symbol = symbol or self.any_symbol()
        if healthy and self.rng.random() < 0.97:
            self.freshen(symbol)
        dice = self.rng.random()
        if dice < 0.65:
            order = self.aim.plain(symbol)
        elif dice < 0.82:
            order = self.aim.near(symbol, self.rng.choice(self.aims))
        elif dice < 0.96:
            order = self.aim.near(symbol, self.rng.choice(AIMS))
        else:
            order = self.aim.malformed(symbol)
        self.put(order)

    def put(self, order: SubmitOrder) -> None:
        if self.pair.submit(order):
            self.venue.approved(order)
        self.last_order = order

    def several(self, symbol: str = "") -> None:
        for _ in range(self.rng.randint(1, 3)):
            self.one(symbol, healthy=False)

    # The market.

    def freshen(self, symbol: str) -> None:
        market = self.pair.oracle.markets[symbol]
        if not market.is_fresh:
            self.pair.fresh(symbol, is_fresh=True)
        stale = 5.0 if market.limits is None else market.limits["quote_stale_secs"]
        quote = market.quote
        if quote is None or quote[0] >= quote[1] or self.pair.now - quote[2] > stale * SEC:
            self.quote(symbol, self.pair.oracle.mark(symbol) or self.world.mids[symbol])
        mid = self.aim.mid(symbol)
        if market.last is None or abs(market.last - mid) > mid / 500 or not market.traded:
            self.summary(symbol, mid)

    def quote(self, symbol: str, mid: Decimal) -> None:
        self.world.mids[symbol] = mid
        mid = round(mid, 10)
        half = (mid / 10_000).quantize(D(1).scaleb(mid.adjusted() - 5))
        self.pair.quote(symbol, mid - half, mid + half)

    def summary(self, symbol: str, last: Decimal) -> None:
        volume = (
            self.volumes[symbol] + D(self.rng.randint(1, 3_000)) * 100 / self.world.mids[symbol]
        )
        if self.rng.random() < 0.02:
            volume = D(self.rng.randint(1, 99))
        self.volumes[symbol] = volume = round(volume, 8)
        secs = self.rng.choice((0.5, 30.0, 600.0, 1234.5))
        self.pair.summary(symbol, round(last, 8), volume, secs)

    def market(self) -> None:
        symbol = self.rng.choice(self.world.symbols)
        mid = self.aim.mid(symbol)
        if self.rng.random() < 0.5:
            off = D(self.rng.randint(-20, 20)) / 10_000
            self.quote(symbol, (mid * (1 + off)).quantize(D(1).scaleb(mid.adjusted() - 5)))
        elif self.rng.random() < 0.5:
            self.summary(symbol, mid * (1 + D(self.rng.randint(-100, 100)) / 10_000))

    def lift(self) -> None:
        """Be the person who resumes what is halted, after a while."""
        states = self.pair.oracle.states.states
        for (scope, target), (state, _) in list(states.items()):
            if state is not TradingState.ACTIVE and self.rng.random() < 0.3:
                self.pair.resume(scope, target)

    # What happens now and then.

    def do_recovering(self) -> None:
        self.pair.recovered(is_recovered=False)
        self.several()
        self.pair.recovered(is_recovered=True)

    def do_unreachable(self) -> None:
        self.pair.reachable(is_reachable=False)
        self.several()
        self.pair.reachable(is_reachable=True)

    def do_log_full(self) -> None:
        self.pair.engine.is_log_full = self.pair.oracle.is_log_full = True
        self.several()
        self.pair.engine.is_log_full = self.pair.oracle.is_log_full = False

    def do_positions(self) -> None:
        self.pair.engine.are_positions_current = self.pair.oracle.are_positions_current = False
        self.several()
        self.pair.engine.are_positions_current = self.pair.oracle.are_positions_current = True

    def scope(self) -> tuple[Scope, str]:
        scope = self.rng.choice(list(Scope))
        targets = {
            Scope.SYSTEM: "",
            Scope.VENUE: "SIM",
            Scope.SYMBOL: self.any_symbol(),
            Scope.STRATEGY: self.rng.choice(self.world.strategies),
        }
        return scope, targets[scope]

    def do_halt(self) -> None:
        scope, target = self.scope()
        self.pair.person(TradingState.HALTED, scope, target, cancels=self.rng.random() < 0.3)
        self.venue.cancel_for_halts()
        self.several(target if scope is Scope.SYMBOL else "")

    def do_reduce(self) -> None:
        scope, target = self.scope()
        self.pair.person(TradingState.REDUCING, scope, target, cancels=False)
        self.several(target if scope is Scope.SYMBOL else "")

    def do_override(self) -> None:
        symbol, secs = self.any_symbol(), self.rng.choice((1, 5, 60))
        if self.world.common["restricted_symbols"] and self.rng.random() < 0.3:
            symbol = self.world.common["restricted_symbols"][0]
        until = self.pair.utc + secs * SEC
        for control in self.rng.sample(sorted(OVERRIDABLE), self.rng.randint(1, 4)):
            self.pair.override(control, symbol, secs)
        for _ in range(4):
            self.one(symbol)
        if self.rng.random() < 0.5:
            self.pair.advance(max(0, until - self.pair.utc - self.rng.choice((0, 1))))
            self.freshen(symbol)
            self.one(symbol)

    def do_instruments(self) -> None:
        symbol = self.any_symbol()
        rules = self.world.instrument(self.rng, symbol)
        self.world.instruments[symbol] = rules
        self.pair.rules(
            (rules,) if self.rng.random() < 0.5 else tuple(self.world.instruments.values())
        )

    def do_disconnect(self) -> None:
        symbol = self.any_symbol()
        self.pair.fresh(symbol, is_fresh=False)
        self.several(symbol)

    def do_no_quote(self) -> None:
        symbol, good = self.any_symbol(), D(100)
        bid, ask = self.rng.choice(
            ((D(0), good), (good, D("NaN")), (D(-1), good), (good, D("Infinity")))
        )
        self.pair.quote(symbol, bid, ask)
        self.several(symbol)

    def do_crossed(self) -> None:
        symbol = self.any_symbol()
        self.freshen(symbol)
        mid = self.aim.mid(symbol)
        self.pair.quote(symbol, mid + self.rng.choice((D(0), mid / 1000)), mid)
        self.several(symbol)

    def do_stale(self) -> None:
        symbol = self.any_symbol()
        self.freshen(symbol)
        quote = self.pair.oracle.markets[symbol].quote
        assert quote is not None
        stale = int(self.pair.oracle.limits[symbol]["quote_stale_secs"] * SEC)
        self.pair.advance(max(0, quote[2] + stale - self.pair.now) + self.rng.choice((0, 1)))
        self.several(symbol)

    def do_gap(self) -> None:
        """Quote at, just inside or just outside of the gap."""
        symbol = self.any_symbol()
        self.freshen(symbol)
        market, before = self.pair.oracle.markets[symbol], self.aim.mid(symbol)
        fraction = D(self.pair.oracle.limits[symbol]["max_gap_fraction"])
        edge = before * (1 + fraction * self.rng.choice((-1, 1)))
        self.quote(symbol, edge + D("1e-10") * self.rng.choice((-1, 0, 1)))
        self.one(symbol)
        if market.mids and self.rng.random() < 0.5:
            self.quote(symbol, before)

    def do_volatility(self) -> None:
        """Walk to the edge of the range, in steps that are no gap, then at, inside or outside."""
        symbol = self.any_symbol()
        self.freshen(symbol)
        market, limits = self.pair.oracle.markets[symbol], self.pair.oracle.limits[symbol]
        step = D(limits["max_gap_fraction"]) * D("0.9")
        for _ in range(12):
            if (
                not market.mids
                or self.pair.oracle.states.of(Scope.SYMBOL, symbol).value != "ACTIVE"
            ):
                break
            lowest = min(map(min, market.all_mids.values()))
            edge = lowest * (1 + D(limits["max_volatility_fraction"]))
            mid = self.aim.mid(symbol)
            self.pair.advance(
                int(limits["price_window_secs"] * SEC) // 20 * self.rng.choice((0, 1))
            )
            if mid * (1 + step) < edge:
                self.quote(symbol, mid * (1 + step))
                continue
            self.quote(symbol, edge + D("1e-10") * self.rng.choice((-1, 0, 1)))
            break
        self.one(symbol)

    def do_loss(self) -> None:
        states = self.pair.oracle.states
        self.fall(states.base * (1 - D(self.world.common["max_daily_loss_fraction"])))

    def do_drawdown(self) -> None:
        peak = self.pair.oracle.states.peak or D(0)
        self.fall(peak * (1 - D(self.world.common["max_drawdown_fraction"])))

    def fall(self, target: Decimal) -> None:
        """Move the largest holding's price so that equity is at, or about, ``target``."""
        oracle, equity = self.pair.oracle, self.pair.oracle.equity()
        for symbol in self.world.symbols:
            self.freshen(symbol)
        equity = oracle.equity()
        worth = {s: oracle.held_of(s) * self.aim.mid(s) for s in self.world.symbols}
        symbol = max(worth, key=lambda each: worth[each])
        held = oracle.held_of(symbol)
        if equity is None or held <= 0 or target <= 0:
            return
        mid = self.aim.mid(symbol) + (target - equity) / held
        if mid > 0:
            self.quote(symbol, round(mid, 10) + D("1e-10") * self.rng.choice((-2, 0, 1)))
        self.several()

    def do_restart(self) -> None:
        self.pair.restart()
        self.several()
        self.pair.lose_approvals()
        self.pair.recovered(is_recovered=True)
        self.pair.look()
        self.several()
        self.pair.reachable(is_reachable=True)
        self.several()
        self.pair.rules(tuple(self.world.instruments.values()))
        self.several()

    def do_snapshot(self) -> None:
        self.pair.take_snapshot()

    def do_jump(self) -> None:
        """Let time pass: a while, to the next edge of an hour, or to midnight."""
        day = 86_400 * SEC
        to_midnight = day - self.pair.utc % day
        to_half_hour = 30 * MINUTE - self.pair.utc % (30 * MINUTE)
        edge = self.rng.choice((to_half_hour, to_half_hour + MINUTE * 7, to_midnight, 9 * SEC))
        self.pair.advance(edge - self.rng.choice((0, 1)))
        for symbol in self.rng.sample(self.world.symbols, 4):
            self.freshen(symbol)
        self.one()

    def do_burst(self) -> None:
        """Fill the second up, then come at its end."""
        symbol, first = self.any_symbol(), self.pair.now
        for _ in range(self.rng.choice((3, 6, 12, 45))):
            self.freshen(symbol)
            self.put(self.aim.plain(symbol))
            self.pair.advance(self.rng.choice((0, 10**6)))
        if self.pair.now - first <= SEC:
            self.pair.advance(SEC - (self.pair.now - first) - self.rng.choice((0, 1)))
        self.put(self.aim.plain(symbol))

    def do_duplicate(self) -> None:
        """Send the same again: at once, or as the time is up."""
        symbol = self.any_symbol()
        self.freshen(symbol)
        order = self.aim.plain(symbol)
        self.put(order)
        secs = self.pair.oracle.limits[symbol]["duplicate_secs"]
        self.pair.advance(self.rng.choice((0, int(secs * SEC) - 1, int(secs * SEC))))
        self.freshen(symbol)
        again = self.aim.order(
            symbol, order.side, order.quantity, order.price,
            strategy=order.strategy, time_in_force=order.time_in_force,
        )  # fmt: skip
        self.put(again)

    def do_again(self) -> None:
        if self.last_order is not None:
            self.pair.submit(self.last_order)

    def do_report(self) -> None:
        self.pair.happened(AccountReport(balances={"USDT": D(1)}, ts_event=1))
        self.one()

    def do_cancel(self) -> None:
        symbol = self.any_symbol()
        for _ in range(self.rng.choice((1, 5, 15))):
            requester = self.rng.choice((*self.world.strategies, "ada"))
            self.pair.cancel(
                CancelOrder(client_order_id="none", symbol=symbol, requester=requester)
            )
        self.one(symbol)
