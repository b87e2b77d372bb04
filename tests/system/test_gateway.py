"""The gateway serves a running system, and whatever becomes of it, trading does not notice."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import signal
import urllib.request
from typing import Any

import pytest

from tests.system.harness import ROOT, Krator, eventually
from tests.system.test_redis import busy, fills, nodes, pids, trades_on

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

CONDITIONAL = {
    "krator_alarm_active",  # nothing is wrong
    "krator_latched_states",  # nothing is halted
    "krator_denials_total",  # nothing is denied
    "krator_log_dropped_lines_total",  # nothing is lost
    "krator_open_orders",  # market orders end at once
    "krator_sharpe_ratio",  # half an hour of samples
    "krator_sortino_ratio",
}
"""Metrics that a system that is well, and young, has no number for."""


def fetch(krator: Krator, path: str) -> str | None:
    """Return the body; None while nobody answers, or not yet with 200."""
    url = krator.json("status")["gateway"]
    try:
        with urllib.request.urlopen(f"{url}{path}", timeout=5) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def named_in_conf() -> set[str]:
    text = "".join(
        (ROOT / path).read_text()
        for path in ("conf/grafana/krator.json", "conf/prometheus/krator.rules.yml")
    )
    return set(re.findall(r"krator_[a-z_]+", text))


def with_numbers(krator: Krator) -> set[str]:
    text = fetch(krator, "/metrics") or ""
    return set(re.findall(r"^(krator_[a-z_]+)[{ ]", text, re.MULTILINE))


def test_whatever_becomes_of_the_gateway_trading_goes_on(krator: Krator) -> None:
    busy(krator, "[gateway]\ninterval_secs = 0.5\n")
    run = krator.start()
    krator.wait_ready(run)
    eventually(lambda: fills(krator), 60, "the first fill")

    eventually(
        lambda: named_in_conf() <= with_numbers(krator) | CONDITIONAL,
        30,
        "every metric that conf/ names has a number",
    )
    eventually(lambda: fetch(krator, "/ready"), 30, "it is ready")
    status: dict[str, Any] = json.loads(fetch(krator, "/status") or "{}")
    assert {node["name"] for node in nodes(status["tree"])} >= {"risk", "gateway", "feed:SIM"}
    assert krator.json("status")["gateway"] in krator.output()

    before, url = pids(krator), krator.json("status")["gateway"]
    for number in (signal.SIGKILL, signal.SIGSTOP):
        gateway = pids(krator)["gateway"]
        os.kill(gateway, number)
        trades_on(krator, f"{number.name} of the gateway")
        _wait_for_another(krator, gateway)
        eventually(lambda: fetch(krator, "/health"), 30, "it answers again")
    after = pids(krator)
    assert {**after, "gateway": 0} == {**before, "gateway": 0}
    assert krator.json("status")["gateway"] == url

    assert krator.command("stop").returncode == 0
    assert run.wait(60) == 0, krator.output()

    today = krator.command("close", _day_of(krator), "--json")
    assert today.returncode == 0, today.stdout[-2_000:] + today.stderr
    report = json.loads(today.stdout)
    assert len(report["fills"]) == fills(krator)
    assert (krator.data_dir / "reports" / f"{report['day']}.html").exists()
    assert krator.leftovers() == []


def _day_of(krator: Krator) -> str:
    began = (krator.data_dir / "version").stat().st_mtime
    return str(dt.datetime.fromtimestamp(began, dt.UTC).date())


def _wait_for_another(krator: Krator, old: int) -> None:
    eventually(lambda: pids(krator).get("gateway", old) != old, 60, "another gateway runs")
