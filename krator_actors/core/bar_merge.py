"""Longer bars out of shorter ones, and which bars of a venue's history are finished."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from krator_actors.messages.bar_spec import BarSpec
from krator_actors.messages.market import Bar
from krator_actors.model import NANOS_PER_SEC


def merge_finished(bars: Sequence[Bar], spec: BarSpec, count: int) -> tuple[Bar, ...]:
    """Return the last ``count`` finished bars of time of ``spec``, oldest first.

    ``bars`` are oldest first, of a period that divides that of ``spec``. A longer bar
    is finished when there is a bar after it: the venue's own data is the proof, because its clock
    and ours may differ. A first bar whose beginning is not in ``bars`` is left out.
    """
    if not bars:
        return ()
    period_ns = spec.period_secs * NANOS_PER_SEC
    merged = [
        _merge(tuple(group), spec, index * period_ns)
        for index, group in groupby(bars, key=lambda bar: bar.ts_open // period_ns)
    ]
    newest_open = bars[-1].ts_open
    complete = [
        bar for bar in merged if bars[0].ts_open <= bar.ts_open and bar.ts_close <= newest_open
    ]
    return tuple(complete[-count:]) if count > 0 else ()


def _merge(bars: tuple[Bar, ...], spec: BarSpec, ts_open: int) -> Bar:
    # A period without a trade has a flat bar at an older price, which must not become high or low.
    traded = tuple(bar for bar in bars if bar.trades != 0) or bars
    counts = [bar.trades for bar in bars if bar.trades is not None]
    return Bar(
        symbol=bars[0].symbol,
        spec=spec,
        ts_open=ts_open,
        ts_close=ts_open + spec.period_secs * NANOS_PER_SEC,
        open=traded[0].open,
        high=max(bar.high for bar in traded),
        low=min(bar.low for bar in traded),
        close=traded[-1].close,
        volume=sum((bar.volume for bar in bars[1:]), bars[0].volume),
        trades=sum(counts) if len(counts) == len(bars) else None,
    )
