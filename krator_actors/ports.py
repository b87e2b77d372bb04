"""What an actor may expect of an adapter to the outside, whichever venue it is."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from krator_actors.messages.market import Bar, QuoteTick, TradeTick
from krator_actors.model import Instrument


class MalformedFrameError(ValueError):
    """What arrived is not what the venue documents; it is counted by ``reason`` and skipped."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class BookLevel(msgspec.Struct, frozen=True, array_like=True):
    """One price of an order book; a size of zero removes it."""

    price: Decimal
    size: Decimal


class BookUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The changed levels of an order book from update ``first_id`` to ``last_id``, inclusive.

    The first of a series is a snapshot when ``first_id`` is 0.
    """

    symbol: str
    first_id: int
    last_id: int
    bids: tuple[BookLevel, ...]
    asks: tuple[BookLevel, ...]
    ts_event: int
    ts_init: int


class RequestAnswered(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's answer to a frame that we sent; ``error`` is empty when it agreed."""

    request_id: int
    error: str


class ClosingAnnounced(msgspec.Struct, frozen=True, kw_only=True):
    """The venue will end this connection soon: make a new one now."""


MarketEvent = TradeTick | QuoteTick | BookUpdate | RequestAnswered | ClosingAnnounced


class MarketCodec(Protocol):
    """A venue's market streams, Sans-I/O: text in, events out.

    Prices and sizes that leave it are finite and positive (sizes of a book: not negative).
    Everything it cannot read raises MalformedFrameError, and nothing else.
    """

    @property
    def stream_path(self) -> str:
        """Path of the WebSocket endpoint, below the host."""

    def subscribe(self, request_id: int) -> str:
        """Return the frame that subscribes trades and quotes of every symbol."""

    def decode(self, text: str, ts_init: int) -> MarketEvent:
        """Read one frame that arrived at ``ts_init``."""


class MarketRequests(Protocol):
    """A venue's market data over REST, Sans-I/O: paths with their query, and how to read bodies.

    What is read raises MalformedFrameError when it is not as documented.
    """

    def instruments_path(self, symbols: Sequence[str]) -> str:
        """Path and query of the request for trading rules; refused when one is unknown."""

    def read_instruments(self, body: bytes) -> tuple[Instrument, ...]:
        """Read its answer; only configured symbols, in their order."""

    def bars_path(self, symbol: str, period_secs: int, count: int) -> str:
        """Path and query of the request for the last bars."""

    def read_bars(self, body: bytes, symbol: str, period_secs: int, count: int) -> Sequence[Bar]:
        """Read its answer: at most ``count`` finished bars, oldest first."""
