"""A replay in lockstep: the same recording, the same decisions."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import pytest

from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.messages.strategy import SignalRaised
from tests.system.harness import Krator

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

_BEGIN_MS = 1_723_161_255_000
_TRADES = 200


def write_recording(folder: Path) -> None:
    """Waves of 50 seconds in BTC-USDT: a quote and a trade a second."""
    folder.mkdir()
    snapshot = {"lastUpdateId": 1, "bids": [["90.00", "50"]], "asks": [["110.00", "50"]]}
    with gzip.open(folder / "spot_btcusdt.jsonl.gz", "wt") as file:

        def write(ts_ms: int, data: object, **line: object) -> None:
            text = json.dumps({"ts_ns": ts_ms * 1_000_000, **line, "data": json.dumps(data)})
            file.write(text + "\n")

        write(_BEGIN_MS, snapshot, dir="http", url="https://x/api/v3/depth?symbol=BTCUSDT")
        for number in range(1, _TRADES):
            at_ms = _BEGIN_MS + number * 1_000
            price = 100 + 0.5 * math.sin(number / 50 * 2 * math.pi)
            bid, ask = f"{price - 0.01:.2f}", f"{price + 0.01:.2f}"
            quote = {"u": number, "s": "BTCUSDT", "b": bid, "B": "9", "a": ask, "A": "9"}
            write(at_ms, {"stream": "btcusdt@bookTicker", "data": quote}, dir="recv")
            trade = {
                "e": "trade",
                "s": "BTCUSDT",
                "t": number,
                "p": f"{price:.2f}",
                "q": "1",
                "T": at_ms,
                "m": False,
            }
            write(at_ms, {"stream": "btcusdt@trade", "data": trade}, dir="recv")


def decisions(krator: Krator, recording: Path, data_dir: Path) -> list[tuple[object, ...]]:
    run = krator.start(
        "--replay", str(recording), "--lockstep", "--data-dir", str(data_dir), "--seed", "1"
    )
    assert run.wait(120) == 0, krator.output()
    path = log_path(data_dir, "strategy:BTC-USDT.SIM/sma_cross")
    return [
        (s.side, s.cause, s.price, s.quantity, s.client_order_id, s.ts_event)
        for s in (record.event for record in read_log(path, types=SignalRaised))
    ]


def test_same_recording_in_lockstep_gives_the_same_decisions(
    krator: Krator, tmp_path: Path
) -> None:
    write_recording(tmp_path / "recording")

    first = decisions(krator, tmp_path / "recording", tmp_path / "first")
    # On a machine so slow that by the clock every quote would be old.
    krator.config.write_text("[venue]\nquote_stale_secs = 0.001\nstale_max_secs = 0.001\n")
    second = decisions(krator, tmp_path / "recording", tmp_path / "second")

    assert len(first) >= 4, first
    assert first == second
    assert krator.leftovers() == []
