"""The guard around a call: what it counts, what it refuses, whom it tells."""

from __future__ import annotations

import asyncio

import pytest

from supervisors.breaker import (
    BreakerChanged,
    BreakerOpenError,
    BreakerSettings,
    BreakerState,
    CircuitBreaker,
)

HASTY = BreakerSettings(
    window_calls=2, minimum_calls=2, half_open_calls=1, open_secs=5.0, jitter=0.0
)


class AnswerError(Exception):
    """The other side has answered, with a no."""


class Venue:
    """Does what it is told next; the clock and the news of its breaker are a test's."""

    def __init__(self, settings: BreakerSettings = HASTY) -> None:
        self.now = 0.0
        self.asked = 0
        self.news: list[BreakerChanged] = []
        self.breaker = CircuitBreaker(
            "venue",
            settings,
            failures=(OSError, TimeoutError),
            ignored=(BlockingIOError,),
            listener=self.news.append,
            clock=lambda: self.now,
            dice=lambda: 0.0,
        )

    async def answer(self, error: Exception | None = None) -> int:
        self.asked += 1
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return self.asked

    async def fails(self, error: Exception, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(type(error)):
                await self.breaker.call(self.answer, error)


async def test_result_of_a_call_is_passed_on() -> None:
    venue = Venue()

    assert await venue.breaker.call(venue.answer) == 1
    async with venue.breaker as entered:
        assert entered is venue.breaker


async def test_failures_open_it_and_then_nobody_is_asked() -> None:
    venue = Venue()
    await venue.fails(OSError("refused"), times=2)

    with pytest.raises(BreakerOpenError, match=r"venue is open; again in 5\.0 s") as caught:
        await venue.breaker.call(venue.answer)

    assert venue.asked == 2
    assert caught.value.retry_in_secs == 5.0
    [change] = venue.news
    assert (change.before, change.after) == (BreakerState.CLOSED, BreakerState.OPEN)
    assert (change.reason, change.by) == ("2 of 2 calls failed", None)


async def test_success_after_the_open_time_closes_it() -> None:
    venue = Venue()
    await venue.fails(OSError("refused"), times=2)

    venue.now = 5.0
    await venue.breaker.call(venue.answer)

    assert venue.breaker.state is BreakerState.CLOSED
    assert [change.after.value for change in venue.news] == ["open", "half_open", "closed"]


async def test_answer_that_says_no_is_a_success_of_the_one_who_gives_it() -> None:
    venue = Venue()

    await venue.fails(AnswerError("insufficient balance"), times=9)

    assert venue.breaker.state is BreakerState.CLOSED
    assert venue.breaker.snapshot().failure_rate == 0.0


async def test_ignored_exception_counts_as_nothing_although_its_base_is_a_failure() -> None:
    venue = Venue()

    await venue.fails(BlockingIOError("later"), times=9)

    assert venue.breaker.snapshot().calls == 0


async def test_canceled_trial_makes_room_for_the_next() -> None:
    venue = Venue()
    await venue.fails(OSError("refused"), times=2)
    venue.now = 5.0
    entered = asyncio.Event()

    async def hang() -> None:
        async with venue.breaker:
            entered.set()
            await asyncio.Event().wait()

    trial = asyncio.create_task(hang())
    await entered.wait()
    with pytest.raises(BreakerOpenError, match="venue is half_open"):
        await venue.breaker.call(venue.answer)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial

    assert await venue.breaker.call(venue.answer) == 3


async def test_tasks_that_overlap_each_have_their_own_outcome() -> None:
    venue = Venue(BreakerSettings(window_calls=3, minimum_calls=3, failure_rate=1.0))
    first_may_end = asyncio.Event()

    async def first() -> None:
        async with venue.breaker:
            await first_may_end.wait()

    waiting = asyncio.create_task(first())
    await asyncio.sleep(0)
    for _ in range(2):
        with pytest.raises(OSError, match="refused"):
            async with venue.breaker:
                raise OSError("refused")
    first_may_end.set()
    await waiting

    assert venue.breaker.state is BreakerState.CLOSED
    assert venue.breaker.snapshot().failure_rate == pytest.approx(2 / 3)


async def test_guard_inside_a_guard_counts_both() -> None:
    venue = Venue()

    async with venue.breaker, venue.breaker:
        pass

    assert venue.breaker.snapshot().calls == 2


async def test_operator_opens_and_resets_it_by_name() -> None:
    venue = Venue()

    venue.breaker.force_open(by="Ann", reason="maintenance")
    with pytest.raises(BreakerOpenError, match=r"venue is forced_open$"):
        async with venue.breaker:
            venue.asked += 1
    venue.breaker.reset(by="Bob", reason="over")
    await venue.breaker.call(venue.answer)

    assert venue.asked == 1
    assert [(change.by, change.reason) for change in venue.news] == [
        ("Ann", "maintenance"),
        ("Bob", "over"),
    ]


async def test_tripped_trading_breaker_waits_for_its_person() -> None:
    venue = Venue(BreakerSettings(manual_reset=True))

    venue.breaker.trip("daily loss reached")
    venue.now = 1e9
    with pytest.raises(BreakerOpenError):
        await venue.breaker.call(venue.answer)
    venue.breaker.reset(by="Ann", reason="limits reviewed")

    assert await venue.breaker.call(venue.answer) == 1
    assert venue.news[0].open_secs is None
