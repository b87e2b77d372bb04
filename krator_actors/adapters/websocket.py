"""One WebSocket connection from the TCP handshake to its end; only ``session`` uses it.

``websockets``' Sans-I/O protocol runs directly in an asyncio ``Protocol``: 160 us a tick faster
than its asyncio client (docs/ARCHITECTURE.md section 2). Compression is asked for only when
configured, because it costs more than it saves on all but a narrow line (docs/adr/0018). A whole
text, which is what ticks and orders come in, is cut out and framed here; all else is the
library's (docs/adr/0013).
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from typing import cast

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import (  # type: ignore[attr-defined] # whose apply_mask may be compiled
    CloseCode,
    Frame,
    Opcode,
    apply_mask,
)
from websockets.protocol import State
from websockets.uri import WebSocketURI

from krator_actors.venue_errors import VenueUnavailableError

_CLOSE_TIMEOUT_SECS = 1.0
_WHOLE_TEXT = 0x81
"""the first byte of a text message in one frame without extensions: RFC 6455, 5.2"""
_MASK_BIT = 0x80
_HEAD_16 = struct.Struct(">BBH")
_HEAD_64 = struct.Struct(">BBQ")
_BEATS_PER_HEARTBEAT = 3


class WebSocketConnection(asyncio.Protocol):
    """One connection, for ``loop.create_connection``. Await ``opened``, then ``lost``; then close.

    Args:
        on_text: called with the UTF-8 of each complete text message, in order; what it raises
            ends the connection and is the exception of ``lost``.
        heartbeat_secs: a connection on which no byte arrived for so long is ended.
        max_frame_bytes: a larger message ends the connection, also when it was compressed.
        compression: ask the venue for per-message deflate (RFC 7692).
    """

    def __init__(
        self,
        uri: WebSocketURI,
        on_text: Callable[[bytes], None],
        heartbeat_secs: float,
        max_frame_bytes: int,
        *,
        compression: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        deflate = [ClientPerMessageDeflateFactory()] if compression else None
        self._websocket = ClientProtocol(uri, max_size=max_frame_bytes, extensions=deflate)
        self._on_text = on_text
        self._heartbeat_secs = heartbeat_secs
        self._max_frame_bytes = max_frame_bytes
        self._transport: asyncio.Transport | None = None
        self._beat: asyncio.TimerHandle | None = None
        self._abort: asyncio.TimerHandle | None = None
        # False until the handshake, and for good when the library is inside a frame: then all bytes
        # are for it.
        self._cuts = False
        # The beginning of a frame that is not complete yet; empty unless _cuts.
        self._held = b""
        # Parts of a fragmented text message that is not complete yet.
        self._parts: list[bytes] = []
        self._received_at = self._loop.time()
        self._writable = True
        # Why it ended; empty while it has not.
        self._reason = ""
        # What on_text raised.
        self._failure: Exception | None = None
        # Done when the handshake is; holds its exception when it failed.
        self.opened: asyncio.Future[None] = self._loop.create_future()
        # Done when the socket is gone: why, or what on_text raised.
        self.lost: asyncio.Future[str] = self._loop.create_future()

    @property
    def is_open(self) -> bool:
        """True between the handshake and the first sign of the end."""
        return self._websocket.state is State.OPEN and not self._reason

    @property
    def close_code(self) -> int:
        """The code with which the venue closed; 1006 when it said none."""
        close = self._websocket.close_rcvd
        return CloseCode.ABNORMAL_CLOSURE if close is None else close.code

    def send(self, text: bytes) -> None:
        """Hand a text message to the socket; VenueUnavailableError: nothing was sent."""
        if not self.is_open:
            raise VenueUnavailableError(f"not connected: {self._reason}")
        if not self._writable:
            raise VenueUnavailableError("the venue does not read what was sent to it")
        assert self._transport is not None
        self._transport.write(_masked_text(text))

    def fail(self, code: CloseCode, reason: str) -> None:
        """End the connection from our side; ``lost`` follows."""
        if self._reason:
            return
        self._reason = reason
        if self._websocket.state is State.OPEN:
            self._websocket.fail(code)
            self._flush()
        self._end()

    async def close(self) -> None:
        """Say goodbye, and wait for the socket's end: nothing of it is left afterwards."""
        if self._transport is None:
            return
        self.fail(CloseCode.NORMAL_CLOSURE, "closed")
        self._end()
        await asyncio.wait({self.lost})
        for future in (self.opened, self.lost):
            if not future.cancelled() and future.done():
                future.exception()  # else asyncio would complain that nobody looked at it

    # -- called by the event loop ------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake."""
        # A cast, because uvloop's transports are no instances of asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)
        if transport.get_extra_info("sslcontext") is None:
            # Else uvloop holds back what is written until the turn ends. Its TLS transport does so
            # in any case, and would take a limit of 0 for reached by nothing at all.
            self._transport.set_write_buffer_limits(high=0)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._websocket.send_request(self._websocket.connect())
        self._flush()
        self._beat = self._loop.call_later(self._beat_secs, self._check_heartbeat)

    def data_received(self, data: bytes) -> None:
        """Hand complete messages on; answer pings and closes; end on what breaks the protocol."""
        self._received_at = self._loop.time()
        if self._cuts:
            self._cut(data)
        elif self.opened.done():
            self._parse(data)
        else:
            head, blank, rest = data.partition(b"\r\n\r\n")
            self._parse(head + blank)
            # Behind the blank line the first frame begins, and the library is between two frames.
            self._cuts = bool(blank) and self.is_open
            if self._cuts:
                self._cut(rest)
            elif rest:
                self._parse(rest)

    def eof_received(self) -> bool:
        """Finish parsing; False lets the transport close itself."""
        self._websocket.receive_eof()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Resolve ``opened`` and ``lost``; nothing is called after this."""
        if self._beat is not None:
            self._beat.cancel()
        if self._abort is not None:
            self._abort.cancel()
        self._reason = self._reason or f"connection lost: {exc or 'no close frame'}"
        if not self.opened.done():
            self.opened.set_exception(
                self._websocket.handshake_exc or ConnectionError(self._reason)
            )
        if self._failure is not None:
            self.lost.set_exception(self._failure)
        else:
            self.lost.set_result(self._reason)

    def pause_writing(self) -> None:
        """Refuse to send, because the venue has stopped reading."""
        self._writable = False

    def resume_writing(self) -> None:
        """Send again."""
        self._writable = True

    # -- what they lead to ---------------------------------------------------------------------

    def _cut(self, data: bytes) -> None:
        """Take whole texts out of the stream, and give every other whole frame to the library."""
        if self._held:
            data = self._held + data
            self._held = b""
        at, end = 0, len(data)
        while end - at >= 2:  # noqa: PLR2004 - the length of the shortest frame
            size, body = data[at + 1], at + 2
            if size == 126:  # noqa: PLR2004 - the length is in the next two bytes
                size, body = int.from_bytes(data[body : body + 2]), body + 2
            elif size == 127:  # noqa: PLR2004 - or in the next eight
                size, body = int.from_bytes(data[body : body + 8]), body + 8
            if data[at + 1] & _MASK_BIT or size > self._max_frame_bytes:
                # It breaks the protocol; the library knows with which words to end.
                self._cuts = False
                self._parse(data[at:])
                return
            if body + size > end:
                break
            if data[at] != _WHOLE_TEXT or self._parts:
                self._parse(data[at : body + size])
            elif not self._reason:
                self._take_text(data[body : body + size])
            at = body + size
        self._held = data[at:]

    def _parse(self, data: bytes) -> None:
        websocket = self._websocket
        websocket.receive_data(data)
        for event in websocket.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
            elif not self.opened.done() and websocket.handshake_exc is None:
                self.opened.set_result(None)
        error = websocket.handshake_exc or websocket.parser_exc
        if error is not None and not self._reason:
            self._reason = f"protocol error: {error}"
        self._flush()
        if self._reason:
            self._end()

    @property
    def _beat_secs(self) -> float:
        return self._heartbeat_secs / _BEATS_PER_HEARTBEAT

    def _take_frame(self, frame: Frame) -> None:
        if self._reason:
            return  # what follows the end is not processed: RFC 6455, 7.1.7
        if frame.opcode is Opcode.TEXT or frame.opcode is Opcode.CONT:
            if frame.fin and not self._parts:
                self._take_text(bytes(frame.data))
                return
            self._parts.append(bytes(frame.data))
            if frame.fin:
                text = b"".join(self._parts)
                self._parts.clear()
                self._take_text(text)
        elif frame.opcode is Opcode.BINARY:
            self.fail(CloseCode.UNSUPPORTED_DATA, "binary message on a text connection")
        elif frame.opcode is Opcode.CLOSE:
            close = self._websocket.close_rcvd
            self._reason = f"closed by the venue: {close}"

    def _take_text(self, data: bytes) -> None:
        if not data.isascii():
            try:
                str(data, "utf-8")
            except UnicodeDecodeError as error:
                reason = f"invalid UTF-8 in a text message: {error.reason}"
                self.fail(CloseCode.INVALID_DATA, reason)
                return
        try:
            self._on_text(data)
        except Exception as error:  # noqa: BLE001 - the loop would log and swallow it; run() raises it
            self._failure = error
            self.fail(CloseCode.INTERNAL_ERROR, "callback failed")

    def _check_heartbeat(self) -> None:
        silent_secs = self._loop.time() - self._received_at
        if silent_secs >= self._heartbeat_secs:
            self.fail(CloseCode.GOING_AWAY, f"nothing received for {silent_secs:.1f} s")
            return
        if self.is_open:
            self._websocket.send_ping(b"")
            self._flush()
        self._beat = self._loop.call_later(self._beat_secs, self._check_heartbeat)

    def _flush(self) -> None:
        assert self._transport is not None
        for data in self._websocket.data_to_send():
            if data:
                self._transport.write(data)

    def _end(self) -> None:
        # We do not wait for the venue to close first, because all it could still say is ignored;
        # and not for ever, because a dead peer never acknowledges what is still to be written.
        assert self._transport is not None
        if self._abort is None:
            self._transport.close()
            self._abort = self._loop.call_later(_CLOSE_TIMEOUT_SECS, self._transport.abort)


def _masked_text(text: bytes) -> bytes:
    """Return a client's whole text message: RFC 6455, 5.2 and 5.3."""
    size = len(text)
    if size < 126:  # noqa: PLR2004 - the length is in seven bits
        head = bytes((_WHOLE_TEXT, _MASK_BIT | size))
    elif size < 1 << 16:
        head = _HEAD_16.pack(_WHOLE_TEXT, _MASK_BIT | 126, size)
    else:
        head = _HEAD_64.pack(_WHOLE_TEXT, _MASK_BIT | 127, size)
    mask = os.urandom(4)
    return b"".join((head, mask, apply_mask(text, mask)))
