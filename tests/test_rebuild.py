"""``krator journal rebuild`` on a real PostgreSQL: the logs come back, or stay as they are."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from krator_actors import cli, order_ledger, place
from krator_actors.adapters.at_rest import KEY_VARIABLE
from krator_actors.adapters.local_log import LocalLog, LogRemovedError, log_path
from krator_actors.adapters.log_segments import segments_of
from krator_actors.config import ConfigError
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import OrderSide
from supervisors.launch import next_generation
from tests.actors.order_scene import NAME, STRATEGY
from tests.actors.test_order_snapshot import facts, killed, lived, opened
from tests.journaled import journal
from tests.test_audit_commands import held

ORDERS = 120
KEY = base64.b64encode(b"k" * 32).decode()
Krator = Callable[..., tuple[int, Any]]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("krator_actors.adapters.local_log.SEGMENT_BYTES", 5_000)
    monkeypatch.setattr(order_ledger, "SNAPSHOT_EVENTS", 50)
    monkeypatch.setattr(order_ledger, "KEEP_CLOSED", 10)


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def signal_raised(number: int) -> SignalRaised:
    return SignalRaised(
        strategy=STRATEGY,
        symbol="BTC-USDT.SIM",
        side=OrderSide.BUY,
        client_order_id=f"k{number}",
        cause=f"bar:{number}",
        price=Decimal(100),
        quantity=Decimal(2),
        ts_event=number,
        ts_init=number,
    )


def write(data_dir: Path) -> Any:
    """Let order actor and a strategy have a past; return what the order actor knows."""
    place.prepare(data_dir)
    ledger = lived(data_dir, ORDERS)
    known = facts(ledger)
    ledger.close()
    path = log_path(data_dir, STRATEGY)
    with LocalLog.open(path, writer=STRATEGY, generation=1, durability="process") as log:
        for number in range(5):
            log.append(signal_raised(number), ts_ns=number + 1)
    return known


def segments(data_dir: Path, writer: str = NAME) -> dict[str, bytes]:
    return {s.path.name: s.path.read_bytes() for s in segments_of(log_path(data_dir, writer))}


def folder(data_dir: Path) -> dict[str, bytes]:
    """Return every file of the log folder."""
    log = data_dir / "log"
    return {str(f.relative_to(log)): f.read_bytes() for f in log.rglob("*") if f.is_file()}


def behead(data_dir: Path, count: int = 4) -> None:
    """Remove the begin of the order log, and damage both snapshots."""
    for segment in segments_of(log_path(data_dir, NAME))[:count]:
        segment.path.unlink()
    for file in (data_dir / "log").glob("*.snapshot*"):
        file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LogRemovedError, match="krator journal rebuild"):
        opened(data_dir)


def known_again(data_dir: Path) -> Any:
    """Return what the order actor knows when it starts; every old id must be among it."""
    ledger = opened(data_dir, 9)
    try:
        for number in range(ORDERS):
            name = f"k{number}"
            assert name in ledger.table.orders or ledger.is_forgotten(name), name
        return facts(ledger)
    finally:
        killed(ledger)


@pytest.fixture
def data_dir(short_dir: Path) -> Path:
    return short_dir / "data"


@pytest.fixture
def krator(
    data_dir: Path,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Krator:
    """Run ``krator journal rebuild``; return its exit code and output, decoded when that is 0."""
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", postgres_dsn)

    def run(*words: str) -> tuple[int, Any]:
        code = cli.main(["journal", "rebuild", *words, "--data-dir", str(data_dir), "--json"])
        text = capsys.readouterr()
        return code, json.loads(text.out) if code == 0 else text.err

    return run


def test_head_that_was_removed_comes_back_and_the_orders_are_known(
    krator: Krator, data_dir: Path, postgres_dsn: str
) -> None:
    known = write(data_dir)
    written = segments(data_dir)
    rows = asyncio.run(journal(data_dir, postgres_dsn))
    behead(data_dir)

    code, outcome = krator()

    assert code == 0
    assert segments(data_dir) == written
    order, strategy = outcome["logs"]
    assert outcome["rows"] == rows
    assert order["written"] == [[1, order["last"] - order["compared"]]]
    assert (strategy["written"], strategy["compared"]) == ([], 5)
    assert [fold["open_orders"] for fold in outcome["folded"]] == [1]
    assert known_again(data_dir) == known
    assert krator()[1]["logs"][0]["written"] == []


def test_logs_of_a_lost_folder_come_back_with_their_generations(
    krator: Krator, data_dir: Path, postgres_dsn: str
) -> None:
    known = write(data_dir)
    written = segments(data_dir), segments(data_dir, STRATEGY)
    asyncio.run(journal(data_dir, postgres_dsn))
    shutil.rmtree(data_dir)

    code, outcome = krator()

    assert code == 0
    assert (segments(data_dir), segments(data_dir, STRATEGY)) == written
    assert [log["was_absent"] for log in outcome["logs"]] == [True, True]
    assert outcome["aside"] is None
    assert known_again(data_dir) == known
    assert next_generation(data_dir, "journal") == 6


def test_only_what_is_named_is_rebuilt(krator: Krator, data_dir: Path, postgres_dsn: str) -> None:
    write(data_dir)
    asyncio.run(journal(data_dir, postgres_dsn))
    shutil.rmtree(data_dir)

    assert krator(STRATEGY)[0] == 0
    code, text = krator("order:OTHER")

    assert (segments(data_dir), len(segments(data_dir, STRATEGY))) == ({}, 1)
    assert code == 2
    assert f"have a log of order:OTHER; they have {NAME}, {STRATEGY}" in text


def test_damaged_archive_is_made_again(krator: Krator, data_dir: Path, postgres_dsn: str) -> None:
    known = write(data_dir)
    asyncio.run(journal(data_dir, postgres_dsn))
    archive = log_path(data_dir, NAME).with_suffix(".archive")
    whole = archive.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    archive.write_bytes(damaged)

    code, outcome = krator()

    assert code == 0
    assert (Path(outcome["aside"]) / archive.name).read_bytes() == damaged
    assert known_again(data_dir) == known
    assert archive.read_bytes() == whole


# -- what is refused changes nothing -------------------------------------------------------------


FORGED = "SET session_replication_role = replica; "
HARMS = {
    "row changed": (
        FORGED + "UPDATE krator.journal SET generation = 9 WHERE seq = 40",
        "not what was written from row 40 on: its hash",
    ),
    "row missing": (FORGED + "DELETE FROM krator.journal WHERE seq = 40", "row 40 is missing"),
    "end cut off": (
        FORGED + "DELETE FROM krator.journal WHERE seq > 40",
        "the rows end at 40; the journal says",
    ),
    "no journal": ("DROP SCHEMA krator CASCADE", "there is no journal in this database"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_journal_that_is_not_what_was_written_is_refused(
    krator: Krator, data_dir: Path, postgres_dsn: str, harm: str
) -> None:
    write(data_dir)
    asyncio.run(journal(data_dir, postgres_dsn))
    behead(data_dir)
    before = folder(data_dir)
    statement, words = HARMS[harm]
    asyncio.run(execute(postgres_dsn, statement))

    code, text = krator()

    assert code == 5
    assert words in text
    assert folder(data_dir) == before


def test_journal_that_ends_before_the_log_begins_is_refused(
    krator: Krator, data_dir: Path, postgres_dsn: str
) -> None:
    write(data_dir)
    kept = segments(data_dir)
    for name in list(kept)[1:]:
        (data_dir / "log" / name).unlink()
    asyncio.run(journal(data_dir, postgres_dsn))
    for name, data in kept.items():
        (data_dir / "log" / name).write_bytes(data)
    behead(data_dir)
    before = folder(data_dir)

    code, text = krator()

    assert code == 5
    assert f"{NAME}: the records" in text
    assert "are in neither" in text
    assert folder(data_dir) == before


def test_journal_of_another_folder_is_refused(
    krator: Krator, data_dir: Path, postgres_dsn: str
) -> None:
    write(data_dir)
    asyncio.run(journal(data_dir, postgres_dsn))
    shutil.rmtree(data_dir)
    write(data_dir)
    behead(data_dir)
    before = folder(data_dir)

    code, text = krator()

    assert code == 5
    assert "they are of two histories" in text
    assert folder(data_dir) == before


def test_sealed_journal_needs_its_key(
    krator: Krator, data_dir: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = write(data_dir)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    asyncio.run(journal(data_dir, postgres_dsn))
    monkeypatch.delenv(KEY_VARIABLE)
    behead(data_dir)
    before = folder(data_dir)

    code, text = krator()
    monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(b"x" * 32).decode())
    wrong_code, wrong = krator()

    assert (code, wrong_code) == (5, 5)
    assert "is sealed with the key" in text
    assert "is sealed with the key" in wrong
    assert folder(data_dir) == before
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert krator()[0] == 0
    assert known_again(data_dir) == known


def test_running_system_is_left_alone(krator: Krator, data_dir: Path, postgres_dsn: str) -> None:
    write(data_dir)
    asyncio.run(journal(data_dir, postgres_dsn))

    with held(data_dir):
        code, text = krator()

    assert code == 4
    assert "stop it first" in text


def test_postgresql_that_does_not_answer_is_said(
    krator: Krator, data_dir: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data_dir)
    behead(data_dir)
    before = folder(data_dir)
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", f"postgresql://krator@/x?host={short_dir}")

    code, text = krator()

    assert code == 5
    assert "the journal cannot be read" in text
    assert folder(data_dir) == before


def test_folder_without_a_journal_is_told_what_to_do(
    krator: Krator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KRATOR_POSTGRES_DSN")

    code, text = krator()

    assert code == 3
    assert "krator journal restore" in text


# -- kill -9 -------------------------------------------------------------------------------------


DIES = """
import os, signal, sys
from krator_actors import cli, order_ledger, rebuild
from krator_actors.adapters import local_log, log_repair
order_ledger.SNAPSHOT_EVENTS, order_ledger.KEEP_CLOSED = 50, 10
local_log.SEGMENT_BYTES = 5_000
owner = {"os": os, "LocalLog": local_log.LocalLog, "OrderLedger": order_ledger.OrderLedger,
         "rebuild": rebuild}[sys.argv[1]]
