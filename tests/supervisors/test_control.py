"""The control channel and the shared slot."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from supervisors.control import Channel, Crash, Hello, Ready, Slot, Statistics, Stop, Stopped, Told
from supervisors.status import NodeStatus


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = Channel.pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_packets_arrive_whole_and_in_order(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels
    node = NodeStatus(name="a", type="worker", state="running", pid=7)
    sent = [Hello(7, 1900), Ready(), Told(node, news=True), Stopped()]

    assert all(theirs.send(packet) for packet in sent)

    assert ours.receive() == sent
    assert ours.receive() == []


def test_last_words_are_read_before_the_end_is_seen(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels
    theirs.send(Stopped())
    theirs.close()

    assert ours.receive() == [Stopped()]
    assert ours.receive() is None


def test_sending_to_one_who_is_gone_says_so(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels
    ours.close()

    assert theirs.send(Ready()) is False


def test_peer_that_does_not_read_never_blocks_the_sender(
    channels: tuple[Channel, Channel],
) -> None:
    ours, _ = channels

    while ours.send(Stop()):
        pass

    assert ours.send(Stop()) is False


def test_huge_traceback_fits_a_packet(channels: tuple[Channel, Channel]) -> None:
    ours, theirs = channels

    assert theirs.send(Crash.of("E", "d" * 100_000, "t" * 10_000_000 + "end"))

    [crash] = ours.receive() or []
    assert isinstance(crash, Crash)
    assert crash.traceback.endswith("end")


def test_parent_sees_beats_and_statistics_of_a_forked_child() -> None:
    slot = Slot()
    statistics = Statistics(
        inbox=3,
        handled=40,
        stash=5,
        dropped=6,
        conflated=7,
        undelivered=8,
        is_suspended=True,
        rss_bytes=2**40,
        cpu_percent=99.5,
        in_work_secs=1.5,
        in_work="SubmitOrder",
    )

    child = os.fork()
    if child == 0:
        slot.beat()
        slot.beat()
        slot.write(statistics)
        os._exit(0)
    os.waitpid(child, 0)

    assert slot.count == 2
    assert slot.statistics == statistics
    slot.close()


def test_fresh_slot_is_empty_and_a_long_name_is_cut() -> None:
    slot = Slot()
    assert (slot.count, slot.statistics) == (0, Statistics())

    slot.write(Statistics(in_work="é" * 100))

    assert slot.statistics.in_work is not None
    assert slot.statistics.in_work.startswith("é" * 30)
    slot.close()
    slot.close()
