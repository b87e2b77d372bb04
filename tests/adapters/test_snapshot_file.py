"""A snapshot is whole or not there."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from krator_actors.adapters.at_rest import KEY_VARIABLE
from krator_actors.adapters.local_log import LogKeyError
from krator_actors.adapters.snapshot_file import SnapshotError, SnapshotFile

KEY, OTHER_KEY = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))


def bytes_of(file: SnapshotFile, *, before: bool = False) -> bytes | None:
    payload = file.read(before=before)
    return None if payload is None else bytes(payload)


def snapshot(folder: Path, *, version: int = 1) -> SnapshotFile:
    return SnapshotFile(folder / "risk.snapshot", version=version)


def test_latest_payload_is_read_back_and_the_one_before_it(tmp_path: Path) -> None:
    file = snapshot(tmp_path)

    for payload in (b"first", b"second", b"third"):
        file.write(payload)

    assert bytes_of(file) == b"third"
    assert bytes_of(file, before=True) == b"second"
    assert len(list(tmp_path.iterdir())) == 2


def test_one_before_takes_the_place_of_a_newest_that_is_dropped(tmp_path: Path) -> None:
    file = snapshot(tmp_path)
    file.write(b"first")
    file.write(b"second")

    file.drop_newest()

    assert bytes_of(file) == b"first"
    assert file.read(before=True) is None


def test_write_that_fails_leaves_the_snapshot_that_stands(tmp_path: Path) -> None:
    file = snapshot(tmp_path)
    file.write(b"first")
    file.path.with_name("risk.snapshot.new").mkdir()

    with pytest.raises(OSError, match="directory"):
        file.write(b"second")

    assert bytes_of(file) == b"first"


def test_missing_or_deleted_snapshot_is_none(tmp_path: Path) -> None:
    file = snapshot(tmp_path)
    missing = file.read()

    file.write(b"payload")
    file.write(b"payload")
    file.delete()
    file.delete()

    assert missing is None
    assert file.read() is None


def test_snapshot_of_another_version_is_not_believed(tmp_path: Path) -> None:
    snapshot(tmp_path, version=1).write(b"payload")

    with pytest.raises(SnapshotError, match="another version"):
        snapshot(tmp_path, version=2).read()


def test_what_was_read_stays_when_the_snapshot_is_replaced(tmp_path: Path) -> None:
    file = snapshot(tmp_path)
    file.write(b"first")
    read = file.read()

    file.write(b"other")

    assert read is not None
    assert bytes(read) == b"first"


def test_damaged_snapshot_is_not_believed_whichever_byte_it_is(tmp_path: Path) -> None:
    file = snapshot(tmp_path)
    file.write(b"payload")
    whole = file.path.read_bytes()

    for index in range(len(whole)):
        damaged = bytearray(whole)
        damaged[index] ^= 0xFF
        file.path.write_bytes(damaged)
        with pytest.raises(SnapshotError):
            file.read()


def test_torn_snapshot_is_not_believed_wherever_it_ends(tmp_path: Path) -> None:
    file = snapshot(tmp_path)
    file.write(b"payload")
    whole = file.path.read_bytes()

    for size in range(len(whole)):
        file.path.write_bytes(whole[:size])
        with pytest.raises(SnapshotError):
            file.read()


def test_failed_write_leaves_the_old_snapshot(tmp_path: Path) -> None:
    file = snapshot(tmp_path)
    file.write(b"old")
    (tmp_path / "risk.snapshot.new").mkdir()

    with pytest.raises(OSError, match=r"risk\.snapshot\.new"):
        file.write(b"new")

    assert bytes_of(file) == b"old"


def test_sealed_snapshot_shows_nothing_and_is_read_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = snapshot(tmp_path)
    file.write(b"a plain secret")
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    file.write(b"a sealed secret")
    first = file.path.read_bytes()
    monkeypatch.setenv(KEY_VARIABLE, f"{OTHER_KEY}\n{KEY}")

    assert b"secret" not in first
    assert bytes_of(file) == b"a sealed secret"
    assert bytes_of(file, before=True) == b"a plain secret"
    file.write(b"a sealed secret")
    assert file.path.read_bytes() != first


@pytest.mark.parametrize("key", ["", OTHER_KEY])
def test_sealed_snapshot_without_its_key_is_an_error_and_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    file = snapshot(tmp_path)
    file.write(b"secret")
    monkeypatch.setenv(KEY_VARIABLE, key)

    with pytest.raises(LogKeyError, match="sealed with the key"):
        file.read()


def test_no_byte_of_a_sealed_snapshot_is_believed_when_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    file = snapshot(tmp_path)
    file.write(b"secret")
    data = file.path.read_bytes()

    for at in range(len(data)):
        file.path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(SnapshotError):
            file.read()


def test_what_is_no_secret_is_not_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    file = SnapshotFile(tmp_path / "order.closed", version=1, is_secret=False)

    file.write(b"places")

    assert b"places" in file.path.read_bytes()
    assert bytes_of(file) == b"places"
