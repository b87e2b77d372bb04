"""Two brains in one loop, joined by a real lane."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import ClassVar

import pytest

from supervisors.actor import Actor, Brain
from supervisors.frames import MAX_BODY_BYTES, MessageTooLargeError
from supervisors.lane import STASH_LIMIT, WINDOW
from supervisors.messages import (
    AskTimeoutError,
    Delivery,
    FencedError,
    Message,
    MessageRefusedError,
    NoAnswerError,
    PeerDiedError,
    PeerUnreachableError,
)
from supervisors.testing import eventually, running


class Job(Message, frozen=True, kw_only=True):
    number: int
    payload: bytes = b""


class Question(Message, frozen=True, kw_only=True):
    number: int


class Answer(Message, frozen=True, kw_only=True):
    number: int


class Foreign(Message, frozen=True, kw_only=True):
    pass


class Quote(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.CONFLATE

    symbol: str
    number: int

    def conflation_key(self) -> str:
        return self.symbol


class Gap(Message, frozen=True, kw_only=True):
    first: int
    last: int
    count: int


class Trade(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.GAP

    number: int

    def gap_message(self, last: Message, count: int) -> Gap:
        assert isinstance(last, Trade)
        return Gap(first=self.number, last=last.number, count=count)


class Desk:
    """What a test holds of an actor: what it received, and a gate it works behind."""

    def __init__(self, *, closed: bool = False) -> None:
        self.received: list[Message] = []
        self.senders: list[str] = []
        self.undelivered: list[tuple[str, Message]] = []
        self.gate = asyncio.Event()
        self.actor: Actor | None = None
        if not closed:
            self.gate.set()

    @property
    def numbers(self) -> list[int]:
        return [message.number for message in self.received if isinstance(message, Job)]


class Worker(Actor):
    """Does what arrives, behind its desk's gate; the test speaks through it."""

    inbox = Job | Question | Quote | Trade | Gap
    config: Desk

    async def on_start(self) -> None:
        self.config.actor = self

    async def receive(self, message: Message, sender: str) -> Message | None:
        await self.config.gate.wait()
        self.config.received.append(message)
        self.config.senders.append(sender)
        if isinstance(message, Question) and message.number >= 0:
            return Answer(number=message.number)
        return None

    async def on_undelivered(self, receiver: str, message: Message) -> None:
        self.config.undelivered.append((receiver, message))


