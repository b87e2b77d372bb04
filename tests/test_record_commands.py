"""``krator close`` and ``krator journal events``, on a journal in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from krator_actors import cli, record_commands
from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.log_frames import RawRecord
from krator_actors.model import NANOS_PER_SEC
from supervisors.messages import Message
from tests.core.day_events import canceled, filled, initialized

DAY = "2026-11-20"
NOW_NS = int(dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC).timestamp()) * NANOS_PER_SEC

Krator = Callable[..., tuple[int, str]]


@pytest.fixture
def krator(
    tmp_path: Path,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Krator:
    """Run a command on a journal of three events; return its exit code and all it said."""
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", postgres_dsn)
    events: list[Message] = [initialized("a", "2"), filled("a"), canceled("a")]
    asyncio.run(write(postgres_dsn, events))
    monkeypatch.setattr(record_commands, "utc_ns", lambda: NOW_NS + 86_400 * NANOS_PER_SEC)

    def run(*words: str) -> tuple[int, str]:
        code = cli.main([*words, "--data-dir", str(tmp_path)])
        text = capsys.readouterr()
        return code, text.out + text.err

    return run


async def write(dsn: str, events: list[Message]) -> None:
    store = await JournalStore.connect(dsn, generation=1, now_ns=NOW_NS)
    batch = [
        ("order:SIM", RawRecord(n, 1, NOW_NS, type(e).__name__, msgspec.msgpack.encode(e)))
        for n, e in enumerate(events, 1)
    ]
    await store.append(batch, ts_written=NOW_NS)
    await store.close()


def test_day_before_is_closed_into_three_files(krator: Krator, tmp_path: Path) -> None:
    code, text = krator("close")

    assert code == 0, text
    assert "VENUE WAS NOT COMPARED" in text
    files = sorted(path.suffix for path in (tmp_path / "reports").iterdir())
    assert files == [".html", ".json", ".txt"]
    assert (tmp_path / "reports" / f"{DAY}.html").read_text().startswith("<!doctype html>")


def test_day_in_which_something_differs_has_its_own_exit_code(
    krator: Krator, postgres_dsn: str
) -> None:
    asyncio.run(write_more(postgres_dsn))

    code, text = krator("close", DAY, "--json")

    assert code == 5
    assert [d["detail"] for d in json.loads(text)["differences"]] == ["filled, and not ours"]


async def write_more(dsn: str) -> None:
    store = await JournalStore.connect(dsn, generation=2, now_ns=NOW_NS)
    body = msgspec.msgpack.encode(filled("x", 2))
    await store.append(
        [("order:SIM", RawRecord(4, 1, NOW_NS, "OrderFilled", body))], ts_written=NOW_NS
    )
    await store.close()


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "2030-01-01"])
def test_day_that_is_none_is_wrong_usage(krator: Krator, day: str) -> None:
    assert krator("close", day)[0] == 2


def test_events_behind_a_sequence_number_are_lines_for_programs(krator: Krator) -> None:
    code, text = krator("journal", "events", "--after", "1", "--limit", "1", "--json")

    (line,) = text.splitlines()
    event = json.loads(line)
    assert code == 0
    assert (event["seq"], event["writer"], event["number"]) == (2, "order:SIM", 2)
    assert event["body"]["last_price"] == "100"


def test_events_are_lines_for_people(krator: Krator) -> None:
    code, text = krator("journal", "events")

    assert code == 0
    assert [line.split()[:4] for line in text.splitlines()] == [
        ["1", "order:SIM", "1", "OrderInitialized"],
        ["2", "order:SIM", "2", "OrderFilled"],
        ["3", "order:SIM", "3", "OrderCanceled"],
    ]
