"""When what is told leaves its sender: at once, with the turn, or with what follows."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest

from supervisors.frames import ACK, TELL, FrameReader, pack
from supervisors.lane import Lanes
from supervisors.messages import Message
from supervisors.outbox import Counters
from supervisors.sockets import RuntimeFolder


class Order(Message, frozen=True, kw_only=True):
    number: int


class Hint(Message, frozen=True, kw_only=True):
    urgent: ClassVar[bool] = False

    number: int


class Pair:
    """A connected lane, and the bare socket at its other end."""

    def __init__(self, lanes: Lanes, other_end: socket.socket) -> None:
        self.lanes = lanes
        self.other_end = other_end
        self.cutter = FrameReader()

    def arrived(self) -> list[int]:
        """Return the numbers of the messages that are in the socket now; gives the loop no turn."""
        try:
            data = self.other_end.recv(65_536)
        except BlockingIOError:
            return []
        return [seq for kind, seq, _ in self.cutter.feed(data) if kind == TELL]

    async def eventually_arrived(self) -> list[int]:
        for _ in range(1_000):
            if numbers := self.arrived():
                return numbers
            await asyncio.sleep(0.005)
        raise AssertionError("nothing arrived")


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    with RuntimeFolder(tmp_path) as folder:
        listening = folder.listen("b")
        listening.settimeout(5)
        lanes = Lanes(
            folder=folder,
            sender="a",
            generation=1,
            counters=Counters(),
            give_back=lambda _name, _message: None,
            fail=lambda error: pytest.fail(str(error)),
        )
        lanes.tell("b", Order(number=1))
        await lanes.connect(5.0)
        other_end, _ = listening.accept()
        other_end.setblocking(False)
        pair = Pair(lanes, other_end)
        try:
            assert await pair.eventually_arrived() == [1]
            yield pair
        finally:
            other_end.close()
            listening.close()
            await lanes.close(1.0)


async def test_first_message_leaves_before_its_sender_gives_the_loop_a_turn(pair: Pair) -> None:
    pair.lanes.tell("b", Order(number=2))

    assert pair.arrived() == [2]


async def test_others_of_the_turn_leave_together_when_it_ends(pair: Pair) -> None:
    for number in (2, 3, 4):
        pair.lanes.tell("b", Order(number=number))
    at_once = pair.arrived()

    at_the_end = await pair.eventually_arrived()

    assert (at_once, at_the_end) == ([2], [3, 4])


async def test_hint_waits_for_the_next_urgent_message_and_keeps_its_place(pair: Pair) -> None:
    pair.lanes.tell("b", Hint(number=2))
    before = pair.arrived()
    pair.lanes.tell("b", Order(number=3))

    assert (before, pair.arrived()) == ([], [2, 3])


async def test_hint_leaves_by_itself_when_nothing_follows(pair: Pair) -> None:
    pair.lanes.tell("b", Hint(number=2))

    assert await pair.eventually_arrived() == [2]


async def test_acknowledgements_let_the_lane_go_on(pair: Pair) -> None:
    pair.other_end.send(pack(ACK, 1))
    pair.lanes.tell("b", Hint(number=2))
    await pair.eventually_arrived()

    pair.other_end.send(pack(ACK, 2))
    await pair.lanes.close(1.0)

    assert pair.lanes.stash == 0
