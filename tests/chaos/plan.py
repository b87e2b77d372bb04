"""Which faults hit, in which order: the seed decides, and nothing of the run. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

BASES = ("BTC", "ETH", "SOL", "BNB", "XRP")
SYMBOLS = tuple(f"{base}-USDT.SIM" for base in BASES)
STRATEGIES = tuple(f"strategy:{symbol}/sma_cross" for symbol in SYMBOLS)
TARGETS = (
    *("risk", "order:SIM", "journal", "feed:SIM", "rca", "publisher", "jobs") * 2,
    *STRATEGIES,
    *("storage", "redis", "postgres", "redis server"),
    *("execution", "strategies", "market", "operations"),
    *("root", "admin", "krator run"),
)
PERSONS = ("ann", "bob")


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, or that a person does."""

    kind: str
    target: str = ""
    """of whom, for what hits a process"""
    secs: float = 0.0
    """how long it lasts; 0: it is over at once"""
    venue: dict[str, Any] = field(default_factory=dict)
    """what the venue is told"""
    words: tuple[str, ...] = ()
    """the ``krator`` command that a person gives"""


def plan(seed: int) -> Iterator[Fault]:
    """Yield faults without end; about two of three are kills."""
    dice = Random(seed)
    while True:
        # A round kills everything once, in a new order, so that nothing is spared by chance.
        targets = list(TARGETS)
        dice.shuffle(targets)
        for target in targets:
            yield Fault("SIGKILL", target)
            if dice.random() < 0.55:
                yield _other(dice)


def _other(dice: Random) -> Fault:
    chance = dice.random()
    if chance < 0.2:
        return Fault("SIGSTOP", dice.choice(TARGETS), secs=round(dice.uniform(0.2, 5.0), 2))
    if chance < 0.27:
        return Fault("disk full", secs=round(dice.uniform(0.5, 3.0), 2))
    if chance < 0.36:
        return _person(dice)
    return _venue(dice)


def _person(dice: Random) -> Fault:
    by = ("--by", dice.choice(PERSONS), "--reason", "chaos")
    chance = dice.random()
    if chance < 0.15:
        return Fault("flatten", words=("kill", "--flatten", "--yes", *by))
    if chance < 0.5:
        return Fault("halt", words=("halt", *by))
    if chance < 0.8:
        return Fault("halt", words=("halt", "--symbol", dice.choice(SYMBOLS), *by))
    return Fault("reduce", words=("reduce", "--symbol", dice.choice(SYMBOLS), *by))


def _venue(dice: Random) -> Fault:
    few = dice.randint(1, 3)
    secs = round(dice.uniform(0.3, 3.0), 2)
    place = "order.place"
    choices: list[Fault] = [
        Fault("cut connections", venue={"action": "drop_connections"}),
        Fault("cut connections", venue={"action": "drop_connections", "only": "ws-api"}),
        Fault("refused connections", venue={"action": "refuse_connections", "secs": secs}),
        Fault("silent market data", venue={"action": "silence", "secs": secs}),
        Fault("lost answers", venue={"action": "lose_answer", "count": few}),
        Fault("lost answers", venue={"action": "lose_answer", "method": "myTrades"}),
        Fault(
            "latency",
            venue={"action": "delay_answers", "ms": dice.randint(50, 900)},
            secs=secs,
        ),
        Fault(
            "answers past the validity",
            venue={"action": "delay_answers", "ms": dice.randint(1_600, 2_500)},
            secs=secs,
        ),
        Fault(
            "late requests",
            venue={"action": "delay_requests", "ms": dice.randint(200, 2_500), "method": place},
            secs=secs,
        ),
        Fault(
            "5xx",
            venue={
                "action": "answer_error",
                "code": dice.choice((-1000, -1001, -1006, -1007)),
                "status": dice.choice((500, 503, 504)),
                "method": dice.choice((place, "order.status", None)),
                "act": dice.random() < 0.5,
                "count": few,
            },
        ),
        Fault(
            "429",
            venue={
                "action": "answer_error",
                "code": -1003,
                "status": 429,
                "method": dice.choice((place, None)),
                "count": few,
            },
        ),
    ]
    return dice.choice(choices)
