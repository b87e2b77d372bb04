from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.at_rest import (
    KEY_FILE_VARIABLE,
    KEY_VARIABLE,
    DataKeyError,
    Keys,
    Sealer,
    require_private,
)
from krator_actors.adapters.local_log import (
    LocalLog,
    LogDamagedError,
    LogKeyError,
    log_path,
    read_log,
)
from krator_actors.adapters.log_reader import LogTail
from krator_actors.adapters.log_segments import segments_of
from krator_actors.messages.orders import OrderEvent, OrderSubmitted

WRITER = "order:SIM"
SECRET = "a-name-that-nobody-shall-read"


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    key = new_key()
    monkeypatch.setenv(KEY_VARIABLE, key)
    return key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return log_path(tmp_path, WRITER)


def write(path: Path, count: int, *, generation: int = 1, segment_bytes: int = 1 << 20) -> None:
    with LocalLog.open(
        path,
        writer=WRITER,
        generation=generation,
        durability="process",
        segment_bytes=segment_bytes,
    ) as log:
        for _ in range(count):
            event = OrderSubmitted(client_order_id=SECRET, symbol="BTC-USDT.SIM", ts_event=7)
            log.append(event, ts_ns=5)


def numbers(path: Path) -> list[int]:
    return [record.number for record in read_log(path, types=OrderEvent)]


def salts_and_counters(path: Path) -> list[tuple[bytes, bytes]]:
    """Return what each record was sealed under, from the bytes alone."""
    found = []
    for segment in segments_of(path):
        data = segment.path.read_bytes()
        position = 8 + len(WRITER) + 60
        salt = data[position - 36 : position - 4]
        while position < len(data):
            length = int.from_bytes(data[position : position + 4], "little")
            found.append((salt, data[position + 8 : position + 16]))
            position += 8 + length
    return found


@given(st.lists(st.binary(max_size=200), max_size=10), st.binary(max_size=9))
def test_what_is_sealed_is_unsealed_by_the_same_key_and_salt(
    plains: list[bytes], bound_to: bytes
) -> None:
    keys = Keys((b"k" * 32,))
    sealing = keys.new_sealer()
    assert sealing is not None
    key_id, salt, sealer = sealing

    sealed = [sealer.seal(plain, bound_to) for plain in plains]

    again = keys.sealer(key_id, salt)
    assert [again.unseal(each, bound_to) for each in sealed] == plains
    assert all(again.unseal(each, bound_to + b"x") is None for each in sealed)
    assert all(Sealer(b"other" * 7, salt).unseal(each, bound_to) is None for each in sealed)
    assert len({each[:8] for each in sealed}) == len(sealed)


def test_log_of_a_key_shows_nothing_and_is_read_with_it(key: str, path: Path) -> None:
    write(path, 3)
    write(path, 2, generation=2)

    assert numbers(path) == [1, 2, 3, 4, 5]
    for segment in segments_of(path):
        data = segment.path.read_bytes()
        assert SECRET.encode() not in data
        assert b"OrderSubmitted" not in data


def test_nothing_is_ever_sealed_twice_under_one_nonce(key: str, path: Path) -> None:
    for generation in range(1, 6):
        write(path, 7, generation=generation, segment_bytes=500)
        last = segments_of(path)[-1].path
        last.write_bytes(last.read_bytes()[:-5])  # torn: its number is given again

    used = salts_and_counters(path)
    assert len(used) == len(set(used)) >= len(numbers(path))
    assert all(any(salt) for salt, _ in used)


def test_incarnation_without_a_record_leaves_its_key_unused(key: str, path: Path) -> None:
    write(path, 0)
    first = path.read_bytes()

    write(path, 0, generation=2)

    assert len(segments_of(path)) == 1
    assert path.read_bytes()[:-4] != first[:-4]


def test_tail_goes_on_when_an_empty_segment_is_begun_anew(key: str, path: Path) -> None:
    write(path, 0)
    tail = LogTail(path)
    assert tail.poll() == []

    write(path, 2, generation=2)

    assert [record.number for record in tail.poll()] == [1, 2]
    tail.close()


def test_plain_log_is_continued_sealed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 3)
    monkeypatch.setenv(KEY_VARIABLE, new_key())

    write(path, 3, generation=2)

    assert numbers(path) == [1, 2, 3, 4, 5, 6]


def test_older_key_is_still_read_and_no_longer_written(
    key: str, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(path, 1)
    newer = new_key()
    file = tmp_path / "keys"
    file.write_text(f"{newer}\n{key}\n")
    monkeypatch.delenv(KEY_VARIABLE)
    monkeypatch.setenv(KEY_FILE_VARIABLE, str(file))

    write(path, 1, generation=2)

    assert numbers(path) == [1, 2]
    file.write_text(newer)
    with pytest.raises(LogKeyError, match="sealed with the key"):
        numbers(path)


def test_missing_key_is_said_and_nothing_is_changed(
    key: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(path, 2)
    before = path.read_bytes()
    monkeypatch.delenv(KEY_VARIABLE)

    with pytest.raises(LogKeyError):
        write(path, 1, generation=2)

    assert path.read_bytes() == before


@given(st.data())
def test_wrong_bit_in_a_sealed_log_is_damage(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = log_path(tmp_path_factory.mktemp("log"), WRITER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, base64.b64encode(b"k" * 32).decode())
        write(path, 3)
        whole = bytearray(path.read_bytes())
        bit = data.draw(st.integers(0, len(whole) * 8 - 1))
        whole[bit // 8] ^= 1 << bit % 8
        path.write_bytes(whole)

        with pytest.raises((LogDamagedError, LogKeyError)):
            write(path, 1, generation=2)

    assert path.read_bytes() == whole


@given(st.data())
def test_sealed_log_cut_anywhere_opens_with_its_whole_records(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = log_path(tmp_path_factory.mktemp("log"), WRITER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, base64.b64encode(b"k" * 32).decode())
        write(path, 3)
        whole = path.read_bytes()
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
        kept = numbers(path)

        write(path, 1, generation=2)

        assert numbers(path) == [*kept, len(kept) + 1]


@pytest.mark.parametrize("text", ["short", base64.b64encode(b"k" * 31).decode(), "ä"])
def test_text_that_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(DataKeyError) as raised:
        Keys.of_environment({KEY_VARIABLE: text})

    assert text not in str(raised.value)


def test_key_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataKeyError, match="cannot be read"):
        Keys.of_environment({KEY_FILE_VARIABLE: str(tmp_path / "nothing")})


def test_key_file_that_every_user_may_read_is_refused_for_a_start(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(new_key())
    file.chmod(0o644)

    with pytest.raises(DataKeyError, match=r"KEYS names .* \(mode 644\): chmod 600 it"):
        require_private(str(file), variable="KEYS")

    file.chmod(0o640)
    require_private(str(file), variable="KEYS")


def test_key_file_is_read_by_what_runs_whatever_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(new_key())
    file.chmod(0o644)

    assert Keys.of_environment({KEY_FILE_VARIABLE: str(file)}).id is not None


def test_without_a_key_nothing_is_sealed() -> None:
    assert Keys.of_environment({}).new_sealer() is None
