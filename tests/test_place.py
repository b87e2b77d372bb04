"""The data folder: whose it is, of which version, who holds it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from krator_actors import place
from krator_actors.config import Config, ConfigError, VenueConfig

HOLD = """
import sys
from pathlib import Path
from krator_actors.place import DataDirLock
DataDirLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_new_folder_is_private_and_of_this_version(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"

    place.prepare(data_dir)

    assert data_dir.stat().st_mode & 0o777 == 0o700
    assert place.data_version(data_dir) == place.DATA_VERSION


def test_older_folder_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "risk.log").write_bytes(b"kept")

    place.prepare(tmp_path)

    assert place.data_version(tmp_path) == place.DATA_VERSION
    assert (tmp_path / "log" / "risk.log").read_bytes() == b"kept"


@pytest.mark.parametrize("version", ["99", "one", "-1", ""])
def test_newer_or_damaged_version_is_refused_and_nothing_is_written(
    tmp_path: Path, version: str
) -> None:
    (tmp_path / "version").write_text(version)

    with pytest.raises(ConfigError, match="version"):
        place.prepare(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["version"]


def test_who_looks_at_the_lock_does_not_hold_it(tmp_path: Path) -> None:
    lock = place.DataDirLock(tmp_path)
    assert not lock.is_held()
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        assert lock.is_held()
        with pytest.raises(place.AlreadyRunningError, match=str(holder.pid)):
            lock.acquire()
        holder.communicate()

    assert not lock.is_held()
    lock.acquire()
    lock.release()


def test_runtime_folder_is_short_wherever_the_data_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))

    runtime = place.runtime_dir(long / ("y" * 100))

    assert len(str(runtime)) < 64
    assert runtime != place.runtime_dir(long)


def test_venue_is_the_configured_one_or_the_companion(tmp_path: Path) -> None:
    configured = Config(venue=VenueConfig(url="http://[::1]:7"))
    assert place.venue_url(configured, tmp_path) == "http://[::1]:7"
    assert place.venue_url(Config(), tmp_path) == ""
    (tmp_path / "exchange").mkdir()
    endpoint = tmp_path / "exchange" / "endpoint.json"
    endpoint.write_text(json.dumps({"url": "http://127.0.0.1:9"}))

    assert place.venue_url(Config(), tmp_path) == "http://127.0.0.1:9"
    endpoint.write_text("[]")
    assert place.venue_url(Config(), tmp_path) == ""


def test_last_run_is_forgotten_when_its_folder_is_gone(tmp_path: Path) -> None:
    configured, replay = tmp_path / "krator", tmp_path / "replay-1"
    replay.mkdir()
    place.remember_last_run(configured, replay)
    assert place.last_run(configured) == replay

    replay.rmdir()

    assert place.last_run(configured) == configured
