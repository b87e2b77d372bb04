import asyncio

import pytest

from supervisors.actor import Actor
from supervisors.messages import (
    AskTimeoutError,
    Message,
    MessageRefusedError,
    PeerDiedError,
    PeerUnreachableError,
)
from supervisors.testing import ActorHarness, eventually


class Order(Message, frozen=True, kw_only=True):
    number: int


class Confirmed(Message, frozen=True, kw_only=True):
    number: int


class Unlisted(Message, frozen=True, kw_only=True):
    pass


class Later(Message, frozen=True, kw_only=True):
    pass


class Clerk(Actor):
    """Asks the desk about each order, tells the archive, confirms."""

    inbox = Order | Later

    async def on_start(self) -> None:
        self.returned: list[Message] = []
        self.stopped = False
        if self.config == "broken":
            raise ZeroDivisionError

    async def receive(self, message: Message, sender: str) -> Message | None:
        if isinstance(message, Later):
            await self.tell("archive", message)
            return None
        assert isinstance(message, Order)
        if message.number < 0:
            raise ZeroDivisionError
        answer = await self.ask("desk", message, timeout_secs=1.0)
        await self.tell("archive", answer)
        await self.tell(sender, answer)
        self.tell_self(Later())
        return answer

    async def on_undelivered(self, receiver: str, message: Message) -> None:
        self.returned.append(message)

    async def on_stop(self) -> None:
        self.stopped = True
        await self.tell("archive", Later())


def confirm(message: Order) -> Confirmed:
    return Confirmed(number=message.number)


async def test_deliver_returns_the_answer_and_records_what_was_told_and_asked() -> None:
    async with ActorHarness(Clerk, name="clerk", answers={"desk": confirm}) as harness:
        answer = await harness.deliver(Order(number=4), sender="customer")
        await harness.eventually(lambda: len(harness.told) == 3)

    assert answer == Confirmed(number=4)
    assert harness.asked == [("desk", Order(number=4))]
    assert harness.told[:2] == [
        ("archive", Confirmed(number=4)),
        ("customer", Confirmed(number=4)),
    ]
    assert harness.told_to("archive") == [Confirmed(number=4), Later(), Later()]
    assert harness.actor.stopped


async def test_answer_may_be_changed_and_may_be_a_message_an_error_or_awaited() -> None:
    async def slowly(message: Order) -> Confirmed:
        await asyncio.sleep(0)
        return Confirmed(number=message.number + 1)

    async with ActorHarness(Clerk, name="clerk") as harness:
        harness.answer("desk", Confirmed(number=99))
        assert await harness.deliver(Order(number=1)) == Confirmed(number=99)
        harness.answer("desk", slowly)
        assert await harness.deliver(Order(number=1)) == Confirmed(number=2)
        harness.answer("desk", PeerDiedError("desk"))
        with pytest.raises(PeerDiedError, match="desk"):
            await harness.deliver(Order(number=1))


async def test_answer_that_takes_too_long_times_out() -> None:
    async def never(message: Order) -> Confirmed:
        await asyncio.Event().wait()
        return Confirmed(number=0)

    class Hasty(Clerk):
        async def receive(self, message: Message, sender: str) -> Message:
            return await self.ask("desk", message, timeout_secs=0.01)

    async with ActorHarness(Hasty, name="clerk", answers={"desk": never}) as harness:
        with pytest.raises(AskTimeoutError, match=r"desk within 0\.01 s"):
            await harness.deliver(Order(number=1))


async def test_ask_without_a_script_meets_nobody() -> None:
    async with ActorHarness(Clerk, name="clerk") as harness:
        with pytest.raises(PeerUnreachableError, match="no answer is scripted for desk"):
            await harness.deliver(Order(number=1))


async def test_message_outside_the_inbox_is_refused_as_on_a_lane() -> None:
    async with ActorHarness(Clerk, name="clerk", answers={"desk": confirm}) as harness:
        with pytest.raises(MessageRefusedError, match="Unlisted"):
            await harness.deliver(Unlisted())

        assert await harness.deliver(Order(number=1)) == Confirmed(number=1)


async def test_what_comes_back_reaches_the_actor() -> None:
    async with ActorHarness(Clerk, name="clerk") as harness:
        await harness.undelivered("archive", Order(number=3))

        assert harness.actor.returned == [Order(number=3)]


async def test_start_that_fails_raises_on_entering() -> None:
    with pytest.raises(ZeroDivisionError):
        async with ActorHarness(Clerk, name="clerk", config="broken"):
            pass


async def test_crash_raises_where_it_was_caused_and_only_there() -> None:
    async with ActorHarness(Clerk, name="clerk") as harness:
        with pytest.raises(ZeroDivisionError):
            await harness.deliver(Order(number=-1))


async def test_crash_in_the_background_raises_at_the_latest_on_leaving() -> None:
    class Doomed(Clerk):
        async def on_start(self) -> None:
            self.start_task(self._fail(), name="doom")

        async def _fail(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with ActorHarness(Doomed, name="clerk"):
            pass
    with pytest.raises(ZeroDivisionError):
        async with ActorHarness(Doomed, name="clerk") as harness:
            await harness.eventually(lambda: False)


async def test_failing_test_is_not_hidden_by_the_stop() -> None:
    with pytest.raises(KeyError):
        async with ActorHarness(Clerk, name="clerk"):
            raise KeyError


async def test_stopping_by_hand_runs_on_stop() -> None:
    async with ActorHarness(Clerk, name="clerk") as harness:
        await harness.stop()

        assert harness.told_to("archive") == [Later()]


async def test_condition_that_never_holds_fails_the_test() -> None:
    with pytest.raises(AssertionError, match=r"within 0.01 s"):
        await eventually(lambda: False, timeout_secs=0.01)
