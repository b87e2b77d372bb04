"""The log as its reader and as a full disk see it."""

from __future__ import annotations

import base64
import json
import os
import resource
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from krator_actors import telemetry
from krator_actors.config import Config
from krator_actors.core.redaction import Redactor
from supervisors.process import default_signals
from supervisors.redaction import redact_with


@pytest.fixture(autouse=True)
def restored_logger() -> Iterator[None]:
    yield
    logger.remove()
    logger.configure(extra={})
    redact_with(None)


def configured(path: Path, **options: Any) -> None:
    telemetry.configure(
        path, **{"level": "INFO", "max_bytes": 1_000_000, "component": "test", **options}
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_line_has_the_schema_first_and_the_fields_after(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "krator.jsonl"
    configured(path)

    logger.bind(
        event_type="order_filled", order_id="k1", side="BUY", quantity=Decimal("0.50")
    ).info("order filled")

    (line,) = lines(path)
    assert list(line)[:5] == ["timestamp", "level", "component", "event_type", "message"]
    assert line["component"] == "test"
    assert line["event_type"] == "order_filled"
    assert line["quantity"] == "0.50"


def test_exception_is_logged_with_class_and_traceback(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path)

    try:
        raise ValueError("price was -1")  # noqa: TRY301 - the test's own
    except ValueError:
        logger.bind(event_type="failed").exception("failed")

    (line,) = lines(path)
    assert line["exception"] == "ValueError"
    assert "price was -1" in line["traceback"]


def test_configured_secret_never_reaches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path, redactor=Redactor(secrets=["hunter2hunter2"]))

    logger.bind(event_type="oops", url="https://x?q=hunter2hunter2").info("oops")

    assert "hunter2" not in path.read_text()
    assert lines(path)[0]["url"] == "https://x?q=<secret>"


def test_field_with_a_secret_name_is_redacted_whatever_its_value(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path)

    logger.bind(passphrase="tulip", nested={"api_key": "abc123def", "tried": [1, 2]}).info("x")

    (line,) = lines(path)
    assert line["passphrase"] == "<password>"
    assert line["nested"] == {"api_key": "<key>", "tried": [1, 2]}


def test_exception_text_is_redacted_before_it_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path)
    secret = "ghp_" + "a1B2c3D4e5" * 4

    try:
        raise ValueError(f"{secret} {'x ' * 4_090}")  # noqa: TRY301 - the test's own
    except ValueError:
        logger.exception("failed")

    assert secret[8:] not in path.read_text()
    assert len(lines(path)[0]["traceback"]) <= 8_192


@pytest.mark.parametrize("value", ["\ud800", b"\xff\xfe", {1: object}, float("nan"), {"a", "b"}])
def test_value_that_no_json_has_is_logged_somehow(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path)

    logger.bind(odd=value).info("odd")

    assert lines(path)[0]["event_type"] == "log"


def test_huge_field_is_cut_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path)

    logger.bind(body="word " * 100_000).info("huge")

    assert path.stat().st_size < 40_000
    assert " bytes>" in lines(path)[0]["body"][-20:]


def test_child_process_writes_to_the_same_file_through_its_own_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path)
    logger.info("from parent")

    pid = os.fork()
    if pid == 0:
        os.closerange(3, 64)
        logger.info("from child")
        os._exit(0)
    os.waitpid(pid, 0)

    assert [line["message"] for line in lines(path)] == ["from parent", "from child"]


def test_full_pipe_drops_and_counts_and_does_not_block(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = telemetry.JsonSink(path, max_bytes=1_000_000)
    logger.remove()
    logger.add(sink, format="{message}")

    for _ in range(200):
        logger.bind(event_type="noise", padding="word " * 200).info("noise")
    assert sink.dropped > 0
    os.read(reader, 1_000_000)
    logger.bind(event_type="after").info("after")

    assert b'"log_lines_dropped":' in os.read(reader, 65_536)
    os.close(reader)


def test_pipe_that_nobody_reads_costs_the_line_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    sink = telemetry.JsonSink(path, max_bytes=1_000_000)
    logger.remove()
    logger.add(sink, format="{message}")

    logger.info("lost")
    logger.info("lost")

    assert sink.dropped == 2


def test_full_disk_costs_the_line_and_nothing_else(tmp_path: Path) -> None:
    sink = telemetry.JsonSink(Path("/dev/full"), max_bytes=1_000_000)
    logger.remove()
    logger.add(sink, format="{message}")

    logger.info("lost")

    assert sink.dropped == 1


def test_line_cut_by_a_file_size_limit_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    pid = os.fork()
    if pid == 0:  # a limit is for the rest of a process's life
        default_signals()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
        configured(path)
        for _ in range(20):
            logger.bind(padding="word " * 10).info("line")
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        logger.bind(event_type="after").info("after")
        os._exit(0)

    _, status = os.waitpid(pid, 0)

    assert status == 0
    *_, torn, last = path.read_text().splitlines()
    assert not torn.endswith("}")
    assert json.loads(last)["log_lines_dropped"] > 1


def test_descriptor_that_somebody_closed_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    sink = telemetry.JsonSink(path, max_bytes=1_000_000)
    logger.remove()
    logger.add(sink, format="{message}")
    logger.info("first")

    os.close(sink._fd)
    logger.info("lost")
    logger.info("third")

    assert [line["message"] for line in lines(path)] == ["first", "third"]
    assert lines(path)[1]["log_lines_dropped"] == 1


def test_long_file_is_renamed_and_followed_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "krator.jsonl"
    monkeypatch.setattr(telemetry, "_CHECK_EVERY_SECS", 0.0)
    configured(path, max_bytes=20_000, max_files=2)

    for number in range(900):
        logger.bind(number=number).info("line")

    older = sorted(tmp_path.glob("krator-*.jsonl"))
    numbers = [line["number"] for name in (*older, path) for line in lines(name)]
    assert len(older) == 2
    assert numbers == list(range(numbers[0], 900))


def test_working_folder_is_no_secret_because_its_variable_is_called_pwd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PWD", "/home/ada/desk")
    monkeypatch.setenv("OLDPWD", "/home/ada/papers")

    redactor = telemetry.protect(Config())

    text = "details: /home/ada/desk/var/crash, /home/ada/papers/crash"
    assert redactor.text(text) == text


def test_secrets_of_the_environment_are_found_in_every_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "canary-venue-secret")
    monkeypatch.setenv("KRATOR_POSTGRES_DSN", "postgresql://krator:canary%2Fdsn@db/krator")
    monkeypatch.setenv("KRATOR_REDIS_URL", "redis://:canary-redis-pw@cache:6379/0")

    redactor = telemetry.protect(Config())

    forms = ("canary-venue-secret", "canary/dsn", "canary%2Fdsn", "canary-redis-pw")
    encoded = [base64.b64encode(f"id:{form}".encode()).decode() for form in forms]
    shown = redactor.text(" ".join((*forms, *(form[::-1] for form in forms), *encoded)))
    assert "canary" not in shown
    assert "yranac" not in shown
    assert not any(form[6:-4] in shown for form in encoded)
