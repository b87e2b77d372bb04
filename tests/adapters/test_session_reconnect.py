"""How long a session waits before it connects again."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from krator_actors.adapters.session import ReconnectPolicy, parse_retry_after
from krator_actors.ports import CloseAdvice
from tests.adapters.session_scene import Caller, eventually, keeping, venue


async def test_venue_that_closes_with_a_code_to_wait_is_left_alone() -> None:
    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close(1008, "too many requests")

    asked: list[int] = []

    def wait(code: int) -> CloseAdvice:
        asked.append(code)
        return CloseAdvice.WAIT

    patient = ReconnectPolicy(initial_secs=0.001, max_secs=60.0, healthy_secs=0.0)
    async with venue(close_at_once) as url:
        caller = Caller(url, close_advice=wait, reconnect=patient)
        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) == 1)

            await asyncio.sleep(0.1)

            assert asked == [1008]
            assert caller.connections <= 1


@pytest.mark.parametrize(
    ("advice", "secs"),
    [(CloseAdvice.RECONNECT, 0.0), (CloseAdvice.WAIT, 32.0), (CloseAdvice.GIVE_UP, 900.0)],
)
def test_wait_that_a_close_code_asks_for(advice: CloseAdvice, secs: float) -> None:
    assert ReconnectPolicy().advised_secs(advice) == secs


async def test_storm_of_connections_that_succeed_is_broken() -> None:
    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close()

    flapping = ReconnectPolicy(initial_secs=0.001, healthy_secs=0.0, storm_attempts=5)
    async with venue(close_at_once) as url:
        caller = Caller(url, reconnect=flapping)
        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) == 5)

            await asyncio.sleep(0.1)

    assert len(caller.reasons) == 5


def test_first_attempt_after_a_healthy_connection_is_at_once() -> None:
    assert ReconnectPolicy().delay_secs(0, 0.99) == 0.0


@given(
    failures=st.integers(min_value=1, max_value=10**6),
    dice=st.floats(min_value=0, max_value=1, exclude_max=True),
)
def test_backoff_has_full_jitter_and_a_ceiling(failures: int, dice: float) -> None:
    delay_secs = ReconnectPolicy().delay_secs(failures, dice)

    ceiling = min(32.0, 2.0 ** min(failures - 1, 10))
    assert delay_secs == pytest.approx(dice * ceiling)


async def test_unhealthy_connections_back_off_and_a_healthy_one_does_not() -> None:
    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close()

    failures: list[int] = []
    never_healthy = ReconnectPolicy(initial_secs=0.001, max_secs=0.001, healthy_secs=3_600)
    async with venue(close_at_once) as url:
        caller = Caller(url, reconnect=never_healthy, on_disconnected=lambda _: note())

        def note() -> None:
            failures.append(caller.session._failures)

        async with keeping(caller.session):
            await eventually(lambda: failures[:3] == [1, 2, 3])

            # As short a backoff as before: the attempt under way may still count as a failure.
            healthy = ReconnectPolicy(initial_secs=0.001, max_secs=0.001, healthy_secs=0.0)
            caller.session._reconnect = healthy
            await eventually(lambda: failures[-1] == 0)


@pytest.mark.parametrize(
    ("value", "secs"),
    [(None, 0.0), ("", 0.0), ("7", 7.0), ("-1", 0.0), ("nan", 0.0), ("Wed, 21 Oct 2015", 0.0)],
)
def test_retry_after_is_a_number_of_seconds_or_nothing(value: str | None, secs: float) -> None:
    assert parse_retry_after(value) == secs
