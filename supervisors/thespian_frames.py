"""Authenticated frames for Thespian's TCP transport: nothing is unpickled that we did not write.

A frame is the payload's length (4 bytes, big-endian), an HMAC-SHA256 of the payload under the key
of this run, and the payload. A connection that sends anything else is closed without an answer.
"""

from __future__ import annotations

import hashlib
import hmac
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from thespian.system.transport import TCPTransport, streamBuffer

_LENGTH = struct.Struct(">I")
_MAC_BYTES = hashlib.sha256().digest_size
_HEADER_BYTES = _LENGTH.size + _MAC_BYTES
_MAX_PAYLOAD_BYTES = 16 * 1024 * 1024

_key = b""


class FrameRefusedError(Exception):
    """What arrived was not written with the key of this run."""


def install() -> None:
    """Replace Thespian's frames in this process and in all that it forks."""
    TCPTransport.toSendBuffer = to_send_buffer
    TCPTransport.ReceiveBuffer = FrameBuffer
    _sign_acknowledgements()


def use_key(key: bytes) -> None:
    """Write and accept frames of this key from now on, in this process and in all it forks."""
    global _key  # noqa: PLW0603 - the key is one of the process, as Thespian's serializer is
    _key = key
    _sign_acknowledgements()


@contextmanager
def key_in_use(key: bytes) -> Iterator[None]:
    """Use this key within the block only: for a process that speaks to more than one system."""
    before = _key
    use_key(key)
    try:
        yield
    finally:
        use_key(before)


def to_send_buffer(message: Any, serialize: Callable[[Any], bytes] = pickle.dumps) -> bytes:
    """Return the frame of a message."""
    payload = serialize(message)
    return _LENGTH.pack(len(payload)) + _mac(payload) + payload


class FrameBuffer:
    """Collects one frame; the interface is that of Thespian's ``ReceiveBuffer``."""

    def __init__(self, deserialize: Callable[[bytes], Any] = pickle.loads) -> None:
        self._deserialize = deserialize
        self._data = bytearray()

    def addMore(self, data: bytes) -> None:  # noqa: N802 - Thespian's name
        """Take what arrived. Raises FrameRefusedError as soon as the frame cannot be ours."""
        self._data += data
        size = self._payload_bytes
        if size is not None and size > _MAX_PAYLOAD_BYTES:
            raise FrameRefusedError(f"frame of {size} bytes exceeds {_MAX_PAYLOAD_BYTES}")
        if self.isDone() and not hmac.compare_digest(self._sent_mac, _mac(self._payload)):
            raise FrameRefusedError("frame was not written with the key of this run")

    def is_empty(self) -> bool:
        """True before the first byte."""
        return not self._data

    def remainingAmount(self) -> int:  # noqa: N802 - Thespian's name
        """How many bytes to read next; never more than this frame has."""
        size = self._payload_bytes
        if size is None:
            return _HEADER_BYTES - len(self._data)
        return _HEADER_BYTES + size - len(self._data)

    def isDone(self) -> bool:  # noqa: N802 - Thespian's name
        """True when the frame is whole."""
        size = self._payload_bytes
        return size is not None and len(self._data) >= _HEADER_BYTES + size

    def removeExtra(self) -> None:  # noqa: N802 - Thespian's name
        """Forget what arrived behind the frame."""
        del self._data[_HEADER_BYTES + (self._payload_bytes or 0) :]

    def completed(self) -> tuple[Any, bytes] | None:
        """Return the message and what arrived behind it; None while the frame is not whole."""
        size = self._payload_bytes
        if size is None or not self.isDone():
            return None
        return self._deserialize(self._payload), bytes(self._data[_HEADER_BYTES + size :])

    @property
    def _payload_bytes(self) -> int | None:
        if len(self._data) < _HEADER_BYTES:
            return None
        return int(_LENGTH.unpack_from(self._data)[0])

    @property
    def _sent_mac(self) -> bytes:
        return bytes(self._data[_LENGTH.size : _HEADER_BYTES])

    @property
    def _payload(self) -> bytes:
        return bytes(self._data[_HEADER_BYTES : _HEADER_BYTES + (self._payload_bytes or 0)])


def _mac(payload: bytes) -> bytes:
    if not _key:
        raise FrameRefusedError("no key is in use")
    return hmac.digest(_key, payload, "sha256")


def _sign_acknowledgements() -> None:
    if _key:
        TCPTransport.ackMsg = to_send_buffer(streamBuffer.ackPacket)
        TCPTransport.ackDataErrMsg = to_send_buffer(streamBuffer.ackDataErrPacket)
