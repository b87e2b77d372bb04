"""What one symbol's receivers are told of a burst of quotes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from krator_actors import clock, symbol_watch
from krator_actors.config import VenueConfig
from krator_actors.messages.market import QuoteTick
from krator_actors.ports import TradeIds
from krator_actors.symbol_watch import RISK, SymbolWatch
from supervisors.messages import Message
from supervisors.testing import eventually

SYMBOL = "BTC-USDT.SIM"
STRATEGY = "strategy:BTC-USDT.SIM/sma_cross"


class Told:
    def __init__(self) -> None:
        self.quotes: dict[str, list[int]] = {RISK: [], STRATEGY: []}

    def put(self, receivers: Sequence[str], message: Message) -> None:
        assert isinstance(message, QuoteTick)
        for receiver in receivers:
            self.quotes[receiver].append(message.update_id)


def watch(told: Told, *, merges: bool = True) -> SymbolWatch:
    return SymbolWatch(
        SYMBOL,
        VenueConfig(),
        strategies=(STRATEGY,),
        ids=TradeIds.CONSECUTIVE,
        put=told.put,
        component="feed:SIM",
        continues=False,
        merges=merges,
    )


def quote(number: int) -> QuoteTick:
    return QuoteTick(
        symbol=SYMBOL,
        bid=Decimal(100),
        bid_size=Decimal(1),
        ask=Decimal(101),
        ask_size=Decimal(1),
        update_id=number,
        ts_event=1,
        ts_init=1,
    )


async def test_of_a_burst_risk_is_told_the_first_quote_at_once_and_then_the_newest() -> None:
    told = Told()
    of_symbol = watch(told)
    now_ns = clock.monotonic_ns()

    for number in range(1, 6):
        of_symbol.tell_quote(quote(number), now_ns)

    assert told.quotes == {STRATEGY: [1, 2, 3, 4, 5], RISK: [1]}
    await eventually(lambda: told.quotes[RISK] == [1, 5])
    assert of_symbol.merged == 3


async def test_quotes_that_are_apart_are_all_told_at_once() -> None:
    told = Told()
    of_symbol = watch(told)
    now_ns = clock.monotonic_ns()

    for number in range(1, 4):
        of_symbol.tell_quote(quote(number), now_ns + number * symbol_watch.RISK_QUOTE_NS)

    assert told.quotes[RISK] == [1, 2, 3]
    assert of_symbol.merged == 0


async def test_in_lockstep_every_quote_is_told_at_once() -> None:
    told = Told()
    of_symbol = watch(told, merges=False)
    now_ns = clock.monotonic_ns()

    for number in range(1, 6):
        of_symbol.tell_quote(quote(number), now_ns)

    assert told.quotes == {STRATEGY: [1, 2, 3, 4, 5], RISK: [1, 2, 3, 4, 5]}
