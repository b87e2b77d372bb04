"""What cancel-all, flatten and doctor refuse or find before they reach for a venue."""

from __future__ import annotations

import argparse
import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from krator_actors import doctor, emergency, emergency_commands, place, venue_clock
from krator_actors.adapters.local_log import LocalLog, log_path, read_log
from krator_actors.config import Config, ConfigError, SystemConfig, VenueConfig
from krator_actors.messages.risk import TradingStateChanged
from krator_actors.model import OrderStatus, TradingState
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


def options(**changes: object) -> argparse.Namespace:
    given = {"by": "ada", "reason": "test", "yes": True, "live": False, "json": False}
    return argparse.Namespace(**(given | changes))


def test_real_venue_is_reached_only_when_meant_twice(tmp_path: Path) -> None:
    assert emergency.venue_address(REAL, tmp_path, live=True) == ""
    with pytest.raises(ConfigError, match="--live"):
        emergency.venue_address(REAL, tmp_path, live=False)


def test_simulated_venue_that_never_ran_is_silent(tmp_path: Path) -> None:
    with pytest.raises(VenueSilentError, match="no simulated venue"):
        emergency.venue_address(Config(), tmp_path, live=False)


@pytest.mark.parametrize("change", [{"by": " "}, {"reason": ""}])
def test_flatten_without_a_name_or_a_reason_is_refused(
    tmp_path: Path, change: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = emergency_commands.main("flatten", options(**change), Config(), tmp_path, tmp_path)

    assert code == 2
    assert "is empty" in capsys.readouterr().err


async def test_halt_of_a_stopped_system_is_written_into_the_log_of_risk(tmp_path: Path) -> None:
    path = log_path(tmp_path, "risk")
    active = TradingStateChanged(state=TradingState.ACTIVE, by="x", reason="x", ts_event=1)
    with LocalLog.open(path, writer="risk", generation=4, durability="process") as log:
        log.append(active, ts_ns=1)

    state = await emergency.halt(tmp_path, tmp_path / "no", by="ada", reason="why", latch=True)

    assert state == "latched"
    *_, last = read_log(path, types=TradingStateChanged)
    assert (last.number, last.generation) == (2, 4)
    assert (last.event.state, last.event.by) == (TradingState.HALTED, "ada")


@pytest.mark.parametrize("latch", [True, False])
async def test_system_that_never_ran_has_nothing_to_halt(
    tmp_path: Path,
    latch: bool,  # noqa: FBT001 - both are given
) -> None:
    state = await emergency.halt(tmp_path, tmp_path / "no", by="ada", reason="why", latch=latch)

    assert state == "not_running"
    assert list(tmp_path.iterdir()) == []


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
