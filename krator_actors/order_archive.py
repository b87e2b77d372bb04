"""Every order that the order actor has forgotten, whole, for ever: what its log need not keep.

One file beside the log, appended to only. A frame is the length and the CRC-32 of its payload,
u32 each, little-endian, then the payload: the order and its trades as msgpack.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from krator_actors.core.orders import Order

_FRAME = struct.Struct("<II")
_READ_BYTES = 1 << 20


class ArchiveError(Exception):
    """What is at a place of the archive is not what was written there."""


class ArchivedOrder(msgspec.Struct, frozen=True, array_like=True):
    """An order that is over, as it was when it was forgotten."""

    order: Order
    trade_ids: tuple[str, ...]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ArchivedOrder).decode


class OrderArchive:
    """The archive at ``path``, made when it is not there. One writer; ``read`` from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Behind the last whole frame; what a write that failed has left there is written over.
        self.size_bytes = os.fstat(self._descriptor).st_size

    def append(self, orders: Iterable[ArchivedOrder]) -> list[int]:
        """Append them and return where each one is. Raises OSError: then none of them is there."""
        places, frames, end = [], [], self.size_bytes
        for order in orders:
            payload = _encode(order)
            frames.append(_FRAME.pack(len(payload), crc32(payload)) + payload)
            places.append(end)
            end += len(frames[-1])
        data = b"".join(frames)
        while data:
            written = os.pwrite(self._descriptor, data, end - len(data))
            data = data[written:]
        self.size_bytes = end
        return places

    def read(self, offset: int) -> ArchivedOrder:
        """Return the order at ``offset``. Raises ArchiveError, OSError."""
        header = os.pread(self._descriptor, _FRAME.size, offset)
        if len(header) == _FRAME.size:
            size, check = _FRAME.unpack(header)
            if size <= self.size_bytes:
                payload = os.pread(self._descriptor, size, offset + _FRAME.size)
                if len(payload) == size and crc32(payload) == check:
                    return self._decoded(payload, offset)
        raise ArchiveError(f"{self.path} is damaged at byte {offset}")

    def _decoded(self, payload: bytes, offset: int) -> ArchivedOrder:
        try:
            return _decode(payload)
        except msgspec.DecodeError as error:
            raise ArchiveError(f"{self.path}: another version's at {offset}: {error}") from error

    def orders(self) -> Iterator[tuple[int, Order]]:
        """Yield every order with its place, oldest first. Raises ArchiveError, OSError."""
        offset = 0
        while offset < self.size_bytes:
            yield offset, self.read(offset).order
            (size, _) = _FRAME.unpack(os.pread(self._descriptor, _FRAME.size, offset))
            offset += _FRAME.size + size

    def cut_behind(self, offset: int) -> None:
        """Cut off what a death has left half written behind ``offset``. Raises OSError."""
        whole, data = offset, b""
        while chunk := os.pread(self._descriptor, _READ_BYTES, whole + len(data)):
            data += chunk
            used = _whole_frames(data)
            whole, data = whole + used, data[used:]
        os.ftruncate(self._descriptor, whole)
        self.size_bytes = whole

    def clear(self) -> None:
        """Begin anew, because the whole log is folded again. Raises OSError."""
        os.ftruncate(self._descriptor, 0)
        self.size_bytes = 0

    def sync(self) -> None:
        """Wait until the disk has it; from any thread. Raises OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _whole_frames(data: bytes) -> int:
    """Return how many bytes of ``data`` are whole frames."""
    end = 0
    while len(data) - end >= _FRAME.size:
        size, check = _FRAME.unpack_from(data, end)
        payload = data[end + _FRAME.size : end + _FRAME.size + size]
        if len(payload) < size or crc32(payload) != check:
            break
        end += _FRAME.size + size
    return end
