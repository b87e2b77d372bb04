"""Every order that the order actor has forgotten, whole, for ever: what its log need not keep.

One file beside the log, appended to only. A frame is the length and the CRC-32 of its payload,
u32 each, little-endian, then the payload: the order and its trades as msgpack. With a data key
there are two more kinds: a seal (C1 53, key id 8 bytes, salt 32 bytes), one for each process that
appends, and a sealed order (C1 4F, place of its seal u64, what is sealed, bound to its own place).
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from zlib import crc32

import msgspec

from krator_actors.adapters.at_rest import DataKeyError, Keys, Sealer
from krator_actors.adapters.log_segments import LogKeyError
from krator_actors.core.orders import Order

_FRAME = struct.Struct("<II")
_READ_BYTES = 1 << 20
# 0xc1 begins nothing in msgpack.
_ORDER, _SEAL = b"\xc1O", b"\xc1S"
_PLACE_BYTES, _KEY_ID_BYTES = 8, 8


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
        # What this process seals with, and its place; None before the first, or without a key.
        self._sealing: tuple[int, Sealer] | None = None
        # Of the seals that were read, by their places.
        self._sealers: dict[int, Sealer] = {}

    def append(self, orders: Iterable[ArchivedOrder]) -> list[int]:
        """Append them and return where each one is. Raises OSError: then none of them is there.

        LogKeyError when the data key cannot be read.
        """
        places, frames, end = [], [], self.size_bytes
        sealing, beginning = self._seal_at(end)
        if beginning:
            frames.append(beginning)
            end += len(beginning)
        for order in orders:
            payload = _encode(order)
            if sealing is not None:
                payload = _sealed(payload, end, *sealing)
            frames.append(_frame(payload))
            places.append(end)
            end += len(frames[-1])
        data = b"".join(frames)
        while data:
            written = os.pwrite(self._descriptor, data, end - len(data))
            data = data[written:]
        self.size_bytes, self._sealing = end, sealing
        return places

    def read(self, offset: int) -> ArchivedOrder:
        """Return the order at ``offset``.

        Raises ArchiveError; LogKeyError when its key is not configured; OSError.
        """
        payload = self._payload(offset)
        if payload.startswith(_ORDER):
            payload = self._unsealed(payload, offset)
        try:
            return _decode(payload)
        except msgspec.DecodeError as error:
            raise ArchiveError(f"{self.path}: another version's at {offset}: {error}") from error

    def orders(self) -> Iterator[tuple[int, Order]]:
        """Yield every order with its place, oldest first. Raises as ``read`` does."""
        offset = 0
        while offset < self.size_bytes:
            payload = self._payload(offset)
            if not payload.startswith(_SEAL):
                yield offset, self.read(offset).order
            offset += _FRAME.size + len(payload)

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
        self._sealing = None
        self._sealers.clear()

    def sync(self) -> None:
        """Wait until the disk has it; from any thread. Raises OSError."""
        os.fdatasync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _payload(self, offset: int) -> bytes:
        header = os.pread(self._descriptor, _FRAME.size, offset)
        if len(header) == _FRAME.size:
            size, check = _FRAME.unpack(header)
            if size <= self.size_bytes:
                payload = os.pread(self._descriptor, size, offset + _FRAME.size)
                if len(payload) == size and crc32(payload) == check:
                    return payload
        raise ArchiveError(f"{self.path} is damaged at byte {offset}")

    def _seal_at(self, offset: int) -> tuple[tuple[int, Sealer] | None, bytes]:
        """Return what is sealed with, and the frame at ``offset`` that has to say so first."""
        if self._sealing is not None:
            return self._sealing, b""
        try:
            new = Keys.of_environment().new_sealer()
        except DataKeyError as error:
            raise LogKeyError(f"{self.path}: {error}") from error
        if new is None:
            return None, b""
        key_id, salt, sealer = new
        return (offset, sealer), _frame(_SEAL + key_id + salt)

    def _unsealed(self, payload: bytes, offset: int) -> bytes:
        begin = len(_ORDER) + _PLACE_BYTES
        sealer = self._sealer(int.from_bytes(payload[len(_ORDER) : begin], "little"))
        plain = sealer.unseal(payload[begin:], offset.to_bytes(_PLACE_BYTES, "little"))
        if plain is None:
            raise ArchiveError(f"{self.path}: what is at byte {offset} is not what was sealed")
        return plain

    def _sealer(self, place: int) -> Sealer:
        if place not in self._sealers:
            seal = self._payload(place)
            if not seal.startswith(_SEAL):
                raise ArchiveError(f"{self.path}: there is no seal at byte {place}")
            salt_at = len(_SEAL) + _KEY_ID_BYTES
            try:
                self._sealers[place] = Keys.of_environment().sealer(
                    seal[len(_SEAL) : salt_at], seal[salt_at:]
                )
            except DataKeyError as error:
                raise LogKeyError(f"{self.path}: {error}") from error
        return self._sealers[place]


def _frame(payload: bytes) -> bytes:
    return _FRAME.pack(len(payload), crc32(payload)) + payload


def _sealed(payload: bytes, offset: int, place: int, sealer: Sealer) -> bytes:
    sealed = sealer.seal(payload, offset.to_bytes(_PLACE_BYTES, "little"))
    return _ORDER + place.to_bytes(_PLACE_BYTES, "little") + sealed


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
