"""Frames that are nearly right, and what must hold of whatever a codec makes of them."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from krator_actors.messages.market import Bar, BookDelta, BookSnapshot, QuoteTick, TradeTick
from krator_actors.ports import MarketCodec, MarketEvent
from tests.adapters.venue_payloads import NOW_NS, VENUES, VenueCells

SEEDS = [(venue, frame) for venue in VENUES for frame in venue.seeds()]

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**63, 10**30, 1e-300, 1e300, "", "NaN", "sNaN", "Infinity", "-1",
    "0", "1e999999999", "1_0", "x", [], {}, [[]], "BTCUSDT", "2026-01-01T00:00:00Z",
)  # fmt: skip
_YEAR_2100_NS = 4_102_444_800_000_000_000
_LIMIT = Decimal(10) ** 15


def check(codec: MarketCodec, frame: bytes | str, symbol: str) -> Sequence[MarketEvent]:
    """Decode; AssertionError when a wrong tick comes out, any other exception when one leaves."""
    events = codec.decode(frame, NOW_NS)
    for event in events:
        if isinstance(event, TradeTick | QuoteTick | Bar | BookSnapshot | BookDelta):
            assert event.symbol == symbol
        match event:
            case TradeTick():
                _require_positive(event.price, event.size)
                assert event.trade_id >= 0
                _require_time(event.ts_event)
            case QuoteTick():
                _require_positive(event.bid, event.ask)
                _require_sizes(event.bid_size, event.ask_size)
                assert event.bid <= event.ask
                _require_time(event.ts_event)
            case Bar():
                _require_positive(event.open, event.high, event.low, event.close)
                _require_sizes(event.volume)
                assert event.low <= min(event.open, event.close)
                assert event.high >= max(event.open, event.close)
                assert event.trades is None or event.trades >= 0
                _require_time(event.ts_open)
            case BookSnapshot() | BookDelta():
                for price, size in (*event.bids, *event.asks):
                    _require_positive(price)
                    _require_sizes(size)
                _require_time(event.ts_event)
            case _:
                pass
    return events


def mutated(frame: bytes, dice: random.Random) -> bytes:
    """Return the frame with one thing wrong: its JSON or its bytes."""
    if dice.random() < 0.5:
        return json.dumps(_with_one_change(json.loads(frame), dice)).encode()
    broken = bytearray(frame)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(broken) + 1)
        match dice.randrange(4):
            case 0:
                broken[at:at] = bytes([dice.randrange(256)])
            case 1:
                del broken[at : at + dice.randint(1, 8)]
            case 2:
                broken[at : at + 1] = dice.choice([b"-", b".", b"e9", b'"', b"\xff", b"[", b"}"])
            case _:
                broken[at:at] = broken[: dice.randrange(len(broken) + 1)]
    return bytes(broken)


def _with_one_change(tree: Any, dice: random.Random) -> Any:
    """Return the tree with another value somewhere, or with something gone or doubled."""
    if isinstance(tree, dict) and tree and dice.random() < 0.9:
        key = dice.choice(sorted(tree))
        kept = {k: v for k, v in tree.items() if k != key}
        return kept if dice.random() < 0.1 else {**kept, key: _with_one_change(tree[key], dice)}
    if isinstance(tree, list) and tree and dice.random() < 0.9:
        at = dice.randrange(len(tree))
        changed = [*tree[:at], _with_one_change(tree[at], dice), *tree[at + 1 :]]
        return changed * 2 if dice.random() < 0.1 else changed
    return dice.choice(_VALUES)


def _require_positive(*values: Decimal) -> None:
    for value in values:
        assert value.is_finite()
        assert 0 < value <= _LIMIT


def _require_sizes(*values: Decimal) -> None:
    for value in values:
        assert value.is_finite()
        assert 0 <= value <= _LIMIT


def _require_time(ts_ns: int) -> None:
    assert 0 < ts_ns < _YEAR_2100_NS


def begun(venue: VenueCells) -> MarketCodec:
    """Return a codec that has asked for all its streams, so that answers mean something."""
    codec = venue.codec()
    codec.subscribe(venue.streams)
    return codec
