"""How fast text is redacted, and what one line of the log costs the actor that writes it."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from loguru import logger

from krator_actors import telemetry
from krator_actors.core.redaction import Redactor
from tests.benchmarks.measure import Counts, short_folder
from tests.redaction import corpus

_SENSITIVE_EVERY = 50
_LINE = (
    '{"timestamp":"2026-11-22T18:49:45.123456+00:00","level":"INFO","component":"order:SIM",'
    '"event_type":"order_filled","message":"order filled","order_id":"kabcdefghijklmnopqrstuvwxyz'
    '234567","venue_order_id":"123456789","price":"64123.50","quantity":"0.00120","number":%d}'
)
_STORMS = ('password="', "aB3/", "cookie: a=b; ", '\\"password\\": \\"', "=")
_STORM_CHARS = 200_000
_SECRETS = ("bench-venue-key-1742", "bench-venue-secret-9981", "bench-dsn-password")


def run(counts: Counts) -> dict[str, Any]:
    redactor = Redactor(secrets=_SECRETS, names=corpus.NAMES)
    text = _log(counts.redact_bytes)
    storms = [unit * (min(_STORM_CHARS, counts.redact_bytes) // len(unit)) for unit in _STORMS]
    return {
        "redact_mb_per_second": _mb_per_second(redactor, text),
        "log_call_us": _log_call_us(redactor, counts.log_calls),
        "details": {
            "redact_mb_per_second": {
                "line by line": _mb_per_second(redactor, *text.splitlines()),
                "corpus, each line with a secret": _mb_per_second(
                    redactor, *(line.text for line in corpus.lines(1, counts.log_calls // 10))
                ),
                "worst of the storms": min(_mb_per_second(redactor, storm) for storm in storms),
            },
            "log_call_us": {"not redacted": _log_call_us(_Unchanged(), counts.log_calls)},
        },
    }


class _Unchanged(Redactor):
    """For what a line costs without redaction."""

    def value(self, value: Any, name: str = "") -> Any:
        return value

    def exact(self, data: bytes) -> bytes:
        return data


def _log(size: int) -> str:
    """Return a log in which one line in fifty has a secret."""
    sensitive = [line.text for line in corpus.lines(2, 200)]
    lines: list[str] = []
    chars = 0
    while chars < size:
        number = len(lines)
        is_sensitive = number % _SENSITIVE_EVERY == 0
        lines.append(sensitive[number % len(sensitive)] if is_sensitive else _LINE % number)
        chars += len(lines[-1])
    return "\n".join(lines)


def _mb_per_second(redactor: Redactor, *texts: str) -> float:
    secs = _timed(lambda: [redactor.text(text) for text in texts])
    return sum(map(len, texts)) / secs / 1e6


def _log_call_us(redactor: Redactor, calls: int) -> float:
    with short_folder() as folder:
        path = folder / "bench.jsonl"
        telemetry.configure(
            path, level="INFO", max_bytes=1 << 30, redactor=redactor, component="order:SIM"
        )

        def log_all() -> None:
            for number in range(calls):
                logger.bind(
                    event_type="order_filled",
                    number=number,
                    order_id=f"kabcdefghijklmnopqrstuvwxy{number % 6 + 2}23456",
                    symbol="BTC-USDT.SIM",
                    side="BUY",
                    quantity=Decimal("0.00120"),
                    price=Decimal("64123.50"),
                    trade_id=str(3_735_683_259 + number),
                ).info("order filled")

        secs = _timed(log_all)
        logger.remove()
    return secs / calls * 1e6


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
