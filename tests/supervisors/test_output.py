"""What is written to descriptor 2 gets into a file, redacted, and holds nobody up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisors import output
from supervisors.output import Drain, RedactedFile
from supervisors.redaction import redact_with

SECRET = "tulip-7781"


@pytest.fixture(autouse=True)
def hooked() -> Iterator[None]:
    redact_with(lambda text: text.replace(SECRET, "<secret>"))
    yield
    redact_with(None)


@pytest.fixture
def drain(tmp_path: Path) -> Iterator[Drain]:
    made = Drain(tmp_path / "out")
    yield made
    made.close()


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("size", [1, 3, 7, 1_000])
def test_secret_in_pieces_is_redacted(tmp_path: Path, size: int) -> None:
    file = RedactedFile(tmp_path / "out")
    data = f"key {SECRET} is\nwrong: {SECRET}".encode()

    for start in range(0, len(data), size):
        file.take(data[start : start + size])
    file.end()

    assert text_of(file.path) == "key <secret> is\nwrong: <secret>\n"


def test_line_that_never_ends_is_cut_at_a_blank_and_nothing_is_kept(tmp_path: Path) -> None:
    file = RedactedFile(tmp_path / "out")

    file.take(f"{'word ' * 3_275}{SECRET}".encode())
    for _ in range(100):
        file.take(SECRET.encode() * 800)
    file.take(b" end\nnext\n")

    assert len(text_of(file.path)) < 20_000
    assert text_of(file.path).endswith("word (the rest of this line was dropped)\nnext\n")
    assert SECRET not in text_of(file.path)


def test_file_that_is_too_large_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_MAX_FILE_BYTES", 100)
    file = RedactedFile(tmp_path / "out")

    for number in range(50):
        file.take(f"line {number:03}\n".encode())

    kept = text_of(tmp_path / "out.1") + text_of(file.path)
    assert kept.endswith("line 048\nline 049\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.1"]
    assert len(kept) <= 200


def test_what_the_disk_does_not_take_is_counted(tmp_path: Path) -> None:
    file = RedactedFile(tmp_path / "folder" / "out")
    file.take(b"lost\n")
    file.take(b"lost too\n")

    file.path.parent.mkdir()
    file.take(b"there\n")

    assert text_of(file.path) == "(2 pieces of output were dropped)\nthere\n"


def test_drain_writes_what_programs_say_and_ends_with_the_last_of_them(tmp_path: Path) -> None:
    drain = Drain(tmp_path / "out")
    program = subprocess.Popen(["/bin/sh", "-c", f"echo {SECRET} >&2; cat"], stdin=subprocess.PIPE,
                               stderr=drain.fd)  # fmt: skip
    eventually(lambda: text_of(tmp_path / "out") == "<secret>\n")

    program.communicate()
    began = time.monotonic()
    drain.close()

    assert time.monotonic() - began < output._CLOSE_SECS
    assert drain._pidfd == -1


def test_drain_that_was_killed_is_made_again_and_has_lost_nothing(
    tmp_path: Path, drain: Drain
) -> None:
    os.kill(drain._pid, signal.SIGKILL)
    os.waitid(os.P_PIDFD, drain._pidfd, os.WEXITED | os.WNOWAIT)

    os.write(drain.fd, b"while nobody reads\n")
    drain.look()

    eventually(lambda: text_of(tmp_path / "out") == "while nobody reads\n")


def test_drain_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    drain = Drain(tmp_path / "out")
    os.kill(drain._pid, signal.SIGSTOP)
    program = textwrap.dedent(
        f"""
        import os, sys
        from supervisors.output import redirect_output
        redirect_output({drain.fd})
        for _ in range(100):
            print("x" * 10_000, file=sys.stderr)
        os.system("head -c 1000000 /dev/zero >&2")
        """
    )

    done = subprocess.run([sys.executable, "-c", program], check=False, pass_fds=[drain.fd])
    os.kill(drain._pid, signal.SIGCONT)
    drain.close()

    assert done.returncode == 0
    assert 0 < (tmp_path / "out").stat().st_size < 1_000_000


def test_output_and_error_are_one_and_input_is_empty(tmp_path: Path) -> None:
    drain = Drain(tmp_path / "out")
    program = textwrap.dedent(
        f"""
        import os, sys
        from supervisors.output import redirect_output
        redirect_output({drain.fd})
        print("words")
        os.system("echo more; echo error >&2")
        print(repr(sys.stdin.read()))
        """
    )

    done = subprocess.run(
        [sys.executable, "-c", program], pass_fds=[drain.fd], capture_output=True, check=True
    )
    drain.close()

    assert (done.stdout, done.stderr) == (b"", b"")
    assert text_of(tmp_path / "out") == "words\nmore\nerror\n''\n"
