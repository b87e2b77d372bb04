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
_OTHERS_PER_KILL = 0.55
_VENUE_ROUNDS = 4
_DISKS = 5


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

    @property
    def label(self) -> str:
        """What it is counted under: its kind, and whom it hits."""
        return f"{self.kind} {self.target}".rstrip()


def plan(seed: int) -> Iterator[Fault]:
    """Yield faults without end; about two of three are kills.

    Kills and all else are two decks, each dealt to its end before it is shuffled again: nothing
    is spared by chance.
    """
    dice = Random(seed)
    others: list[Fault] = []
    while True:
        targets = list(TARGETS)
        dice.shuffle(targets)
        for target in targets:
            yield Fault("SIGKILL", target)
            if dice.random() < _OTHERS_PER_KILL:
                others = others or _others(dice)
                yield others.pop()


def labels() -> frozenset[str]:
    """Return the label of every fault that a plan has."""
    return frozenset(
        fault.label for fault in (*(Fault("SIGKILL", t) for t in TARGETS), *_others(Random(0)))
    )


def _others(dice: Random) -> list[Fault]:
    """Return all that is no kill, in a new order."""
    stops = [
        Fault("SIGSTOP", t, secs=round(dice.uniform(0.2, 5.0), 2)) for t in dict.fromkeys(TARGETS)
    ]
    disks = [Fault("disk full", secs=round(dice.uniform(0.5, 3.0), 2)) for _ in range(_DISKS)]
    venue = [fault for _ in range(_VENUE_ROUNDS) for fault in _venue(dice)]
    deck = [*stops, *disks, *venue, *_persons(dice)]
    dice.shuffle(deck)
    return deck


def _persons(dice: Random) -> list[Fault]:
    def by() -> tuple[str, ...]:
        return ("--by", dice.choice(PERSONS), "--reason", "chaos")

    return [
        Fault("flatten", words=("kill", "--flatten", "--yes", *by())),
        *(Fault("halt", words=("halt", *by())) for _ in range(3)),
        *(Fault("halt", words=("halt", "--symbol", dice.choice(SYMBOLS), *by())) for _ in range(3)),
        *(
            Fault("reduce", words=("reduce", "--symbol", dice.choice(SYMBOLS), *by()))
            for _ in range(2)
        ),
    ]


def _venue(dice: Random) -> list[Fault]:
    few = dice.randint(1, 3)
    secs = round(dice.uniform(0.3, 3.0), 2)
    place = "order.place"
    return [
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
