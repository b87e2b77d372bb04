"""Recorded runs of a live Erlang/OTP supervisor, replayed with real processes.

Each run is a supervisor that is added to one running system. ``KRATOR_OTP_RUNS=200`` replays that
many; a plain test run takes a few, because a run needs about a second.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import HouseBuilder
from otp_runs import PATH, Run, child_of, recorded_runs, spec_of
from trial_house import House, supervisor

from supervisors import children
from supervisors.children import ChildRefusedError
from supervisors.decisions import RequestError
from supervisors.spec import ChildSpec, Restart

RUNS = int(os.environ.get("KRATOR_OTP_RUNS", "8"))
LIMIT_SECS = 15.0

pytestmark = [
    pytest.mark.skipif(
        not PATH.exists(), reason=f"the recorded runs are not at {PATH} (set KRATOR_TEST_DATA)"
    ),
    pytest.mark.timeout(120 + 5 * RUNS),
]


def test_recorded_runs_replay_on_real_processes(house: HouseBuilder, short_dir: Path) -> None:
    system = house(supervisor("root")).start()
    runs = recorded_runs()
    chosen = runs[:: max(1, len(runs) // RUNS)][:RUNS]

    found = [text for run in chosen for text in Replay(system, run, short_dir).differences()[:1]]

    assert found == []
    assert len(chosen) == RUNS


class Replay:
    def __init__(self, system: House, run: Run, base: Path) -> None:
        self.system = system
        self.run = run
        self.name = f"run{run['seed']}"
        self.folder = base / self.name
        self.folder.mkdir()
        self.seen = 0
        self.found: list[str] = []

    def differences(self) -> list[str]:
        run = self.run
        spec = msgspec.structs.replace(
            spec_of(run),
            name=self.name,
            restart=Restart.TEMPORARY,
            children=tuple(map(self.child, run["children"])),
        )
        children.start_child(self.system.runtime, "root", spec)
        self.compare("start", run["events"], run["which"])
        for number, step in enumerate(run["steps"]):
            where = f"step {number} {step['op']}"
            answer = self.take_step(step)
            if answer != step["answer"]:
                self.found.append(f"{self.name} {where}: {answer}, not {step['answer']}")
            self.compare(where, step["events"], step.get("which"))
            if self.found or not step["alive"]:
                break
        if self.which() is not None:
            children.terminate_child(self.system.runtime, "root", self.name)
        return self.found

    def child(self, recorded: dict[str, Any]) -> ChildSpec:
        return msgspec.structs.replace(
            child_of(recorded),
            name=self.full_name(recorded["id"]),
            actor="recorded_actor:RecordedChild",
            config={"id": recorded["id"], "folder": str(self.folder)},
        )

    def full_name(self, child_id: str) -> str:
        return f"{self.name}.{child_id}"

    def take_step(self, step: dict[str, Any]) -> str:
        fail = step.get("fail_next_starts")
        if fail is not None:
            (self.folder / f"{fail['id']}.fail").write_text(str(fail["times"]))
        at = (self.system.runtime, self.name)
        match step["op"]:
            case "exit":
                return self.exit(step["id"], step["reason"])
            case "start_child":
                return answer_of(children.start_child, *at, self.child(step["child"]))
            case "terminate_child":
                return answer_of(children.terminate_child, *at, self.full_name(step["id"]))
            case "restart_child":
                return answer_of(children.restart_child, *at, self.full_name(step["id"]))
            case "delete_child":
                return answer_of(children.delete_child, *at, self.full_name(step["id"]))
            case unknown:
                raise AssertionError(unknown)

    def exit(self, child_id: str, reason: str) -> str:
        if reason == "kill":
            os.kill(int((self.folder / f"{child_id}.pid").read_text()), signal.SIGKILL)
            return "{down,killed}"
        self.system.tell(self.full_name(child_id), reason)
        return f"{{down,{reason}}}"

    def compare(self, where: str, events: list[list[str]], which: list[list[str]] | None) -> None:
        """Wait until what happened is what was recorded; it is a difference when it never is."""
        deadline = time.monotonic() + LIMIT_SECS
        while (now := (self.events(), self.which())) != (events, which):
            if time.monotonic() > deadline:
                self.found.append(f"{self.name} {where}: {now} was recorded as {events, which}")
                return
            self.system.heart.poll()
            time.sleep(0.005)
        self.seen += len(events)

    def events(self) -> list[list[str]]:
        """What is in the diary and was not compared before."""
        return self.diary()[self.seen :]

    def diary(self) -> list[list[str]]:
        path = self.folder / "diary"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def which(self) -> list[list[str]] | None:
        """As recorded; None when the supervisor is dead."""
        try:
            found = children.which_children(self.system.runtime, self.name)
        except ChildRefusedError:
            return None
        starts = Counter(note[1] for note in self.diary() if note[0] == "start")
        names = [(name.removeprefix(f"{self.name}."), presence) for name, presence in found]
        return [[name, presence.value, str(starts[name])] for name, presence in names]


def answer_of(call: Any, *arguments: Any) -> str:
    try:
        call(*arguments)
    except ChildRefusedError as error:
        if error.error is RequestError.START_FAILED:
            return "error injected" if "injected" in error.detail else f"error {error.detail}"
        return f"error {error.error.value if error.error else error}"
    return "ok"
