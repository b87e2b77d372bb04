"""The control channel between a parent and its child, and the shared slot of a child's progress.

Both are made before the fork and carried by it. The channel is a SEQPACKET socket pair: one
MessagePack struct a packet, never blocking; the slot is a page of shared memory that the child
writes and the parent reads, so that neither beats nor statistics are messages.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
from typing import ClassVar

import msgspec

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


class Crash(Packet, frozen=True):
    """The child ends because of an exception; written before the process exits."""

    exception: str
    detail: str
    traceback: str
    child: str | None = None
    """For a supervisor that could not start: which of its children failed."""

    @classmethod
    def of(cls, exception: str, detail: str, traceback: str, child: str | None = None) -> Crash:
        """Return a crash whose texts fit one packet: the end of a traceback says most."""
        return cls(exception, detail[:2000], traceback[-_MAX_TRACEBACK_CHARS:], child)


class Stopped(Packet, frozen=True):
    """The child ends cleanly; the last packet."""


class Told(Packet, frozen=True):
    """A supervisor's own status with all that is below it."""

    node: NodeStatus


class Stop(Packet, frozen=True):
    """To the child: end within your shutdown time."""


class Command(Packet, frozen=True):
    """To a supervisor: what a person wants of one of its descendants."""

    id: str
    verb: str
    """``restart`` or ``reset-quarantine``."""
    name: str


class CommandDone(Packet, frozen=True):
    """The answer to a Command."""

    id: str
    error: str | None


AnyPacket = Hello | Ready | Crash | Stopped | Told | Stop | Command | CommandDone


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
        while True:
            try:
                data = os.read(self.fd, _MAX_PACKET_BYTES)
            except BlockingIOError:
                return packets
            except ConnectionError:
                data = b""
            if not data:
                return packets or None
            packets.append(self._decoder.decode(data))

    def close(self) -> None:
        """Close this end; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Statistics(msgspec.Struct, frozen=True):
    """What a worker's brain last wrote into its slot."""

    inbox: int = 0
    handled: int = 0
    in_work: str | None = None
    stash: int = 0
    dropped: int = 0


class Slot:
    """A child's progress counter and statistics, in memory that parent and child share.

    The counter only says that it changed; a torn read of the rest is harmless, because it is
    shown to people and decides nothing.
    """

    _FORMAT = struct.Struct("<QQQQQ64p")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)
        self._count = 0

    def beat(self, statistics: Statistics) -> None:
        """Raise the counter and write the statistics. Called by the child, from one thread."""
        self._count += 1
        name = (statistics.in_work or "").encode()[:63]
        self._FORMAT.pack_into(
            self._memory,
            0,
            self._count,
            statistics.inbox,
            statistics.handled,
            statistics.stash,
            statistics.dropped,
            name,
        )

    @property
    def count(self) -> int:
        """How often the child has beaten. Read by the parent."""
        return int(struct.unpack_from("<Q", self._memory, 0)[0])

    @property
    def statistics(self) -> Statistics:
        """What the child wrote with its latest beat. Read by the parent."""
        _, inbox, handled, stash, dropped, name = self._FORMAT.unpack_from(self._memory, 0)
        in_work = name.decode(errors="replace") or None
        return Statistics(inbox, handled, in_work, stash, dropped)

    def close(self) -> None:
        """Give the memory back; the child keeps its own view of it."""
        with contextlib.suppress(BufferError):
            self._memory.close()
