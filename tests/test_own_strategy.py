"""A strategy of one's own: found, checked, and refused by the key's name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from krator_actors import own_strategy
from krator_actors.cli import main
from krator_actors.config import ConfigError, load, require_code

DOCS = Path(__file__).parent.parent / "docs" / "STRATEGIES.md"
GOOD = """
from krator_actors.core.strategies import Strategy
class Mine(Strategy):
    warm_up_bars = 1
    is_warm = True
    def on_bar(self, bar, standing, /):
        return []
"""
WITH_PARAMETERS = GOOD + "    def __init__(self, *, bars: int, name: str = 'x'): ...\n"
Tried = Callable[..., str]


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tried:
    """Try a module's ``Mine``; returns the mistake."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def try_code(code: str, **parameters: object) -> str:
        (tmp_path / "mine.py").write_text(code)
        return own_strategy.trial("mine:Mine", parameters)

    return try_code


def documented(language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    return str(block)


def write_documented(folder: Path) -> Path:
    (folder / "breakout.py").write_text(documented("python"))
    (folder / "my.toml").write_text(documented("toml"))
    return folder / "my.toml"


def test_documented_example_passes_config_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    code = main(["config", "check", "--json", "--config", str(write_documented(tmp_path))])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


def test_class_that_can_be_made_is_no_mistake(tried: Tried) -> None:
    assert tried(GOOD) == ""
    assert tried(WITH_PARAMETERS, bars=3) == ""


@pytest.mark.parametrize(
    ("code", "parameters", "says"),
    [
        ("import nowhere_to_be_found", {}, "kind: .*No module named 'nowhere_to_be_found'"),
        ("class Mine(", {}, "kind: .*SyntaxError.*mine.py"),
        ("1 / 0", {}, "kind: .*ZeroDivisionError.*mine.py.*line 1"),
        ("import sys; sys.exit(0)", {}, "kind: .*its process ended with 0"),
        ("import os; os.abort()", {}, "kind: .*its process ended with -6|kind: .*Abort"),
        ("class Other: ...", {}, "kind: mine:Mine is no subclass of"),
        ("class Mine: ...", {}, "kind: mine:Mine is no subclass of"),
        (GOOD.replace("on_bar", "on_bars"), {}, "kind: .*abstract method.*on_bar"),
        (GOOD.replace("= 1", "= 0"), {}, "kind: .*warm_up_bars was 0"),
        (GOOD.replace("= 1", "= 'x'"), {}, "kind: .*warm_up_bars was 'x'"),
        (GOOD, {"bars": 3}, "parameters: .*has no constructor"),
        (WITH_PARAMETERS, {}, r"parameters\.bars: Missing required"),
        (WITH_PARAMETERS, {"bars": "many"}, r"parameters\.bars: Input should be a valid integer"),
        (WITH_PARAMETERS, {"bars": 3, "fast": 1}, r"parameters\.fast: Unexpected"),
    ],
)
def test_what_cannot_be_run_is_told_with_its_key(
    tried: Tried, code: str, parameters: dict[str, object], says: str
) -> None:
    assert re.fullmatch(f"{says}.*", tried(code, **parameters))


def test_class_that_hangs_while_it_is_made_is_told(
    tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_strategy, "_TRIAL_SECS", 0.5)

    assert "not made within" in tried("while True: ...")


def test_every_strategy_that_cannot_be_run_is_told_and_run_starts_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "my.toml"
    config.write_text(
        '[[strategies]]\nkind = "not_there:A"\nsymbol = "BTC-USDT.SIM"\n'
        '[[strategies]]\nkind = "sma_cross"\nsymbol = "SOL-USDT.SIM"\n'
        '[[strategies]]\nkind = "nor_here:B"\nsymbol = "ETH-USDT.SIM"\n'
    )

    code = main(["run", "--config", str(config), "--data-dir", str(tmp_path / "data")])

    assert code == 2
    said = capsys.readouterr().err
    assert "strategies.0.kind: not_there:A" in said
    assert "strategies.2.kind: nor_here:B" in said
    assert not (tmp_path / "data").exists()


def test_commands_in_an_emergency_need_no_class(tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text('[[strategies]]\nkind = "not_there:A"\nsymbol = "BTC-USDT.SIM"\n')

    loaded = load(config)

    assert loaded.strategies[0].actor_name == "strategy:BTC-USDT.SIM/A"
    with pytest.raises(ConfigError, match="not_there"):
        require_code(loaded)
