"""What leaves a process that dies is redacted: its crash file, its last packet, its report."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisors.control import Channel, Crash
from supervisors.guardian import end_crashed
from supervisors.output import redirect_output
from supervisors.process import CrashFile
from supervisors.redaction import RedactingFormatter, redact_with, redacted
from supervisors.reports import Reason, ReportLog

SECRET = "tulip-7781"


def without_secret(text: str) -> str:
    return text.replace(SECRET, "<secret>")


@pytest.fixture(autouse=True)
def hooked() -> Iterator[None]:
    redact_with(without_secret)
    yield
    redact_with(None)


def test_dying_process_tells_its_secret_to_nobody(tmp_path: Path) -> None:
    ours, theirs = Channel.pair()
    path = tmp_path / "x-1.txt"
    pid = os.fork()
    if pid == 0:
        redirect_output(os.open(tmp_path / "stderr.log", os.O_WRONLY | os.O_CREAT))
        try:
            raise ValueError(f"could not log on with {SECRET}")  # noqa: TRY301 - the test's own
        except ValueError as error:
            end_crashed(theirs, CrashFile(path), error)
    os.waitpid(pid, 0)

    crash = (ours.receive() or [None])[0]

    assert isinstance(crash, Crash)
    assert crash.detail == "could not log on with <secret>"
    for text in (crash.traceback, path.read_text(), (tmp_path / "stderr.log").read_text()):
        assert "could not log on with <secret>" in text
        assert SECRET not in text
    ours.close()
    theirs.close()


def test_report_has_no_secret(tmp_path: Path) -> None:
    log = ReportLog(tmp_path, "root")

    log.write("x", child="a", pid=1, generation=1, reason=Reason("exception", SECRET, "ValueError"))

    assert '"detail":"<secret>"' in (tmp_path / "reports.jsonl").read_text()


def test_uncaught_error_of_a_thread_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    error = ValueError(SECRET)

    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, None)))
    sys.excepthook(ValueError, error, None)

    assert capsys.readouterr().err == "ValueError: <secret>\n" * 2


def test_library_that_logs_is_redacted() -> None:
    record = logging.LogRecord("lib", logging.WARNING, "x.py", 1, "key %s", (SECRET,), None)

    assert RedactingFormatter().format(record) == "key <secret>"


def test_redactor_that_fails_shows_nothing() -> None:
    def broken(_text: str) -> str:
        raise RuntimeError

    redact_with(broken)

    assert SECRET not in redacted(SECRET)


def test_without_a_hook_texts_are_as_they_are() -> None:
    redact_with(None)

    assert redacted(SECRET) == SECRET
    assert sys.excepthook is sys.__excepthook__
