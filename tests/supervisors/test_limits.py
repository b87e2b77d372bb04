"""Memory and processes run out: what a supervisor does then."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HouseBuilder
from trial_house import supervisor, worker

from supervisors.process import resident_bytes
from supervisors.spec import Backoff, Budget, SpecError
from supervisors.spec_check import check_spec
from tests.system.ordinary_user import as_user

UID = 54_322
MEGA = 1024 * 1024
ROOM = 130 * MEGA
QUICK = Budget(max_restarts=1_000, backoff=Backoff(initial_secs=0.01, max_secs=0.05))


@pytest.fixture
def limit() -> int:
    """What a child may have, in bytes: it begins with what this process has by now."""
    return resident_bytes(os.getpid()) + ROOM


def test_child_that_grows_over_its_limit_is_restarted_with_that_reason(
    house: HouseBuilder, tmp_path: Path, limit: int
) -> None:
    diary = tmp_path / "diary"
    eater = worker("a", max_rss_bytes=limit, beat_secs=0.5, config={"diary": str(diary)})
    system = house(supervisor("root", eater, worker("b"))).start()
    sibling = system.pid("b")

    system.tell("a", "grow 250")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["kind"] == "memory"
    assert f"exceed max_rss_bytes {limit}" in report["reason"]["detail"]
    assert diary.read_text().splitlines() == ["start a", "stop a", "start a"]
    assert resident_bytes(system.pid("a")) < limit
    assert system.pid("b") == sibling


def test_child_below_its_limit_is_left_alone(house: HouseBuilder, limit: int) -> None:
    system = house(supervisor("root", worker("a", max_rss_bytes=limit, beat_secs=0.1))).start()
    pid = system.pid("a")

    system.ask("a", "grow 20")
    uptime_secs = system.node("a").uptime_secs
    system.eventually(lambda: system.node("a").uptime_secs > uptime_secs + 0.5)

    assert system.pid("a") == pid


@pytest.mark.parametrize("on_stop", ["never", "block"])
def test_too_large_child_that_does_not_stop_is_killed(
    house: HouseBuilder, on_stop: str, limit: int
) -> None:
    eater = worker(
        "a", max_rss_bytes=limit, beat_secs=0.5, shutdown_secs=0.3, config={"stop": on_stop}
    )
    system = house(supervisor("root", eater)).start()

    system.tell("a", "grow 250")
    system.eventually_runs("a", 2)

    [report] = system.reports("child_terminated", "a")
    assert report["reason"]["kind"] == "memory"


@pytest.mark.parametrize("wrong", [0, -1, "much"])
def test_limit_that_is_none_is_refused(wrong: object) -> None:
    with pytest.raises(SpecError, match="max_rss_bytes was"):
        check_spec(supervisor("root", worker("a", max_rss_bytes=wrong)))


def test_fork_that_fails_is_a_failed_start_and_not_a_dead_supervisor(
    house: HouseBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    _forks_fail_while(full, monkeypatch)
    system = house(supervisor("root", worker("a", budget=QUICK), worker("b"))).start()
    root, sibling = system.pid("root"), system.pid("b")

    full.touch()
    system.kill("a")
    system.eventually(lambda: len(system.reports("start_error", "a")) >= 3)
    assert system.ask("b").generation == 1
    full.unlink()
    system.eventually(lambda: system.node("a").state == "running")

    assert (system.pid("root"), system.pid("b")) == (root, sibling)
    assert "not forked" in system.reports("start_error", "a")[0]["reason"]["detail"]
    assert system.ask("a").generation >= 2


# The limit counts all processes of a user, and root is never refused.
AS_USER = """
import resource, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_limits import QUICK
from trial_house import House, supervisor, worker
system = House(supervisor("root", worker("a", budget=QUICK), worker("b")), Path({base!r})).start()
try:
    root = system.pid("root")
    before = resource.prlimit(root, resource.RLIMIT_NPROC)
    resource.prlimit(root, resource.RLIMIT_NPROC, (1, before[1]))
    system.kill("a")
    system.eventually(lambda: len(system.reports("start_error", "a")) >= 3)
    print(system.reports("start_error", "a")[0]["reason"]["detail"])
    print("sibling answers", system.ask("b").generation)
    resource.prlimit(root, resource.RLIMIT_NPROC, before)
    system.eventually(lambda: system.node("a").state == "running")
    print("answers again", system.ask("a").generation > 1, system.pid("root") == root)
finally:
    system.heart.stop()
"""


def test_kernel_that_refuses_processes_is_a_failed_start_and_not_a_dead_supervisor(
    short_dir: Path, tmp_path: Path
) -> None:
    prefix = as_user(UID, tmp_path)
    os.chown(short_dir, UID, UID)
    here = Path(__file__).parent

    done = subprocess.run(
        [*prefix, sys.executable, "-c", AS_USER.format(tests=str(here), base=str(short_dir))],
        cwd=here.parent.parent,
        env={**os.environ, "PYTHONPATH": str(here.parent.parent)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.stdout.splitlines() == [
        "not forked: the process could not be forked",
        "sibling answers 1",
        "answers again True True",
    ], done.stderr


def test_failed_forks_leak_no_descriptor(
    house: HouseBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    _forks_fail_while(full, monkeypatch)
    system = house(supervisor("root", worker("a", budget=QUICK))).start()
    root = system.pid("root")

    def descriptors_after(failures: int) -> int:
        system.eventually(lambda: len(system.reports("start_error", "a")) >= failures)
        full.unlink()
        system.eventually(lambda: system.node("a").state == "running")
        return len(list(Path(f"/proc/{root}/fd").iterdir()))

    full.touch()
    system.kill("a")
    few = descriptors_after(3)
    full.touch()
    system.kill("a")
    many = descriptors_after(40)

    assert many - few < 10  # Thespian opens and closes some of its own


def test_supervisor_that_cannot_fork_without_a_budget_gives_up_and_is_built_again(
    house: HouseBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    _forks_fail_while(full, monkeypatch)
    system = house(supervisor("root", supervisor("s", worker("a"), budget=QUICK))).start()

    full.touch()
    system.kill("a")
    system.eventually(lambda: system.reports("shutdown", "a") != [])
    full.unlink()

    system.eventually(lambda: system.node("a").state == "running")


def _forks_fail_while(full: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under RLIMIT_NPROC, in this process and in all that it forks."""
    real_fork = os.fork

    def fork() -> int:
        if full.exists():
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return real_fork()

    monkeypatch.setattr(os, "fork", fork)