class System:
    """Workers by name, each with its desk, stopped in reverse order of start."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.stack = AsyncExitStack()
        self.desks: dict[str, Desk] = {}

    async def start(
        self, name: str, *, closed: bool = False, generation: int = 1, inbox_limit: int = 10_000
    ) -> Brain:
        desk = self.desks[name] = Desk(closed=closed)
        return await self.stack.enter_async_context(
            running(
                Worker,
                name=name,
                runtime=self.runtime,
                config=desk,
                generation=generation,
                inbox_limit=inbox_limit,
            )
        )

    def actor(self, name: str) -> Actor:
        actor = self.desks[name].actor
        assert actor is not None
        return actor


@pytest.fixture
async def system(tmp_path: Path) -> AsyncIterator[System]:
    system = System(tmp_path)
    async with system.stack:
        yield system


async def stop(brain: Brain) -> None:
    """Stop as a death would: what is in work or waits is not acknowledged."""
    brain.request_stop()
    await eventually(lambda: brain._stopping)


# -- delivery --------------------------------------------------------------------------------


async def test_messages_arrive_in_order_with_their_sender(system: System) -> None:
    await system.start("b")
    await system.start("a")

    for number in range(3 * WINDOW):
        await system.actor("a").tell("b", Job(number=number))

    await eventually(lambda: len(system.desks["b"].received) == 3 * WINDOW)
    assert system.desks["b"].numbers == list(range(3 * WINDOW))
    assert set(system.desks["b"].senders) == {"a"}


async def test_each_of_many_senders_keeps_its_order(system: System) -> None:
    await system.start("hub", inbox_limit=20)
    names = [f"sender:{number}/x" for number in range(5)]
    for name in names:
        await system.start(name)

    async def send(name: str) -> None:
        for number in range(200):
            await system.actor(name).tell("hub", Job(number=number))

    await asyncio.gather(*map(send, names))

    hub = system.desks["hub"]
    await eventually(lambda: len(hub.received) == 1000)
    for name in names:
        pairs = zip(hub.senders, hub.numbers, strict=True)
        assert [number for sender, number in pairs if sender == name] == list(range(200))


async def test_tell_to_oneself_goes_through_the_own_inbox(system: System) -> None:
    await system.start("a")

    await system.actor("a").tell("a", Job(number=1))

    await eventually(lambda: system.desks["a"].senders == ["a"])


async def test_large_messages_pass_and_larger_ones_fail_their_teller(system: System) -> None:
    await system.start("b")
    await system.start("a")
    large = bytes(MAX_BODY_BYTES - 100)

    for number in range(4):
        await system.actor("a").tell("b", Job(number=number, payload=large))
    with pytest.raises(MessageTooLargeError):
        await system.actor("a").tell("b", Job(number=9, payload=large + bytes(100)))

    await eventually(lambda: system.desks["b"].numbers == [0, 1, 2, 3])


async def test_message_the_receiver_does_not_list_comes_back_and_harms_nobody(
    system: System,
) -> None:
    b = await system.start("b")
    await system.start("a")

    await system.actor("a").tell("b", Job(number=1))
    await system.actor("a").tell("b", Foreign())
    await system.actor("a").tell("b", Job(number=2))

    await eventually(lambda: system.desks["b"].numbers == [1, 2])
    await eventually(lambda: system.desks["a"].undelivered == [("b", Foreign())])
    assert b.statistics().refused == 1
    with pytest.raises(MessageRefusedError, match="Foreign"):
        await system.actor("a").ask("b", Foreign(), timeout_secs=5)


# -- ask -------------------------------------------------------------------------------------


async def test_ask_returns_the_answer(system: System) -> None:
    await system.start("b")
    await system.start("a")

    answers = await asyncio.gather(
        *(system.actor("a").ask("b", Question(number=n), timeout_secs=5) for n in range(50))
    )

    assert answers == [Answer(number=number) for number in range(50)]


async def test_actor_that_lists_its_answers_reads_no_others(tmp_path: Path) -> None:
    class Strict(Worker):
        answers = Gap

    class Suited(Worker):
        answers = Answer | Gap

    async with running(Worker, name="b", runtime=tmp_path, config=Desk()):
        async with running(Suited, name="a", runtime=tmp_path, config=Desk()) as suited:
            assert await suited.ask("b", Question(number=1), 5.0) == Answer(number=1)
        async with running(Strict, name="c", runtime=tmp_path, config=Desk()) as strict:
            with pytest.raises(NoAnswerError, match="Answer"):
                await strict.ask("b", Question(number=1), 5.0)


async def test_ask_that_is_answered_with_nothing_says_so(system: System) -> None:
    await system.start("b")
    await system.start("a")

    with pytest.raises(NoAnswerError, match="b gave no answer to Question"):
        await system.actor("a").ask("b", Question(number=-1), timeout_secs=5)


async def test_ask_to_nobody_was_not_sent(system: System) -> None:
    a = await system.start("a")

    with pytest.raises(PeerUnreachableError, match=r"not sent within 0\.05"):
        await system.actor("a").ask("nobody", Question(number=1), timeout_secs=0.05)

    assert a.statistics().stash == 0


async def test_ask_waits_for_a_peer_that_comes_in_time(system: System) -> None:
    await system.start("a")

    asking = asyncio.create_task(
        system.actor("a").ask("b", Question(number=1), timeout_secs=10),
    )
    await asyncio.sleep(0)
    await system.start("b")

    assert await asking == Answer(number=1)


async def test_ask_without_answer_in_time_has_an_unknown_outcome(system: System) -> None:
    await system.start("b", closed=True)
    await system.start("a")

    with pytest.raises(AskTimeoutError, match=r"Question to b within 0\.1"):
        await system.actor("a").ask("b", Question(number=1), timeout_secs=0.1)

    system.desks["b"].gate.set()
    assert await system.actor("a").ask("b", Question(number=2), timeout_secs=5) == Answer(number=2)


async def test_ask_whose_deadline_passed_in_the_inbox_is_not_handled(system: System) -> None:
    b = await system.start("b", closed=True)
    await system.start("a")
    await system.actor("a").tell("b", Job(number=1))

    deadline = time.monotonic() + 0.15
    with pytest.raises(AskTimeoutError):
        await system.actor("a").ask("b", Question(number=1), timeout_secs=0.1)
    # A loop's timer may be early by a millisecond.
    await eventually(lambda: time.monotonic() > deadline)
    system.desks["b"].gate.set()

    await eventually(lambda: b.statistics().expired == 1)
    assert system.desks["b"].received == [Job(number=1)]


async def test_ask_fails_at_once_when_its_peer_dies(system: System) -> None:
    b = await system.start("b", closed=True)
    await system.start("a")
    asking = asyncio.create_task(system.actor("a").ask("b", Question(number=1), timeout_secs=60))
    await eventually(lambda: b.statistics().in_work == "Question")

    await stop(b)

    with pytest.raises(PeerDiedError, match="b ended with Question"):
        await asyncio.wait_for(asking, 10)


# -- death and return ------------------------------------------------------------------------


async def test_what_was_not_acknowledged_comes_back_once_and_is_never_sent_again(
    system: System,
) -> None:
    b = await system.start("b", closed=True)
    await system.start("a")
    for number in range(5):
        await system.actor("a").tell("b", Job(number=number))
    await eventually(lambda: b.statistics().in_work == "Job")

    await stop(b)
    await eventually(lambda: len(system.desks["a"].undelivered) == 5)
    await system.start("b", generation=2)
    await system.actor("a").tell("b", Job(number=5))

    await eventually(lambda: system.desks["b"].numbers == [5])
    assert system.desks["a"].undelivered == [("b", Job(number=number)) for number in range(5)]


async def test_what_was_handled_does_not_come_back(system: System) -> None:
    b = await system.start("b")
    a = await system.start("a")
    for number in range(100):
        await system.actor("a").tell("b", Job(number=number))
    await eventually(lambda: len(system.desks["b"].received) == 100)

    await stop(b)
    await system.start("b", generation=2)
    await system.actor("a").tell("b", Job(number=100))

    await eventually(lambda: system.desks["b"].numbers == [100])
    assert a.statistics().undelivered == 0


async def test_stash_goes_to_the_next_incarnation_in_order(system: System) -> None:
    a = await system.start("a")
    for number in range(STASH_LIMIT):
        await system.actor("a").tell("b", Job(number=number))
    assert a.statistics().stash == STASH_LIMIT

    await system.start("b")

    await eventually(lambda: len(system.desks["b"].received) == STASH_LIMIT)
    assert system.desks["b"].numbers == list(range(STASH_LIMIT))
    assert a.statistics().stash == 0


async def test_window_comes_back_and_stash_goes_on_when_a_busy_peer_is_replaced(
    system: System,
) -> None:
    b = await system.start("b", closed=True)
    await system.start("a")
    total = WINDOW + 100
    for number in range(total):
        await system.actor("a").tell("b", Job(number=number))
    await eventually(lambda: b.statistics().inbox == WINDOW - 1)

    await stop(b)
    await system.start("b", generation=2)

    await eventually(lambda: len(system.desks["b"].received) == 100)
    await eventually(lambda: len(system.desks["a"].undelivered) == WINDOW)
    returned = [message for _, message in system.desks["a"].undelivered]
    assert returned == [Job(number=number) for number in range(WINDOW)]
    assert system.desks["b"].numbers == list(range(WINDOW, total))


# -- bounds ----------------------------------------------------------------------------------


async def test_teller_waits_when_window_and_stash_are_full(system: System) -> None:
    await system.start("b", closed=True)
    a = await system.start("a")
    total = WINDOW + STASH_LIMIT + 1
    told = 0

    async def tell_all() -> None:
        nonlocal told
        for number in range(total):
            await system.actor("a").tell("b", Job(number=number))
            told += 1

    telling = asyncio.create_task(tell_all())
    await eventually(lambda: a.statistics().stash == STASH_LIMIT)
    for _ in range(20):
        await asyncio.sleep(0)
    assert told == total - 1

    system.desks["b"].gate.set()
    await telling
    await eventually(lambda: system.desks["b"].numbers == list(range(total)))


async def test_receiver_takes_no_more_than_its_inbox_holds(system: System) -> None:
    b = await system.start("b", closed=True, inbox_limit=10)
    await system.start("a")

    for number in range(300):
        await system.actor("a").tell("b", Job(number=number))
    # One of the ten is in work.
    await eventually(lambda: b.statistics().inbox == 9)
    assert b.statistics().in_work == "Job"
    system.desks["b"].gate.set()

    await eventually(lambda: system.desks["b"].numbers == list(range(300)))


async def test_quotes_to_a_slow_receiver_are_merged_and_the_newest_arrives(
    system: System,
) -> None:
    await system.start("b", closed=True)
    a = await system.start("a")
    total = WINDOW + 3000

    for number in range(total):
        await system.actor("a").tell("b", Quote(symbol=f"S{number % 2}", number=number))
        if number == 0:
            await eventually(lambda: a.statistics().stash == 0)
    system.desks["b"].gate.set()

    received = system.desks["b"].received
    await eventually(lambda: Quote(symbol=f"S{(total - 1) % 2}", number=total - 1) in received)
    assert len(received) == WINDOW + 2
    assert a.statistics().conflated == total - len(received)


async def test_trades_to_a_slow_receiver_are_declared_missing_in_their_place(
    system: System,
) -> None:
    await system.start("b", closed=True)
    a = await system.start("a")
    room = WINDOW + STASH_LIMIT
    await system.actor("a").tell("b", Trade(number=0))
    await eventually(lambda: a.statistics().stash == 0)

    for number in range(1, room + 50):
        await system.actor("a").tell("b", Trade(number=number))
    await system.actor("a").tell("b", Job(number=7))
    system.desks["b"].gate.set()
    await eventually(lambda: a.statistics().stash == 0)
    await system.actor("a").tell("b", Trade(number=9999))

    received = system.desks["b"].received
    await eventually(lambda: Trade(number=9999) in received)
    assert received[: room + 1] == [
        *(Trade(number=number) for number in range(room)),
        Gap(first=room, last=room + 49, count=50),
    ]
    assert received[room + 1 :] == [Job(number=7), Trade(number=9999)]
    assert a.statistics().dropped == 50


async def test_handler_blocked_in_a_tell_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    class Blocked(Actor):
        inbox = Job

        async def on_start(self) -> None:
            self.tell_self(Job(number=0))

        async def receive(self, message: Message, sender: str) -> None:
            while True:
                await self.tell("nobody", message)

    async with running(Blocked, name="a", runtime=tmp_path) as brain:
        await eventually(lambda: brain.statistics().stash == STASH_LIMIT)

    assert brain.statistics().handled == 0


# -- generations -----------------------------------------------------------------------------


async def test_newer_generation_closes_the_connection_of_the_older(system: System) -> None:
    b = await system.start("b")
    old = running(Worker, name="a", runtime=system.runtime, config=Desk(), generation=1)
    new = running(Worker, name="a", runtime=system.runtime, config=Desk(), generation=2)

    with suppress(FencedError):
        async with old as old_brain:
            await old_brain.tell("b", Job(number=1))
            await eventually(lambda: system.desks["b"].numbers == [1])
            async with new as new_brain:
                await new_brain.tell("b", Job(number=2))
                await eventually(lambda: old_brain._failure is not None)

    assert str(old_brain._failure) == "b has heard a in generation 2, not 1"
    assert system.desks["b"].numbers == [1, 2]
    assert b.statistics().fenced == 1


async def test_older_generation_is_refused_after_a_newer_was_heard(system: System) -> None:
    await system.start("b")
    new = running(Worker, name="a", runtime=system.runtime, config=Desk(), generation=2)
    old = running(Worker, name="a", runtime=system.runtime, config=Desk(), generation=1)
    async with new as brain:
        await brain.tell("b", Job(number=2))
        await eventually(lambda: system.desks["b"].numbers == [2])

    with suppress(FencedError):
        async with old as brain:
            await brain.tell("b", Job(number=1))
            await eventually(lambda: brain._failure is not None)

    assert isinstance(brain._failure, FencedError)
    assert system.desks["b"].numbers == [2]


# -- the end ---------------------------------------------------------------------------------


async def test_last_words_of_an_actor_that_stops_are_sent(tmp_path: Path) -> None:
    class Polite(Actor):
        inbox = Job

        async def on_stop(self) -> None:
            for number in range(3):
                await self.tell("b", Job(number=number))

    desk = Desk()
    async with running(Worker, name="b", runtime=tmp_path, config=desk):
        async with running(Polite, name="a", runtime=tmp_path):
            pass
        await eventually(lambda: desk.numbers == [0, 1, 2])


async def test_absent_peer_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with running(Worker, name="a", runtime=tmp_path, config=Desk()) as brain:
        await brain.tell("nobody", Job(number=1))
        asking = asyncio.create_task(brain.ask("nobody", Question(number=1), 600.0))
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await asking
