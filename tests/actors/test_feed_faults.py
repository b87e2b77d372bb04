"""Every fault of a venue's streams: noticed, told once, over, and nothing wrong told meanwhile.

A row of the tables below is a fault, and a row of docs/OPERATIONS.md, "What a feed notices".
"""

from __future__ import annotations

import asyncio
import contextlib
import http
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Response

from krator_actors.messages.market import FeedStatus, FeedStatusRequest, MarketStatus, QuoteTick
from tests.actors.faulty_venue import FaultyVenue
from tests.actors.feed_scene import (
    SMA,
    assert_nothing_is_lost_unsaid,
    feed_of,
    gaps,
    ids,
    live,
    reasons,
    stalls,
    told,
)
from tests.private_ca import PrivateCa

Inject = Callable[[FaultyVenue], Awaitable[None]]


@pytest.fixture
async def venue() -> AsyncIterator[FaultyVenue]:
    venue = FaultyVenue()
    async with venue.serve(), venue.trading():
        yield venue


@dataclass(frozen=True)
class Fault:
    """``noticed``: the code of the one event, ``stated``: within which time, as documented.

    ``within_secs`` is that time under ``options``, and what a busy machine may add.
    """

    name: str
    inject: Inject
    noticed: str = "DISCONNECTED"
    stated: str = "at once"
    within_secs: float = 5.0
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


_STALE: Final = ("STALE_QUOTES", "`quote_stale_secs`, or 3 times normal", 5.5)
_SHORT: Final = {"quote_stale_secs": 0.4, "stale_max_secs": 0.4}
LOSSES = [
    Fault("silence with pongs", fall_silent, *_STALE, _SHORT),
    Fault(
        "silence without pongs",
        stop_breathing,
        stated="`heartbeat_secs`",
        within_secs=5.5,
        options={"heartbeat_secs": 0.4},
    ),
    *(Fault(f"close {code}", close_with(code)) for code in (1000, 1001, 1012)),
    Fault("close 1006", abort),
    Fault("reset", reset),
    Fault("half a frame, then the end", half_a_frame),
    Fault("half a frame, then silence", half_a_frame_and_silence, *_STALE, _SHORT),
    Fault("garbage", garbage),
    Fault("a frame of 20 MB", twenty_megabytes),
    Fault("invalid UTF-8", invalid_utf8),
]


@pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: fault.name)
async def test_lost_connection_is_noticed_once_and_every_trade_is_there_again(
    venue: FaultyVenue, fault: Fault
) -> None:
    async with live(venue, **fault.options) as feed:
        before = ids(feed)[-1]
        heard = len(feed.told)

        await fault.inject(venue)

        await feed.eventually(lambda: fault.noticed in stalls(feed), timeout_secs=fault.within_secs)
        # Who trades on it was told first, and is told again before anything is fresh.
        for receiver in ("risk", SMA):
            words = [m for name, m in feed.told[heard:] if name == receiver]
            statuses = [m for m in words if isinstance(m, MarketStatus)]
            assert (statuses[0].fresh, statuses[0].reason) == (False, fault.noticed)
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


def quoting(**changes: str) -> Inject:
    async def quote(venue: FaultyVenue) -> None:
        await venue.quote(**changes)

    return quote


def saying(text: str) -> Inject:
    async def say(venue: FaultyVenue) -> None:
        await venue.say(text)

    return say


def counted(name: str, inject: Inject, reason: str) -> Fault:
    return Fault(name, inject, reason, "with the frame")


FRAMES = [
    counted("no JSON", saying("nonsense"), "BAD_JSON"),
    counted("another shape", saying("[]"), "BAD_SHAPE"),
    counted("NaN", quoting(b="NaN"), "BAD_NUMBER"),
    counted("a negative price", quoting(b="-1"), "BAD_NUMBER"),
    counted("an infinite price", quoting(a="Infinity"), "BAD_NUMBER"),
    counted("an absurd price", quoting(a="1e99"), "BAD_NUMBER"),
    counted("a price of zero", quoting(b="0"), "ONE_SIDED_QUOTE"),
    counted("bid above ask", quoting(b="101"), "CROSSED_QUOTE"),
]


@pytest.mark.parametrize("fault", FRAMES, ids=lambda fault: fault.name)
async def test_frame_that_cannot_be_believed_is_counted_and_told_to_nobody(
    venue: FaultyVenue, fault: Fault
) -> None:
    async with live(venue) as feed:
        await fault.inject(venue)

        after = len(told(feed, "risk", QuoteTick)) + 5
        await feed.eventually(lambda: len(told(feed, "risk", QuoteTick)) >= after)
        status = await feed.deliver(FeedStatusRequest())
        assert isinstance(status, FeedStatus)
        assert status.unreadable == {fault.noticed: 1}
        assert feed.actor.describe_state()["unreadable"] == {fault.noticed: 1}
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


