"""What delivery promises, between supervised processes that are killed: the history is on disk."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from conftest import HouseBuilder
from delivery_actors import Ask, Note, Noted, Tell
from trial_house import House, supervisor

from supervisors import children, looking
from supervisors.answers import answer_decoder
from supervisors.client import Client
from supervisors.lane import STASH_LIMIT, Lanes
from supervisors.messages import FencedError, Message, PeerDiedError
from supervisors.outbox import Counters
from supervisors.sockets import RuntimeFolder
from supervisors.spec import Budget, ChildSpec

KILLS = 4


class Pair:
    """A running teller and scribe, and what they have written."""

    def __init__(self, house: HouseBuilder, folder: Path) -> None:
        self.noted_file = folder / "noted"
        self.told_file = folder / "told"
        budget = Budget(max_restarts=100)
        self.system: House = house(
            supervisor(
                "root",
                self._spec("scribe", "Scribe", self.noted_file, budget),
                self._spec("teller", "Teller", self.told_file, budget),
            )
        ).start()

    def say(self, message: Message) -> None:
        """Return when the teller has handled it."""

        async def send() -> None:
            async with Client(self.system.runtime, name="test") as client:
                await client.tell("teller", message, timeout_secs=20.0)

        asyncio.run(send())

    def noted(self) -> list[int]:
        text = self.noted_file.read_text() if self.noted_file.exists() else ""
        return [int(line) for line in text.split()]

    def told(self, word: str) -> list[int]:
        text = self.told_file.read_text() if self.told_file.exists() else ""
        pairs = (line.split() for line in text.splitlines())
        return [int(number) for found, number in pairs if found == word]

    def settle(self, number: int) -> None:
        """Return when all before has its outcome: the answer to an ask comes after it."""
        self.say(Ask(number=number, sleep_secs=0.0, timeout_secs=20.0))
        self.system.eventually(lambda: number in self.told("answered"))

    @staticmethod
    def _spec(name: str, actor: str, file: Path, budget: Budget) -> ChildSpec:
        return ChildSpec(
            name=name, actor=f"delivery_actors:{actor}", config=str(file), budget=budget
        )


def thread_states(pid: int) -> set[str]:
    """As the kernel has them, ``T``: stopped."""
    stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


@pytest.fixture
def pair(house: HouseBuilder, short_dir: Path) -> Pair:
    return Pair(house, short_dir)


def test_nothing_acknowledged_is_lost_and_nothing_is_handled_twice_under_kills(
    pair: Pair,
) -> None:
    sent = 0
    for generation in range(2, KILLS + 2):
        for _ in range(5):
            pair.say(Tell(first=sent, count=100))
            sent += 100
        pair.system.kill("scribe")
        pair.system.eventually_runs("scribe", generation)

    pair.settle(sent)

    noted, back = pair.noted(), pair.told("back")
    assert noted == sorted(set(noted)), "handled twice, or out of order"
    assert len(back) == len(set(back)), "came back twice"
    assert set(range(sent)) - set(back) <= set(noted), "acknowledged and not handled"


def test_message_in_work_when_its_receiver_dies_comes_back_as_unknown(pair: Pair) -> None:
    pid = pair.system.pid("scribe")
    os.kill(pid, signal.SIGSTOP)
    # Until one thread has taken the signal, the others go on: the brain could still handle these.
    pair.system.eventually(lambda: thread_states(pid) == {"T"})
    pair.say(Tell(first=0, count=3))

    pair.system.eventually_runs("scribe", 2)

    pair.system.eventually(lambda: sorted(pair.told("back")) == [0, 1, 2])
    assert pair.noted() == []


def test_messages_told_during_a_restart_wait_bounded_and_arrive_in_order(pair: Pair) -> None:
    where = pair.system.runtime, "root", "scribe"
    children.terminate_child(*where)
    count = STASH_LIMIT + 500

    pair.say(Tell(first=0, count=STASH_LIMIT))
    # What is over the bound waits in the teller's own hand: its handler does not return.
    pair.system.eventually(lambda: pair.system.node("teller").stash == STASH_LIMIT)
    asyncio.run(_tell_without_waiting(pair, Tell(first=STASH_LIMIT, count=500)))
    pair.system.eventually(lambda: pair.system.node("teller").in_work == "Tell")
    assert pair.system.node("teller").stash == STASH_LIMIT

    children.restart_child(*where)

    pair.system.eventually(lambda: len(pair.noted()) == count)
    assert pair.noted() == list(range(count))
    assert pair.told("back") == []


def test_ask_during_a_restart_is_answered_by_the_next_incarnation(pair: Pair) -> None:
    where = pair.system.runtime, "root", "scribe"
    children.terminate_child(*where)

    pair.say(Ask(number=1, sleep_secs=0.0, timeout_secs=20.0))
    children.restart_child(*where)

    pair.system.eventually(lambda: pair.told("answered") == [1])


def test_ask_to_nobody_fails_at_its_deadline_as_not_sent(pair: Pair) -> None:
    children.terminate_child(pair.system.runtime, "root", "scribe")

    pair.say(Ask(number=1, sleep_secs=0.0, timeout_secs=0.05))

    pair.system.eventually(lambda: pair.told("PeerUnreachableError") == [1])


def test_ask_fails_at_once_when_the_peer_is_killed(pair: Pair) -> None:
    pair.say(Ask(number=1, sleep_secs=600.0, timeout_secs=600.0))
    pair.system.eventually(lambda: pair.system.node("scribe").in_work == "Note")

    pair.system.kill("scribe")

    pair.system.eventually(lambda: pair.told("PeerDiedError") == [1])


def test_ask_to_a_suspended_peer_is_answered_after_it_is_resumed(pair: Pair) -> None:
    looking.suspend(pair.system.runtime, "scribe")
    pair.say(Ask(number=1, sleep_secs=0.0, timeout_secs=20.0))
    pair.system.eventually(lambda: pair.system.node("scribe").inbox == 1)
    assert pair.told("answered") == []

    looking.resume(pair.system.runtime, "scribe")

    pair.system.eventually(lambda: pair.told("answered") == [1])


def test_name_outlives_its_processes_and_an_old_connection_says_that_its_peer_died(
    pair: Pair,
) -> None:
    async def ask(client: Client, number: int, sleep_secs: float = 0.0) -> int:
        note = Note(number=number, sleep_secs=sleep_secs)
        return (await client.ask("scribe", note, Noted, timeout_secs=20.0)).generation

    async def visit() -> list[int]:
        async with Client(pair.system.runtime, name="test") as client:
            before = await ask(client, 1)
            in_work = asyncio.create_task(ask(client, 2, sleep_secs=600.0))
            while pair.system.node("scribe").in_work != "Note":
                await asyncio.sleep(0.01)
            pair.system.kill("scribe")
            with pytest.raises(PeerDiedError):
                await in_work
            # A dying process can still accept; what it was told then would be unknown as well.
            pair.system.eventually_runs("scribe", 2)
            return [before, await ask(client, 3)]

    assert asyncio.run(visit()) == [1, 2]
    assert pair.noted() == [1, 3]


def test_older_generation_of_a_sender_is_refused_and_told_to_end(pair: Pair) -> None:
    pair.say(Tell(first=0, count=1))
    pair.system.eventually(lambda: pair.noted() == [0])
    pair.system.kill("teller")
    pair.system.eventually_runs("teller", 2)
    pair.say(Tell(first=1, count=1))
    pair.system.eventually(lambda: pair.noted() == [0, 1])

    failures = asyncio.run(_speak_as_generation(pair, 1, Note(number=99)))

    assert [type(failure) for failure in failures] == [FencedError]
    insight = looking.actor_state(pair.system.runtime, "scribe")
    assert insight.statistics.fenced == 1
    assert pair.noted() == [0, 1]


async def _tell_without_waiting(pair: Pair, message: Message) -> None:
    async with Client(pair.system.runtime, name="test") as client:
        with pytest.raises(Exception, match="within"):
            await client.tell("teller", message, timeout_secs=0.2)


async def _speak_as_generation(
    pair: Pair, generation: int, message: Message
) -> list[BaseException]:
    failures: list[BaseException] = []
    with RuntimeFolder(pair.system.runtime) as folder:
        lanes = Lanes(
            folder=folder,
            sender="teller",
            generation=generation,
            counters=Counters(),
            give_back=lambda _receiver, _message: None,
            fail=failures.append,
        )
        decode = answer_decoder(Noted)
        with pytest.raises(PeerDiedError):
            await lanes.ask("scribe", message, decode, timeout_secs=20.0)
        await lanes.close(1.0)
    return failures
