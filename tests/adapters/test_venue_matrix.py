"""The acceptance matrix: every venue's codec, every thing that a venue may say, a cell a case."""

from __future__ import annotations

import copy
import json
from typing import Any, get_args

import pytest

from krator_actors.adapters.venues import MARKET_VENUES
from krator_actors.config import VenueConfig
from krator_actors.core.books import BookRule
from krator_actors.messages.market import Bar, BookDelta, BookSnapshot, QuoteTick, TradeTick
from krator_actors.ports import (
    Channel,
    CloseAdvice,
    FramesMissing,
    MarketCodec,
    MarketEvent,
    Stream,
    StreamsChanged,
    StreamsRefused,
    UnknownFrame,
)
from tests.adapters.venue_payloads import NOW_NS, VENUES, Case, NotOffered, VenueCells, text

CELLS = (
    "login", "ack", "unsubscribed", "error", "heartbeat", "status", "snapshot", "diff", "trade",
    "correction", "quote", "bar", "rate limit", "closing", "missing frame", "unknown",
)  # fmt: skip
every_venue = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)


def asked(venue: VenueCells) -> MarketCodec:
    codec = venue.codec()
    codec.subscribe(venue.streams)
    codec.unsubscribe(venue.streams)
    return codec


def read(codec: MarketCodec, case: Case) -> list[MarketEvent]:
    return [event for frame in case.frames for event in codec.decode(text(frame), NOW_NS)]


@every_venue
@pytest.mark.parametrize("cell", CELLS)
def test_cell(venue: VenueCells, cell: str) -> None:
    case = venue.cells[cell]
    if isinstance(case, NotOffered):
        assert case.why
        return

    assert read(asked(venue), case) == list(case.events)


@every_venue
def test_a_frame_is_read_the_same_from_text_as_from_bytes(venue: VenueCells) -> None:
    for case in venue.cells.values():
        if isinstance(case, Case):
            codec = asked(venue)
            events = [e for f in case.frames for e in codec.decode(text(f).decode(), NOW_NS)]
            assert events == list(case.events)


@every_venue
def test_subscription_asks_for_every_stream_that_is_offered(venue: VenueCells) -> None:
    codec = venue.codec()

    asked_for = [json.loads(frame) for frame in codec.subscribe(venue.streams)]
    ended = [json.loads(frame) for frame in codec.unsubscribe(venue.streams)]

    assert asked_for == list(venue.subscribe)
    assert ended == list(venue.unsubscribe)


@every_venue
def test_login_is_sent_only_where_the_venue_wants_one(venue: VenueCells) -> None:
    codec = venue.codec()

    frames = codec.login("key", "word")

    assert bool(frames) is codec.needs_login
    assert codec.needs_login is isinstance(venue.cells["login"], Case)
    if frames:
        assert json.loads(frames[0]) == {"action": "auth", "key": "key", "secret": "word"}


@every_venue
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (1000, CloseAdvice.RECONNECT),
        (1001, CloseAdvice.RECONNECT),
        (1003, CloseAdvice.GIVE_UP),
        (1006, CloseAdvice.RECONNECT),
        (1008, CloseAdvice.WAIT),
        (1011, CloseAdvice.RECONNECT),
        (1012, CloseAdvice.RECONNECT),
        (1013, CloseAdvice.WAIT),
        (4999, CloseAdvice.RECONNECT),
    ],
)
def test_close_code_says_what_to_do(venue: VenueCells, code: int, advice: CloseAdvice) -> None:
    assert venue.codec().on_close(code) is advice


@every_venue
def test_every_cell_is_filled_and_offers_what_the_codec_says(venue: VenueCells) -> None:
    codec = venue.codec()
    offered = {cell for cell, case in venue.cells.items() if isinstance(case, Case)}

    assert set(venue.cells) == set(CELLS)
    assert ("diff" in offered) is (Channel.BOOK in codec.channels)
    assert ("snapshot" in offered) is codec.book_snapshot_streamed
    assert (codec.book_rule is None) is (Channel.BOOK not in codec.channels)
    assert ("missing frame" in offered) is (codec.book_rule is BookRule.CONNECTION)
    assert {"ack", "error", "trade", "quote", "bar", "rate limit", "unknown"} <= offered


def test_every_kind_of_venue_in_the_configuration_has_a_codec() -> None:
    kinds = get_args(VenueConfig.model_fields["kind"].annotation)

    assert set(kinds) == set(MARKET_VENUES)
    for kind, venue in MARKET_VENUES.items():
        assert bool(venue.streams_url) is bool(venue.rest_url) is (kind != "sim")
        assert venue.codec(("BTC-USDT.X",)).decode(b"", NOW_NS)[0] == UnknownFrame(
            "BAD_JSON", "Input data was truncated"
        )


def test_a_channel_that_a_venue_does_not_offer_is_refused() -> None:
    alpaca = VENUES[-1]

    with pytest.raises(ValueError, match="Alpaca does not offer book"):
        alpaca.codec().subscribe([Stream(alpaca.symbol, Channel.BOOK)])


@every_venue
def test_a_symbol_that_is_not_configured_gives_no_tick(venue: VenueCells) -> None:
    codec = venue.make(("ETH-EUR.X",))

    for case in venue.cells.values():
        if isinstance(case, Case):
            events = read(codec, case)
            assert not any(
                isinstance(event, TradeTick | QuoteTick | Bar | BookSnapshot | BookDelta)
                for event in events
            )


def without(frame: Any, key: str) -> Any:
    """Return the frame with one key taken out wherever it is."""
    if isinstance(frame, dict):
        return {k: without(v, key) for k, v in frame.items() if k != key}
    return [without(item, key) for item in frame] if isinstance(frame, list) else frame