async def test_feed_that_is_slow_to_read_is_stale_and_loses_nothing(venue: FaultyVenue) -> None:
    async with live(venue, **_SHORT) as feed:
        before = ids(feed)[-1]
        transport = feed.actor._lines.leader._session._connection._transport

        transport.pause_reading()
        await feed.eventually(lambda: "STALE_QUOTES" in stalls(feed))
        transport.resume_reading()

        await feed.eventually(lambda: ids(feed)[-1] > before + 50 and reasons(feed)[-1] == "LIVE")
        assert_nothing_is_lost_unsaid(feed)
        assert stalls(feed)[:2] == ["LIVE", "STALE_QUOTES"]
        assert stalls(feed).count("STALE_QUOTES") == 1


async def test_venue_that_reads_nothing_and_sends_on_costs_nothing(venue: FaultyVenue) -> None:
    async with live(venue, heartbeat_secs=0.3) as feed:
        began = asyncio.get_running_loop().time()
        venue.connections[0].transport.pause_reading()

        # Three heartbeats without a pong, in which data came.
        await feed.eventually(lambda: asyncio.get_running_loop().time() > began + 0.9)

        after = ids(feed)[-1] + 5
        await feed.eventually(lambda: ids(feed)[-1] > after)
        assert len(venue.connections) == 1
        assert_nothing_is_lost_unsaid(feed)
        assert stalls(feed) == ["LIVE"]


def refusing(status: int) -> Inject:
    async def refuse(venue: FaultyVenue) -> None:
        def once(connection: ServerConnection) -> Response | None:
            if len(venue.attempts) > 1:
                return None
            response = connection.respond(http.HTTPStatus(status), "later\n")
            response.headers["Retry-After"] = "1"
            return response

        venue.refuse = once

    return refuse


UPGRADES = [Fault(f"upgrade refused: {status}", refusing(status)) for status in (429, 503)]


@pytest.mark.parametrize("fault", UPGRADES, ids=lambda fault: fault.name)
async def test_refused_upgrade_is_not_asked_again_before_the_venue_says(fault: Fault) -> None:
    venue = FaultyVenue()
    await fault.inject(venue)

    async with venue.serve(), venue.trading(), live(venue) as feed:
        assert stalls(feed) == [fault.noticed, "LIVE"]
        assert venue.attempts[1] - venue.attempts[0] >= 1.0


@dataclass(frozen=True)
class Bad:
    """A certificate that must not be believed: of whom, for which host, good when."""

    name: str
    ca: str = "ours"
    host: str = "localhost"
    days: tuple[int, int] = (-1, 1)


CERTIFICATES = [
    Bad("an expired certificate", days=(-9, -2)),
    Bad("a certificate that is not good yet", days=(1, 9)),
    Bad("a foreign certificate", ca="foreign"),
    Bad("another host's certificate", host="elsewhere.example"),
]


@pytest.mark.parametrize("bad", CERTIFICATES, ids=lambda bad: bad.name)
async def test_certificate_that_does_not_hold_is_refused_until_a_good_one_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: Bad
) -> None:
    authorities = {name: PrivateCa(tmp_path, name) for name in ("ours", "foreign")}
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities["ours"].file))
    tls = authorities[bad.ca].server(bad.host, days=bad.days)
    venue = FaultyVenue()
    async with venue.serve(tls=tls), venue.trading(), feed_of(venue.url) as feed:
        await feed.eventually(lambda: "DISCONNECTED" in stalls(feed))
        assert told(feed, "risk", QuoteTick) == []
        assert venue.attempts == []

        authorities["ours"].certify(tls)

        await feed.eventually(lambda: reasons(feed)[-1] == "LIVE")
        assert stalls(feed) == ["DISCONNECTED", "LIVE"]


async def test_host_without_an_address_is_disconnected_until_it_has_one(
    venue: FaultyVenue, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def known(host: Any, *arguments: Any, **options: Any) -> Any:
        return await look_up(
            "127.0.0.1" if host == "venue.invalid" else host, *arguments, **options
        )

    async with feed_of(f"http://venue.invalid:{venue.port}") as feed:
        await feed.eventually(lambda: stalls(feed) == ["DISCONNECTED"])
        assert reasons(feed)[-1] == "DISCONNECTED"

        monkeypatch.setattr(loop, "getaddrinfo", known)

        await feed.eventually(lambda: reasons(feed)[-1] == "LIVE")
        assert stalls(feed) == ["DISCONNECTED", "LIVE"]


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


OTHERS = {
    "a trade twice": ("`repeated`", "with the frame"),
    "trades missing": ("GAP", "50 ms"),
    "trades swapped": ("nothing", "-"),
    "we read too slowly": _STALE[:2],
    "the venue reads nothing, and sends on": ("nothing", "-"),
    "a name without an address": ("DISCONNECTED", "at once"),
    "a clock an hour off": ("CLOCK_SKEW", "60 s"),
    **{bad.name: ("DISCONNECTED", "at once") for bad in CERTIFICATES},
}


def test_every_fault_is_in_the_table_for_people() -> None:
    page = (Path(__file__).parents[2] / "docs" / "OPERATIONS.md").read_text()
    table = page.partition("## What a feed notices")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| ")][1:]
    documented = {name.strip(): (noticed.strip(), within.strip()) for name, noticed, within in rows}

    tested = {f.name: (f.noticed, f.stated) for f in (*LOSSES, *FRAMES, *UPGRADES)} | OTHERS

    assert documented == tested
