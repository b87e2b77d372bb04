"""Order books of a feed: snapshots asked for, what breaks a book declared, tops told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from loguru import logger

from krator_actors.core.books import BookState, OrderBook
from krator_actors.market_line import MarketLine
from krator_actors.market_reader import MarketReader
from krator_actors.messages.market import BookDelta, BookSnapshot, BookTop, MarketDataGap
from krator_actors.ports import Channel, Stream

TOP_LEVELS: Final = 10
_RETRY_SECS: Final = 1.0
_STREAMED_SECS: Final = 10.0
"""How long a snapshot that the stream sends is waited for before it is asked for again ..."""
_STREAMED_CHECKS: Final = 100
"""... and how often it is looked for meanwhile"""


class MarketBooks:
    """Keeps the books of every line right, and tells the tops of those that may be told.

    A book belongs to its connection, so a second connection's is warm when the first is lost.

    Args:
        snapshot_streamed: the venue sends snapshots itself, when a stream is asked for.
        on_top: called with each new top of a line's book that is right.
        on_broken: called when a line's book that was right is not to be believed any more.
        start: ``Actor.start_task``.
    """

    def __init__(
        self,
        reader: MarketReader,
        *,
        snapshot_streamed: bool,
        on_top: Callable[[MarketLine, BookTop], None],
        on_broken: Callable[[MarketLine, MarketDataGap], None],
        start: Callable[[Coroutine[Any, Any, None], str], object],
    ) -> None:
        self._reader = reader
        self._snapshot_streamed = snapshot_streamed
        self._on_top = on_top
        self._on_broken = on_broken
        self._start = start
        self._rebuilding: set[OrderBook] = set()

    def on_live(self, line: MarketLine) -> None:
        """Ask for what a new connection's books begin with."""
        for book in line.books.values():
            if book.state is not BookState.LIVE:
                self._begin_rebuild(line, book)

    def on_event(self, line: MarketLine, event: BookSnapshot | BookDelta) -> None:
        """Take what a line said of a book."""
        book = line.books.get(event.symbol)
        if book is None:
            return
        before = book.state
        if isinstance(event, BookSnapshot):
            book.on_snapshot(event)
        else:
            book.on_delta(event)
        if book.state is BookState.LIVE:
            self._tell_top(line, book)
        elif before is BookState.LIVE:
            self._declare(line, book, event)
            self._begin_rebuild(line, book)

    def _tell_top(self, line: MarketLine, book: OrderBook) -> None:
        top = book.top(TOP_LEVELS)
        if top is not None:
            self._on_top(line, top)

    def _declare(self, line: MarketLine, book: OrderBook, event: BookSnapshot | BookDelta) -> None:
        first_id = book.last_id + 1 if book.state is BookState.GAP and book.last_id else 0
        last_id = event.first_id - 1 if first_id and isinstance(event, BookDelta) else 0
        self._on_broken(
            line,
            MarketDataGap(
                symbol=book.symbol,
                stream="book",
                first_id=first_id,
                last_id=max(last_id, 0),
                count=max(last_id - first_id + 1, 0) if first_id else 0,
                reason=book.state.value,
                ts_event=event.ts_event,
                ts_init=event.ts_init,
            ),
        )

    def _begin_rebuild(self, line: MarketLine, book: OrderBook) -> None:
        if book not in self._rebuilding:
            self._rebuilding.add(book)
            self._start(self._rebuild(line, book), f"book {book.symbol}")

    async def _rebuild(self, line: MarketLine, book: OrderBook) -> None:
        """Until the book is right, or its connection is no more."""
        while line.books.get(book.symbol) is book and book.state is not BookState.LIVE:
            if self._snapshot_streamed:
                await self._await_streamed(line, book)
            else:
                await self._fetch(line, book)
        self._rebuilding.discard(book)
        if book.state is BookState.LIVE:
            logger.bind(event_type="book_built", symbol=book.symbol).info("book built")

    async def _await_streamed(self, line: MarketLine, book: OrderBook) -> None:
        if book.state is not BookState.NO_SNAPSHOT:
            line.ask_again(Stream(book.symbol, Channel.BOOK))
        for _ in range(_STREAMED_CHECKS):
            await asyncio.sleep(_STREAMED_SECS / _STREAMED_CHECKS)
            if book.state is BookState.LIVE:
                return
        line.ask_again(Stream(book.symbol, Channel.BOOK))

    async def _fetch(self, line: MarketLine, book: OrderBook) -> None:
        snapshot = await self._reader.book(book.symbol)
        if snapshot is None:
            await asyncio.sleep(_RETRY_SECS)
            return
        if book.on_snapshot(snapshot) is BookState.LIVE:
            self._tell_top(line, book)
        else:
            await asyncio.sleep(_RETRY_SECS)
