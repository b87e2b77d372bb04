"""The log as its reader and as a full disk see it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from loguru import logger

from krator_actors import telemetry


@pytest.fixture(autouse=True)
def restored_logger() -> Iterator[None]:
    yield
    logger.remove()
    logger.configure(extra={})


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
    configured(path, secrets=["hunter2hunter2"])

    logger.bind(event_type="oops", url="https://x?key=hunter2hunter2").info("oops")

    assert "hunter2" not in path.read_text()
    assert lines(path)[0]["url"] == "https://x?key=***"


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
        logger.bind(event_type="noise", padding="x" * 1_000).info("noise")
    assert sink.dropped > 0
    os.read(reader, 1_000_000)
    logger.bind(event_type="after").info("after")

    assert b'"log_lines_dropped":' in os.read(reader, 65_536)
    os.close(reader)


def test_full_disk_costs_the_line_and_nothing_else(tmp_path: Path) -> None:
    sink = telemetry.JsonSink(Path("/dev/full"), max_bytes=1_000_000)
    logger.remove()
    logger.add(sink, format="{message}")

    logger.info("lost")

    assert sink.dropped == 1


def test_long_file_is_renamed_once_and_followed(tmp_path: Path) -> None:
    path = tmp_path / "krator.jsonl"
    configured(path, max_bytes=20_000)

    for number in range(600):
        logger.bind(number=number).info("line")

    numbers = [line["number"] for name in (f"{path}.1", path) for line in lines(Path(name))]
    assert numbers == list(range(numbers[0], 600))
    assert len(lines(path)) < 600
