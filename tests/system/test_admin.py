"""``krator admin``, ``status`` and ``doctor`` on a running system, and what systemd is told."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest

from krator_actors import cli
from tests.system.harness import Krator, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ETH = "strategy:ETH-USDT.SIM/sma_cross"
Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(krator: Krator, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs ``krator admin`` in this process: an interpreter for each word takes a second."""

    def command(word: str, *arguments: str) -> tuple[int, str, str]:
        place = ["--data-dir", str(krator.data_dir)]
        if krator.config.exists():
            place += ["--config", str(krator.config)]
        code = cli.main(["admin", word, *place, *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return command


def answer(ask: Ask, *arguments: str) -> Any:
    code, out, err = ask(*arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def state_of(ask: Ask, name: str) -> str:
    states = {entry["name"]: entry["state"] for entry in answer(ask, "names")["names"]}
    return str(states.get(name))


def test_person_looks_into_a_running_system_and_changes_its_children(
    krator: Krator, ask: Ask
) -> None:
    krator.wait_ready(krator.start())

    # A symbol's order book, asked for and ended while it runs.
    feed, btc = "feed:SIM", ("--symbol", "BTC-USDT.SIM")
    assert answer(ask, "books", feed, *btc)["book"] == "ON"
    assert answer(ask, "state", feed)["state"]["books"] == {"BTC-USDT.SIM": "ON"}
    assert answer(ask, "books", feed, *btc, "--off")["book"] == "OFF"
    code, _, error = ask("books", feed, "--symbol", "DOGE-USDT.SIM")
    assert (code, "does not offer it" in error) == (5, True)

    # Everything that only looks, as text and as JSON.
    for arguments in (
        ("tree",),
        ("top",),
        ("names",),
        ("alarms",),
        ("reports", "--last", "5"),
        ("state", "risk"),
        ("trace", "risk", "--messages", "2"),
        ("children", "strategies"),
        ("count-children", "strategies"),
        ("spec", ETH),
    ):
        code, out, err = ask(*arguments)
        assert code == 0, err
        assert max(len(line) for line in out.splitlines()) <= 140 or arguments[0] == "spec"
        assert answer(ask, *arguments) is not None
    assert answer(ask, "count-children", "strategies")["workers"] == 3
    assert answer(ask, "spec", ETH)["restart"] == "permanent"
    assert len(answer(ask, "trace", "risk", "--messages", "2")["handled"]) == 2
    assert answer(ask, "state", "risk")["statistics"]["handled"] > 0
    feed = next(e for e in answer(ask, "names")["names"] if e["name"] == "feed:SIM")
    assert feed["is_listening"]

    # Hold one still, and let it go.
    assert answer(ask, "suspend", ETH)["changed"] is True
    eventually(lambda: state_of(ask, ETH) == "suspended", 10, "the strategy is suspended")
    [held] = answer(ask, "alarms")["alarms"]
    assert (held["name"], held["alarm"]["kind"]) == (ETH, "suspended")
    assert answer(ask, "resume", ETH)["changed"] is True
    eventually(lambda: answer(ask, "alarms")["alarms"] == [], 10, "the alarm has cleared")

    # Kill, terminate, delete, and start it again from the configuration.
    killed = answer(ask, "kill", ETH)["generation"]
    eventually(
        lambda: any(
            entry["name"] == ETH and entry["state"] == "running" and entry["generation"] > killed
            for entry in answer(ask, "names")["names"]
        ),
        30,
        "the strategy runs again",
    )
    answer(ask, "terminate-child", ETH)
    assert ask("delete-child", "strategies")[0] == 2  # it runs
    answer(ask, "restart-child", ETH)
    assert ask("restart-child", ETH)[0] == 2
    answer(ask, "terminate-child", ETH)
    answer(ask, "delete-child", ETH)
    assert answer(ask, "count-children", "strategies")["specs"] == 2
    answer(ask, "start-child", ETH)
    assert answer(ask, "count-children", "strategies")["workers"] == 3

    eventually(lambda: answer(ask, "reset-budget", ETH), 10, "the budget is whole again")

    # What cannot be done says why, with a code that a script can act on.
    for arguments, text in (
        (("state", "risky"), "did you mean risk"),
        (("kill", "strategy:ETH"), ETH),
        (("start-child", "strategy:DOGE-USDT.SIM/sma_cross"), "the configuration has no"),
        (("suspend", "strategies"), "is a supervisor"),
        (("terminate-child", "root"), "nobody's child"),
        (("reset-budget", "risk"), "has no budget"),
    ):
        code, _, err = ask(*arguments)
        assert (code, text in err) == (2, True), err

    status = krator.json("status")
    assert status["services"]["journal"]["connected"] is True
    assert status["services"]["jobs"]["jobs"]
    assert "published" in krator.command("status").stdout
    found = {each["check"]: each["verdict"] for each in krator.json("doctor")["findings"]}
    assert found["journal"] == found["publisher"] == found["jobs"] == "ok"

    # A service that hangs is said to give no answer, and nobody waits long for it.
    answer(ask, "suspend", "jobs")
    assert krator.json("status")["services"]["jobs"] is None
    assert krator.command("stop").returncode == 0
    assert ask("tree")[0] == 3


def test_service_manager_hears_of_readiness_progress_and_the_stop(
    krator: Krator, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(krator.folder / "notify"))
        manager.setblocking(False)
        heard: list[str] = []

        def hears(text: str) -> bool:
            with_more = True
            while with_more:
                try:
                    heard.append(manager.recv(4096).decode())
                except BlockingIOError:
                    with_more = False
            return any(each.startswith(text) for each in heard)

        monkeypatch.setenv("NOTIFY_SOCKET", str(krator.folder / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1500000")
        run = krator.start()
        eventually(lambda: hears("READY=1"), 90, "the service is ready")
        before_ready = heard[: heard.index("READY=1")]
        assert any(each.startswith("EXTEND_TIMEOUT_USEC=") for each in before_ready)
        assert "WATCHDOG=1" not in before_ready
        eventually(lambda: hears("STATUS=") and hears("WATCHDOG=1"), 30, "it makes progress")

        # While the root hangs, the watchdog hears nothing; then the system is built again.
        krator.wait_ready(run)
        root = krator.json("status")["pid"]
        os.kill(root, signal.SIGSTOP)
        eventually(lambda: hears("STATUS=root: hung"), 30, "the heart has found it")
        heard.clear()
        eventually(lambda: hears("WATCHDOG=1"), 60, "the system is up again")

        run.send_signal(signal.SIGTERM)
        assert run.wait(60) == 0
        assert hears("STOPPING=1")
