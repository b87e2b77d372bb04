"""The systemd unit agrees with what ``krator run`` does and how it exits."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from krator_actors import cli, terminal
from supervisors.heart import Heart

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "conf" / "krator.service"
CODES = {name: value for name, value in vars(terminal).items() if name.startswith("EXIT_")}


@pytest.fixture
def service() -> configparser.SectionProxy:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # keys are case-sensitive
    unit.read(UNIT)
    return unit["Service"]


def test_only_what_cannot_heal_by_itself_is_not_restarted(
    service: configparser.SectionProxy,
) -> None:
    prevented = {int(code) for code in service["RestartPreventExitStatus"].split()}

    assert service["Restart"] == "on-failure"
    assert prevented == {CODES["EXIT_USAGE"], CODES["EXIT_ALREADY_RUNNING"]}
    assert not prevented & {CODES["EXIT_FAILED"], CODES["EXIT_GAVE_UP"]}


def test_exit_codes_are_distinct_and_documented() -> None:
    operations = (ROOT / "docs" / "OPERATIONS.md").read_text()

    assert len(set(CODES.values())) == len(CODES)
    for code in CODES.values():
        assert f"\n| {code} | " in operations
        assert f"{code} " in (cli.__doc__ or "")


def test_unit_asks_for_what_the_heart_tells(service: configparser.SectionProxy) -> None:
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert int(service["WatchdogSec"]) >= 30
    assert service["KillMode"] == "mixed"
    assert hasattr(Heart, "is_progressing")


def test_commands_of_the_unit_are_commands_of_krator(
    service: configparser.SectionProxy,
) -> None:
    for key in ("ExecStartPre", "ExecStart"):
        _, *arguments = service[key].split()
        cli.parser().parse_args(arguments)


def test_systemd_itself_finds_no_mistake() -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed here")

    done = subprocess.run(
        [program, "verify", str(UNIT)], capture_output=True, text=True, timeout=30, check=False
    )

    complaints = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert [line for line in complaints if "krator.service" in line] == []
