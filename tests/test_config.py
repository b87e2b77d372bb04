"""The configuration file and its model say the same."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from krator_actors.config import Config, ConfigError, load

CONF = Path(__file__).parent.parent / "conf" / "krator.toml"


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

    with pytest.raises(ConfigError, match="not at the configured venue SIM"):
        load(path)


def test_same_strategy_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('[[strategies]]\nsymbol = "BTC-USDT.SIM"\n' * 2)

    with pytest.raises(ConfigError, match="configured twice"):
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
