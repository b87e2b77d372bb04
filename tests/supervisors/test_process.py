"""Process hygiene, in real child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from supervisors.process import (
    crash_path,
    describe_process,
    executed_processes,
    file_name,
    forked_processes,
    has_ended,
    process_state,
    send_signal,
    wait_ended,
)


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_child_dies_with_its_parent() -> None:
    done = run(
        """
        import os, signal, time
        from supervisors.process import die_with_parent
        me = os.getpid()
        child = os.fork()
        if child == 0:
            die_with_parent(me)
            print("armed", flush=True)
            time.sleep(60)
        time.sleep(0.2)
        os.kill(me, signal.SIGKILL)
        """
    )

    assert done.stdout == "armed\n"  # and run() would have waited for the child's end of the pipe
    assert done.returncode == -signal.SIGKILL


def test_child_whose_parent_is_already_dead_exits() -> None:
    done = run(
        """
        from supervisors.process import die_with_parent
        die_with_parent(1 if __import__("os").getppid() != 1 else 2)
        print("still here")
        """
    )

    assert (done.stdout, done.returncode) == ("", 0)


def test_dropped_descriptors_are_closed_or_lead_nowhere() -> None:
    done = run(
        """
        import os
        from supervisors.process import drop_descriptors, open_descriptors
        kept, null, closed = (os.open("/etc/hostname", os.O_RDONLY) for _ in range(3))
        drop_descriptors({kept}, close={closed})
        print(os.readlink(f"/proc/self/fd/{kept}"), os.readlink(f"/proc/self/fd/{null}"))
        print(closed in open_descriptors(), sorted(open_descriptors()) == [0, 1, 2, kept, null])
        """
    )

    assert done.stdout == "/etc/hostname /dev/null\nFalse True\n"


def test_signals_are_given_back_to_the_kernel() -> None:
    done = run(
        """
        import os, signal
        from supervisors.process import default_signals
        for number in (signal.SIGSEGV, signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        default_signals()
        assert signal.getsignal(signal.SIGPIPE) is signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGSEGV)
        """
    )

    assert done.returncode == -signal.SIGSEGV


def test_stacks_are_written_on_the_dump_signal_although_python_is_stuck(tmp_path: Path) -> None:
    path = crash_path(tmp_path, "a", 1)
    done = run(
        f"""
        import faulthandler, os, sys
        from pathlib import Path
        from supervisors.process import CrashFile, DUMP_SIGNAL, default_signals, forbid_core_files
        faulthandler.enable()
        default_signals()
        forbid_core_files()
        file = CrashFile(Path({str(path)!r}))
        file.arm()
        file.write("before")
        def stuck():
            os.kill(os.getpid(), DUMP_SIGNAL)
        stuck()
        """
    )

    assert done.returncode == 0
    assert path.read_text().startswith("before\n")
    assert "in stuck" in path.read_text()


def test_names_become_file_names_that_differ() -> None:
    names = ["a", "order:SIM", "order_SIM", "strategy:BTC-USDT.SIM/sma_cross", "..", ".", "a/b"]

    files = {file_name(name) for name in names}

    assert len(files) == len(names)
    assert file_name("a") == "a"
    assert not any("/" in name or name.startswith(".") for name in files)


def test_state_and_description_of_a_stopped_process() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as sleeper:
        pidfd = os.pidfd_open(sleeper.pid)
        try:
            send_signal(pidfd, signal.SIGSTOP)
            os.waitid(os.P_PID, sleeper.pid, os.WSTOPPED | os.WNOWAIT)

            assert process_state(sleeper.pid) == "T"
            assert "state T" in describe_process(sleeper.pid)
            assert not has_ended(pidfd)
            assert not wait_ended(pidfd, 0.0)
        finally:
            send_signal(pidfd, signal.SIGKILL)
        assert wait_ended(pidfd, 10.0)
        assert has_ended(pidfd)
        sleeper.wait()
        send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    assert process_state(sleeper.pid) == ""


def test_signal_to_an_ended_process_reaches_nobody() -> None:
    with subprocess.Popen(["/bin/true"]) as ended:
        pidfd = os.pidfd_open(ended.pid)
        ended.wait()  # from here on its number may be another's
        try:
            with pytest.raises(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)

            send_signal(pidfd, signal.SIGKILL)

            assert has_ended(pidfd)
        finally:
            os.close(pidfd)


@pytest.mark.parametrize("marked", [True, False])
def test_processes_are_found_by_marker_and_by_environment(tmp_path: Path, *, marked: bool) -> None:
    marker = tmp_path / "alive"
    fd = os.open(marker, os.O_RDWR | os.O_CREAT)
    variable = f"KRATOR_TEST={tmp_path}"
    environment = dict(os.environ, KRATOR_TEST=str(tmp_path)) if marked else None
    fds = (fd,) if marked else ()
    with subprocess.Popen(["/bin/sleep", "60"], pass_fds=fds, env=environment) as sleeper:
        try:
            assert (sleeper.pid in set(forked_processes(marker))) is marked
            assert (sleeper.pid in set(executed_processes(variable))) is marked
            assert os.getpid() not in set(forked_processes(marker))
        finally:
            sleeper.kill()
            os.close(fd)
