from __future__ import annotations

import asyncio
import datetime as dt
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from krator_actors import clock as clocks
from krator_actors import jobs
from krator_actors.adapters.local_log import LocalLog, log_path
from krator_actors.adapters.log_follower import LogFollower
from krator_actors.adapters.postgres import JournalStore
from krator_actors.config import Config
from krator_actors.core.schedule import DueJob, JobState
from krator_actors.daily_close import close_day
from krator_actors.jobs import JobsActor, JobsConfig
from krator_actors.messages.operations import JobReport, JobsStatus, JobsStatusRequest
from krator_actors.messages.orders import OrderDenied
from krator_actors.model import NANOS_PER_SEC
from krator_actors.retention import RetentionLimits
from supervisors.testing import ActorHarness

NO_DATABASE = "postgresql://krator@/postgres?host=/nonexistent"


class Clock:
    """The actor's UTC clock, set by the test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ns = at("2026-11-22T12:00:00")
        monkeypatch.setattr(clocks, "utc_ns", lambda: self.now_ns)

    def set(self, text: str) -> None:
        self.now_ns = at(text)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(jobs, "_CHECK_SECS", 0.01)
    return Clock(monkeypatch)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def at(text: str) -> int:
    return int(dt.datetime.fromisoformat(f"{text}+00:00").timestamp()) * NANOS_PER_SEC


def actor(data_dir: Path, dsn: str = NO_DATABASE, **changes: Any) -> ActorHarness:
    config = {
        "config": Config(),
        "venue_url": "",
        "data_dir": data_dir,
        "dsn": dsn,
        "daily_close_secs": 60,
        "retention_secs": 3_600,
        "catch_up_days": 3,
        "deadline_secs": 20.0,
        "retry_first_secs": 60.0,
        "retry_max_secs": 3_600.0,
        "limits": RetentionLimits(logs_days=14, crash_files_days=30, replays_days=7),
    }
    return ActorHarness(JobsActor, name="jobs", config=JobsConfig(**{**config, **changes}))


async def report_of(harness: ActorHarness, name: str) -> JobReport:
    answer = await harness.deliver(JobsStatusRequest(), sender="cli")
    assert isinstance(answer, JobsStatus)
    return next(job for job in answer.jobs if job.name == name)


def saved(data_dir: Path) -> dict[str, JobState]:
    return msgspec.json.decode((data_dir / "jobs.json").read_bytes(), type=dict[str, JobState])


async def journal(data_dir: Path, dsn: str, *times: str) -> None:
    """Journal one denied order for each time."""
    with LocalLog.open(
        log_path(data_dir, "risk"), writer="risk", generation=1, durability="process"
    ) as log:
        for number, time in enumerate(times):
            event = OrderDenied(
                client_order_id=f"o-{number}",
                strategy="s",
                symbol="BTC-USDT.SIM",
                reason="MAX_POSITION",
                detail="",
                ts_event=1,
            )
            log.append(event, ts_ns=at(time))
    follower = LogFollower(data_dir, limit=100)
    store = await JournalStore.connect(dsn, generation=1, now_ns=1)
    await store.append(follower.batch(), ts_written=1)
    await store.close()
    follower.close()


async def test_day_is_closed_when_it_has_ended(
    data_dir: Path, postgres_dsn: str, clock: Clock
) -> None:
    await journal(
        data_dir, postgres_dsn, "2026-11-21T23:59:59", "2026-11-22T13:00:00", "2026-11-23T00:00:00"
    )
    path = data_dir / "reports" / "2026-11-22.json"

    async with actor(data_dir, postgres_dsn) as harness:
        assert not (data_dir / "reports").exists()
        clock.set("2026-11-23T00:01:00")
        await harness.eventually(path.exists, timeout_secs=20)
        await harness.eventually(lambda: harness.actor._running is None)

        report = msgspec.json.decode(path.read_bytes())
        assert [order["client_order_id"] for order in report["orders"]] == ["o-1"]
        assert report["totals"]["denied"] == 1
        assert report["totals_at_end"]["denied"] == 2
        assert "MAX_POSITION" in path.with_suffix(".txt").read_text()
        done = await report_of(harness, "daily_close")
        assert done.done_due_ns == at("2026-11-23T00:01:00")
        assert harness.actor.describe_state()["daily_close"] == msgspec.to_builtins(done)


async def test_report_that_is_there_already_is_replaced(data_dir: Path, postgres_dsn: str) -> None:
    await journal(data_dir, postgres_dsn, "2026-11-20T10:00:00")
    day = dt.date(2026, 11, 20)
    _, path = await close_day(Config(), data_dir, postgres_dsn, day, venue_url="", ask_risk=None)
    path.write_text("older")

    _, again = await close_day(Config(), data_dir, postgres_dsn, day, venue_url="", ask_risk=None)

    assert again == path
    assert msgspec.json.decode(path.read_bytes())["totals"]["denied"] == 1
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "2026-11-20.html",
        "2026-11-20.json",
        "2026-11-20.txt",
    ]


async def test_missed_days_are_closed_after_a_restart(
    data_dir: Path, postgres_dsn: str, clock: Clock
) -> None:
    await journal(data_dir, postgres_dsn, "2026-11-20T10:00:00")
    clock.set("2026-11-20T12:00:00")
    async with actor(data_dir, postgres_dsn):
        pass
    clock.set("2026-11-22T12:00:00")

    async with actor(data_dir, postgres_dsn) as harness:
        await harness.eventually((data_dir / "reports" / "2026-11-21.json").exists, timeout_secs=20)

    reports = data_dir / "reports"
    assert sorted(path.name for path in reports.glob("*.json")) == [
        "2026-11-20.json",
        "2026-11-21.json",
    ]


async def test_job_that_fails_is_visible_and_tried_again(data_dir: Path, clock: Clock) -> None:
    async with actor(data_dir) as harness:
        clock.set("2026-11-23T00:01:00")
        await harness.eventually(lambda: saved(data_dir)["daily_close"].failures == 1)
        report = await report_of(harness, "daily_close")
        clock.set("2026-11-23T00:02:00")
        await harness.eventually(lambda: saved(data_dir)["daily_close"].failures == 2)

    assert report.next_ns == at("2026-11-23T00:02:00")
    assert "JournalUnavailableError" in report.reason
    assert saved(data_dir)["daily_close"].retry_ns == at("2026-11-23T00:04:00")


async def test_failures_are_remembered_across_a_restart(data_dir: Path, clock: Clock) -> None:
    async with actor(data_dir) as harness:
        clock.set("2026-11-23T00:01:00")
        await harness.eventually(lambda: saved(data_dir)["daily_close"].failures == 1)

    async with actor(data_dir) as harness:
        report = await report_of(harness, "daily_close")

    assert (report.failures, report.running) == (1, False)


async def test_job_that_takes_too_long_has_failed_and_the_actor_answers_meanwhile(
    data_dir: Path, clock: Clock
) -> None:
    async def hang(_job: DueJob) -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    async with actor(data_dir, deadline_secs=0.2) as harness:
        harness.actor._work["daily_close"] = hang
        clock.set("2026-11-23T00:01:00")
        await harness.eventually(lambda: harness.actor._running is not None)
        during = await report_of(harness, "daily_close")
        await harness.eventually(lambda: saved(data_dir)["daily_close"].failures == 1)

    assert during.running
    assert saved(data_dir)["daily_close"].reason == "not done within 0.2 s"


async def test_fault_of_one_job_is_not_the_others(data_dir: Path, clock: Clock) -> None:
    async def faulty(_job: DueJob) -> dict[str, Any]:
        raise ZeroDivisionError

    async with actor(data_dir) as harness:
        harness.actor._work["daily_close"] = faulty
        clock.set("2026-11-23T01:00:00")
        await harness.eventually(
            lambda: saved(data_dir)["retention"].done_due_ns == at("2026-11-23T01:00:00")
        )

    assert "ZeroDivisionError" in saved(data_dir)["daily_close"].reason


async def test_retention_deletes_and_says_what(data_dir: Path, clock: Clock) -> None:
    old = data_dir / "logs" / "krator.jsonl.1"
    old.parent.mkdir()
    old.touch()
    os.utime(old, (0, 0))

    async with actor(data_dir) as harness:
        clock.set("2026-11-23T01:00:00")
        await harness.eventually(lambda: not old.exists())
        await harness.eventually(
            lambda: saved(data_dir)["retention"].done_due_ns == at("2026-11-23T01:00:00")
        )


@pytest.mark.parametrize("content", [b"{", b'{"daily_close": 3}', b"\xff"])
async def test_unreadable_state_begins_anew(data_dir: Path, clock: Clock, content: bytes) -> None:
    (data_dir / "jobs.json").write_bytes(content)

    async with actor(data_dir) as harness:
        report = await report_of(harness, "daily_close")

    assert report.done_due_ns == at("2026-11-22T00:01:00")
    assert saved(data_dir)["daily_close"].done_due_ns == at("2026-11-22T00:01:00")


async def test_state_that_cannot_be_saved_keeps_nobody_from_working(
    data_dir: Path, clock: Clock
) -> None:
    (data_dir / "jobs.json").mkdir()

    async with actor(data_dir) as harness:
        clock.set("2026-11-23T01:00:00")
        deadline = asyncio.get_running_loop().time() + 20
        while (await report_of(harness, "retention")).done_due_ns != at("2026-11-23T01:00:00"):
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.01)


async def test_other_messages_are_refused(data_dir: Path, clock: Clock) -> None:
    async with actor(data_dir) as harness:
        with pytest.raises(TypeError, match="jobs has no use for"):
            await harness.actor.receive(JobsStatus(jobs=()), "cli")
