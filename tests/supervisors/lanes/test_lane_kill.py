"""A receiver in a process of its own is killed while messages pour in. Run as a script: it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

from supervisors.actor import Actor, Brain
from supervisors.messages import Message, PeerDiedError
from supervisors.testing import eventually, running

KILLS = 5


class Job(Message, frozen=True, kw_only=True):
    number: int


class Done(Message, frozen=True, kw_only=True):
    number: int


class Writer(Actor):
    """Writes the number of each job that it handles to a file, then acknowledges."""

    inbox = Job
    config: Path

    async def on_start(self) -> None:
        self.file = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def receive(self, message: Message, sender: str) -> Done:
        assert isinstance(message, Job)
        os.write(self.file, f"{message.number}\n".encode())
        return Done(number=message.number)


class Sender(Actor):
    inbox = Job

    config: list[Actor]

    async def on_start(self) -> None:
        self.undelivered: list[int] = []
        self.config.append(self)

    async def receive(self, message: Message, sender: str) -> None:
        """Understands jobs, gets none."""

    async def on_undelivered(self, receiver: str, message: Message) -> None:
        assert isinstance(message, Job)
        self.undelivered.append(message.number)


def start_writer(runtime: Path, generation: int, record: Path) -> subprocess.Popen[bytes]:
    arguments = [str(runtime), str(generation), str(record)]
    return subprocess.Popen([sys.executable, __file__, *arguments])


def recorded(record: Path) -> list[int]:
    return [int(line) for line in record.read_text().split()] if record.exists() else []


async def settle(brain: Brain, last: Job) -> None:
    """Return when all that was told has its outcome: an answer comes after what was before it."""
    try:
        await brain.ask("writer", last, 20.0)
    except PeerDiedError:
        # The loop had not seen the last kill yet.
        await brain.ask("writer", Job(number=last.number + 1), 20.0)


async def test_killed_receiver_handles_nothing_twice_and_its_sender_learns_what_is_unknown(
    tmp_path: Path,
) -> None:
    record = tmp_path / "handled"
    senders: list[Sender] = []
    sent = 0
    process = start_writer(tmp_path, 1, record)
    try:
        async with running(Sender, name="sender", runtime=tmp_path, config=senders) as brain:
            for generation in range(2, KILLS + 2):
                enough = len(recorded(record)) + 300
                while len(recorded(record)) < enough:
                    await brain.tell("writer", Job(number=sent))
                    sent += 1
                    if sent % 50 == 0:
                        await asyncio.sleep(0)
                process.kill()
                process.wait()
                process = start_writer(tmp_path, generation, record)
            await settle(brain, Job(number=sent))
            await eventually(lambda: brain.statistics().inbox == 0)
    finally:
        process.kill()
        process.wait()
    returned = senders[0].undelivered
    handled = recorded(record)

    assert handled == sorted(set(handled)), "handled twice or out of order"
    assert len(returned) == len(set(returned)), "came back twice"
    assert set(range(sent)) - set(returned) <= set(handled), "acknowledged and not handled"
    assert returned, "no kill hit a message on its way"


async def test_ask_fails_at_once_when_its_peer_is_killed(tmp_path: Path) -> None:
    senders: list[Sender] = []
    process = start_writer(tmp_path, 1, tmp_path / "handled")
    try:
        async with running(Sender, name="sender", runtime=tmp_path, config=senders) as brain:
            await brain.ask("writer", Job(number=0), 20.0)
            process.send_signal(signal.SIGSTOP)
            asking = asyncio.create_task(brain.ask("writer", Job(number=1), 600.0))
            await asyncio.sleep(0)

            process.kill()

            with pytest.raises(PeerDiedError):
                await asyncio.wait_for(asking, 20)
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    folder, number, file = sys.argv[1:]
    uvloop.run(
        Brain(
            Writer,
            name="writer",
            generation=int(number),
            config=Path(file),
            runtime=Path(folder),
            inbox_limit=10_000,
            stall_timeout_secs=30.0,
            beat_secs=1.0,
            progress=lambda: None,
        ).run(lambda: None)
    )
