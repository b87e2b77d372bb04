"""What one frame costs each venue's codec: a trade and a quote in turn, the median of many.

And, as details, what a delta costs an order book of 1,000 levels a side.
"""

from __future__ import annotations

import random
import statistics
import time
from decimal import Decimal
from typing import Any

from krator_actors.core.books import BookRule, OrderBook
from krator_actors.messages.market import BookDelta, BookLevel, BookSnapshot
from tests.adapters.venue_payloads import NOW_NS, VENUES, Case, VenueCells, text
from tests.benchmarks.measure import Counts

_LEVELS = 1_000
_DELTA_LEVELS = 20


def run(counts: Counts) -> dict[str, Any]:
    """Return ``feed_decode_us`` by venue."""
    return {
        "feed_decode_us": {
            venue.name: _decode_us(venue, counts.decodes) for venue in VENUES if venue.name != "sim"
        },
        "details": {"book_delta_us": _book_delta_us(counts.decodes // 10)},
    }


def _decode_us(venue: VenueCells, count: int) -> float:
    frames = [
        text(case.frames[0])
        for cell in ("trade", "quote")
        if isinstance(case := venue.cells[cell], Case)
    ]
    samples = []
    for _ in range(count):
        # Made anew as for a new connection, because a frame comes only once in each.
        codecs = [venue.codec() for _ in frames]
        begin = time.perf_counter_ns()
        for codec, frame in zip(codecs, frames, strict=True):
            codec.decode(frame, NOW_NS)
        samples.append((time.perf_counter_ns() - begin) / len(frames))
    return statistics.median(samples) / 1_000


def _book_delta_us(count: int) -> float:
    """A delta of 20 levels near the top, of which a third are new or go."""
    dice = random.Random(1)
    book = OrderBook("BTC-USDT.X", BookRule.CONNECTION)
    cent = Decimal("0.01")
    book.on_snapshot(
        BookSnapshot(
            symbol=book.symbol,
            last_id=0,
            bids=tuple((10_000 - n * cent, Decimal(1)) for n in range(1, _LEVELS)),
            asks=tuple((10_000 + n * cent, Decimal(1)) for n in range(1, _LEVELS)),
            ts_event=1,
            ts_init=1,
        )
    )
    samples = []
    for _ in range(max(count, 1)):
        delta = _delta(dice, cent)
        begin = time.perf_counter_ns()
        book.on_delta(delta)
        samples.append(time.perf_counter_ns() - begin)
    return statistics.median(samples) / 1_000


def _delta(dice: random.Random, cent: Decimal) -> BookDelta:
    def levels(sign: int) -> tuple[BookLevel, ...]:
        return tuple(
            (10_000 + sign * dice.randint(1, 100) * cent, Decimal(dice.choice((0, 1, 2))))
            for _ in range(_DELTA_LEVELS // 2)
        )

    return BookDelta(
        symbol="BTC-USDT.X",
        first_id=0,
        last_id=0,
        bids=levels(-1),
        asks=levels(1),
        ts_event=1,
        ts_init=1,
    )
