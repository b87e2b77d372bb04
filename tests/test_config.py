"""The configuration file and its model say the same."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from krator_actors.config import Config, ConfigError, VenueConfig, load
from krator_actors.core.redaction import Redactor
from krator_actors.strategy_config import (
    BuiltInStrategyConfig,
    EmaCrossConfig,
    MeanReversionConfig,
    OwnStrategyConfig,
    SmaCrossConfig,
)

CONF = Path(__file__).parent.parent / "conf" / "krator.toml"
KINDS: dict[str, type[BuiltInStrategyConfig]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(BuiltInStrategyConfig)
}
OWN = "breakout:Breakout"
Loaded = Callable[[str], Config]


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    path = tmp_path / "krator.toml"

    def load_text(text: str) -> Config:
        path.write_text(text)
        return load(path)

    return load_text


def with_examples() -> str:
    """The shipped file with its commented examples in force."""
    return re.sub(r"^# (?=\[\[|[a-z_]+ += )", "", CONF.read_text(), flags=re.MULTILINE)


def test_shipped_file_holds_exactly_the_defaults() -> None:
    assert load(CONF) == Config()


def test_shipped_file_names_every_key() -> None:
    written = tomllib.loads(CONF.read_text())

    model = Config().model_dump()

    for section, keys in model.items():
        if section == "strategies":
            assert [set(item) for item in written[section]] == [set(item) for item in keys]
        else:
            assert set(written[section]) == set(keys), section


def test_shipped_file_shows_every_kind_with_every_key() -> None:
    written = tomllib.loads(with_examples())["strategies"]

    assert {item["kind"] for item in written} == {*KINDS, OWN}
    for item in written:
        kind = KINDS.get(item["kind"], OwnStrategyConfig)
        assert set(item) == set(kind.model_fields), item["kind"]


def test_commented_examples_can_be_loaded_and_hold_the_defaults(loaded: Loaded) -> None:
    shipped, _, commented = with_examples().partition("# The other kinds")
    built_in, _, own = commented.partition("# One of your own")
    settings = shipped[: shipped.index("[[strategies]]")]
    examples = loaded(settings + built_in[built_in.index("[[strategies]]") :]).strategies

    assert [example.kind for example in examples] == ["ema_cross", "mean_reversion"]
    assert all(example == KINDS[example.kind](symbol=example.symbol) for example in examples)
    (example,) = loaded(settings + own[own.index("[[strategies]]") :]).strategies
    defaults = OwnStrategyConfig(kind=OWN, symbol=example.symbol)
    assert example.model_copy(update={"parameters": {}}) == defaults


BOUNDS = {
    "fast": (2, 500),
    "slow": (3, 1_000),
    "bollinger_period": (2, 500),
    "rsi_period": (2, 200),
    "atr_period": (2, 200),
}


@pytest.mark.parametrize("key", BOUNDS)
def test_shipped_file_tells_the_bounds_that_the_model_holds(key: str) -> None:
    low, high = BOUNDS[key]
    kind = next(kind for kind in KINDS.values() if key in kind.model_fields)
    others = {"fast": 2} if key == "slow" else {"slow": 1_000} if key == "fast" else {}

    assert re.search(
        rf"^(# )?{key} = \d+ +# bars, {low} to {high}\b", CONF.read_text(), re.MULTILINE
    )
    for value in (low, high):
        kind.model_validate({"symbol": "BTC-USDT.SIM", **others, key: value})
    for value in (low - 1, high + 1):
        with pytest.raises(ValueError, match=key):
            kind.model_validate({"symbol": "BTC-USDT.SIM", **others, key: value})


def test_each_kind_takes_its_own_keys(loaded: Loaded) -> None:
    config = loaded(
        '[[strategies]]\nkind = "ema_cross"\nsymbol = "BTC-USDT.SIM"\nfast = 12\nslow = 26\n'
        '[[strategies]]\nkind = "mean_reversion"\nsymbol = "ETH-USDT.SIM"\nstop_atr = 1.5\n'
        '[[strategies]]\nsymbol = "SOL-USDT.SIM"\n'
    )

    assert config.strategies == (
        EmaCrossConfig(symbol="BTC-USDT.SIM", fast=12, slow=26),
        MeanReversionConfig(symbol="ETH-USDT.SIM", stop_atr=1.5),
        SmaCrossConfig(symbol="SOL-USDT.SIM"),
    )


@pytest.mark.parametrize(
    ("kind", "bars"), [("sma_cross", 9), ("ema_cross", 25), ("mean_reversion", 71)]
)
def test_each_kind_makes_its_strategy_anew(kind: str, bars: int) -> None:
    config = KINDS[kind](symbol="BTC-USDT.SIM")

    assert config.actor_name == f"strategy:BTC-USDT.SIM/{kind}"
    assert config.make().warm_up_bars == bars
    assert config.make() is not config.make()


@pytest.mark.parametrize("kind", ['"rsi"', "3", '["sma_cross"]'])
def test_unknown_kind_is_told_which_there_are(loaded: Loaded, kind: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(f'[[strategies]]\nkind = {kind}\nsymbol = "BTC-USDT.SIM"\n')

    assert "strategies.0.kind: was" in str(caught.value)
    assert "allowed are 'sma_cross', 'ema_cross', 'mean_reversion', 'module:Class'" in str(
        caught.value
    )


def test_key_of_another_kind_is_refused_and_the_kind_s_own_are_named(loaded: Loaded) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded('[[strategies]]\nkind = "mean_reversion"\nsymbol = "BTC-USDT.SIM"\nfast = 3\n')

    (line,) = str(caught.value).splitlines()[1:]
    assert line.startswith("  strategies.0.fast: there is no such key; known are kind, symbol")
    assert line.endswith("stop_atr")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("bollinger_period", "1", "greater than or equal to 2, was 1"),
        ("bollinger_period", "501", "less than or equal to 500, was 501"),
        ("bollinger_deviations", "0", "greater than 0, was 0"),
        ("bollinger_deviations", "nan", "less than or equal to 10, was nan"),
        ("rsi_period", "201", "less than or equal to 200, was 201"),
        ("rsi_oversold", "50", "less than 50, was 50"),
        ("atr_period", "1.5", "integer, got a number with a fractional part, was 1.5"),
        ("stop_atr", "inf", "less than or equal to 100, was inf"),
    ],
)
def test_parameter_out_of_bounds_is_told_what_is_allowed(
    loaded: Loaded, key: str, value: str, allowed: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(
            f'[[strategies]]\nkind = "mean_reversion"\nsymbol = "BTC-USDT.SIM"\n{key} = {value}\n'
        )

    assert f"strategies.0.{key}: " in str(caught.value)
    assert allowed in str(caught.value)


def test_value_of_an_unknown_key_is_not_shown_because_it_may_be_a_secret(loaded: Loaded) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded('api_secret = "hunter2"\n[venue]\napi_secret = "hunter2"\n')

    assert "  api_secret: there is no such key; known are system" in str(caught.value)
    assert "  venue.api_secret: there is no such key; known are name" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_strategy_that_is_no_table_is_refused(loaded: Loaded) -> None:
    with pytest.raises(ConfigError, match=r"strategies\.0: Input should be a valid dictionary"):
        loaded("strategies = [3]")


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(
        '[system]\ndata_dri = "x"\n[risk]\nmax_orders_per_sec = 0\n'
        '[venue]\nkind = "nyse"\n[[strategies]]\nsymbol = "btc"\n'
    )

    with pytest.raises(ConfigError) as caught:
        load(path)

    text = str(caught.value)
    for key in ("system.data_dri", "risk.max_orders_per_sec", "venue.kind", "strategies.0.symbol"):
        assert key in text


def test_strategy_of_another_venue_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[[strategies]]\nsymbol = "BTC-USDT.KRAKEN"\n')

    with pytest.raises(ConfigError, match="is not at SIM"):
        load(path)


def test_same_strategy_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[[strategies]]\nsymbol = "BTC-USDT.SIM"\n' * 2)

    with pytest.raises(ConfigError, match="more than one strategy"):
        load(path)


def test_fast_average_that_is_not_below_the_slow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[[strategies]]\nsymbol = "BTC-USDT.SIM"\nfast = 8\nslow = 8\n')

    with pytest.raises(ConfigError, match="fast 8 must be below slow 8"):
        load(path)


@pytest.mark.parametrize("content", [b"[system\n", b"\xff\xfe"])
def test_unreadable_file_names_itself(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"bad\.toml"):
        load(path)


def test_missing_file_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config PATH"):
        load(tmp_path / "none.toml")


def test_limits_of_a_symbol_are_checked_like_the_common_ones(loaded: Loaded) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(
            '[risk.symbols."BTC-USDT.SIM"]\nmax_order_notional = "0"\nmax_open_orders = 3\n'
            'trading_hours = ["Mon 9-5"]\n'
        )

    text = str(caught.value)
    assert "risk.symbols.BTC-USDT.SIM.max_order_notional" in text
    assert "max_open_orders: there is no such key; known are max_position_fraction" in text
    assert "'Mon 9-5' is not" in text


def test_limits_of_a_symbol_that_nobody_trades_are_refused(loaded: Loaded) -> None:
    with pytest.raises(ConfigError, match=r"risk: XRP-USDT\.SIM is not traded"):
        loaded('[risk]\nrestricted_symbols = ["XRP-USDT.SIM"]\n')


def test_symbol_has_its_own_limits_and_for_the_rest_the_common_ones(loaded: Loaded) -> None:
    risk = loaded(
        '[risk]\nmax_order_notional = "700"\nquote_stale_secs = 2.0\n'
        '[risk.symbols]\n"BTC-USDT.SIM" = { max_order_notional = "900" }\n'
    ).risk

    own, common = risk.of_symbol("BTC-USDT.SIM"), risk.of_symbol("ETH-USDT.SIM")

    assert own.max_order_notional == 900
    assert common.max_order_notional == 700
    assert own.quote_stale_secs == common.quote_stale_secs == 2.0


@pytest.mark.parametrize(
    ("bar", "why"), [("5-SECOND", "is not like"), ("2-DAY-LAST", "longer than a day")]
)
def test_bar_that_cannot_be_is_refused_with_its_key(loaded: Loaded, bar: str, why: str) -> None:
    text = f'[[strategies]]\nsymbol = "BTC-USDT.SIM"\nbar = "{bar}"\n'

    with pytest.raises(ConfigError, match=f"strategies.0.bar: .*{why}"):
        loaded(text)


def test_bars_of_quotes_and_of_volume_may_be_decided_on(loaded: Loaded) -> None:
    for bar in ("10-VOLUME-LAST", "1-MINUTE-MID"):
        config = loaded(f'[[strategies]]\nsymbol = "BTC-USDT.SIM"\nbar = "{bar}"\n')

        assert str(config.strategies[0].bar_spec) == bar


@pytest.mark.parametrize("kind", get_args(VenueConfig.model_fields["kind"].annotation))
def test_orders_go_to_two_kinds_of_venue_only(kind: Any) -> None:
    assert VenueConfig(kind=kind).takes_orders is (kind in {"sim", "binance"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '[[strategies]]\nsymbol = "BTC-USDT.SIM"\norder_notional = "6000"\n',
            "strategies.0.order_notional: 6000 exceeds risk.max_order_notional, 5000 for BTC-USDT",
        ),
        (
            '[risk.symbols]\n"SOL-USDT.SIM" = { max_order_notional = "100" }\n',
            "strategies.2.order_notional: 500 exceeds risk.max_order_notional, 100 for SOL-USDT",
        ),
        ('[[strategies]]\nsymbol = "BTCUSDT"\n', "strategies.0.symbol: 'BTCUSDT' is not like BTC-"),
        ('[strategies]\nsymbol = "BTC-USDT.SIM"\n', "strategies: each one is a table of its own"),
        ("[supervision]\nbeat_secs = 0.0001\n", "supervision.beat_secs: Input should be greater"),
    ],
)
def test_mistake_is_told_so_that_it_can_be_mended(loaded: Loaded, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(text)

    (line,) = str(caught.value).splitlines()[1:]
    assert says in line


def test_missing_file_is_named_and_its_name_is_not_taken_for_an_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Path("nofile.toml"))

    assert (
        Redactor().text(str(caught.value))
        == "there is no configuration file: nofile.toml; pass --config PATH"
    )
