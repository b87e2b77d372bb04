from __future__ import annotations

from pathlib import Path

from krator_actors.adapters.equity_file import EquityFile


def test_samples_are_there_again_and_the_oldest_are_forgotten(tmp_path: Path) -> None:
    file = EquityFile(tmp_path / "equity.txt", limit=3)
    for period in range(5):
        file.append((period, 100 + period / 3))

    again = EquityFile(tmp_path / "equity.txt", limit=3)

    assert again.read() == [(period, 100 + period / 3) for period in (2, 3, 4)]
    assert len((tmp_path / "equity.txt").read_text().splitlines()) == 3


def test_line_that_is_torn_or_wrong_costs_no_other(tmp_path: Path) -> None:
    (tmp_path / "equity.txt").write_bytes(b"1 100.5\nx y\n2 nan\n3\n4 101.0\n5 10")

    assert EquityFile(tmp_path / "equity.txt", limit=9).read() == [(1, 100.5), (4, 101.0)]


def test_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert EquityFile(tmp_path / "equity.txt", limit=9).read() == []
