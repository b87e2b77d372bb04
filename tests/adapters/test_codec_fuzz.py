"""No exception leaves a codec and no wrong tick comes out of it, whatever goes in.

``make fuzz`` does the same for longer, led by coverage.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.binance_market import BinanceMarket
from krator_actors.ports import MarketEvent
from tests.adapters.venue_payloads import VENUES, VenueCells, trade
from tests.adapters.wire_mutations import begun, check, mutated

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
every_venue = pytest.mark.parametrize("venue", VENUES, ids=lambda venue: venue.name)


@every_venue
@given(frame=st.binary(max_size=200) | st.text(max_size=200) | JSON.map(json.dumps))
def test_anything(venue: VenueCells, frame: bytes | str) -> None:
    check(begun(venue), frame, venue.symbol)


@every_venue
@given(data=st.data())
def test_any_json_in_the_envelope_of_a_frame(venue: VenueCells, data: st.DataObject) -> None:
    frame = json.loads(data.draw(st.sampled_from(venue.seeds())))
    inner = frame[0] if isinstance(frame, list) else frame
    key = data.draw(st.sampled_from(sorted(inner)))
    inner[key] = data.draw(JSON)

    check(begun(venue), json.dumps(frame), venue.symbol)


@every_venue
@given(seed=st.integers(0, 2**32))
def test_valid_frames_with_something_wrong_in_each(venue: VenueCells, seed: int) -> None:
    dice = random.Random(seed)
    codec = begun(venue)

    for _ in range(20):
        check(codec, mutated(dice.choice(venue.seeds()), dice), venue.symbol)


class Trusting(BinanceMarket):
    """A codec that believes everything."""

    def __init__(self, price: str) -> None:
        super().__init__(())
        self._price = Decimal(price)

    def decode(self, frame: bytes | str, ts_init: int) -> Sequence[MarketEvent]:
        return (trade("A-B.C", 1, None, price=self._price),)


@pytest.mark.parametrize("price", ["NaN", "-1", "1e999999", "0"])
def test_the_check_finds_a_wrong_tick(price: str) -> None:
    with pytest.raises(AssertionError):
        check(Trusting(price), b"", "A-B.C")
