"""A child of a recorded run: it writes down its life, and fails or ends as the run says."""

from __future__ import annotations

import json
import os
from pathlib import Path

from trial_actors import Do, TrialError

from supervisors import launch
from supervisors.actor import Actor
from supervisors.control import Stopped
from supervisors.messages import Message


class RecordedChild(Actor):
    """``config`` has "id" and "folder": of the diary, the pids, and the starts that are to fail."""

    inbox = Do

    async def on_start(self) -> None:
        fails = self._file("fail")
        left = int(fails.read_text()) if fails.exists() else 0
        if left:
            fails.write_text(str(left - 1))
            self._note("fail")
            raise TrialError("injected")
        self._file("pid").write_text(str(os.getpid()))
        self._note("start")

    async def receive(self, message: Message, _sender: str) -> None:
        assert isinstance(message, Do)
        reason = message.what
        self._note("stop", reason)
        if reason == "boom":
            raise TrialError(reason)
        launch.loaded().channel.send(Stopped())
        os._exit(0)

    async def on_stop(self) -> None:
        self._note("stop", "shutdown")

    def _file(self, kind: str) -> Path:
        return Path(self.config["folder"]) / f"{self.config['id']}.{kind}"

    def _note(self, *words: str) -> None:
        what, *more = words
        line = json.dumps([what, self.config["id"], *more]).encode() + b"\n"
        path = Path(self.config["folder"]) / "diary"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)
