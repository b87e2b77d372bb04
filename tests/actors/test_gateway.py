from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from krator_actors import gateway, gateway_address
from krator_actors.adapters.equity_file import EquityFile
from krator_actors.adapters.http_server import HttpServer, plain
from krator_actors.adapters.local_log import LocalLog, log_path
from krator_actors.config import RiskConfig, VenueConfig
from krator_actors.gateway import GatewayActor, GatewayConfig
from krator_actors.messages.operations import (
    JobReport,
    JobsStatus,
    JournalStatus,
    PublisherStatus,
)
from supervisors.messages import AskTimeoutError
from supervisors.observation import MessageTimes
from supervisors.status import Alarm, NodeStatus
from supervisors.system import NotRunningError
from supervisors.testing import ActorHarness
from supervisors.times import Times
from tests.core.day_events import BTC, D, approved, filled, initialized, submitted
from tests.core.portfolios import portfolio, position

JOURNAL = JournalStatus(
    connected=True, breaker="closed", seq=7, lag_records=0, watermarks={"risk": 1}
)
PUBLISHER = PublisherStatus(
    connected=False, breaker="open", waiting=3, published=4, left_out=2, outages=1, reason="gone"
)
JOBS = JobsStatus(
    jobs=(
        JobReport(
            name="daily_close", running=False, done_due_ns=1, next_ns=2, failures=4, left_out=0,
            reason="x",
        ),
    )
)  # fmt: skip


def tree(_runtime: Path) -> NodeStatus:
    risk = NodeStatus(
        name="risk", type="worker", state="running", inbox=3, inbox_limit=10, restarts=2
    )
    feed = NodeStatus(
        name="feed:SIM", type="worker", state="quarantined", alarms=(Alarm("quarantined", "", 1),)
    )
    return NodeStatus(name="root", type="supervisor", state="running", children=(risk, feed))


def times(_runtime: Path, name: str) -> dict[str, MessageTimes]:
    took = Times()
    took.add(100)
    kind = "SubmitOrder" if name == "risk" else "TradeTick"
    return {kind: MessageTimes(took.take(), took.take())}


@pytest.fixture(autouse=True)
def _seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "status", tree)
    monkeypatch.setattr(gateway, "times", times)
    monkeypatch.setattr(gateway, "offset_secs", lambda *_a, **_k: 0.25)


def actor(folder: Path, *, port: int = 0) -> ActorHarness:
    (folder / "data" / "log").mkdir(parents=True, exist_ok=True)
    (folder / "run").mkdir(exist_ok=True)
    return ActorHarness(
        GatewayActor,
        name="gateway",
        config=GatewayConfig(
            data_dir=folder / "data",
            port=port,
            interval_secs=0.05,
            venue=VenueConfig(),
            venue_url="http://127.0.0.1:1",
            risk=RiskConfig(),
            symbols=(BTC,),
            observed=("risk", "strategy:x"),
        ),
        runtime=folder / "run",
        answers={
            "risk": portfolio(positions=(position(quote_ts_init=5),)),
            "journal": JOURNAL,
            "publisher": PUBLISHER,
            "jobs": JOBS,
        },
    )


async def get(folder: Path, path: str) -> tuple[int, str]:
    url = f"{gateway_address.url(folder / 'run')}{path}"

    def fetch() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(fetch)


Samples = dict[tuple[str, ...], float]


async def samples(folder: Path) -> Samples:
    """Return name and label values to the number, of all that is exported now."""
    _, text = await get(folder, "/metrics")
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def until(folder: Path, *keys: tuple[str, ...]) -> Samples:
    """Wait until all of these are exported."""
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        now = await samples(folder)
        if set(keys) <= now.keys():
            return now
        assert asyncio.get_running_loop().time() < deadline, set(keys) - now.keys()
        await asyncio.sleep(0.02)


async def test_metrics_tell_what_the_others_have_said(tmp_path: Path) -> None:
    async with actor(tmp_path):
        seen = await until(
            tmp_path,
            ("krator_up", "risk"),
            ("krator_equity_quote",),
            ("krator_journal_events_total",),
            ("krator_job_failures", "daily_close"),
            ("krator_clock_offset_seconds",),
        )

    assert seen["krator_up", "risk"] == 1.0
    assert seen["krator_up", "feed:SIM"] == 0.0
    assert seen["krator_alarm_active", "feed:SIM", "quarantined"] == 1.0
    assert seen["krator_actor_quarantined", "feed:SIM"] == 1.0
    assert seen["krator_actor_restarts_total", "risk"] == 2.0
    assert seen["krator_inbox_messages", "risk"] == 3.0
    assert seen["krator_trading_state", "ACTIVE"] == 1.0
    assert seen["krator_limit_used_ratio", "position", BTC] == pytest.approx(50.5 / 2_000)
    assert seen["krator_feed_staleness_seconds", BTC] > 1e9
    assert seen[("krator_journal_events_total",)] == 7.0
    assert seen["krator_breaker_open", "redis"] == 1.0
    assert seen["krator_breaker_open", "postgresql"] == 0.0
    assert seen[("krator_publisher_dropped_events_total",)] == 2.0
    assert seen[("krator_clock_offset_seconds",)] == 0.25
    assert ("krator_sharpe_ratio",) not in seen


