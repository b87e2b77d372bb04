"""The control channel between a parent and its child, and the shared slot of a child's progress.

Both are made before the fork and carried by it. The channel is a SEQPACKET socket pair: one
MessagePack struct a packet, never blocking; the slot is a page of shared memory that the child
writes and the parent reads, so that neither beats nor statistics are messages.
"""

from __future__ import annotations

import mmap
import os
import socket
import struct
from typing import Any, ClassVar

import msgspec

from supervisors.redaction import redacted
from supervisors.status import NodeStatus

_MAX_PACKET_BYTES = 512 * 1024
_MAX_TRACEBACK_CHARS = 32_000


class Packet(msgspec.Struct, frozen=True, tag=True, tag_field="_"):
    """The base of what travels on a control channel."""


class Hello(Packet, frozen=True):
    """The child runs; the first packet of every child."""

    pid: int
    port: int
    """Where it listens for Thespian's messages, on 127.0.0.1."""


class Ready(Packet, frozen=True):
    """The child has started: ``on_start`` returned, or all children are ready."""

    info: Any = None
    """``Actor.ready_info``"""


class Ignored(Packet, frozen=True):
    """The child is not needed, and ends: Erlang's ``ignore``."""


class Crash(Packet, frozen=True):
    """The child ends because of an exception; written before the process exits."""

    exception: str
    detail: str
    traceback: str
    child: str | None = None
    """For a supervisor that could not start: which of its children failed."""
    bases: tuple[str, ...] = ()
    """The names of the exception's base classes, the nearest first."""

    @classmethod
    def of(cls, exception: str, detail: str, traceback: str, child: str | None = None) -> Crash:
        """Return a crash whose texts fit one packet: the end of a traceback says most.

        They hold no secret, because they are written to files.
        """
        detail, traceback = redacted(detail), redacted(traceback)
        return cls(exception, detail[:2000], traceback[-_MAX_TRACEBACK_CHARS:], child)

    @classmethod
    def by(cls, error: BaseException, traceback: str, child: str | None = None) -> Crash:
        """Return the crash that this exception is."""
        kind = type(error)
        bases = tuple(base.__name__ for base in kind.__mro__[1:-1])
        crash = cls.of(kind.__name__, str(error), traceback, child)
        return msgspec.structs.replace(crash, bases=bases)


class Warm(Packet, frozen=True):
    """A spare has done all that can be done before it has a name."""


class Take(Packet, frozen=True):
    """To a spare: your predecessor is dead, the name is yours."""


class Stopped(Packet, frozen=True):
    """The child ends cleanly; the last packet."""


class Told(Packet, frozen=True):
    """A supervisor's own status with all that is below it."""

    node: NodeStatus
    news: bool
    """Something changed: to be passed on at once, and not with the next regular telling."""


class Stop(Packet, frozen=True):
    """To the child: end within your shutdown time."""


class AlarmTold(Packet, frozen=True):
    """A worker raises an alarm about itself, or takes it back."""

    kind: str
    detail: str | None
    """None: it is over."""


class Command(Packet, frozen=True):
    """What a person wants of a descendant: to the supervisors on the way, and to a worker."""

    id: str
    verb: str
    """One of ``commands.Verb``, but ``status``."""
    name: str
    """Of the descendant; for what Erlang asks of a supervisor, of that supervisor."""
    child: str = ""
    """Which of the supervisor's children is meant, when one is."""
    argument: Any = None
    """For ``start_child`` the pickled specification, read by that supervisor alone; for ``trace``
    its limits."""


class CommandDone(Packet, frozen=True):
    """The answer to a Command."""

    id: str
    error: str | None
    result: Any = None
    """What was asked for, in builtin types."""


AnyPacket = (
    Hello
    | Ready
    | Ignored
    | Crash
    | Warm
    | Take
    | Stopped
    | Told
    | AlarmTold
    | Stop
    | Command
    | CommandDone
)


class Channel:
    """One end of a control channel. ``send`` may be called from any thread.

    It holds a plain descriptor and no socket object, because a descriptor can be closed after a
    fork without a finalizer closing whatever has its number by then.
    """

    _encoder: ClassVar[msgspec.msgpack.Encoder] = msgspec.msgpack.Encoder()
    _decoder: ClassVar[msgspec.msgpack.Decoder[AnyPacket]] = msgspec.msgpack.Decoder(AnyPacket)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return the parent's and the child's end; non-blocking, closed on exec."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setblocking(False)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MAX_PACKET_BYTES)
        return cls(ours.detach()), cls(theirs.detach())

    def send(self, packet: AnyPacket) -> bool:
        """Return False when the packet was not taken: the peer is gone, or does not read."""
        try:
            os.write(self.fd, self._encoder.encode(packet))
        except OSError:
            return False
        return True

    def receive(self) -> list[AnyPacket] | None:
        """Return what has arrived, in order; None when the peer is gone and all was read."""
        packets: list[AnyPacket] = []
        while self.fd >= 0:
            try:
                data = os.read(self.fd, _MAX_PACKET_BYTES)
            except BlockingIOError:
                return packets
            except ConnectionError:
                data = b""
            if not data:
                break
            packets.append(self._decoder.decode(data))
        return packets or None

    def close(self) -> None:
        """Close this end; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a guardian last wrote about its brain."""

    inbox: int = 0
    handled: int = 0
    stash: int = 0
    dropped: int = 0
    conflated: int = 0
    undelivered: int = 0
    is_suspended: bool = False
    rss_bytes: int = 0
    cpu_percent: float = 0.0
    in_work_secs: float = 0.0
    in_work: str | None = None
    """The class of the message in work; None between two messages."""


class Slot:
    """A child's progress counter and statistics, in memory that parent and child share.

    The counter says no more than that it changed; a torn read of the statistics is harmless,
    because they are shown to people and decide nothing.
    """

    _COUNTER = struct.Struct("<Q")
    _STATISTICS = struct.Struct("<QQQQQQ?Qdd64p")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._count = 0

    def beat(self) -> None:
        """Raise the counter. Called by the child, always from the same thread."""
        self._count += 1
        self._COUNTER.pack_into(self._memory, 0, self._count)

    def write(self, statistics: Statistics) -> None:
        """Write the statistics. Called by the child, always from the same thread."""
        *numbers, in_work = msgspec.structs.astuple(statistics)
        text = (in_work or "").encode()[:63]
        self._STATISTICS.pack_into(self._memory, self._COUNTER.size, *numbers, text)

    @property
    def count(self) -> int:
        """How often the child has beaten. Read by the parent."""
        return int(self._COUNTER.unpack_from(self._memory, 0)[0])

    @property
    def statistics(self) -> Statistics:
        """What the child wrote last. Read by the parent."""
        values = self._STATISTICS.unpack_from(self._memory, self._COUNTER.size)
        found = dict(zip(Statistics.__struct_fields__, values, strict=True))
        found["in_work"] = found["in_work"].decode(errors="replace") or None
        return Statistics(**found)

    def close(self) -> None:
        """Give the memory back; the child keeps its own view of it. Idempotent."""
        self._memory.close()
