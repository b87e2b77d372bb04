import asyncio
from collections import deque

import pytest

from supervisors.frames import TELL, Frame
from supervisors.inbox import OWN, TICK, UNDELIVERED, Inbox
from supervisors.messages import InboxFullError, Message


class Note(Message, frozen=True, kw_only=True):
    number: int


class Source:
    """A connection with frames that wait for room."""

    sender = "peer"

    def __init__(self, inbox: Inbox, count: int) -> None:
        self.inbox = inbox
        self.frames: deque[Frame] = deque((TELL, seq, b"") for seq in range(count))
        self.resumed = 0

    def admit(self) -> None:
        if not self.inbox.admit(self, self.frames):
            self.inbox.hold_back(self)

    def resume(self) -> None:
        self.resumed += 1
        self.admit()

    def acknowledge(self, seq: int) -> None: ...

    def answer(self, seq: int, message: Message | None) -> None: ...

    def refuse(self, seq: int, reason: str) -> None: ...


def test_frames_beyond_the_limit_stay_with_their_connection() -> None:
    inbox = Inbox(4)
    source = Source(inbox, 10)

    source.admit()

    assert (len(inbox), len(source.frames)) == (4, 6)


def test_connection_is_resumed_when_half_is_free_and_nothing_is_lost_or_reordered() -> None:
    inbox = Inbox(4)
    source = Source(inbox, 10)
    source.admit()

    inbox.take()
    held_back = source.resumed
    inbox.take()
    resumed = source.resumed
    rest = [inbox.take()[2] for _ in range(8)]

    assert (held_back, resumed) == (0, 1)
    assert rest == list(range(2, 10))
    assert len(inbox) == 0


def test_connection_that_is_gone_is_not_resumed() -> None:
    inbox = Inbox(2)
    source = Source(inbox, 5)
    source.admit()

    inbox.forget(source)
    inbox.take()
    inbox.take()

    assert source.resumed == 0


def test_own_messages_have_their_own_limit() -> None:
    inbox = Inbox(2)
    for number in range(2):
        inbox.put_own(Note(number=number))

    with pytest.raises(InboxFullError, match="2 own messages wait, Note finds no room"):
        inbox.put_own(Note(number=2))
    inbox.put(UNDELIVERED, ("peer", Note(number=3)))
    inbox.put(TICK, None)
    taken = [inbox.take()[1] for _ in range(4)]
    inbox.put_own(Note(number=4))

    assert taken == [OWN, OWN, UNDELIVERED, TICK]


async def test_sleeper_is_woken_by_whatever_comes() -> None:
    inbox = Inbox(2)
    waiting = asyncio.create_task(inbox.wait())
    await asyncio.sleep(0)
    assert not waiting.done()

    inbox.put_own(Note(number=1))
    inbox.put_own(Note(number=2))

    await asyncio.wait_for(waiting, 10)
    await asyncio.wait_for(inbox.wait(), 10)
