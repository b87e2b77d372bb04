from __future__ import annotations

import base64
import os
from pathlib import Path

import asyncpg
import msgspec
import pytest

from krator_actors.adapters import journal_backup
from krator_actors.adapters.anchors import AnchorBook, anchors_file, public_key_file, read_anchors
from krator_actors.adapters.at_rest import KEY_VARIABLE
from krator_actors.adapters.journal_backup import BackupError, back_up, check, restore
from krator_actors.adapters.journal_reader import JournalReader, JournalUnavailableError
from krator_actors.adapters.postgres import JournalStore
from krator_actors.core.chain import Anchor
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages.orders import OrderSubmitted

NOW_NS = 1_763_800_000_000_000_000
SECRET = b"a-name-that-nobody-shall-read"


def batch(begin: int, end: int) -> list[tuple[str, RawRecord]]:
    events = [
        OrderSubmitted(client_order_id=f"o-{n}", symbol=SECRET.decode(), ts_event=n)
        for n in range(begin, end)
    ]
    return [
        ("a", RawRecord(n, 1, n, "OrderSubmitted", msgspec.msgpack.encode(event)))
        for n, event in enumerate(events, begin)
    ]


def anchors(data_dir: Path) -> list[Anchor]:
    return read_anchors(anchors_file(data_dir), public_key_file(data_dir))


async def write(dsn: str, data_dir: Path, begin: int, end: int, *, generation: int = 1) -> None:
    store = await JournalStore.connect(dsn, generation=generation, now_ns=NOW_NS)
    await store.append(batch(begin, end), ts_written=NOW_NS)
    AnchorBook(data_dir, {}).write(await store.anchor(now_ns=NOW_NS))
    await store.close()


async def numbers(dsn: str) -> list[int]:
    reader = await JournalReader.connect_reader(dsn)
    try:
        return [event.number async for event in reader.events()]
    finally:
        await reader.close()


@pytest.fixture(autouse=True)
async def _no_earlier_restore(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"DROP SCHEMA IF EXISTS krator_before_{NOW_NS} CASCADE")
    await connection.close()


@pytest.fixture(params=["plain", "sealed"])
def key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "sealed":
        monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(os.urandom(32)).decode())
    return str(request.param)


async def test_backup_is_restored_with_its_chain_and_goes_on(
    postgres_dsn: str, tmp_path: Path, key: str
) -> None:
    await write(postgres_dsn, tmp_path, 1, 2_501)
    await back_up(postgres_dsn, tmp_path / "backup", anchors(tmp_path))
    await write(postgres_dsn, tmp_path, 2_501, 2_601, generation=2)

    contents = await restore(postgres_dsn, tmp_path / "backup", anchors(tmp_path), now_ns=NOW_NS)

    head = contents.head
    AnchorBook(tmp_path, {}).write(
        Anchor(journal_id=head.journal_id, seq=head.seq, hash=head.hash, ts=NOW_NS, kind="restored")
    )
    await write(postgres_dsn, tmp_path, 2_501, 2_701, generation=3)
    assert await numbers(postgres_dsn) == list(range(1, 2_701))
    reader = await JournalReader.connect_reader(postgres_dsn)
    verdict = await reader.verify(anchors(tmp_path))
    await reader.close()
    assert (verdict.fault, verdict.anchored_seq) == (None, 2_700)


async def test_backup_is_restored_into_an_empty_database(
    postgres_dsn: str, tmp_path: Path, key: str
) -> None:
    await write(postgres_dsn, tmp_path, 1, 11)
    await back_up(postgres_dsn, tmp_path / "backup", [])
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute("DROP SCHEMA krator CASCADE")
    await connection.close()

    await restore(postgres_dsn, tmp_path / "backup", anchors(tmp_path), now_ns=NOW_NS)

    assert await numbers(postgres_dsn) == list(range(1, 11))


async def test_sealed_journal_and_backup_show_nothing(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, base64.b64encode(os.urandom(32)).decode())
    await write(postgres_dsn, tmp_path, 1, 11)
    await back_up(postgres_dsn, tmp_path / "backup", [])
    connection = await asyncpg.connect(postgres_dsn)
    bodies = await connection.fetch("SELECT body FROM krator.journal")
    await connection.close()

    assert not any(SECRET in row["body"] for row in bodies)
    assert SECRET not in (tmp_path / "backup").read_bytes()
    assert await numbers(postgres_dsn) == list(range(1, 11))

    monkeypatch.delenv(KEY_VARIABLE)
    with pytest.raises(JournalUnavailableError, match="sealed with the key"):
        await numbers(postgres_dsn)
    reader = await JournalReader.connect_reader(postgres_dsn)
    assert (await reader.verify(anchors(tmp_path))).fault is None  # without the key
    await reader.close()


@pytest.mark.parametrize("where", [0.0, 0.3, 0.7, 0.999])
async def test_damaged_backup_replaces_nothing(
    postgres_dsn: str, tmp_path: Path, key: str, where: float
) -> None:
    await write(postgres_dsn, tmp_path, 1, 101)
    path = tmp_path / "backup"
    await back_up(postgres_dsn, path, [])
    whole = bytearray(path.read_bytes())
    whole[int(where * len(whole))] ^= 0x10
    path.write_bytes(whole)

    with pytest.raises(BackupError):
        await restore(postgres_dsn, path, [], now_ns=NOW_NS)

    assert await numbers(postgres_dsn) == list(range(1, 101))


@pytest.mark.parametrize("kept", [0, 20, 60, 500, -1])
async def test_cut_backup_is_not_whole(
    postgres_dsn: str, tmp_path: Path, key: str, kept: int
) -> None:
    await write(postgres_dsn, tmp_path, 1, 11)
    path = tmp_path / "backup"
    await back_up(postgres_dsn, path, [])
    path.write_bytes(path.read_bytes()[:kept])

    with pytest.raises(BackupError):
        check(path, [])


async def test_backup_that_the_anchors_deny_is_refused(postgres_dsn: str, tmp_path: Path) -> None:
    await write(postgres_dsn, tmp_path, 1, 11)
    await back_up(postgres_dsn, tmp_path / "backup", [])
    (known,) = anchors(tmp_path)

    with pytest.raises(BackupError, match="computed anew"):
        check(tmp_path / "backup", [msgspec.structs.replace(known, hash=bytes(32))])


async def test_journal_that_was_changed_is_not_backed_up(postgres_dsn: str, tmp_path: Path) -> None:
    await write(postgres_dsn, tmp_path, 1, 11)
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(
        "SET session_replication_role = replica; DELETE FROM krator.journal WHERE seq = 5"
    )
    await connection.close()

    with pytest.raises(BackupError, match="row 5 is missing"):
        await back_up(postgres_dsn, tmp_path / "backup", [])

    assert not (tmp_path / "backup").exists()


async def test_failed_restore_leaves_the_journal_as_it_was(
    postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write(postgres_dsn, tmp_path, 1, 11)
    await back_up(postgres_dsn, tmp_path / "backup", [])

    async def fail(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(journal_backup, "_restore_contents", fail)
    with pytest.raises(JournalUnavailableError):
        await restore(postgres_dsn, tmp_path / "backup", [], now_ns=NOW_NS)

    assert await numbers(postgres_dsn) == list(range(1, 11))
