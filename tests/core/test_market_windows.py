"""Recent prices and volume, against a plain list of what came."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.market_windows import (
    PRICE_SLOTS,
    VOLUME_SLOTS,
    PriceWindow,
    VolumeWindow,
    slot_ns,
)
from krator_actors.model import NANOS_PER_SEC

D = Decimal
SEC = NANOS_PER_SEC
STEPS = st.lists(st.tuples(st.integers(0, 8 * SEC), st.integers(1, 1_000)), min_size=1, max_size=80)


@given(steps=STEPS)
def test_price_window_is_that_of_the_slots_of_the_window(steps: list[tuple[int, int]]) -> None:
    window, length = PriceWindow(20), slot_ns(20, PRICE_SLOTS)
    now_ns, came = 0, []

    for passed_ns, mid in steps:
        now_ns += passed_ns
        came.append((now_ns // length, D(mid)))
        window.take(D(mid), now_ns)

    current = came[-1][0]
    inside = [(slot, mid) for slot, mid in came if slot > current - PRICE_SLOTS]
    lasts = dict(inside)
    assert window.total == (sum(lasts.values(), D(0)), len(lasts))
    assert window.range == (min(mid for _, mid in inside), max(mid for _, mid in inside))
    assert window.latest == came[-1][1]


@given(steps=STEPS)
def test_volume_window_is_what_was_added_in_the_slots_of_the_window(
    steps: list[tuple[int, int]],
) -> None:
    window, length = VolumeWindow(60), slot_ns(60, VOLUME_SLOTS)
    now_ns, total, came = 0, D(0), []

    for passed_ns, added in steps:
        now_ns += passed_ns
        total += added
        came.append((now_ns // length, added))
        window.take(total, 1.0, now_ns)

    current = came[-1][0]
    assert window.volume == sum(added for slot, added in came if slot > current - VOLUME_SLOTS)


def test_empty_window_has_nothing() -> None:
    window = PriceWindow(20)

    assert (window.total, window.range, window.latest) == ((D(0), 0), (D(0), D(0)), None)


def test_cleared_window_begins_anew() -> None:
    window = PriceWindow(20)
    window.take(D(1), 0)
    window.take(D(9), SEC)

    window.clear()
    empty = window.latest
    window.take(D(5), 2 * SEC)

    assert empty is None
    assert window.total == (D(5), 1)
    assert window.range == (D(5), D(5))


def test_slot_is_never_shorter_than_a_nanosecond() -> None:
    assert slot_ns(1e-9, 20) == 1
