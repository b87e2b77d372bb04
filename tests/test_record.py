"""``krator record`` against the simulated venue: what it writes can be replayed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from krator_actors import record
from krator_actors.companion import recorded_symbols
from krator_actors.exchange.recording import Recording


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(tmp_path / "x")]
    process = subprocess.Popen([*command, "--ticks-per-sec", "200"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def options(tmp_path: Path, url: str) -> argparse.Namespace:
    config = tmp_path / "krator.toml"
    config.write_text('[[strategies]]\nsymbol = "BTC-USDT.SIM"\n')
    return argparse.Namespace(config=config, out=tmp_path / "out", url=url, run_secs=2.5)


def test_recording_of_a_venue_can_be_replayed(tmp_path: Path, exchange: str) -> None:
    assert record.main(options(tmp_path, exchange)) == 0

    recording = Recording.scan(tmp_path / "out")
    assert recording.symbols == ("BTCUSDT",)
    assert recording.frame_count > 50
    assert set(recording.opening) == {"BTCUSDT"}
    assert recorded_symbols(tmp_path / "out") == {"BTCUSDT"}


def test_address_that_is_none_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record.main(options(tmp_path, "127.0.0.1:9")) == 2
    assert "is no address of a venue" in capsys.readouterr().err
