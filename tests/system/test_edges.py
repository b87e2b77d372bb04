"""Hard places: a full disk, no permission, another version, a wrong clock, IPv6."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from krator_actors import place
from tests.system.harness import KRATOR, ROOT, Krator, eventually
from tests.system.ordinary_user import as_user

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

NOBODY = 65534
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can arrange this")
EAGER = """
[[strategies]]
symbol = "BTC-USDT.SIM"
bar = "1-SECOND-LAST"
fast = 2
slow = 3
"""
SKEWED = """
import signal, sys, time
skew = [int(sys.argv.pop(1))]
time_ns, seconds = time.time_ns, time.time
time.time_ns = lambda: time_ns() + skew[0] * 10**9
time.time = lambda: seconds() + skew[0]
signal.signal(signal.SIGUSR1, lambda *_: skew.__setitem__(0, skew[0] + 86_400))
from krator_actors.exchange.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def small_disk(krator: Krator) -> Iterator[Callable[[str], Path]]:
    """Mount a disk of so many megabytes where the data folder will be."""
    disk = krator.folder / "disk"

    def mount(size: str) -> Path:
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(disk)]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("this machine does not let root mount a disk")
        krator.data_dir = disk / "data"
        return disk

    yield mount
    krator.close()
    subprocess.run(["umount", "-l", str(disk)], check=False, capture_output=True)


def fill(disk: Path) -> Path:
    file = disk / "fill"
    with file.open("wb", buffering=0) as out:
        try:
            while out.write(bytes(4096)):
                pass
        except OSError:
            return file
    raise AssertionError("the disk does not fill")


# -- the disk --------------------------------------------------------------------------------------


@only_root
@pytest.mark.parametrize(("size", "code"), [("16k", 2), ("3m", 5)])
def test_full_disk_at_the_start_is_a_clear_error(
    krator: Krator, small_disk: Callable[[str], Path], size: str, code: int
) -> None:
    disk = small_disk(size)
    if size == "16k":
        fill(disk)

    done = krator.command("run", "--for", "3")

    assert done.returncode == code, done.stderr
    assert "space" in done.stderr
    assert "Traceback" not in done.stderr
    assert krator.leftovers() == []


