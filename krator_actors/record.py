"""``krator record``: a venue's streams, as they come, into files that can be replayed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path
from typing import Final

from krator_actors import clock, place
from krator_actors.adapters.frame_file import FrameFile, RecordedLine
from krator_actors.adapters.rest import RestClient
from krator_actors.adapters.venues import MARKET_VENUES, MarketVenue, addresses
from krator_actors.config import Config, ConfigError
from krator_actors.market_line import LineListener, LineSpec, MarketLine
from krator_actors.ports import Channel, MarketRequests, Stream
from krator_actors.venue_errors import VenueError

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

_FLUSH_SECS: Final = 1.0
_SPOT: Final = frozenset({"sim", "binance"})
"""kinds whose recordings ``krator run --replay`` reads"""


def main(options: argparse.Namespace) -> int:
    """Record until Ctrl-C or ``--for`` is over; returns the exit code."""
    try:
        config = place.load_config(options.config)
        options.out.mkdir(parents=True, exist_ok=True)
        recorders = _recorders(config, options.url, options.out)
    except (ConfigError, OSError) as error:
        sys.stderr.write(f"krator record: {error}\n")
        return EXIT_USAGE
    try:
        return asyncio.run(_record(recorders, options.run_secs))
    except OSError as error:
        sys.stderr.write(f"krator record: {error}\n")
        return EXIT_FAILED


def _recorders(config: Config, url: str | None, folder: Path) -> list[SymbolRecorder]:
    venue = MARKET_VENUES[config.venue.kind]
    streams_url, rest_url = addresses(venue, config.venue.url if url is None else url)
    return [
        SymbolRecorder(config, symbol, folder, venue, streams_url, rest_url)
        for symbol in config.symbols
    ]


async def _record(recorders: list[SymbolRecorder], run_secs: float | None) -> int:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, over.set)
    tasks = [asyncio.create_task(recorder.run()) for recorder in recorders]
    waiting = asyncio.create_task(over.wait())
    try:
        await asyncio.wait([waiting, *tasks], timeout=run_secs, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        waiting.cancel()
        for recorder in recorders:
            await recorder.close()
        await asyncio.gather(*tasks, waiting, return_exceptions=True)
    for recorder in recorders:
        sys.stdout.write(
            f"{recorder.symbol}: {recorder.file.frames} frames, {recorder.file.bytes} bytes\n"
        )
    return EXIT_OK


class SymbolRecorder:
    """One symbol: a connection and a file of its own."""

    def __init__(
        self,
        config: Config,
        symbol: str,
        folder: Path,
        venue: MarketVenue,
        streams_url: str,
        rest_url: str,
    ) -> None:
        self.symbol = symbol
        self._is_spot = config.venue.kind in _SPOT
        self._requests: MarketRequests = venue.requests((symbol,))
        codec = venue.codec((symbol,))
        self._wants_snapshot = codec.book_rule is not None and not codec.book_snapshot_streamed
        channels = {Channel.TRADES, Channel.QUOTES, Channel.BOOK} & codec.channels
        spec = LineSpec(
            venue=venue,
            url=streams_url + venue.stream_path,
            config=config.venue,
            symbols=(symbol,),
            streams=frozenset(Stream(symbol, channel) for channel in channels),
        )
        listener = LineListener(
            on_open=lambda _line: None,
            on_live=lambda _line: self._want_snapshot(),
            on_event=lambda _line, _event: None,
            on_lost=self._on_lost,
            on_frame=self._on_frame,
        )
        self._line = MarketLine(spec, listener)
        self._rest = RestClient(rest_url, timeout_secs=config.venue.request_timeout_secs)
        name = symbol.rpartition(".")[0].replace("-", "").lower()
        kind = "spot" if self._is_spot else config.venue.kind.replace("_", "-")
        self.file = FrameFile(folder, f"{kind}_{name}", on_new_file=self._want_snapshot)
        self._snapshot_due = False

    async def run(self) -> None:
        """Record until closed; raises OSError when the disk does not take it."""
        session = asyncio.create_task(self._line.run())
        try:
            while not session.done():
                await asyncio.wait({session}, timeout=_FLUSH_SECS)
                if self._snapshot_due:
                    await self._take_snapshot()
                self.file.flush()
            session.result()
        finally:
            session.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await session

    async def close(self) -> None:
        """End the connection and the file."""
        await self._line.close()
        await self._rest.close()
        self.file.close()

    def _on_frame(self, frame: bytes, ts_ns: int) -> None:
        # Binance's answers have no stream's name; other dialects are replayed as they came.
        kind = "recv" if not self._is_spot or frame.startswith(b'{"stream"') else "control"
        self.file.append(RecordedLine(ts_ns=ts_ns, dir=kind, data=frame.decode()))

    def _want_snapshot(self) -> None:
        self._snapshot_due = self._wants_snapshot

    def _on_lost(self, _line: MarketLine, reason: str) -> None:
        sys.stderr.write(f"krator record: {self.symbol}: {reason}\n")

    async def _take_snapshot(self) -> None:
        path = self._requests.book_path(self.symbol)
        try:
            body = await self._rest.get(path)
        except VenueError as error:
            sys.stderr.write(f"krator record: {self.symbol}: no snapshot of the book: {error}\n")
            return  # in a second again
        self._snapshot_due = False
        line = RecordedLine(ts_ns=clock.utc_ns(), dir="http", url=path, data=body.decode())
        self.file.append(line)
