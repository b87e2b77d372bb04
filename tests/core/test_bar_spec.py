from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.messages.bar_spec import (
    BarPrice,
    BarSpec,
    BarUnit,
    format_bar_type,
    parse_bar_type,
)


def possible(step: int, unit: BarUnit, price: BarPrice) -> BarSpec | None:
    try:
        return BarSpec(step, unit, price)
    except ValueError:
        return None


specs = st.builds(
    possible, st.integers(1, 10**6), st.sampled_from(BarUnit), st.sampled_from(BarPrice)
).filter(lambda spec: spec is not None)


@given(specs)
def test_what_is_written_is_read_again(spec: BarSpec) -> None:
    assert BarSpec.parse(str(spec)) == spec
    assert parse_bar_type(format_bar_type("BTC-USDT.BINANCE", spec)) == ("BTC-USDT.BINANCE", spec)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=BarSpec) == spec


def test_bar_type_is_symbol_step_unit_and_price() -> None:
    symbol, spec = parse_bar_type("BTC-USDT.BINANCE-1-MINUTE-LAST")

    assert symbol == "BTC-USDT.BINANCE"
    assert spec == BarSpec(1, BarUnit.MINUTE, BarPrice.LAST)
    assert format_bar_type(symbol, spec) == "BTC-USDT.BINANCE-1-MINUTE-LAST"


@pytest.mark.parametrize(
    ("text", "period_secs", "has_history"),
    [
        ("5-SECOND-LAST", 5, True),
        ("1-MINUTE-MID", 60, False),
        ("24-HOUR-LAST", 86_400, True),
        ("1-DAY-LAST", 86_400, True),
        ("100-TICK-LAST", 0, False),
        ("100-VOLUME-LAST", 0, False),
    ],
)
def test_only_bars_of_time_have_a_period_and_of_trades_a_history(
    text: str,
    period_secs: int,
    has_history: bool,  # noqa: FBT001 - a case
) -> None:
    spec = BarSpec.parse(text)

    assert spec.period_secs == period_secs
    assert spec.has_history is has_history


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not like 1-MINUTE-LAST"),
        ("0-MINUTE-LAST", "is not like"),
        ("-1-MINUTE-LAST", "is not like"),
        ("1-minute-LAST", "is not like"),
        ("٣-MINUTE-LAST", "is not like"),
        ("1-MONTH-LAST", "MONTH is none of SECOND"),
        ("1-MINUTE-OPEN", "OPEN is none of LAST"),
        ("2-DAY-LAST", "longer than a day"),
        ("86401-SECOND-LAST", "longer than a day"),
        ("10-VOLUME-MID", "quotes have no volume"),
        ("10-VALUE-BID", "quotes have no value"),
    ],
)
def test_what_is_no_bar_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        BarSpec.parse(text)


def test_a_step_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="the step was 0"):
        BarSpec(0, BarUnit.TICK)


@pytest.mark.parametrize("text", ["", "BTC-USDT.BINANCE", "-1-MINUTE-LAST", "X-1-MINUTE"])
def test_what_is_no_bar_type_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not like"):
        parse_bar_type(text)
