from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from krator_actors.adapters import child_exec
from krator_actors.adapters.child_exec import (
    ACCOUNT_REFUSED,
    NOT_EXECUTABLE,
    PARENT_GONE,
)

HELPER = [sys.executable, "-I", "-S", child_exec.__file__]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its account")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*HELPER, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=20)


def parent() -> str:
    return str(os.getpid())


def test_program_is_executed_with_its_arguments() -> None:
    result = run("same", parent(), "0", "/bin/echo", "a b", "-c")

    assert (result.returncode, result.stdout) == (0, "a b -c\n")


@as_root
def test_namespace_is_an_ordinary_user_inside_and_root_outside(tmp_path: Path) -> None:
    file = tmp_path / "made"

    result = run("namespace:1000", parent(), "0", "/bin/sh", "-c", f"id -u; touch {file}")

    if result.returncode == ACCOUNT_REFUSED:
        pytest.skip("user namespaces are refused here")
    assert result.stdout == "1000\n"
    assert file.stat().st_uid == 0


@as_root
def test_numbers_are_an_account() -> None:
    result = run("65534:65534", parent(), "0", "/bin/sh", "-c", "id -u; id -g; id -G")

    assert result.stdout.split() == ["65534"] * 3


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
def test_refused_account_is_said() -> None:
    result = run("0:0", parent(), "0", "/bin/true")

    assert result.returncode == ACCOUNT_REFUSED
    assert "cannot become 0:0" in result.stderr


def test_parent_that_has_gone_is_noticed() -> None:
    result = run("same", "1", "9", "/bin/true")

    assert result.returncode == PARENT_GONE


def test_program_that_is_not_there_is_said() -> None:
    result = run("same", parent(), "0", "/nowhere/postgres")

    assert result.returncode == NOT_EXECUTABLE
    assert "/nowhere/postgres" in result.stderr


@pytest.mark.parametrize("account", ["same", pytest.param("namespace:1000", marks=as_root)])
def test_program_dies_with_its_parent(account: str) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        f"command = {HELPER!r} + [{account!r}, str(os.getpid()), '9', '/bin/sh', '-c',"
        " 'echo $$; exec sleep 60']\n"
        "subprocess.Popen(command)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        child = int(dying.stdout.readline())

        os.kill(dying.pid, signal.SIGKILL)

        deadline = time.monotonic() + 10
        while Path(f"/proc/{child}").exists() and not is_zombie(child):
            assert time.monotonic() < deadline, "the child lives on"
            time.sleep(0.01)


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
