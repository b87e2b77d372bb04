"""The life of one actor in its brain."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from supervisors.actor import Actor, Brain
from supervisors.messages import ActorError, InboxFullError, Message, PeerUnreachableError
from supervisors.testing import eventually, running


class Work(Message, frozen=True, kw_only=True):
    name: str = ""


class Tick(Message, frozen=True, kw_only=True):
    pass


class Trial(Actor):
    """Writes what happens to it into its config, a list."""

    inbox = Work | Tick
    config: list[str]

    async def on_start(self) -> None:
        self.config.append("start")

    async def receive(self, message: Message, sender: str) -> None:
        self.config.append(message.name if isinstance(message, Work) else "tick")

    async def on_stop(self) -> None:
        self.config.append("stop")


def brain_of(actor_class: type[Actor], runtime: Path, **changes: Any) -> Brain:
    arguments: dict[str, Any] = {
        "name": "trial",
        "generation": 3,
        "config": [],
        "runtime": runtime,
        "inbox_limit": 100,
        "stall_timeout_secs": 30.0,
        "beat_secs": 1.0,
        "progress": lambda: None,
    }
    return Brain(actor_class, **(arguments | changes))


def nothing() -> None:
    pass


async def test_actor_starts_serves_and_stops(tmp_path: Path) -> None:
    diary: list[str] = []

    async with running(Trial, name="trial", runtime=tmp_path, config=diary) as brain:
        brain.tell_self(Work(name="one"))
        brain.tell_self(Work(name="two"))
        await eventually(lambda: brain.statistics().handled == 2)

    assert diary == ["start", "one", "two", "stop"]


async def test_attributes_are_set_before_on_start(tmp_path: Path) -> None:
    seen: list[object] = []

    class Curious(Trial):
        async def on_start(self) -> None:
            seen.extend([self.name, self.generation, self.config, self.runtime])

    async with running(Curious, name="a:b/c", runtime=tmp_path, config=["any"], generation=9):
        pass

    assert seen == ["a:b/c", 9, ["any", "stop"], tmp_path]


async def test_messages_queue_until_on_start_has_returned(tmp_path: Path) -> None:
    gate = asyncio.Event()
    diary: list[str] = []

    class Slow(Trial):
        async def on_start(self) -> None:
            self.tell_self(Work(name="early"))
            await gate.wait()
            diary.append("start")

    brain = brain_of(Slow, tmp_path, config=diary)
    run = asyncio.create_task(brain.run(lambda: diary.append("ready")))
    await eventually(lambda: brain.statistics().inbox == 1)
    gate.set()

    await eventually(lambda: "early" in diary)
    brain.request_stop()
    await run
    assert diary == ["start", "ready", "early", "stop"]


@pytest.mark.parametrize("hook", ["on_start", "receive", "on_stop", "on_undelivered", "task"])
async def test_what_the_actor_raises_ends_the_brain_once(tmp_path: Path, hook: str) -> None:
    calls: list[str] = []

    class Failing(Actor):
        inbox = Work

        async def _call(self, name: str) -> None:
            calls.append(name)
            if name == hook:
                raise ZeroDivisionError(name)

        async def on_start(self) -> None:
            await self._call("on_start")
            if hook == "task":
                self.start_task(self._call("task"), name="background")

        async def receive(self, message: Message, sender: str) -> None:
            await self._call("receive")

        async def on_undelivered(self, receiver: str, message: Message) -> None:
            await self._call("on_undelivered")

        async def on_stop(self) -> None:
            await self._call("on_stop")

    brain = brain_of(Failing, tmp_path)
    run = asyncio.create_task(brain.run(nothing))
    await eventually(lambda: bool(calls))
    if hook in {"receive", "on_stop"}:
        brain.tell_self(Work())
        brain.tell_self(Work())
    if hook == "on_undelivered":
        brain._give_back("peer", Work())
        brain._give_back("peer", Work())
    if hook == "on_stop":
        await eventually(lambda: calls.count("receive") == 2)
        brain.request_stop()

    with pytest.raises(ZeroDivisionError, match=hook):
        await asyncio.wait_for(run, 10)
    assert calls.count(hook) == 1
    assert hook == "on_stop" or "on_stop" not in calls


async def test_actor_that_cancels_itself_has_crashed(tmp_path: Path) -> None:
    class Suicidal(Trial):
        async def receive(self, message: Message, sender: str) -> None:
            raise asyncio.CancelledError

    brain = brain_of(Suicidal, tmp_path)
    brain._inbox.put_own(Work())

    with pytest.raises(ActorError, match="trial was canceled by itself"):
        await asyncio.wait_for(brain.run(nothing), 10)


async def test_task_that_the_actor_cancels_is_no_crash(tmp_path: Path) -> None:
    class Canceling(Trial):
        async def receive(self, message: Message, sender: str) -> None:
            task = self.start_task(asyncio.sleep(600), name="sleeper")
            await asyncio.sleep(0)
            task.cancel()
            self.config.append("canceled")

    diary: list[str] = []
    async with running(Canceling, name="trial", runtime=tmp_path, config=diary) as brain:
        brain.tell_self(Work())
        brain.tell_self(Work())
        await eventually(lambda: diary.count("canceled") == 2)


async def test_stop_cancels_tasks_before_on_stop(tmp_path: Path) -> None:
    class Busy(Trial):
        async def on_start(self) -> None:
            self.start_task(self._loop(), name="loop")

        async def _loop(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                self.config.append("task ended")

    diary: list[str] = []
    async with running(Busy, name="trial", runtime=tmp_path, config=diary):
        await asyncio.sleep(0)

    assert diary == ["task ended", "stop"]


async def test_stop_cancels_a_task_again_whose_library_has_forgotten_it(tmp_path: Path) -> None:
    class Forgetful(Trial):
        async def on_start(self) -> None:
            self.start_task(self._loop(), name="loop")

        async def _loop(self) -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            self.config.append("forgotten")
            await asyncio.Event().wait()

    diary: list[str] = []
    async with (
        asyncio.timeout(20),
        running(Forgetful, name="trial", runtime=tmp_path, config=diary),
    ):
        await asyncio.sleep(0)

    assert diary == ["forgotten", "stop"]


async def test_task_that_fails_while_it_is_canceled_is_a_crash(tmp_path: Path) -> None:
    class Bad(Trial):
        async def on_start(self) -> None:
            self.start_task(self._loop(), name="loop")

        async def _loop(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                raise ZeroDivisionError

    diary: list[str] = []
    with pytest.raises(ZeroDivisionError):
        async with running(Bad, name="trial", runtime=tmp_path, config=diary):
            await asyncio.sleep(0)

    assert diary == []


async def test_message_in_work_may_finish_when_a_stop_comes(tmp_path: Path) -> None:
    gate = asyncio.Event()

    class Slow(Trial):
        async def receive(self, message: Message, sender: str) -> None:
            await gate.wait()
            self.config.append("handled")

    diary: list[str] = []
    brain = brain_of(Slow, tmp_path, config=diary)
    run = asyncio.create_task(brain.run(nothing))
    brain._inbox.put_own(Work())
    brain._inbox.put_own(Work())
    await eventually(lambda: brain.statistics().in_work == "Work")

    brain.request_stop()
    await eventually(lambda: brain._stopping)
    gate.set()
    await run

    assert diary == ["start", "handled", "stop"]


async def test_stop_before_the_run_starts_nothing(tmp_path: Path) -> None:
    diary: list[str] = []
    brain = brain_of(Trial, tmp_path, config=diary)

    brain.request_stop()
    await asyncio.wait_for(brain.run(nothing), 10)
    brain.request_stop()

    assert diary == []


async def test_stop_during_on_start_cancels_it_and_is_no_crash(tmp_path: Path) -> None:
    entered = asyncio.Event()
    diary: list[str] = []

    class Endless(Trial):
        async def on_start(self) -> None:
            entered.set()
            await asyncio.Event().wait()

    brain = brain_of(Endless, tmp_path, config=diary)
    run = asyncio.create_task(brain.run(lambda: diary.append("ready")))
    await entered.wait()

    brain.request_stop()
    await asyncio.wait_for(run, 10)

    assert diary == []


def test_stop_and_statistics_work_from_another_thread(tmp_path: Path) -> None:
    ready = threading.Event()
    diary: list[str] = []
    brain = brain_of(Trial, tmp_path, config=diary)
    thread = threading.Thread(target=lambda: uvloop.run(brain.run(ready.set)))
    thread.start()
    assert ready.wait(10)

    statistics = brain.statistics()
    brain.request_stop()
    thread.join(10)
    brain.request_stop()

    assert not thread.is_alive()
    assert (statistics.inbox, statistics.in_work, statistics.handled) == (0, None, 0)
    assert diary == ["start", "stop"]


async def test_missing_runtime_folder_ends_the_brain_with_a_clear_error(tmp_path: Path) -> None:
    brain = brain_of(Trial, tmp_path / "gone")

    with pytest.raises(PeerUnreachableError, match="gone"):
        await brain.run(nothing)


async def test_periodic_message_comes_until_the_stop_and_never_piles_up(tmp_path: Path) -> None:
    gate = asyncio.Event()

    class Ticking(Trial):
        async def on_start(self) -> None:
            self.every(0.001, Tick())

        async def receive(self, message: Message, sender: str) -> None:
            assert sender == self.name
            self.config.append("tick")
            if len(self.config) == 3:
                self.config.append("waiting")
                await asyncio.sleep(0.02)
                self.config.append(str(brain.statistics().inbox))
                gate.set()

    diary: list[str] = []
    async with running(Ticking, name="trial", runtime=tmp_path, config=diary) as brain:
        await gate.wait()
        await eventually(lambda: diary.count("tick") > 5)

    assert diary[:5] == ["tick", "tick", "tick", "waiting", "1"]
    assert diary[-1] == "stop"


async def test_message_after_a_delay_comes_once_unless_its_timer_is_canceled(
    tmp_path: Path,
) -> None:
    class Delaying(Trial):
        async def on_start(self) -> None:
            self.after(0.001, Work(name="canceled")).cancel()
            self.after(0.002, Work(name="later"))
            self.after(0.0, Work(name="soon"))

    diary: list[str] = []
    async with running(Delaying, name="trial", runtime=tmp_path, config=diary) as brain:
        await eventually(lambda: "later" in diary)
        assert brain.statistics().handled == 2

    assert diary == ["soon", "later", "stop"]


async def test_actor_that_tells_itself_without_end_fails(tmp_path: Path) -> None:
    class Flooding(Trial):
        async def receive(self, message: Message, sender: str) -> None:
            for _ in range(101):
                self.tell_self(Work())

    brain = brain_of(Flooding, tmp_path)
    brain._inbox.put_own(Work())

    with pytest.raises(InboxFullError, match="100 own messages wait"):
        await brain.run(nothing)


async def test_actor_cannot_ask_itself(tmp_path: Path) -> None:
    async with running(Trial, name="trial", runtime=tmp_path, config=[]) as brain:
        with pytest.raises(ValueError, match="cannot ask itself"):
            await brain.ask("trial", Work(), 1.0)


async def test_progress_is_made_while_idle_and_not_while_a_message_is_stuck(
    tmp_path: Path,
) -> None:
    beats: list[float] = []

    class Stuck(Trial):
        async def receive(self, message: Message, sender: str) -> None:
            await asyncio.Event().wait()

    brain = brain_of(
        Stuck,
        tmp_path,
        stall_timeout_secs=0.05,
        beat_secs=0.015,
        progress=lambda: beats.append(time.monotonic()),
    )
    run = asyncio.create_task(brain.run(nothing))
    await eventually(lambda: len(beats) > 20)

    brain.tell_self(Work())
    await eventually(lambda: brain.statistics().in_work_secs > 0.05)
    at_stall = len(beats)
    await asyncio.sleep(0.05)

    assert len(beats) <= at_stall + 1
    brain.request_stop()
    await run


async def test_handler_that_never_waits_leaves_the_loop_its_turns(tmp_path: Path) -> None:
    turns = 0

    class Endless(Trial):
        async def receive(self, message: Message, sender: str) -> None:
            self.tell_self(message)

    async with running(Endless, name="trial", runtime=tmp_path, config=[]) as brain:
        brain.tell_self(Work())
        while turns < 100:
            await asyncio.sleep(0)
            turns += 1

    assert brain.statistics().handled > 100


async def test_union_that_cannot_be_decoded_fails_the_start(tmp_path: Path) -> None:
    class Wrong(Trial):
        inbox = Work | int | Callable[[], None]

    with pytest.raises(TypeError):
        await brain_of(Wrong, tmp_path).run(nothing)


async def test_actor_without_receive_says_so(tmp_path: Path) -> None:
    class Empty(Actor):
        inbox = Work

    brain = brain_of(Empty, tmp_path)
    brain._inbox.put_own(Work())

    with pytest.raises(NotImplementedError, match="Empty has no receive"):
        await brain.run(nothing)


async def test_crash_does_not_wait_for_a_task_that_will_not_end(tmp_path: Path) -> None:
    end = asyncio.Event()

    class Stubborn(Trial):
        async def on_start(self) -> None:
            self.start_task(self._stay(), name="stubborn")

        async def _stay(self) -> None:
            while not end.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await end.wait()

        async def receive(self, message: Message, sender: str) -> None:
            raise ZeroDivisionError

    brain = brain_of(Stubborn, tmp_path)
    run = asyncio.create_task(brain.run(nothing))
    await eventually(lambda: brain._started)

    brain.tell_self(Work())

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(run, 10)
    end.set()
