"""What an actor may expect of an adapter to the outside, whichever venue it is."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from krator_actors.core.books import BookRule
from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import Bar, BookDelta, BookSnapshot, QuoteTick, TradeTick
from krator_actors.model import Instrument


class MalformedFrameError(ValueError):
    """What arrived is not what the venue documents; it is counted by ``reason`` and skipped."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Channel(enum.StrEnum):
    """What can be subscribed to for a symbol."""

    TRADES = "trades"
    QUOTES = "quotes"
    BOOK = "book"
    BARS = "bars"
    """the venue's own, of ``MarketCodec.bar_spec``; only finished ones are told"""


class Stream(msgspec.Struct, frozen=True, order=True):
    """One channel of one symbol."""

    symbol: str
    channel: Channel


class TradeIds(enum.Enum):
    """What a venue's trade ids say about missing and repeated trades of a symbol."""

    CONSECUTIVE = "consecutive"
    """each is the one before + 1"""
    INCREASING = "increasing"
    """a hole between two says nothing"""
    UNORDERED = "unordered"
    """only the same id, price and time again is the same trade (stocks: an id per exchange)"""


class StreamsChanged(msgspec.Struct, frozen=True):
    """The venue has confirmed a subscription or its end."""

    active: frozenset[Stream]
    """all streams that are confirmed on this connection now"""
    left_out: frozenset[Stream] = frozenset()
    """asked for, answered, and not confirmed, where the venue's answer is a complete list"""


class StreamsRefused(msgspec.Struct, frozen=True):
    """The venue has refused a request."""

    streams: frozenset[Stream]
    """of which streams; empty when the venue does not say"""
    reason: str


class LoggedIn(msgspec.Struct, frozen=True):
    """The venue knows who we are: now subscribe."""


class Heartbeat(msgspec.Struct, frozen=True):
    """The connection lives. Says nothing about any stream's data."""


class RateLimited(msgspec.Struct, frozen=True):
    """We have asked too much, or opened too many connections: wait before the next request."""

    reason: str


class ClosingAnnounced(msgspec.Struct, frozen=True):
    """The venue will end this connection soon: make a new one now."""

    reason: str


class FramesMissing(msgspec.Struct, frozen=True):
    """Frames of this connection never arrived: every stream on it has a hole."""

    first: int
    count: int


class TradingStatus(msgspec.Struct, frozen=True):
    """The venue says whether it trades. While it does not, silence is no stall."""

    symbol: str
    """empty: the whole venue"""
    trading: bool
    reason: str
    """the venue's word"""


class TradeRevised(msgspec.Struct, frozen=True):
    """The venue takes back or corrects a trade that it has told: what was made of it is wrong."""

    symbol: str
    trade_id: int
    reason: str
    """``TRADE_CANCELED`` or ``TRADE_CORRECTED``"""
    ts_event: int
    ts_init: int


class UnknownFrame(msgspec.Struct, frozen=True):
    """What arrived could not be read, or is not to be believed. Nothing was told from it."""

    reason: str
    """one word, to count by: ``BAD_JSON``, ``BAD_SHAPE``, ``BAD_NUMBER``, ``CROSSED_QUOTE``, ..."""
    detail: str = ""


MarketEvent = (
    TradeTick
    | QuoteTick
    | BookSnapshot
    | BookDelta
    | Bar
    | StreamsChanged
    | StreamsRefused
    | LoggedIn
    | Heartbeat
    | RateLimited
    | ClosingAnnounced
    | FramesMissing
    | TradingStatus
    | TradeRevised
    | UnknownFrame
)


class CloseAdvice(enum.Enum):
    """What to do after a venue has closed a connection."""

    RECONNECT = "reconnect"
    """as after any fault, with the usual backoff"""
    WAIT = "wait"
    """the venue holds us to be too fast or too many: begin with the longest backoff"""
    GIVE_UP = "give up"
    """the same again would be refused again: a person must look"""


class MarketCodec(Protocol):
    """One connection to a venue's market streams, Sans-I/O: frames in and out, events.

    Made anew for each connection, because it knows what is asked and confirmed on it. It holds no
    socket and no clock. Prices and sizes that leave it are finite and positive (the sizes of a
    book or a quote: not negative), a quote's bid is not above its ask, times lie in 1970 to 2100.
    """

    channels: ClassVar[frozenset[Channel]]
    """what this venue offers; another is a ValueError in ``subscribe``"""
    bar_spec: ClassVar[BarSpec]
    book_rule: ClassVar[BookRule | None]
    """how its books show that they are whole; None: it has no books"""
    book_snapshot_streamed: ClassVar[bool]
    """False: the snapshot is asked of REST, ``MarketRequests.book_path``"""
    trade_ids: ClassVar[TradeIds]
    needs_login: ClassVar[bool]
    """True: send ``login`` first and subscribe after ``LoggedIn``"""
    lifetime_secs: ClassVar[float | None]
    """the venue ends every connection after so long; None: it has no such rule"""

    def login(self, api_key: str, secret: str) -> tuple[str, ...]:
        """Return the frames that say who we are; none where nobody asks."""

    def subscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return the frames that ask for these streams; ``StreamsChanged`` is the answer."""

    def unsubscribe(self, streams: Collection[Stream]) -> tuple[str, ...]:
        """Return the frames that end these streams; ``StreamsChanged`` is the answer."""

    def decode(self, frame: bytes | str, ts_init: int) -> Sequence[MarketEvent]:
        """Read one frame that arrived at ``ts_init``; never raises.

        Empty when it is understood and there is nothing to tell (a bar that is not finished).
        """

    def on_close(self, code: int) -> CloseAdvice:
        """Say what a close code of this venue means; 1006 when there was none."""


class MarketRequests(Protocol):
    """A venue's market data over REST, Sans-I/O: paths with their query, and how to read bodies.

    What is read raises MalformedFrameError when it is not as documented.
    """

    def headers(self, api_key: str, secret: str) -> Mapping[str, str]:
        """Return the headers that every request needs; none where the data is public."""

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path and query of the request for trading rules; refused when one is unknown."""

    def read_instruments(self, body: bytes) -> tuple[Instrument, ...]:
        """Read its answer; only configured symbols, in their order."""

    def bars_path(self, symbol: str, spec: BarSpec, count: int, now_ns: int) -> str:
        """Path and query of the request for the last bars; ``spec.has_history`` must hold."""

    def read_bars(self, body: bytes, symbol: str, spec: BarSpec, count: int) -> Sequence[Bar]:
        """Read its answer: at most ``count`` finished bars, oldest first."""

    def trades_path(self, after: TradeTick, count: int) -> str:
        """Path and query of the request for the trades that followed ``after``."""

    def read_trades(self, body: bytes, symbol: str, ts_init: int) -> Sequence[TradeTick]:
        """Read its answer, oldest first; may begin with trades that are known."""

    def book_path(self, symbol: str) -> str:
        """Path and query of the request for a book; ValueError where there are none."""

    def read_book(self, body: bytes, symbol: str, ts_init: int) -> BookSnapshot:
        """Read its answer."""

    def time_path(self) -> str | None:
        """Path of the request for the venue's clock; None where it tells nobody the time."""

    def read_time(self, body: bytes) -> int:
        """Read its answer: UTC nanoseconds."""
