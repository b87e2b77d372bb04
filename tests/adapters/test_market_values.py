from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.market_values import StreamRequests, base_and_quote, utc_ns
from krator_actors.ports import Channel, MalformedFrameError, Stream, StreamsChanged, StreamsRefused

A, B = Stream("A-X.V", Channel.TRADES), Stream("B-X.V", Channel.TRADES)


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 1, 1)),  # noqa: DTZ001 - made aware below
    st.integers(0, 9),
)
def test_time_is_read_to_the_nanosecond_with_any_number_of_digits(
    moment: datetime, digits: int
) -> None:
    moment = moment.replace(tzinfo=UTC)
    nanos = f"{moment.microsecond:06d}789"[:digits]
    text = f"{moment:%Y-%m-%dT%H:%M:%S}" + (f".{nanos}" if nanos else "") + "Z"

    whole = int(moment.replace(microsecond=0).timestamp()) * 10**9
    assert utc_ns(text) == whole + int(nanos.ljust(9, "0"))


@pytest.mark.parametrize(
    "text",
    ["", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+01:00", "2026-13-01T00:00:00Z",
     "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "2200-01-01T00:00:00Z",
     "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.1234567890Z", "٢026-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_time_of_a_market_is_refused(text: str) -> None:
    with pytest.raises(MalformedFrameError) as refused:
        utc_ns(text)

    assert refused.value.reason == "BAD_TIME"


def test_base_and_quote_are_parted_at_the_last_dash() -> None:
    assert base_and_quote("BTC-USDT.BINANCE") == ("BTC", "USDT")
    assert base_and_quote("BRK.B-USD.ALPACA") == ("BRK.B", "USD")


def test_streams_are_active_when_confirmed_and_until_their_end_is() -> None:
    requests = StreamRequests()
    begun = requests.ask([A, B], begin=True)
    ended = requests.ask([A], begin=False)

    told = [
        requests.confirm(begun, {A}),
        requests.confirm(begun, {B}),
        requests.confirm(begun, {B}),
        requests.confirm(ended),
    ]

    assert told == [StreamsChanged(frozenset(active)) for active in ({A}, {A, B}, {A, B}, {B})]


def test_refused_streams_are_named_once_and_never_active() -> None:
    requests = StreamRequests()
    number = requests.ask([A, B], begin=True)

    first = requests.refuse(number, "no", {A})
    rest = requests.refuse(number, "no")
    after = requests.confirm(number)

    assert first == StreamsRefused(frozenset({A}), "no")
    assert rest == StreamsRefused(frozenset({B}), "no")
    assert after == StreamsChanged(frozenset())
