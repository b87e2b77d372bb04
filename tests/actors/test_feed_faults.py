"""Every fault of a venue's streams: noticed, told once, over, and nothing wrong told meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from krator_actors.messages.market import FeedStatus, FeedStatusRequest, QuoteTick
from tests.actors.faulty_venue import FaultyVenue
from tests.actors.feed_scene import (
    assert_nothing_is_lost_unsaid,
    feed_of,
    gaps,
    ids,
    live,
    reasons,
    stalls,
    told,
)
from tests.adapters.certificates import certificates

Inject = Callable[[FaultyVenue], Awaitable[None]]


@pytest.fixture
async def venue() -> AsyncIterator[FaultyVenue]:
    venue = FaultyVenue()
    async with venue.serve(), venue.trading():
        yield venue


@dataclass(frozen=True)
class Loss:
    """A fault that costs the connection."""

    name: str
    inject: Inject
    noticed: str = "DISCONNECTED"
    options: dict[str, Any] = field(default_factory=dict)


async def fall_silent(venue: FaultyVenue) -> None:
    venue.deaf.add(0)


async def stop_breathing(venue: FaultyVenue) -> None:
    venue.deaf.add(0)
    venue.connections[0].transport.pause_reading()


def close_with(code: int) -> Inject:
    async def close(venue: FaultyVenue) -> None:
        await venue.connections[0].close(code)

    return close


async def abort(venue: FaultyVenue) -> None:
    venue.connections[0].transport.abort()


async def reset(venue: FaultyVenue) -> None:
    raw = venue.connections[0].transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    venue.connections[0].transport.abort()


async def half_a_frame(venue: FaultyVenue) -> None:
    venue.deaf.add(0)
    venue.write(b'\x81\x7e\x01\x00{"stream":')
    await asyncio.sleep(0)
    venue.connections[0].transport.abort()


async def half_a_frame_and_silence(venue: FaultyVenue) -> None:
    venue.deaf.add(0)
    venue.write(b'\x81\x7e\x01\x00{"stream":')


async def garbage(venue: FaultyVenue) -> None:
    venue.write(b"\xff\x00\xaa" * 100)


async def twenty_megabytes(venue: FaultyVenue) -> None:
    with contextlib.suppress(ConnectionClosed):
        await venue.connections[0].send("x" * 20_000_000)


async def invalid_utf8(venue: FaultyVenue) -> None:
    await venue.say(b'{"stream":"\xff\xfe"}')


LOSSES = [
    Loss("silence with pongs", fall_silent, "STALE_QUOTES", {"quote_stale_secs": 0.4}),
    Loss("silence without pongs", stop_breathing, options={"heartbeat_secs": 0.4}),
    *(Loss(f"close {code}", close_with(code)) for code in (1000, 1001, 1012)),
    Loss("close 1006", abort),
    Loss("reset", reset),
    Loss("half a frame", half_a_frame),
    Loss(
        "half a frame and silence",
        half_a_frame_and_silence,
        "STALE_QUOTES",
        {"quote_stale_secs": 0.4},
    ),
    Loss("garbage", garbage),
    Loss("20 MB", twenty_megabytes),
    Loss("invalid UTF-8", invalid_utf8),
]


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: fault.name)
async def test_lost_connection_is_noticed_once_and_every_trade_is_there_again(
    venue: FaultyVenue, fault: Loss
) -> None:
    async with live(venue, **fault.options) as feed:
        before = ids(feed)[-1]

        await fault.inject(venue)

        await feed.eventually(lambda: fault.noticed in stalls(feed))
        await feed.eventually(lambda: len(venue.connections) == 2)
        await feed.eventually(lambda: ids(feed)[-1] > before + 20 and reasons(feed)[-1] == "LIVE")
        codes = stalls(feed)
        # Once: what follows are the reconnection and the hole that was filled.
        assert codes[:2] == ["LIVE", fault.noticed]
        assert codes.count(fault.noticed) == 1
        assert codes[-1] == "LIVE"
        assert_nothing_is_lost_unsaid(feed)
        assert all(gap.is_filled for gap in gaps(feed))
        assert {str(quote.bid) for quote in told(feed, "risk", QuoteTick)} == {"99.5"}


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("nonsense", "BAD_JSON"),
        ("[]", "BAD_SHAPE"),
        ({"b": "NaN"}, "BAD_NUMBER"),
        ({"b": "-1"}, "BAD_NUMBER"),
        ({"a": "Infinity"}, "BAD_NUMBER"),
        ({"a": "1e99"}, "BAD_NUMBER"),
        ({"b": "0"}, "ONE_SIDED_QUOTE"),
        ({"b": "101"}, "CROSSED_QUOTE"),
    ],
    ids=str,
)
async def test_frame_that_cannot_be_believed_is_counted_and_told_to_nobody(
    venue: FaultyVenue, frame: str | dict[str, str], reason: str
) -> None:
    async with live(venue) as feed:
        if isinstance(frame, str):
            await venue.say(frame)
        else:
            await venue.quote(**frame)

        after = len(told(feed, "risk", QuoteTick)) + 5
        await feed.eventually(lambda: len(told(feed, "risk", QuoteTick)) >= after)
        status = await feed.deliver(FeedStatusRequest())
        assert isinstance(status, FeedStatus)
        assert status.unreadable == {reason: 1}
        assert feed.actor.describe_state()["unreadable"] == {reason: 1}
        assert {str(quote.bid) for quote in told(feed, "risk", QuoteTick)} == {"99.5"}
        assert len(venue.connections) == 1
        assert stalls(feed) == ["LIVE"]


async def test_repeated_trade_is_told_once(venue: FaultyVenue) -> None:
    async with live(venue) as feed:
        for _ in range(3):
            await venue.say(venue.frame("trade", venue.trades[-1]))

        after = ids(feed)[-1] + 5
        await feed.eventually(lambda: ids(feed)[-1] > after)
        assert_nothing_is_lost_unsaid(feed)
        assert gaps(feed) == []
        status = await feed.deliver(FeedStatusRequest())
        assert isinstance(status, FeedStatus)
        assert status.repeated >= 2


async def test_missing_trades_are_fetched_and_told_in_order(venue: FaultyVenue) -> None:
    async with live(venue) as feed:
        next_id = len(venue.trades) + 1
        venue.withheld = {next_id, next_id + 1, next_id + 2}

        await feed.eventually(lambda: bool(gaps(feed)))
        await feed.eventually(lambda: reasons(feed)[-1] == "LIVE")
        (gap,) = gaps(feed)
        assert (gap.first_id, gap.last_id) == (next_id, next_id + 2)
        assert (gap.filled, gap.count) == (3, 0)
        assert_nothing_is_lost_unsaid(feed)
        assert stalls(feed) == ["LIVE", "GAP", "LIVE"]


async def test_missing_trades_that_nobody_has_stay_a_declared_gap(venue: FaultyVenue) -> None:
    venue.has_history = False
    async with live(venue) as feed:
        next_id = len(venue.trades) + 1
        venue.withheld = {next_id, next_id + 1}

        await feed.eventually(lambda: bool(gaps(feed)))
        (gap,) = gaps(feed)
        assert (gap.first_id, gap.last_id, gap.count) == (next_id, next_id + 1, 2)
        assert_nothing_is_lost_unsaid(feed)


async def test_swapped_trades_are_told_in_order(venue: FaultyVenue) -> None:
    async with live(venue) as feed:
        first, second = venue.trade(), venue.trade()
        await venue.say(venue.frame("trade", second))
        await venue.say(venue.frame("trade", first))

        await feed.eventually(lambda: ids(feed)[-1] > len(venue.trades) - 2)
        assert_nothing_is_lost_unsaid(feed)
        assert gaps(feed) == []
        assert stalls(feed) == ["LIVE"]


@pytest.mark.parametrize("status", [429, 503])
async def test_refused_upgrade_is_not_asked_again_before_the_venue_says(status: int) -> None:
    venue = FaultyVenue()

    def refuse_once(connection: ServerConnection) -> Response | None:
        if len(venue.attempts) > 1:
            return None
        response = connection.respond(http.HTTPStatus(status), "later\n")
        response.headers["Retry-After"] = "1"
        return response

    venue.refuse = refuse_once
    async with venue.serve(), venue.trading(), live(venue) as feed:
        assert stalls(feed) == ["DISCONNECTED", "LIVE"]
        assert venue.attempts[1] - venue.attempts[0] >= 1.0


@pytest.mark.parametrize(
    ("days", "host"), [((-9, -1), "localhost"), ((-1, 1), "elsewhere.example"), (None, "")]
)
async def test_certificate_that_does_not_hold_is_never_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: tuple[int, int] | None, host: str
) -> None:
    """``days`` None: a certificate that is good, of nobody we trust."""
    options = {} if days is None else {"days": days, "host": host}
    _, bad = certificates(tmp_path, **options)  # type: ignore[arg-type]
    if days is not None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    venue = FaultyVenue()
    async with venue.serve(tls=bad), venue.trading(), feed_of(venue.url) as feed:
        await feed.eventually(lambda: "DISCONNECTED" in stalls(feed))

        assert stalls(feed) == ["DISCONNECTED"]
        assert told(feed, "risk", QuoteTick) == []
        assert venue.attempts == []


async def test_host_without_an_address_is_disconnected() -> None:
    async with feed_of("http://venue.invalid") as feed:
        await feed.eventually(lambda: stalls(feed) == ["DISCONNECTED"])

        assert reasons(feed)[-1] == "DISCONNECTED"


async def test_clock_that_is_an_hour_off_is_told_once_and_does_not_make_data_old() -> None:
    venue = FaultyVenue()
    venue.clock_skew_secs = 3_600.0
    async with venue.serve(), venue.trading(), live(venue) as feed:
        await feed.eventually(lambda: stalls(feed, "clock") == ["CLOCK_SKEW"])

        status = await feed.deliver(FeedStatusRequest())
        assert isinstance(status, FeedStatus)
        assert status.clock_offset_secs == pytest.approx(3_600, abs=1)
        assert status.clock_error_secs is not None
        assert reasons(feed)[-1] == "LIVE"
        assert stalls(feed) == ["LIVE"]