def put(frame: Any, key: str, value: Any) -> Any:
    """Return the frame with another value for one key wherever it is."""
    if isinstance(frame, dict):
        return {k: value if k == key else put(v, key, value) for k, v in frame.items()}
    return [put(item, key, value) for item in frame] if isinstance(frame, list) else frame


PRICES = {"binance": "p", "coinbase": "price", "kraken": "price", "alpaca": "p"}
BIDS = {"binance": "b", "coinbase": "best_bid", "kraken": "bid", "alpaca": "bp"}
TIMES = {"binance": "T", "coinbase": "time", "kraken": "timestamp", "alpaca": "t"}
BAD_PRICES = [
    "NaN", "sNaN", "Infinity", "-Infinity", "-1", "0", "1e999999999", "1e-999999999", "cheap", "",
    -1, 0, 1e30, 1e-30, None, True, [], {},
]  # fmt: skip
named = pytest.mark.parametrize(
    "venue", [v for v in VENUES if v.name in PRICES], ids=lambda venue: venue.name
)


def only(venue: VenueCells, cell: str) -> Any:
    case = venue.cells[cell]
    assert isinstance(case, Case)
    return case.frames[0]


@named
@pytest.mark.parametrize("price", BAD_PRICES, ids=repr)
def test_no_absurd_price_becomes_a_trade(venue: VenueCells, price: Any) -> None:
    frame = put(only(venue, "trade"), PRICES[venue.name], price)

    events = venue.codec().decode(text(frame), NOW_NS)

    assert {type(event) for event in events} - {FramesMissing} == {UnknownFrame}


@named
@pytest.mark.parametrize("price", [*BAD_PRICES, 9999, "9999"], ids=repr)
def test_no_absurd_or_crossed_price_becomes_a_quote(venue: VenueCells, price: Any) -> None:
    frame = put(only(venue, "quote"), BIDS[venue.name], price)

    events = venue.codec().decode(text(frame), NOW_NS)

    assert {type(event) for event in events} - {FramesMissing} == {UnknownFrame}


@named
@pytest.mark.parametrize(
    "time", ["", "yesterday", "0001-01-01T00:00:00Z", "2026-02-30T00:00:00Z",
             "2026-01-01T00:00:00", 0, -5, 10**18, None],
    ids=repr,
)  # fmt: skip
def test_no_absurd_time_becomes_a_trade(venue: VenueCells, time: Any) -> None:
    frame = put(only(venue, "trade"), TIMES[venue.name], time)

    events = venue.codec().decode(text(frame), NOW_NS)

    assert {type(event) for event in events} - {FramesMissing} == {UnknownFrame}


@named
@pytest.mark.parametrize("cell", ["trade", "quote"])
def test_a_missing_field_is_told_by_its_reason(venue: VenueCells, cell: str) -> None:
    frame = only(venue, cell)
    key = (PRICES if cell == "trade" else BIDS)[venue.name]

    events = venue.codec().decode(text(without(frame, key)), NOW_NS)

    told = {event for event in events if isinstance(event, UnknownFrame)}
    assert {event.reason for event in told} == {"BAD_SHAPE"}
    assert all(key in event.detail for event in told)


@every_venue
@pytest.mark.parametrize(
    "frame", [b"", b"{", b"null", b"[]", b"{}", b"7", b"\xff\xfe", b"[" * 100_000, b"{}{}",
              b'{"a":' * 50_000, "\ud800", '"\ud83d"'],
    ids=lambda frame: repr(frame[:6]),
)  # fmt: skip
def test_what_is_no_frame_is_told_and_never_raised(venue: VenueCells, frame: bytes | str) -> None:
    events = venue.codec().decode(frame, NOW_NS)

    if frame == b"[]" and venue.name == "alpaca":
        assert list(events) == []
    else:
        assert [type(event) for event in events] == [UnknownFrame]


def test_a_bad_trade_does_not_spoil_the_others_of_its_frame() -> None:
    for venue in VENUES:
        if venue.name not in {"coinbase", "alpaca"}:
            continue
        frame = copy.deepcopy(only(venue, "trade"))
        trades = frame["events"][0]["trades"] if venue.name == "coinbase" else frame
        trades[0] = put(trades[0], PRICES[venue.name], 0 if venue.name == "alpaca" else "0")

        events = venue.codec().decode(text(frame), NOW_NS)

        assert sorted(type(event).__name__ for event in events) == ["TradeTick", "UnknownFrame"]


def test_kraken_refuses_a_pair_that_it_does_not_know() -> None:
    kraken = VENUES[4]
    codec = asked(kraken)
    refusal = {"method": "subscribe", "success": False, "error": "not supported", "symbol": "X/Y"}

    (event,) = codec.decode(text(refusal), NOW_NS)

    assert event == StreamsRefused(frozenset(), "X/Y: not supported")


def test_binance_asks_for_a_hundred_streams_in_a_frame() -> None:
    symbols = [f"A{n}-USDT.BINANCE" for n in range(150)]
    codec = VENUES[1].make(symbols)

    frames = codec.subscribe([Stream(symbol, Channel.TRADES) for symbol in symbols])
    events = [e for n in (1, 2) for e in codec.decode(text({"result": None, "id": n}), NOW_NS)]

    assert [len(json.loads(frame)["params"]) for frame in frames] == [100, 50]
    assert all(isinstance(event, StreamsChanged) for event in events)
    newest = events[-1]
    assert isinstance(newest, StreamsChanged)
    assert len(newest.active) == 150
