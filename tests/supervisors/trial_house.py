"""A system of trial actors as a test sees it from the heart's process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trial_actors import Do, Done

from supervisors.client import Client
from supervisors.heart import Heart
from supervisors.messages import ActorError
from supervisors.process import forked_processes
from supervisors.spec import Budget, ChildSpec, SupervisorSpec
from supervisors.status import NodeStatus

LIMIT_SECS = 20.0


def worker(name: str, **fields: Any) -> ChildSpec:
    return ChildSpec(name=name, actor="trial_actors:Trial", **fields)


def supervisor(name: str, *children: ChildSpec | SupervisorSpec, **fields: Any) -> SupervisorSpec:
    return SupervisorSpec(name=name, children=children, **fields)


class House:
    def __init__(self, spec: SupervisorSpec, base: Path, *, budget: Budget | None = None) -> None:
        self.runtime = base / "run"
        self.crash_dir = base / "crash"
        self.heart = Heart(
            spec,
            runtime=self.runtime,
            state_dir=base / "state",
            crash_dir=self.crash_dir,
            budget=budget or Budget(),
        )
        self.happened: list[str] = []

    def start(self) -> House:
        self.heart.start()
        return self

    def node(self, name: str) -> NodeStatus:
        node = self.heart.status().find(name)
        assert node is not None, name
        return node

    def pid(self, name: str) -> int:
        """Wait until the tree, which may be half a second old, shows one."""
        self.eventually(lambda: self.node(name).pid is not None)
        pid = self.node(name).pid
        assert pid is not None, name
        return pid

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        os.kill(self.pid(name), number)

    def processes(self) -> set[int]:
        return set(forked_processes(self.runtime / "alive"))

    def eventually(self, condition: Callable[[], bool], limit_secs: float = LIMIT_SECS) -> None:
        deadline = time.monotonic() + limit_secs
        while not condition():
            assert time.monotonic() < deadline, self.heart.status()
            self.happened += self.heart.poll()
            time.sleep(0.005)

    def eventually_runs(self, name: str, generation: int) -> None:
        self.eventually(
            lambda: self.node(name).state == "running" and self.node(name).generation >= generation
        )

    def tell(self, name: str, what: str) -> None:
        """Send, and do not wait for the end of the work."""

        async def send() -> None:
            async with Client(self.runtime, name="test") as client:
                with contextlib.suppress(ActorError):
                    await client.ask(name, Do(what=what), Done, timeout_secs=0.2)

        asyncio.run(send())

    def ask(self, name: str, what: str = "nothing") -> Done:
        async def ask() -> Done:
            async with Client(self.runtime, name="test") as client:
                return await client.ask(name, Do(what=what), Done, timeout_secs=5.0)

        return asyncio.run(ask())

    def reports(self, kind: str, child: str | None = None) -> list[dict[str, Any]]:
        path = self.crash_dir / "reports.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [
            each
            for each in found
            if each["report"] == kind and (child is None or each["child"] == child)
        ]
