import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from supervisors.actor import Actor, Brain
from supervisors.client import Client
from supervisors.messages import (
    AskTimeoutError,
    Message,
    MessageRefusedError,
    NoAnswerError,
    PeerDiedError,
    PeerUnreachableError,
)
from supervisors.testing import eventually, running


class Question(Message, frozen=True, kw_only=True):
    number: int


class Answer(Message, frozen=True, kw_only=True):
    number: int


class OtherAnswer(Message, frozen=True, kw_only=True):
    pass


class Hang(Message, frozen=True, kw_only=True):
    pass


class Echo(Actor):
    inbox = Question | Hang

    async def receive(self, message: Message, sender: str) -> Answer:
        if isinstance(message, Hang):
            await asyncio.Event().wait()
        assert isinstance(message, Question)
        return Answer(number=message.number)


@pytest.fixture
async def echo(tmp_path: Path) -> AsyncIterator[Brain]:
    async with running(Echo, name="echo", runtime=tmp_path) as brain:
        yield brain


async def test_ask_returns_an_answer_of_the_type_asked_for(echo: Brain, tmp_path: Path) -> None:
    async with Client(tmp_path) as client:
        answer = await client.ask("echo", Question(number=7), Answer, timeout_secs=10)

    assert answer == Answer(number=7)


async def test_answer_of_another_type_is_no_answer(echo: Brain, tmp_path: Path) -> None:
    async with Client(tmp_path) as client:
        with pytest.raises(NoAnswerError, match="echo"):
            await client.ask("echo", Question(number=7), OtherAnswer, timeout_secs=10)


async def test_tell_returns_when_the_message_was_handled(echo: Brain, tmp_path: Path) -> None:
    async with Client(tmp_path) as client:
        await client.tell("echo", Question(number=7))

        assert echo.statistics().handled == 1


async def test_message_the_receiver_does_not_understand_is_refused(
    echo: Brain, tmp_path: Path
) -> None:
    async with Client(tmp_path) as client:
        with pytest.raises(MessageRefusedError, match="OtherAnswer"):
            await client.tell("echo", OtherAnswer())
        with pytest.raises(MessageRefusedError, match="OtherAnswer"):
            await client.ask("echo", OtherAnswer(), Answer, timeout_secs=10)


async def test_missing_folder_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(PeerUnreachableError, match="the system is not running"):
        async with Client(tmp_path / "gone"):
            pass


async def test_missing_peer_is_said_at_the_deadline(tmp_path: Path) -> None:
    async with Client(tmp_path) as client:
        with pytest.raises(PeerUnreachableError, match="Question to risk was not sent"):
            await client.ask("risk", Question(number=1), Answer, timeout_secs=0.05)
        with pytest.raises(PeerUnreachableError, match="Question to risk was not sent"):
            await client.tell("risk", Question(number=1), timeout_secs=0.05)


async def test_busy_peer_times_out(echo: Brain, tmp_path: Path) -> None:
    async with Client(tmp_path) as client:
        with pytest.raises(AskTimeoutError, match="Hang to echo"):
            await client.ask("echo", Hang(), Answer, timeout_secs=0.05)


async def test_peer_that_stops_fails_its_askers_at_once(tmp_path: Path) -> None:
    async with Client(tmp_path) as client:
        async with running(Echo, name="echo", runtime=tmp_path) as echo:
            asking = asyncio.create_task(client.ask("echo", Hang(), Answer, timeout_secs=600))
            await eventually(lambda: echo.statistics().in_work == "Hang")

        with pytest.raises(PeerDiedError, match="echo ended with Hang"):
            await asyncio.wait_for(asking, 10)


async def test_two_clients_of_one_process_do_not_fence_each_other(
    echo: Brain, tmp_path: Path
) -> None:
    async with Client(tmp_path) as one, Client(tmp_path) as other:
        await one.tell("echo", Question(number=1))
        await other.tell("echo", Question(number=2))
        await one.tell("echo", Question(number=3))

    assert echo.statistics().handled == 3


async def test_leaving_ends_what_is_still_asked(echo: Brain, tmp_path: Path) -> None:
    async with Client(tmp_path) as client:
        asking = asyncio.create_task(client.ask("echo", Hang(), Answer, timeout_secs=600))
        await eventually(lambda: echo.statistics().in_work == "Hang")

    with pytest.raises(PeerDiedError):
        await asyncio.wait_for(asking, 10)
