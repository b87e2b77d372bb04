"""What was tried to be faster and is not in Krator, or is: the numbers of docs/adr/0005.

``python -m tests.benchmarks --only tried``. A ring in shared memory against the lane's hop, and
objects that are used again against new ones.
"""

from __future__ import annotations

import contextlib
import gc
import mmap
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from krator_actors.messages.market import TradeTick
from krator_actors.model import OrderSide
from tests.benchmarks.echo import Ping
from tests.benchmarks.measure import Counts, percentile

_SLOT_BYTES = 256
_SLOTS = 1024
# Native, because only then is a number written in one piece.
_NUMBER = struct.Struct("@Q")
_HEAD = struct.Struct("@QI")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ping).decode
_PAUSE_SECS = 0.001


def run(counts: Counts) -> dict[str, Any]:
    hops = max(10, counts.hops // 4)
    tried: dict[str, Any] = {}
    for pause_secs, name in ((0.0, "back_to_back"), (_PAUSE_SECS, "every_ms")):
        count = hops if not pause_secs else max(10, hops // 5)
        tried[f"ring_spinning_{name}_p50_us"] = _hops(_SpinningRing, count, pause_secs)
        tried[f"ring_eventfd_{name}_p50_us"] = _hops(_WakingRing, count, pause_secs)
        tried[f"unix_socket_{name}_p50_us"] = _hops(_UnixSocket, count, pause_secs)
    return {"details": {"tried": tried | _decoding(hops * 4)}}


class _SpinningRing:
    """One writer, one reader; the reader looks at the next slot for as long as it is empty."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _SLOT_BYTES * _SLOTS)
        self._written = 0
        self._read = 0

    def send(self, body: bytes) -> None:
        self._written += 1
        at = self._written % _SLOTS * _SLOT_BYTES
        _HEAD.pack_into(self._memory, at, 0, len(body))
        self._memory[at + _HEAD.size : at + _HEAD.size + len(body)] = body
        # The number last, because it says that the slot is whole. Nothing in Python promises that
        # another processor sees it last; x86 does.
        _NUMBER.pack_into(self._memory, at, self._written)

    def receive(self) -> bytes:
        self._read += 1
        at = self._read % _SLOTS * _SLOT_BYTES
        while True:
            number, size = _HEAD.unpack_from(self._memory, at)
            if number == self._read:
                return self._memory[at + _HEAD.size : at + _HEAD.size + size]


class _WakingRing(_SpinningRing):
    """The same, and an eventfd that the reader sleeps on."""

    def __init__(self) -> None:
        super().__init__()
        self._bell = os.eventfd(0)

    def send(self, body: bytes) -> None:
        super().send(body)
        os.eventfd_write(self._bell, 1)

    def receive(self) -> bytes:
        os.eventfd_read(self._bell)
        return super().receive()


class _UnixSocket:
    """What a lane sits on, without loop, acknowledgement and actor."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()

    def send(self, body: bytes) -> None:
        self._writer.send(body)

    def receive(self) -> bytes:
        return self._reader.recv(_SLOT_BYTES)


def _hops(way: Callable[[], Any], count: int, pause_secs: float) -> float:
    """Play to and fro between two processes; return the p50 of one way, encoded to decoded."""
    there, back = way(), way()
    partner = os.fork()
    if not partner:
        with contextlib.suppress(BaseException):
            while True:
                sent_ns = _decode(there.receive()).sent_ns
                took_ns = time.monotonic_ns() - sent_ns
                back.send(_encode(Ping(sent_ns=took_ns, left=0)))
        os._exit(0)
    samples = []
    try:
        for _ in range(count):
            if pause_secs:
                time.sleep(pause_secs)
            there.send(_encode(Ping(sent_ns=time.monotonic_ns(), left=0)))
            samples.append(_decode(back.receive()).sent_ns)
    finally:
        os.kill(partner, signal.SIGKILL)
        os.waitpid(partner, 0)
    return percentile(samples, 0.5) / 1e3


class _Pooled(msgspec.Struct):
    """A trade that can be filled anew."""

    symbol: str = ""
    price: Decimal = Decimal(0)
    size: Decimal = Decimal(0)
    aggressor: OrderSide = OrderSide.BUY
    trade_id: int = 0
    ts_event: int = 0
    ts_init: int = 0


def _decoding(count: int) -> dict[str, float]:
    now_ns = time.time_ns()
    trade = TradeTick(
        symbol="BTC-USDT.SIM",
        price=Decimal("61234.56"),
        size=Decimal("0.00123"),
        aggressor=OrderSide.BUY,
        trade_id=3735683259,
        ts_event=now_ns,
        ts_init=now_ns,
    )
    body = _encode(trade)
    fresh = msgspec.msgpack.Decoder(TradeTick).decode
    plain = msgspec.msgpack.Decoder().decode
    pooled = _Pooled()

    def reuse() -> None:
        fields = plain(body)
        pooled.symbol = fields["symbol"]
        pooled.price = Decimal(fields["price"])
        pooled.size = Decimal(fields["size"])
        pooled.aggressor = OrderSide(fields["aggressor"])
        pooled.trade_id = fields["trade_id"]
        pooled.ts_event = fields["ts_event"]
        pooled.ts_init = fields["ts_init"]

    took = {
        "decode_fresh_ns": _each_ns(lambda: fresh(body), count),
        "decode_into_pooled_ns": _each_ns(reuse, count),
    }
    gc.disable()
    try:
        took["decode_fresh_without_gc_ns"] = _each_ns(lambda: fresh(body), count)
    finally:
        gc.enable()
    return took


def _each_ns(work: Callable[[], Any], count: int) -> float:
    began_ns = time.perf_counter_ns()
    for _ in range(count):
        work()
    return (time.perf_counter_ns() - began_ns) / count
