"""2,500 recorded runs of a live Erlang/OTP 25.2.3 supervisor, and how to replay one."""

from __future__ import annotations

import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any

from paper_supervisor import PaperSupervisor, child

from supervisors.decisions import Answer, RequestError
from supervisors.policy import Presence
from supervisors.spec import AutoShutdown, ChildSpec, Restart, Strategy, SupervisorSpec

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("KRATOR_TEST_DATA", ROOT.parent / "shared" / "data"))
PATH = DATA / "supervision" / "otp_runs.jsonl.gz"

Run = dict[str, Any]


@functools.cache
def recorded_runs() -> tuple[Run, ...]:
    with gzip.open(PATH, "rt") as file:
        return tuple(map(json.loads, file))


def spec_of(run: Run) -> SupervisorSpec:
    flags = run["flags"]
    return SupervisorSpec(
        name="root",
        strategy=Strategy(flags["strategy"]),
        intensity=flags["intensity"],
        period_secs=float(flags["period"]),
        auto_shutdown=AutoShutdown(flags["auto_shutdown"]),
        children=tuple(map(child_of, run["children"])),
    )


def child_of(recorded: dict[str, Any]) -> ChildSpec:
    restart = Restart(recorded["restart"])
    return child(recorded["id"], restart, significant=recorded["significant"])


def differences(run: Run, core: Any = None) -> list[str]:
    """Replay the run; return what was otherwise than recorded, the first difference first."""
    supervisor = PaperSupervisor(spec_of(run), core=core).start_link()
    found: list[str] = []

    def compare(where: str, ours: Any, recorded: Any) -> None:
        if ours != recorded:
            found.append(f"run {run['seed']}, {where}: {ours} was recorded as {recorded}")

    compare("start events", supervisor.take_events(), run["events"])
    compare("start which", which(supervisor), run["which"])
    for number, step in enumerate(run["steps"]):
        if not supervisor.is_alive:
            compare(f"step {number} alive", False, True)
            break
        where = f"step {number} {step['op']} {step.get('id', step.get('child', {}).get('id'))}"
        compare(f"{where} answer", take_step(supervisor, step), step["answer"])
        compare(f"{where} events", supervisor.take_events(), step["events"])
        compare(f"{where} alive", supervisor.is_alive, step["alive"])
        if supervisor.is_alive:
            compare(f"{where} which", which(supervisor), step.get("which"))
    return found


def take_step(supervisor: PaperSupervisor, step: dict[str, Any]) -> str:
    fail = step.get("fail_next_starts")
    if fail is not None:
        supervisor.fail_next_starts(fail["id"], fail["times"])
    match step["op"]:
        case "exit":
            if step["id"] not in supervisor.up:
                return "not up"
            supervisor.exit(step["id"], step["reason"])
            return f"{{down,{'killed' if step['reason'] == 'kill' else step['reason']}}}"
        case "start_child":
            return answer_text(supervisor.start_child(child_of(step["child"])))
        case "terminate_child":
            return answer_text(supervisor.terminate_child(step["id"]))
        case "restart_child":
            return answer_text(supervisor.restart_child(step["id"]))
        case "delete_child":
            return answer_text(supervisor.delete_child(step["id"]))
        case unknown:
            raise AssertionError(unknown)


def answer_text(answer: Answer) -> str:
    if answer.error is None:
        return "ok"
    if answer.error is RequestError.START_FAILED:
        return f"error {answer.detail}"
    return f"error {answer.error.value}"


def which(supervisor: PaperSupervisor) -> list[list[str]]:
    return [
        [name, "up" if presence is Presence.UP else presence.value, str(supervisor.starts[name])]
        for name, presence in supervisor.which()
    ]
