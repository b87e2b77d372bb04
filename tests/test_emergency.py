"""What kill, halt and doctor refuse or find before they reach for a venue."""

from __future__ import annotations

import argparse
import errno
import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from krator_actors import (
    act_commands,
    doctor,
    emergency,
    emergency_commands,
    halt_file,
    place,
    venue_clock,
)
from krator_actors.config import Config, ConfigError, SystemConfig, VenueConfig
from krator_actors.emergency import Halted
from krator_actors.model import OrderStatus
from krator_actors.venue_desk import Outcome, VenueSilentError

REAL = Config(
    venue=VenueConfig(name="BINANCE", kind="binance"),
    system=SystemConfig(dry_run=False),
    strategies=(),
)
DAY_SECS = 86_400


class Clock(http.server.BaseHTTPRequestHandler):
    """A venue that has nothing but a clock, a day ahead."""

    def do_GET(self) -> None:
        body = json.dumps({"serverTime": int((time.time() + DAY_SECS) * 1_000)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
        pass


@pytest.fixture
def clock_url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Clock) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def exchange_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "krator_actors.exchange", "--data-dir", str(tmp_path / "x")]
    command += ["--symbols", "BTCUSDT", *getattr(request, "param", ())]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def options(**changes: object) -> argparse.Namespace:
    given = {
        "by": "ada",
        "reason": "test",
        "flatten": False,
        "yes": True,
        "live": False,
        "json": False,
    }
    return argparse.Namespace(**(given | changes))


def test_real_venue_is_reached_only_when_meant_twice(tmp_path: Path) -> None:
    assert emergency.venue_address(REAL, tmp_path, live=True) == ""
    with pytest.raises(ConfigError, match="--live"):
        emergency.venue_address(REAL, tmp_path, live=False)


@pytest.mark.parametrize("exchange_url", [["--withdrawals"]], indirect=True)
def test_kill_is_carried_out_with_a_key_that_may_withdraw_and_says_so(
    exchange_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_KEY", "krator-sim")
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "krator-sim-secret")
    venue = VenueConfig(name="BINANCE", kind="binance", url=exchange_url)
    config = REAL.model_copy(update={"venue": venue})

    code = emergency_commands.main(options(live=True), config, tmp_path, tmp_path / "runtime")

    told = capsys.readouterr()
    assert code == 0
    assert "canceled 0 open orders" in told.out
    assert "KRATOR_VENUE_API_KEY may withdraw from BINANCE" in told.err


async def test_key_that_nobody_could_ask_about_is_said_to_be_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KRATOR_VENUE_API_KEY", "krator-sim")
    monkeypatch.setenv("KRATOR_VENUE_API_SECRET", "krator-sim-secret")

    warning = await emergency.key_warning(REAL, "http://127.0.0.1:9")

    assert "nobody knows whether" in warning
    assert await emergency.key_warning(Config(), "http://127.0.0.1:9") == ""


def test_simulated_venue_that_never_ran_is_silent(tmp_path: Path) -> None:
    with pytest.raises(VenueSilentError, match="no simulated venue"):
        emergency.venue_address(Config(), tmp_path, live=False)


