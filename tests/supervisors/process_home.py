"""A supervisor of real processes, added to a running system so that it may also end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from trial_house import House, supervisor, worker

from supervisors import children
from supervisors.children import ChildRefusedError, Started
from supervisors.decisions import RequestError
from supervisors.policy import Counts, Presence
from supervisors.spec import ChildSpec, Instance, Restart, SupervisorSpec

NAME = "sup"
Build = Callable[..., House]


class Home:
    """``sup`` below the root, which does not bring it back when it has ended."""

    def __init__(self, build: Build, folder: Path) -> None:
        self.folder = folder
        self.system = build(supervisor("root")).start()

    def start(self, *specs: ChildSpec | SupervisorSpec, **flags: Any) -> Home:
        flags = {"restart": Restart.TEMPORARY} | flags
        children.start_child(self.system.runtime, "root", supervisor(NAME, *specs, **flags))
        return self

    def stop(self) -> None:
        children.terminate_child(self.system.runtime, "root", NAME)

    def worker(self, name: str, restart: Restart = Restart.PERMANENT, **fields: Any) -> ChildSpec:
        config = {"diary": str(self.folder / "diary")} | fields.pop("config", {})
        return worker(name, restart=restart, config=config, **fields)

    def three(self) -> tuple[ChildSpec, ...]:
        return tuple(self.worker(name) for name in "abc")

    # -- requests --

    @property
    def at(self) -> tuple[Path, str]:
        return self.system.runtime, NAME

    def start_child(self, child: ChildSpec | SupervisorSpec | Instance) -> Started:
        return children.start_child(*self.at, child)

    def terminate_child(self, name: str) -> None:
        children.terminate_child(*self.at, name)

    def restart_child(self, name: str) -> Started:
        return children.restart_child(*self.at, name)

    def delete_child(self, name: str) -> None:
        children.delete_child(*self.at, name)

    def refused(self, call: Callable[[Any], Any], argument: Any) -> RequestError | None:
        with pytest.raises(ChildRefusedError) as caught:
            call(argument)
        return caught.value.error

    def which(self) -> list[tuple[str, Presence]] | None:
        """None when the supervisor is dead."""
        try:
            return children.which_children(*self.at)
        except ChildRefusedError:
            return None

    def counts(self) -> Counts:
        return children.count_children(*self.at)

    # -- what happens to children --

    def end(self, name: str, reason: str) -> None:
        if reason == "kill":
            self.system.kill(name)
        else:
            self.system.tell(name, {"normal": "end-cleanly", "boom": "raise"}[reason])

    def crash(self, name: str, times: int = 1) -> None:
        """Kill it, and wait until it runs again, so many times."""
        for _ in range(times):
            # The picture of a supervisor just started may still lack its children's generations.
            self.system.eventually_runs(name, 1)
            node = self.system.node(name)
            assert node.pid is not None
            os.kill(node.pid, signal.SIGKILL)
            self.system.eventually_runs(name, node.generation + 1)

    def eventually_which(self, expected: list[tuple[str, Presence]] | None) -> None:
        self.system.eventually(lambda: self.which() == expected)

    def eventually_dead(self) -> None:
        self.eventually_which(None)
        self.system.eventually(lambda: self.system.heart.status().find(NAME) is None)

    def diary(self) -> list[str]:
        path = self.folder / "diary"
        return path.read_text().splitlines() if path.exists() else []

    def new_page(self) -> None:
        (self.folder / "diary").write_text("")
