"""The wire format of a lane: length-prefixed frames, pure.

A frame is ``length: u32 · kind: u8 · seq: u64 · body``, little-endian; the length counts what
follows it. The one who connected numbers its messages from 1; everything that comes back carries
the number of the message it is about, and settles all messages before it as acknowledged.

===========  ===================  ==========================================================
kind         direction            body
===========  ===================  ==========================================================
HELLO        sender → receiver    ``Hello``; the first frame, once
TELL         sender → receiver    the message
ASK          sender → receiver    deadline (i64, ns of CLOCK_MONOTONIC, one host), the message
ACK          receiver → sender    empty: the handler has returned for all up to ``seq``
ANSWER       receiver → sender    the answer
NO_ANSWER    receiver → sender    empty: handled, and the handler returned None
REFUSED      receiver → sender    why (UTF-8): not handled, and never will be
FENCED       receiver → sender    why (UTF-8): the hello is refused, the connection ends
===========  ===================  ==========================================================
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from supervisors.messages import ActorError, Message

VERSION: Final = 1
MAX_BODY_BYTES: Final = 8 * 1024 * 1024

HELLO: Final = 0
TELL: Final = 1
ASK: Final = 2
ACK: Final = 3
ANSWER: Final = 4
NO_ANSWER: Final = 5
REFUSED: Final = 6
FENCED: Final = 7

Frame = tuple[int, int, bytes]
"""(kind, seq, body)"""

_LENGTH = struct.Struct("<I")
_HEADER = struct.Struct("<IBQ")
_DEADLINE = struct.Struct("<q")
_AFTER_LENGTH = _HEADER.size - _LENGTH.size
_MAX_LENGTH = _AFTER_LENGTH + _DEADLINE.size + MAX_BODY_BYTES

pack_header = _HEADER.pack
_encoder = msgspec.msgpack.Encoder()


class MalformedFrameError(Exception):
    """The peer does not speak this protocol; the connection cannot be used any further."""


class MessageTooLargeError(ActorError, ValueError):
    """A message's encoding exceeds ``MAX_BODY_BYTES``; nothing was sent."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """Who speaks, in which generation, and whom it means to reach."""

    version: int
    sender: str
    generation: int
    receiver: str


_hello_decoder = msgspec.msgpack.Decoder(Hello)


def encode(message: Message) -> bytes:
    """Return a message's body; raises ``MessageTooLargeError``, or TypeError for a bad field."""
    body = _encoder.encode(message)
    if len(body) > MAX_BODY_BYTES:
        text = f"{type(message).__name__} of {len(body)} bytes exceeds {MAX_BODY_BYTES}"
        raise MessageTooLargeError(text)
    return body


def pack(kind: int, seq: int, body: bytes = b"") -> bytes:
    """Return a whole frame."""
    return pack_header(_AFTER_LENGTH + len(body), kind, seq) + body


def pack_hello(hello: Hello) -> bytes:
    """Return the first frame of a connection."""
    return pack(HELLO, 0, _encoder.encode(hello))


def unpack_hello(frame: Frame) -> Hello:
    """Return what the first frame says; raises ``MalformedFrameError``."""
    kind, _, body = frame
    if kind != HELLO:
        raise MalformedFrameError(f"first frame was of kind {kind}, not a hello")
    try:
        hello = _hello_decoder.decode(body)
    except msgspec.DecodeError as error:
        raise MalformedFrameError(f"hello: {error}") from error
    if hello.version != VERSION:
        raise MalformedFrameError(f"version {hello.version} is not {VERSION}")
    return hello


def with_deadline(deadline_ns: int, body: bytes) -> bytes:
    """Return the body of an ASK."""
    return _DEADLINE.pack(deadline_ns) + body


def split_deadline(body: bytes) -> tuple[int, bytes]:
    """Return the deadline and the message of an ASK's body."""
    if len(body) < _DEADLINE.size:
        raise MalformedFrameError("an ask without a deadline")
    (deadline_ns,) = _DEADLINE.unpack_from(body)
    return deadline_ns, body[_DEADLINE.size :]


class FrameReader:
    """Cuts a stream of bytes into frames, in whatever pieces they come."""

    def __init__(self) -> None:
        # Pieces of the first frame that is not complete yet, and how many bytes would complete
        # it. Kept apart and joined once, because adding piece to piece is quadratic.
        self._pieces: list[bytes] = []
        self._held = 0
        self._needed = _LENGTH.size

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes, in order.

        Raises ``MalformedFrameError`` as soon as a length is impossible, without waiting for
        (or holding) that many bytes.
        """
        if self._pieces:
            self._pieces.append(data)
            self._held += len(data)
            if self._held < self._needed:
                return []
            data = b"".join(self._pieces)
            self._pieces.clear()
        frames: list[Frame] = []
        start = 0
        end = len(data)
        unpack_header = _HEADER.unpack_from
        while end - start >= _HEADER.size:
            length, kind, seq = unpack_header(data, start)
            stop = start + _LENGTH.size + length
            if not _AFTER_LENGTH <= length <= _MAX_LENGTH:
                raise MalformedFrameError(f"frame length {length} is impossible")
            if stop > end:
                self._hold(data[start:], stop - start)
                return frames
            frames.append((kind, seq, data[start + _HEADER.size : stop]))
            start = stop
        if start < end:
            self._hold(data[start:], _HEADER.size)
        return frames

    def _hold(self, piece: bytes, needed: int) -> None:
        self._pieces.append(piece)
        self._held = len(piece)
        self._needed = needed