async def test_orders_are_read_from_the_logs(tmp_path: Path) -> None:
    async with actor(tmp_path):
        with (
            log_of(tmp_path, "risk") as risk,
            log_of(tmp_path, "order:SIM") as order,
        ):
            risk.append(approved("a"), ts_ns=1_000_000)
            order.append(initialized("a", ts_event=1_200_000), ts_ns=1_200_000)
            order.append(submitted("a", ts_event=1_400_000), ts_ns=1_400_000)
            order.append(filled("a", last_price=D("100.05")), ts_ns=2_000_000)
        seen = await until(tmp_path, ("krator_fills_total", BTC))

    assert seen["krator_orders_total", "filled"] == 1.0
    assert seen[("krator_fill_ratio",)] == 1.0
    assert seen["krator_slippage_mean_bps", BTC] == 5.0
    assert seen["krator_stage_seconds_sum", "risk_to_order"] == 0.0002
    assert seen["krator_stage_seconds_bucket", "0.000256", "risk_to_order"] == 1.0


def log_of(folder: Path, writer: str) -> LocalLog:
    path = log_path(folder / "data", writer)
    return LocalLog.open(path, writer=writer, generation=1, durability="process")


async def test_times_are_asked_of_one_actor_after_the_other(tmp_path: Path) -> None:
    async with actor(tmp_path):
        key = ("krator_stage_seconds_count", "tick_to_strategy")
        seen = await until(tmp_path, key)
        while not seen[key] or not seen["krator_stage_seconds_count", "risk_decision"]:
            seen = await until(tmp_path, key)

    assert seen["krator_stage_seconds_sum", "strategy_to_risk"] == 0.0001


async def test_scrape_does_not_wait_for_the_dead_and_shows_the_age_of_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_runtime: Path) -> NodeStatus:
        raise NotRunningError("gone")

    async with actor(tmp_path) as harness:
        before = await until(tmp_path, ("krator_up", "risk"), ("krator_equity_quote",))
        monkeypatch.setattr(gateway, "status", gone)
        harness.answer("risk", AskTimeoutError("dead"))
        harness.actor._sightings.stale_secs = 0.1

        deadline = asyncio.get_running_loop().time() + 30
        now = before
        while now["krator_up", "risk"] and asyncio.get_running_loop().time() < deadline:
            now = await samples(tmp_path)
        ready, text = await get(tmp_path, "/ready")

    assert now["krator_up", "risk"] == now["krator_up", "root"] == 0.0
    assert now[("krator_equity_quote",)] == before[("krator_equity_quote",)]
    assert now["krator_answer_age_seconds", "risk"] > 0.1
    assert ready == 503
    assert {"tree does not answer", "risk does not answer"} <= set(json.loads(text)["obstacles"])


async def test_paths_are_answered_and_others_are_not_there(tmp_path: Path) -> None:
    async with actor(tmp_path):
        await until(tmp_path, ("krator_up", "risk"), ("krator_equity_quote",))
        health, _ = await get(tmp_path, "/health")
        ready, obstacles = await get(tmp_path, "/ready")
        _, text = await get(tmp_path, "/status")
        nothing, _ = await get(tmp_path, "/orders")

    status: dict[str, Any] = json.loads(text)
    assert (health, ready, nothing) == (200, 503, 404)
    assert json.loads(obstacles)["obstacles"] == ["feed:SIM does not run"]
    assert status["tree"]["children"][0]["name"] == "risk"
    assert status["trading"]["equity"] == "100000"


async def test_taken_port_is_no_failure_and_is_used_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_PORT_AGAIN_SECS", 0.01)
    squatter = await HttpServer.start(lambda _: plain(HTTPStatus.OK), port=0)

    async with actor(tmp_path, port=squatter.port) as harness:
        assert gateway_address.url(tmp_path / "run") is None
        await squatter.close()
        await harness.eventually(lambda: gateway_address.url(tmp_path / "run") is not None)
        status, _ = await get(tmp_path, "/health")

    assert status == 200
    assert gateway_address.last_port(tmp_path / "run") == squatter.port


async def test_next_incarnation_takes_the_same_port(tmp_path: Path) -> None:
    async with actor(tmp_path):
        first = gateway_address.last_port(tmp_path / "run")

    async with actor(tmp_path):
        assert gateway_address.last_port(tmp_path / "run") == first


async def test_sharpe_and_sortino_do_not_begin_anew_with_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = EquityFile(tmp_path / "data" / "equity.txt", limit=100)
    for minute in range(60):
        file.append((minute, 1_000.0 + minute % 5))

    async with actor(tmp_path):
        seen = await until(tmp_path, ("krator_sharpe_ratio",), ("krator_sortino_ratio",))

    assert seen[("krator_equity_returns",)] == 59.0