@only_root
def test_disk_that_fills_up_stops_trading_and_nothing_else(
    krator: Krator, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("200m")
    url = krator.start_exchange()  # on another disk, as another computer has
    krator.config.write_text(f'[venue]\nurl = "{url}"\n{EAGER}')
    run = krator.start()
    krator.wait_ready(run)
    eventually(lambda: krator.json("report")["fills"], 60, "the first fill")

    filling = fill(disk)

    halted = krator.json("halt", "--by", "ada", "--reason", "the disk is full")
    canceled = krator.command("kill", "--by", "ada", "--reason", "x", "--json")
    flattened = krator.command("kill", "--flatten", "--by", "ada", "--reason", "x", "--yes")
    assert halted["state"] == "HALTED"
    assert json.loads(canceled.stdout)["trading"] == "halted"
    assert flattened.returncode in {0, 5}  # a log may have room in its last page
    assert run.poll() is None
    filling.unlink()
    krator.wait_ready(run)
    resumed = krator.json("resume", "--by", "ada", "--reason", "there is room")
    assert resumed["state"] == "ACTIVE"
    assert krator.command("stop").returncode == 0
    assert run.wait(60) == 0, krator.output()


# -- whose folder, of which version, how deep ------------------------------------------------------


@only_root
@pytest.mark.parametrize(
    ("word", "code"),
    [("run", 2), ("status", 3), ("report", 2), ("stop", 3), ("kill", 6), ("doctor", 5)],
)
def test_folder_of_somebody_else_is_a_clear_error(krator: Krator, word: str, code: int) -> None:
    arguments = ["--by", "ada", "--reason", "x"] if word == "kill" else []
    nobody = as_user(NOBODY, krator.folder)
    krator.folder.chmod(0o755)
    krator.data_dir.mkdir(mode=0o700)

    done = subprocess.run(
        [*nobody, *KRATOR, word, *arguments, "--data-dir", str(krator.data_dir)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if word == "run":
        assert "--data-dir" in done.stderr
    assert list(krator.data_dir.iterdir()) == []


@only_root
def test_ordinary_user_runs_the_system_in_a_folder_of_its_own(krator: Krator) -> None:
    nobody = as_user(NOBODY, krator.folder)
    krator.folder.chmod(0o755)
    krator.data_dir.mkdir(mode=0o700)
    shutil.chown(krator.data_dir, NOBODY, NOBODY)

    done = subprocess.run(
        [*nobody, *KRATOR, "run", "--for", "3", "--data-dir", str(krator.data_dir)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    assert "after 3 s" in done.stdout


def test_data_folder_of_a_newer_version_is_refused_untouched(krator: Krator) -> None:
    krator.data_dir.mkdir()
    (krator.data_dir / "version").write_text("99\n")

    done = krator.command("run")

    assert done.returncode == 2
    assert "version 99" in done.stderr
    assert [path.name for path in krator.data_dir.iterdir()] == ["version"]


def test_data_folder_of_an_older_version_is_taken_over(krator: Krator) -> None:
    krator.config.write_text(EAGER)
    first = krator.start("--for", "8")
    assert first.wait(90) == 0, krator.output()
    (krator.data_dir / "version").unlink()
    before = len(krator.json("report")["orders"])

    second = krator.start("--for", "3")

    assert second.wait(90) == 0, krator.output()
    assert place.data_version(krator.data_dir) == place.DATA_VERSION
    assert len(krator.json("report")["orders"]) >= before


def test_data_folder_may_have_a_path_of_200_characters(
    krator: Krator, monkeypatch: pytest.MonkeyPatch
) -> None:
    krator.data_dir = krator.folder.joinpath(*["x" * 50] * 4, "data")
    assert len(str(krator.data_dir)) > 200
    krator.data_dir.parent.mkdir(parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(krator.data_dir.parent))

    run = krator.start()
    krator.wait_ready(run)

    assert krator.command("stop").returncode == 0
    assert run.wait(60) == 0, krator.output()
    assert krator.command("report").returncode == 0
    assert krator.leftovers() == []


# -- the venue's clock and address -----------------------------------------------------------------


def start_skewed(krator: Krator, skew_secs: int) -> subprocess.Popen[bytes]:
    folder = krator.folder / "venue"
    process = subprocess.Popen(
        [sys.executable, "-c", SKEWED, str(skew_secs), "--data-dir", str(folder)],
        stdout=subprocess.DEVNULL,
        cwd=ROOT,
    )
    endpoint = folder / "endpoint.json"
    eventually(endpoint.exists, 30, "the venue is ready")
    url = json.loads(endpoint.read_text())["url"]
    krator.config.write_text(f'[venue]\nurl = "{url}"\n{EAGER}')
    return process


@pytest.mark.parametrize("skew_secs", [86_400, -86_400])
def test_clock_a_day_off_is_warned_of_and_trading_goes_on(krator: Krator, skew_secs: int) -> None:
    venue = start_skewed(krator, skew_secs)
    try:
        run = krator.start()
        krator.wait_ready(run)
        eventually(lambda: krator.json("report")["fills"], 60, "a fill")
        findings = {f["check"]: f for f in krator.json("doctor")["findings"]}
        assert krator.command("kill", "--by", "ada", "--reason", "x").returncode == 0
        assert krator.command("stop").returncode == 0
        assert run.wait(60) == 0, krator.output()
    finally:
        venue.kill()
        venue.wait()

    assert f"{-skew_secs:+,} s off the venue's" in krator.output()
    assert findings["clock"]["verdict"] == "warn"


def test_orders_are_refused_and_then_trading_goes_on_when_the_venue_sets_its_clock(
    krator: Krator,
) -> None:
    venue = start_skewed(krator, 0)
    try:
        run = krator.start()
        krator.wait_ready(run)
        eventually(lambda: krator.json("report")["fills"], 60, "a fill")
        venue.send_signal(signal.SIGUSR1)
        eventually(lambda: "-1021" in reasons(krator), 60, "the venue refuses our timestamps")
        fills = len(krator.json("report")["fills"])

        eventually(lambda: len(krator.json("report")["fills"]) > fills, 60, "a fill after that")

        assert run.poll() is None
        assert krator.json("report")["totals"]["restarts"] == 0
    finally:
        venue.kill()
        venue.wait()


def reasons(krator: Krator) -> str:
    return " ".join(order["reason"] for order in krator.json("report")["orders"])


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_venue_on_ipv6_is_traded_on(krator: Krator) -> None:
    url = krator.start_exchange("--host", "::1")
    krator.config.write_text(f'[venue]\nurl = "{url}"\n{EAGER}')
    run = krator.start()
    krator.wait_ready(run)

    eventually(lambda: krator.json("report")["fills"], 60, "a fill")
    canceled = krator.command("kill", "--by", "ada", "--reason", "x")

    assert url.startswith("http://[::1]:")
    assert canceled.returncode == 0
    assert krator.command("stop").returncode == 0
    assert run.wait(60) == 0


def test_venue_listens_on_loopback_only(krator: Krator) -> None:
    for host in ("0.0.0.0", "::", "example.com"):
        command = [*KRATOR, "exchange", "--data-dir", str(krator.folder), "--host", host]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)

        assert done.returncode == 2
        assert "not a loopback address" in done.stderr


@only_root
def test_loopback_without_ipv4_is_a_clear_error(krator: Krator) -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("no unshare or ip here")
    script = 'ip link set lo up && ip addr del 127.0.0.1/8 dev lo && exec "$@"'
    probe = ["unshare", "--net", "sh", "-c", script, "sh"]
    if subprocess.run([*probe, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root make a network namespace")
    command = [*probe, *KRATOR, "run", "--for", "3", "--data-dir", str(krator.data_dir)]

    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )

    assert done.returncode == 2
    assert "127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr
    assert krator.leftovers() == []
