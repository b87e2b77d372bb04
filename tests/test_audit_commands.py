"""``krator audit`` and ``krator journal`` on a data folder where nothing runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from krator_actors import cli
from krator_actors.adapters.anchors import AnchorBook, anchors_file
from krator_actors.adapters.embedded_postgres import temporary_server
from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages.orders import OrderAccepted, OrderCanceled, OrderSubmitted
from supervisors.messages import Message

NOW_NS = 1_763_800_000_000_000_000
IDS: Any = {"client_order_id": "a1b2", "symbol": "BTC-USDT.SIM"}

Krator = Callable[..., tuple[int, Any]]


def events() -> list[Message]:
    return [
        OrderSubmitted(**IDS, ts_event=NOW_NS),
        OrderAccepted(**IDS, venue_order_id="7", ts_event=NOW_NS + 1_000),
        OrderSubmitted(client_order_id="a1ff", symbol="ETH-USDT.SIM", ts_event=NOW_NS + 2_000),
        OrderCanceled(**IDS, ts_event=NOW_NS + 3_000),
    ]


async def write(data_dir: Path, runtime: Path) -> None:
    async with temporary_server(data_dir, runtime) as dsn:
        store = await JournalStore.connect(dsn, generation=1, now_ns=NOW_NS)
        batch = [
            ("order:SIM", RawRecord(n, 1, NOW_NS, type(e).__name__, msgspec.msgpack.encode(e)))
            for n, e in enumerate(events(), 1)
        ]
        await store.append(batch, ts_written=NOW_NS)
        AnchorBook(data_dir, {}).write(await store.anchor(now_ns=NOW_NS))
        await store.close()


async def execute(data_dir: Path, runtime: Path, statement: str) -> None:
    async with temporary_server(data_dir, runtime) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(statement)
        await connection.close()


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """A system runs on the folder: another process has its lock."""
    code = (
        "import pathlib, sys\n"
        "from krator_actors.place import DataDirLock\n"
        "lock = DataDirLock(pathlib.Path(sys.argv[1])); lock.acquire()\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(data_dir)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()
            yield
        finally:
            holder.kill()


@pytest.fixture
def data_dir(short_dir: Path) -> Path:
    asyncio.run(write(short_dir / "data", short_dir / "run"))
    return short_dir / "data"


@pytest.fixture
def krator(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> Krator:
    """Run a command; return its exit code, and its output, decoded with ``--json``."""

    def run(*words: str) -> tuple[int, Any]:
        code = cli.main([*words, "--data-dir", str(data_dir)])
        text = capsys.readouterr()
        if code == 0 and "--json" in words:
            return code, json.loads(text.out)
        return code, text.out + text.err

    return run


def test_story_proof_backup_and_restore(krator: Krator, data_dir: Path, short_dir: Path) -> None:
    code, story = krator("audit", "order", "a1b2", "--json")
    assert code == 0
    assert [step["order_event"] for step in story["steps"]] == ["NEWO", "CHMO", "CAMO"]
    assert story["steps"][1]["date_and_time"] == "2025-11-22T08:26:40.000001Z"
    assert krator("audit", "order", "a1")[0] == 2  # there are two that begin so
    assert krator("audit", "order", "zz")[0] == 2
    assert "CHMO" in krator("audit", "order", "a1b")[1]

    code, verdict = krator("audit", "verify", "--json")
    assert (code, verdict["ok"], verdict["rows"], verdict["anchored_seq"]) == (0, True, 4, 4)
    assert "anchored up to row 4" in krator("audit", "verify")[1]

    backup = str(short_dir / "backup")
    assert krator("journal", "backup", backup)[0] == 0

    forge = "SET session_replication_role = replica; DELETE FROM krator.journal WHERE seq = 2"
    asyncio.run(execute(data_dir, short_dir / "run", forge))
    code, text = krator("audit", "verify")
    assert code == 5
    assert "NOT AS WRITTEN from row 2 on: row 2 is missing" in text

    with held(data_dir):
        assert krator("journal", "restore", backup)[0] == 4
    assert krator("journal", "restore", backup)[0] == 0
    assert krator("audit", "verify")[0] == 0
    assert krator("journal", "restore", str(short_dir / "nothing"))[0] == 2


def test_forged_anchor_is_an_error(krator: Krator, data_dir: Path) -> None:
    path = anchors_file(data_dir)
    path.write_bytes(path.read_bytes().replace(b'"seq":4', b'"seq":3'))

    code, text = krator("audit", "verify")

    assert code == 5
    assert "was not signed so" in text


def test_folder_without_a_journal_has_none(tmp_path: Path, capsys: Any) -> None:
    assert cli.main(["audit", "verify", "--data-dir", str(tmp_path)]) == 3
    assert "nothing is running" in capsys.readouterr().err
