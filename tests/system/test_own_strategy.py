"""Strategies of one's own in a running system: a good one trades, while others raise and hang."""

from __future__ import annotations

import json

import pytest

from tests.system.harness import Krator, eventually
from tests.test_own_strategy import write_documented

GOOD = "strategy:BTC-USDT.SIM/Breakout"
BAD = """
from breakout import Breakout

class Raises(Breakout):
    def on_trade(self, trade, standing, /):
        raise RuntimeError("no idea")

class Hangs(Breakout):
    def on_trade(self, trade, standing, /):
        while True:
            pass

class Nonsense(Breakout):
    def on_trade(self, trade, standing, /):
        return ["buy"]
"""
MORE = """
[[strategies]]
kind = "bad:Raises"
symbol = "ETH-USDT.SIM"
[[strategies]]
kind = "bad:Hangs"
symbol = "SOL-USDT.SIM"
[[strategies]]
kind = "bad:Nonsense"
symbol = "BNB-USDT.SIM"
[supervision]
budget_restarts = 1
"""


@pytest.mark.system
def test_own_strategy_trades_while_others_raise_hang_and_return_nonsense(
    krator: Krator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(krator.folder), prepend=":")
    documented = write_documented(krator.folder).read_text().replace("bars = 5", "bars = 2")
    krator.config.write_text(documented + MORE)
    (krator.folder / "bad.py").write_text(BAD)

    krator.start()

    given_up = dict.fromkeys(("ETH", "SOL", "BNB"), "quarantined")
    eventually(lambda: states(krator) == {"BTC": "running", **given_up}, 60, "three are given up")
    before = handled(krator)
    eventually(lambda: handled(krator) > before, 30, "the good one sees the market")
    eventually(lambda: orders(krator) > 0, 60, "the good one has bought")
    assert generation(krator) == 1


def states(krator: Krator) -> dict[str, str]:
    """Return each strategy's state by the coin that it trades."""
    done = krator.command("status", "--json")
    nodes = [json.loads(done.stdout)] if done.returncode == 0 else []
    found: dict[str, str] = {}
    while nodes:
        node = nodes.pop()
        nodes += node["children"]
        if node["name"].startswith("strategy:"):
            found[node["name"].removeprefix("strategy:").partition("-")[0]] = node["state"]
    return found


def handled(krator: Krator) -> int:
    return int(krator.json("admin state", GOOD)["statistics"]["handled"])


def generation(krator: Krator) -> int:
    names = krator.json("admin names")["names"]
    return next(int(entry["generation"]) for entry in names if entry["name"] == GOOD)


def orders(krator: Krator) -> int:
    return int(krator.json("portfolio")["orders_approved"])
