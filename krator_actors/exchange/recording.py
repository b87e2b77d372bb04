"""Recorded sessions: ``spot_*.jsonl.gz``, one frame a line, exactly as the venue sent it.

A line is ``{"ts_ns", "dir", "conn", "url", "data"}``: ``dir`` is ``recv`` for a frame of a combined
stream and ``http`` for the answer of a REST request, of which depth snapshots matter here; other
lines are passed over. ``data`` is the exact text.
"""

from __future__ import annotations

import gzip
import heapq
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import msgspec

from krator_actors.exchange.errors import ExchangeStartError

PATTERN = "spot_*.jsonl.gz"
_SNAPSHOT = re.compile(r"/api/v3/depth\?(?:.*&)?symbol=([A-Z0-9]+)")

Levels = list[tuple[str, str]]


class TradeEvent(msgspec.Struct):
    """``<symbol>@trade``."""

    trade_id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    time_ms: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")


class TickerEvent(msgspec.Struct):
    """``<symbol>@bookTicker``."""

    update_id: int = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_size: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_size: str = msgspec.field(name="A")


class DepthEvent(msgspec.Struct):
    """``<symbol>@depth@100ms``."""

    time_ms: int = msgspec.field(name="E")
    first_id: int = msgspec.field(name="U")
    last_id: int = msgspec.field(name="u")
    bids: Levels = msgspec.field(name="b")
    asks: Levels = msgspec.field(name="a")


class Snapshot(msgspec.Struct):
    """The answer of ``/api/v3/depth``."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels


Event = TradeEvent | TickerEvent | DepthEvent | Snapshot


class _Line(msgspec.Struct):
    ts_ns: int
    dir: str
    data: str
    url: str = ""


class _Envelope(msgspec.Struct):
    stream: str
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Frame:
    """One recorded frame that matters. ``stream`` is empty for a snapshot."""

    ts_ns: int
    symbol: str
    event: Event | None
    """None for a stream that only is passed on"""
    stream: str = ""
    combined: str = ""
    """the exact text as it was received"""
    raw: str = ""
    """the exact text of ``data`` inside it"""


@dataclass(frozen=True, slots=True)
class Recording:
    """A directory that was read through once, and found whole."""

    files: tuple[Path, ...]
    symbols: tuple[str, ...]
    first_ns: int
    last_ns: int
    frame_count: int
    opening: dict[str, Snapshot]
    """the first snapshot of each symbol"""

    @classmethod
    def scan(cls, directory: Path) -> Recording:
        """Read everything once. ExchangeStartError names the file and line that is broken."""
        files = tuple(sorted(directory.glob(PATTERN))) if directory.is_dir() else ()
        if not files:
            what = "has no" if directory.is_dir() else "is not a directory with"
            raise ExchangeStartError(f"{directory} {what} {PATTERN} files to replay")
        symbols: dict[str, None] = {}
        opening: dict[str, Snapshot] = {}
        first_ns = last_ns = count = 0
        for path in files:
            for frame in read_frames(path):
                first_ns = min(first_ns or frame.ts_ns, frame.ts_ns)
                last_ns = max(last_ns, frame.ts_ns)
                count += 1
                symbols.setdefault(frame.symbol)
                if isinstance(frame.event, Snapshot):
                    opening.setdefault(frame.symbol, frame.event)
        if not count:
            raise ExchangeStartError(f"{directory} has no frames to replay")
        return cls(files, tuple(symbols), first_ns, last_ns, count, opening)

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of all files in their order of time."""
        return heapq.merge(*map(read_frames, self.files), key=attrgetter("ts_ns"))


def read_frames(path: Path) -> Iterator[Frame]:
    """Yield a file's frames as they are asked for.

    Raises ExchangeStartError with file and line for a corrupt archive, a line that is not a frame,
    or time that goes back.
    """
    number = 0
    last_ns = 0
    try:
        with gzip.open(path, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                frame = _frame(line)
                if frame is None:
                    continue
                if frame.ts_ns < last_ns:
                    raise ExchangeStartError(f"{path}:{number}: ts_ns goes back")
                last_ns = frame.ts_ns
                yield frame
    except (msgspec.MsgspecError, ValueError) as error:
        raise ExchangeStartError(f"{path}:{number}: not a recorded frame: {error}") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ExchangeStartError(f"{path}:{number + 1}: cannot be read: {error}") from None


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_snapshot = msgspec.json.Decoder(Snapshot).decode
_EVENTS: dict[str, Callable[[msgspec.Raw], Event]] = {
    "trade": msgspec.json.Decoder(TradeEvent).decode,
    "bookTicker": msgspec.json.Decoder(TickerEvent).decode,
    "depth@100ms": msgspec.json.Decoder(DepthEvent).decode,
}


def _frame(line: bytes) -> Frame | None:
    """Return the frame of a line, None when it is of no interest."""
    recorded = _decode_line(line)
    if recorded.dir == "recv":
        envelope = _decode_envelope(recorded.data)
        name, _, kind = envelope.stream.partition("@")
        decode = _EVENTS.get(kind)
        return Frame(
            recorded.ts_ns,
            name.upper(),
            None if decode is None else decode(envelope.data),
            envelope.stream,
            recorded.data,
            bytes(envelope.data).decode(),
        )
    if recorded.dir == "http" and (found := _SNAPSHOT.search(recorded.url)):
        return Frame(recorded.ts_ns, found[1], _decode_snapshot(recorded.data))
    return None
