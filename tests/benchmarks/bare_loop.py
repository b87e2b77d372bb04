"""The least that a process can do with a tick: receive, decode, send on to another process.

The same libraries as in the system, and nothing of the system. Run as
``python -m tests.benchmarks.bare_loop URL COUNTER``.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import cast

import msgspec
import uvloop
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import WebSocketURI, parse_uri


class _Data(msgspec.Struct):
    s: str
    p: str = ""
    q: str = ""
    b: str = ""
    a: str = ""
    t: int = 0
    T: int = 0


class _Tick(msgspec.Struct):
    stream: str = ""
    data: _Data | None = None


_LENGTH = struct.Struct("<I")
_decode = msgspec.json.Decoder(_Tick).decode
_encode = msgspec.msgpack.Encoder().encode


class _Loop(asyncio.Protocol):
    def __init__(self, uri: WebSocketURI, out: socket.socket) -> None:
        self._websocket = ClientProtocol(uri)
        self._out = out
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._websocket.send_request(self._websocket.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._websocket.receive_data(data)
        for event in self._websocket.events_received():
            if isinstance(event, Response):
                self._websocket.send_text(b'{"method":"SUBSCRIBE","params":[],"id":1}')
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                tick = _decode(event.data)
                if tick.data is not None:
                    body = _encode(tick.data)
                    self._out.sendall(_LENGTH.pack(len(body)) + body)
        self._flush()

    def _flush(self) -> None:
        for out in self._websocket.data_to_send():
            if out:
                self._transport.write(out)


async def _receive(url: str, out: socket.socket) -> None:
    uri = parse_uri("ws" + url.removeprefix("http") + "/stream")
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: _Loop(uri, out), uri.host, uri.port)
    await asyncio.Event().wait()


def _count(source: socket.socket, counter: Path) -> None:
    with counter.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    count = 0
    data = b""
    while piece := source.recv(65536):
        data += piece
        start = 0
        while len(data) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(data, start)
            if len(data) - start < _LENGTH.size + length:
                break
            start += _LENGTH.size + length
            count += 1
        data = data[start:]
        struct.pack_into("<Q", memory, 0, count)


def _main(url: str, counter: Path) -> None:
    source, out = socket.socketpair()
    if not os.fork():
        out.close()  # its end is the end of this process
        _count(source, counter)
        os._exit(0)
    source.close()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_receive(url, out))


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    _main(sys.argv[1], Path(sys.argv[2]))
