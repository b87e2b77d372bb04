from __future__ import annotations

import base64
import contextlib
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.adapters.anchors import (
    KEY_VARIABLE,
    AnchorBook,
    AnchorError,
    anchors_file,
    public_key_file,
    read_anchors,
)
from krator_actors.core.chain import Anchor


def anchor(seq: int) -> Anchor:
    return Anchor(journal_id="j", seq=seq, hash=bytes([seq % 256]) * 32, ts=seq)


def written(data_dir: Path, count: int) -> Path:
    book = AnchorBook(data_dir, {})
    for seq in range(1, count + 1):
        book.write(anchor(seq))
    return anchors_file(data_dir)


def read(data_dir: Path) -> list[Anchor]:
    return read_anchors(anchors_file(data_dir), public_key_file(data_dir))


def test_what_is_signed_is_read_also_after_a_restart(tmp_path: Path) -> None:
    written(tmp_path, 2)
    AnchorBook(tmp_path, {}).write(anchor(3))

    assert read(tmp_path) == [anchor(1), anchor(2), anchor(3)]


def test_key_is_its_owner_s_only(tmp_path: Path) -> None:
    written(tmp_path, 1)

    mode = (tmp_path / "keys" / "anchor.key").stat().st_mode

    assert stat.S_IMODE(mode) == 0o600


def test_without_anchors_there_are_none(tmp_path: Path) -> None:
    assert read(tmp_path) == []


@given(st.data())
def test_changed_anchor_is_found(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    path = written(data_dir, 2)
    whole = bytearray(path.read_bytes())
    index = data.draw(st.integers(0, whole.index(b"\n") - 1))
    whole[index] ^= data.draw(st.sampled_from([1, 2, 4]))
    path.write_bytes(whole)

    found = [anchor(2)]
    with contextlib.suppress(AnchorError):
        found = read(data_dir)

    assert found in ([anchor(2)], [anchor(1), anchor(2)])


@given(cut=st.integers(1, 200))
def test_torn_anchor_is_left_out_and_the_next_one_is_whole(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    data_dir = tmp_path_factory.mktemp("data")
    path = written(data_dir, 2)
    path.write_bytes(path.read_bytes()[:-cut])

    AnchorBook(data_dir, {}).write(anchor(3))

    assert [a.seq for a in read(data_dir)] == ([1, 2, 3] if cut == 1 else [1, 3])


def test_anchor_of_another_key_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "a", 1)
    written(tmp_path / "b", 1)

    with pytest.raises(AnchorError, match="line 1"):
        read_anchors(anchors_file(tmp_path / "a"), public_key_file(tmp_path / "b"))


def test_key_may_come_from_the_environment_and_is_not_kept(tmp_path: Path) -> None:
    key = base64.b64encode(os.urandom(32)).decode()

    AnchorBook(tmp_path, {KEY_VARIABLE: key}).write(anchor(1))

    assert read(tmp_path) == [anchor(1)]
    assert not (tmp_path / "keys" / "anchor.key").exists()


def test_text_that_is_no_key_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(AnchorError) as raised:
        AnchorBook(tmp_path, {KEY_VARIABLE: "not-a-key"})

    assert "not-a-key" not in str(raised.value)


def test_missing_public_key_is_said(tmp_path: Path) -> None:
    written(tmp_path, 1)

    with pytest.raises(AnchorError, match="no public key"):
        read_anchors(anchors_file(tmp_path), tmp_path / "nothing")
