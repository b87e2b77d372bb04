"""What ``krator run`` finds out before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from krator_actors.cli import main

REAL = '[venue]\nkind = "binance"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("KRATOR_VENUE_API_KEY", "KRATOR_VENUE_API_SECRET", "KRATOR_DATA_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refused(folder: Path, text: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Run; return the one line that is said instead of starting anything."""
    (folder / "krator.toml").write_text(text)
    data_dir = folder / "data"

    code = main(
        ["run", "--config", str(folder / "krator.toml"), "--data-dir", str(data_dir), *more]
    )

    assert code == 2
    assert not data_dir.exists()
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_missing_keys_of_a_real_venue_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(folder, REAL, capsys)

    assert (
        "set KRATOR_VENUE_API_KEY and KRATOR_VENUE_API_SECRET, because SIM tells nobody else"
        in said
    )


@pytest.mark.parametrize(
    ("mode", "says"), [(0o644, "(mode 644): chmod 600 it"), (None, "No such file or directory")]
)
def test_key_file_that_is_open_to_all_or_missing_is_told_with_its_variable(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    mode: int | None,
    says: str,
) -> None:
    file = folder / "venue.pem"
    monkeypatch.setenv("KRATOR_VENUE_API_KEY", "abcdefgh")
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", str(file))
    if mode is not None:
        file.write_text("no key")
        file.chmod(mode)

    said = refused(folder, REAL, capsys)

    assert "the file that KRATOR_VENUE_API_SECRET names" in said
    assert says in said


def test_missing_data_key_file_is_told_with_its_variable(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KRATOR_DATA_KEY_FILE", str(folder / "nothing"))

    assert "the file that KRATOR_DATA_KEY_FILE names cannot be read" in refused(folder, "", capsys)


@pytest.mark.parametrize("option", [("--speed", "3"), ("--lockstep",)])
def test_option_of_a_replay_is_refused_without_one(
    folder: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, ...]
) -> None:
    assert f"{option[0]} needs --replay" in refused(folder, "", capsys, *option)