real, left = getattr(owner, sys.argv[2]), int(sys.argv[3])
def dying(*args, **named):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return real(*args, **named)
setattr(owner, sys.argv[2], dying)
sys.exit(cli.main(["journal", "rebuild", "--data-dir", sys.argv[4]]))
"""


@pytest.mark.parametrize(
    ("owner", "call", "number"),
    [
        ("LocalLog", "append_record", 60),
        ("os", "link", 0),
        ("os", "link", 3),
        ("OrderLedger", "open", 0),
        ("OrderLedger", "_write", 0),
    ],
)
def test_rebuild_that_is_killed_is_ended_by_the_next_one(
    krator: Krator, data_dir: Path, postgres_dsn: str, owner: str, call: str, number: int
) -> None:
    known = write(data_dir)
    written = segments(data_dir)
    asyncio.run(journal(data_dir, postgres_dsn))
    behead(data_dir)
    command = [sys.executable, "-c", DIES, owner, call, str(number), str(data_dir)]

    killed_one = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert killed_one.returncode == -signal.SIGKILL, killed_one.stderr
    if owner == "os":
        with pytest.raises(ConfigError, match="interrupted"):
            place.require_rebuilt(data_dir)
    if owner != "OrderLedger":
        with pytest.raises(LogRemovedError):
            opened(data_dir)
    assert krator()[0] == 0
    place.require_rebuilt(data_dir)
    assert segments(data_dir) == written
    assert known_again(data_dir) == known
    assert not (data_dir / place.REBUILD_FOLDER).exists()


def test_full_disk_leaves_the_logs_as_they_were(
    krator: Krator, data_dir: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data_dir)
    asyncio.run(journal(data_dir, postgres_dsn))
    behead(data_dir)
    before = folder(data_dir)
    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        return 0 if "/log/rebuild/" in path and len(data) > 100 else real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    code, text = krator()

    assert code == 5
    assert "could be written" in text
    assert folder(data_dir) == before
