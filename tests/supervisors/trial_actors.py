"""Actors that do what a test tells them, mostly the wrong thing."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from supervisors import launch
from supervisors.actor import Actor, NotNeededError
from supervisors.control import Stopped
from supervisors.messages import Message, Terminated
from supervisors.process import process_state


class Do(Message):
    what: str


class Done(Message):
    generation: int


class TrialError(Exception):
    pass


class Trial(Actor):
    """``config`` maps "start" and "stop" to what to do then, and "diary" to a file of notes."""

    inbox = Do | Terminated

    async def on_start(self) -> None:
        self.ready_info = (self.config or {}).get("info")
        await self._do(self._option("start"))
        self._note("start")

    async def receive(self, message: Message, _sender: str) -> Message | None:
        if isinstance(message, Terminated):
            self._note(f"terminated {message.name} for")
            return None
        assert isinstance(message, Do)
        await self._do(message.what)
        return Done(generation=self.generation)

    async def on_stop(self) -> None:
        await self._do(self._option("stop"))
        self._note("stop")

    def describe_state(self) -> Mapping[str, Any]:
        return {"generation": self.generation, "password": "abc"}

    def _option(self, name: str) -> str:
        options: dict[str, Any] = self.config or {}
        return str(options.get(name, "nothing"))

    def _note(self, what: str) -> None:
        diary = self._option("diary")
        if diary != "nothing":
            with Path(diary).open("a", encoding="utf-8") as file:
                file.write(f"{what} {self.name}\n")

    async def _do(self, what: str) -> None:
        words = what.split(" ")
        await self._wait(words)
        self._end(words)
        match words:
            case ["nothing"]:
                return
            case ["raise-alarm", kind]:
                self.raise_alarm(kind, "as told")
            case ["clear-alarm", kind]:
                self.clear_alarm(kind)
            case ["print"]:
                for _ in range(5000):
                    print("x" * 100)
            case ["close-channel"]:
                os.close(launch.loaded().channel.fd)
            case ["watch", name]:
                self.watch(name)
            case ["grow", mega_bytes]:
                self.ballast = bytearray(os.urandom(1024)) * (int(mega_bytes) * 1024)
            case ["escape", how]:
                escape(how)
            case ["execute"]:
                subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
            case ["note-state-of", path] if Path(path).exists():
                state = process_state(int(Path(path).read_text()))
                self._note(f"predecessor is {state or 'gone'} for")

    async def _wait(self, words: list[str]) -> None:
        match words:
            case ["sleep-while", path]:
                while Path(path).exists():
                    await asyncio.sleep(0.01)
            case ["busy"]:
                loop_for_ever()
            case ["deadlock"]:
                take_a_lock_twice()
            case ["no-yield"]:
                await never_give_the_loop_a_turn()
            case ["meet", folder, count]:
                await meet(Path(folder), self.name, int(count))
            case ["never"]:
                await wait_for_nobody()
            case ["block"]:
                time.sleep(3600)
            case ["sleep", secs]:
                await asyncio.sleep(float(secs))
            case ["background"]:
                self.start_task(wait_in_the_background(), name="background")
            case ["meet-after-first", folder, count] if self.generation > 1:
                await meet(Path(folder), self.name, int(count))

    def _end(self, words: list[str]) -> None:
        match words:
            case ["not-needed"]:
                raise NotNeededError
            case ["end-cleanly"]:
                self._note("stop")
                launch.loaded().channel.send(Stopped())
                os._exit(0)
            case ["raise"]:
                raise TrialError("as told")
            case ["print-and-raise"]:
                print("x" * 100, flush=True)
                raise TrialError("as told")
            case ["raise-lookup"]:
                raise KeyError("as told")
            case ["raise-after-first"] if self.generation > 1:
                raise TrialError("not again")
            case ["raise-while", path] if Path(path).exists():
                raise TrialError("still broken")
            case ["eat-all-memory"]:
                eat_all_memory()
            case ["exit", status]:
                os._exit(int(status))
            case ["segv"]:
                ctypes.string_at(0)
            case ["abort"]:
                os.abort()
            case ["kill-self", name]:
                os.kill(os.getpid(), getattr(signal, name))


def loop_for_ever() -> None:
    while True:
        pass


def take_a_lock_twice() -> None:
    lock = threading.Lock()
    with lock, lock:
        pass


async def never_give_the_loop_a_turn() -> None:
    while True:
        await _nothing()


async def _nothing() -> None:
    return


async def wait_for_nobody() -> None:
    await asyncio.Event().wait()


async def wait_in_the_background() -> None:
    await asyncio.sleep(3600)


def eat_all_memory() -> None:
    """Ask for more than the kernel will give to this process from now on."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 64 * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    bytearray(1024 * 1024 * 1024)


async def meet(folder: Path, name: str, count: int) -> None:
    """Return when so many are here at the same time."""
    (folder / name).touch()
    while len(list(folder.iterdir())) < count:
        await asyncio.sleep(0.01)


def escape(how: str) -> None:
    """Leave a grandchild behind that has a session of its own and no parent."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    if how == "execute":
        os.execv("/bin/sleep", ["/bin/sleep", "600"])
    while True:
        time.sleep(600)
