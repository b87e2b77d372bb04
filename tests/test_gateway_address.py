from __future__ import annotations

from pathlib import Path

import pytest

from krator_actors import gateway_address


def test_port_is_found_again(tmp_path: Path) -> None:
    gateway_address.publish(tmp_path, 4711)

    assert gateway_address.last_port(tmp_path) == 4711
    assert gateway_address.url(tmp_path) == "http://127.0.0.1:4711"


@pytest.mark.parametrize("content", [b"", b"x", b"-1", b"70000", b"\xff", b"1.5"])
def test_file_that_holds_no_port_has_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gateway.port").write_bytes(content)

    assert gateway_address.last_port(tmp_path) == 0
    assert gateway_address.url(tmp_path) is None


def test_withdrawn_port_is_none(tmp_path: Path) -> None:
    gateway_address.publish(tmp_path, 4711)

    gateway_address.withdraw(tmp_path)
    gateway_address.withdraw(tmp_path)

    assert gateway_address.url(tmp_path) is None


def test_folder_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    gateway_address.publish(tmp_path / "none", 4711)

    assert gateway_address.url(tmp_path / "none") is None