@pytest.mark.parametrize("change", [{"by": " "}, {"reason": ""}])
def test_kill_without_a_name_or_a_reason_is_refused(
    tmp_path: Path, change: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = emergency_commands.main(options(**change), Config(), tmp_path, tmp_path)

    assert code == 2
    assert "is empty" in capsys.readouterr().err
    assert halt_file.read(tmp_path) is None


async def test_halt_of_a_stopped_system_waits_on_disk(tmp_path: Path) -> None:
    halted = await emergency.halt(tmp_path / "new", tmp_path / "no", by="ada", reason="why")

    assert halted == Halted(state="latched")
    filed = halt_file.read(tmp_path / "new")
    assert filed is not None
    assert (filed.by, filed.reason) == ("ada", "why")


async def test_halt_waits_on_disk_when_risk_is_dead_in_a_system_that_runs(tmp_path: Path) -> None:
    lock = place.DataDirLock(tmp_path)
    (tmp_path / "run").mkdir(mode=0o700)
    lock.acquire()
    try:
        # The lock is asked for from another process, because this one holds it.
        code = (
            "import asyncio, pathlib; from krator_actors import emergency; folder = "
            f"pathlib.Path({str(tmp_path)!r}); print(asyncio.run(emergency.halt("
            "folder, folder / 'run', by='ada', reason='why')).state)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    finally:
        lock.release()

    assert done.stdout.strip() == "latched"
    assert halt_file.read(tmp_path) is not None


async def test_halt_that_neither_disk_nor_risk_takes_is_no_halt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(halt_file, "write", full)

    halted = await emergency.halt(tmp_path, tmp_path / "no", by="ada", reason="why")

    assert halted.state == "no_answer"
    assert "no space" in halted.error


def test_kill_halts_also_when_there_is_no_venue(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = emergency_commands.main(options(), Config(), tmp_path, tmp_path / "no")

    assert code == 6
    assert "begins HALTED" in capsys.readouterr().out
    assert halt_file.read(tmp_path) is not None


def test_newer_halt_on_disk_takes_the_place_of_the_older(tmp_path: Path) -> None:
    for by in ("ada", "bob"):
        halt_file.write(tmp_path, halt_file.FiledHalt(by=by, reason="x", ts_event=1))

    filed = halt_file.read(tmp_path)
    halt_file.delete(tmp_path)
    halt_file.delete(tmp_path)

    assert filed is not None
    assert filed.by == "bob"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "name"), [("symbol", "XRP-USDT.SIM"), ("strategy", "sma"), ("venue", "NYSE")]
)
def test_halt_of_a_name_that_nobody_has_is_refused(tmp_path: Path, option: str, name: str) -> None:
    given = options(**{"symbol": None, "strategy": None, "venue": None, option: name})

    with pytest.raises(ConfigError, match="is not configured"):
        act_commands.main("halt", given, Config(), tmp_path)


def test_status_of_trading_says_what_waits_on_disk_when_risk_is_dead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halt_file.write(tmp_path, halt_file.FiledHalt(by="ada", reason="smoke", ts_event=1))

    trading = act_commands.trading(tmp_path, tmp_path / "no")
    act_commands.print_trading(trading)

    assert not trading.answered
    text = capsys.readouterr().out
    assert "does not answer" in text
    assert "a halt by ada waits for risk: smoke" in text


def test_order_that_is_worth_too_little_is_dust() -> None:
    refused = OrderStatus.REJECTED

    assert Outcome(status=refused, reason="Filter failure: NOTIONAL (code -1013)").is_dust
    assert not Outcome(status=refused, reason="Market is closed.").is_dust


def test_clock_a_day_off_is_measured(clock_url: str) -> None:
    offset = venue_clock.offset_secs(VenueConfig(), clock_url, timeout_secs=5)

    assert abs(offset - DAY_SECS) < 60


@pytest.mark.parametrize("url", ["", "ftp://x", "http://127.0.0.1:9"])
def test_venue_without_a_clock_is_an_error(url: str) -> None:
    with pytest.raises(venue_clock.VenueClockError):
        venue_clock.offset_secs(VenueConfig(), url, timeout_secs=1)


def findings_of(config: Config, data_dir: Path) -> dict[str, doctor.Finding]:
    runtime = place.runtime_dir(data_dir)
    patient = doctor.Patient(config, data_dir, runtime, is_running=False)
    return {finding.check: finding for finding in doctor.examine(patient)}


def test_doctor_warns_of_a_clock_a_day_off(tmp_path: Path, clock_url: str) -> None:
    config = Config(venue=VenueConfig(url=clock_url))

    finding = findings_of(config, tmp_path)["clock"]

    assert finding.verdict == "warn"
    assert "-86," in finding.fact
    assert "clock" in finding.remedy


def test_doctor_names_missing_keys_and_a_taken_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock_url: str
) -> None:
    monkeypatch.delenv("KRATOR_VENUE_API_KEY", raising=False)
    port = int(clock_url.rpartition(":")[2])
    venue = VenueConfig(name="BINANCE", kind="binance", url=clock_url)
    config = Config(venue=venue, system=SystemConfig(admin_port=port), strategies=())

    findings = findings_of(config, tmp_path)

    assert findings["venue keys"].verdict == "fail"
    assert findings["admin port"].verdict == "fail"
    assert "configure another" in findings["admin port"].remedy


def test_doctor_sees_what_an_earlier_run_left(tmp_path: Path) -> None:
    runtime = place.runtime_dir(tmp_path)
    runtime.mkdir(mode=0o755)
    try:
        findings = findings_of(Config(), tmp_path)
    finally:
        runtime.rmdir()

    assert findings["earlier runs"].verdict == "warn"
    assert findings["runtime folder"].verdict == "fail"
