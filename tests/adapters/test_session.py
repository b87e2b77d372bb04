"""Session against real servers: what is sent and told, and how a connection is lost and ended."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
import uvloop
from websockets.asyncio.server import ServerConnection

from krator_actors.adapters.session import ReconnectPolicy
from krator_actors.venue_errors import VenueUnavailableError
from tests.adapters.session_scene import DEADLINE_SECS, Caller, echo, eventually, keeping, venue


async def test_text_sent_is_answered() -> None:
    async with venue(echo) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: caller.texts == ["hello"] and caller.session.connected)

        assert not caller.session.connected
        assert caller.reasons == []


def test_all_that_works_on_the_loop_of_the_brain() -> None:
    async def everyday() -> None:
        await test_text_sent_is_answered()
        await test_connection_closed_by_the_venue_is_made_again_and_subscribed_again(1012)
        await test_reset_connection_is_made_again()
        await test_silence_without_pongs_is_a_dead_connection()
        await test_cancelled_run_leaves_no_connection()

    uvloop.run(everyday())


async def test_send_before_a_connection_says_that_nothing_was_sent() -> None:
    caller = Caller("ws://127.0.0.1:9/stream")

    with pytest.raises(VenueUnavailableError):
        caller.session.send("order")


@pytest.mark.parametrize("code", [1000, 1001, 1012])
async def test_connection_closed_by_the_venue_is_made_again_and_subscribed_again(code: int) -> None:
    async def close_once_subscribed(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(code, "service restart")

    async with venue(close_once_subscribed) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: caller.connections >= 3)

        assert f"{code}" in caller.reasons[0]
        assert "service restart" in caller.reasons[0]


async def test_messages_before_a_close_are_all_delivered() -> None:
    async def burst(connection: ServerConnection) -> None:
        for number in range(100):
            await connection.send(str(number))

    async with venue(burst) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: len(caller.reasons) >= 1)

        assert caller.texts[:100] == [str(number) for number in range(100)]


async def test_reset_connection_is_made_again() -> None:
    async def reset(connection: ServerConnection) -> None:
        await connection.recv()
        raw = connection.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.transport.abort()

    async with venue(reset) as url:
        caller = Caller(url)

        async with keeping(caller.session):
            await eventually(lambda: caller.connections >= 2)

        assert "connection lost" in caller.reasons[0]


async def test_silence_with_pongs_is_no_dead_connection() -> None:
    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with venue(silent) as url:
        caller = Caller(url, heartbeat_secs=0.3)
        async with keeping(caller.session):
            await eventually(lambda: caller.connections == 1)

            await asyncio.sleep(1.0)

            assert caller.session.connected
            assert caller.reasons == []


async def test_silence_without_pongs_is_a_dead_connection() -> None:
    async def mute(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with venue(mute, close_timeout=0.1) as url:
        caller = Caller(url, heartbeat_secs=0.3)

        async with keeping(caller.session):
            await eventually(lambda: caller.connections >= 2)

        assert "nothing received for" in caller.reasons[0]


async def test_what_on_text_raises_comes_out_of_run() -> None:
    def broken(_text: bytes) -> None:
        raise ZeroDivisionError("a programming error")

    async with venue(echo) as url:
        caller = Caller(url, on_text=broken)

        async with keeping(caller.session) as run:
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(run, DEADLINE_SECS)


async def test_what_on_connected_raises_comes_out_of_run() -> None:
    async def broken() -> None:
        raise TimeoutError("not the network's")

    async with venue(echo) as url:
        caller = Caller(url, on_connected=broken)

        async with keeping(caller.session) as run:
            with pytest.raises(TimeoutError, match="not the network's"):
                await asyncio.wait_for(run, DEADLINE_SECS)


async def test_log_on_that_fails_is_tried_again() -> None:
    attempts = 0

    async def refused_once() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise VenueUnavailableError("no acknowledgement")

    async with venue(echo) as url:
        caller = Caller(url, on_connected=refused_once)

        async with keeping(caller.session):
            await eventually(lambda: attempts == 2)

        assert caller.reasons == ["log-on failed: no acknowledgement"]


async def test_log_on_under_way_is_cancelled_when_the_connection_is_lost() -> None:
    cancelled = asyncio.Event()

    async def wait_for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def close_at_once(connection: ServerConnection) -> None:
        await connection.close()

    async with venue(close_at_once) as url:
        caller = Caller(url, on_connected=wait_for_ever)

        async with keeping(caller.session):
            await asyncio.wait_for(cancelled.wait(), DEADLINE_SECS)


async def test_dropped_connection_is_made_again() -> None:
    async with venue(echo) as url:
        caller = Caller(url)
        async with keeping(caller.session):
            await eventually(lambda: caller.connections == 1)

            caller.session.drop("all symbols are silent")

            with pytest.raises(VenueUnavailableError):
                caller.session.send("too late")
            await eventually(lambda: caller.connections == 2)
        assert caller.reasons == ["all symbols are silent"]


async def test_venue_that_stops_reading_refuses_more_before_memory_grows() -> None:
    async def deaf(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await connection.wait_closed()

    async with venue(deaf, close_timeout=0.1) as url:
        caller = Caller(url)
        async with keeping(caller.session):
            await eventually(lambda: caller.connections == 1)

            def send_for_ever() -> None:
                while True:
                    caller.session.send("x" * 10_000)

            with pytest.raises(VenueUnavailableError, match="does not read"):
                send_for_ever()


async def test_close_during_backoff_ends_run_at_once() -> None:
    patient = ReconnectPolicy(initial_secs=3_600, max_secs=3_600)
    caller = Caller("ws://127.0.0.1:9/stream", reconnect=patient, dice=lambda: 0.99)

    async with keeping(caller.session) as run:
        await eventually(lambda: len(caller.reasons) == 1)

        await caller.session.close()

        await asyncio.wait_for(run, DEADLINE_SECS)
    await caller.session.run()  # closed for good


async def test_cancelled_run_leaves_no_connection() -> None:
    gone = asyncio.Event()

    async def watch(connection: ServerConnection) -> None:
        await connection.wait_closed()
        gone.set()

    async with venue(watch) as url:
        caller = Caller(url)
        run = asyncio.create_task(caller.session.run())
        await eventually(lambda: caller.connections == 1)

        run.cancel()

        with pytest.raises(asyncio.CancelledError):
            await run
        await asyncio.wait_for(gone.wait(), DEADLINE_SECS)
