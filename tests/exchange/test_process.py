"""The exchange as a process: how it starts, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import websockets

from krator_actors.exchange import lifetime, main, options, run
from krator_actors.exchange.assembly import Exchange
from krator_actors.exchange.ledger import FILE_NAME, LedgerFailedError

MODULES_UNDER_TEST = (lifetime, main, options, run)
QUICK = ["--symbols", "SOLUSDT"]
Launch = Callable[..., Any]


def test_ready_exchange_says_where_it_is_and_ends_when_told(tmp_path: Path, launch: Launch) -> None:
    process = launch(tmp_path, *QUICK)
    endpoint = json.loads((tmp_path / "endpoint.json").read_text())
    mode = stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode)

    code = process.end(signal.SIGTERM)

    assert code == 0
    assert process.errors == ""
    assert endpoint == {"url": process.url}
    assert process.url.startswith("http://127.0.0.1:")
    assert mode == 0o600
    assert process.ledger()[-1]["record"] == "closed"
    assert process.ledger()[-1]["reason"] == "SIGTERM"
    assert not (tmp_path / "endpoint.json").exists()


async def test_interrupt_ends_it_with_clients_connected(tmp_path: Path, launch: Launch) -> None:
    process = launch(tmp_path, *QUICK)
    socket_ = await process.listen("/stream?streams=solusdt@trade")
    await socket_.recv()

    assert process.end(signal.SIGINT) == 0
    await process.leave()


def test_taken_port_is_one_clear_line(tmp_path: Path, launch: Launch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        process = launch(tmp_path, *QUICK, "--port", str(port))

        assert process.wait() == 2
    assert f"krator exchange: cannot listen on 127.0.0.1:{port}" in process.errors
    assert len(process.errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--replay", "/absent"], "/absent is not a directory with spot_*.jsonl.gz files"),
        (["--symbols", "DOGEUSDT"], "symbol 'DOGEUSDT' is not listed; listed: BTCUSDT"),
        (["--public-key", "/absent.pem"], "/absent.pem: no public key"),
    ],
)
def test_start_that_cannot_be_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert main.main(["--data-dir", str(tmp_path), *arguments]) == 2

    told = capsys.readouterr().err
    assert complaint in told
    assert len(told.splitlines()) == 1


def test_second_exchange_on_the_same_ledger_is_refused(tmp_path: Path, launch: Launch) -> None:
    launch(tmp_path, *QUICK)

    second = launch(tmp_path, *QUICK)

    assert second.wait() == 2
    assert "ledger.jsonl is in use by another exchange" in second.errors


async def test_its_faults_work_on_its_own_loop_too(tmp_path: Path, launch: Launch) -> None:
    process = launch(tmp_path, "--symbols", "BTCUSDT")
    client = await process.trader()

    await process.fault("lose_answer")
    with pytest.raises(ConnectionError):
        await client.buy("0.01", newClientOrderId="lost")
    second = await process.trader()
    status = await second.result("order.status", symbol="BTCUSDT", origClientOrderId="lost")
    await process.fault("drop_connections")
    with pytest.raises(ConnectionError):
        await second.result("account.status")
    await process.fault("refuse_connections", secs=60)
    with pytest.raises((websockets.InvalidMessage, OSError, EOFError)):
        await process.trader()
    with pytest.raises(aiohttp.ClientError):
        await process.get("/api/v3/time")
    await process.fault("clear")

    assert status["status"] == "FILLED"
    assert (await (await process.trader()).buy("0.01"))["status"] == "FILLED"
    await process.leave()
    assert process.end() == 0
    assert process.errors == ""


def test_help_names_the_options(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main.main(["--help"])

    assert ended.value.code == 0
    assert "--ticks-per-sec" in capsys.readouterr().out


async def test_killed_exchange_comes_back_with_everything_it_had_answered(
    tmp_path: Path, launch: Launch
) -> None:
    arguments = ["--symbols", "BTCUSDT", "--ticks-per-sec", "50"]
    process = launch(tmp_path, *arguments)
    client = await process.trader()
    for number in range(20):
        await client.buy("0.001", newClientOrderId=f"m{number}")
        await client.limit("BUY", "50000", newClientOrderId=f"l{number}")
    before = await client.result("account.status")
    open_before = await client.result("openOrders.status")
    trades_before = await client.result("myTrades", symbol="BTCUSDT")

    process.end(signal.SIGKILL)
    await process.leave()
    again = launch(tmp_path, *arguments)
    client = await again.trader()

    assert (await client.result("account.status"))["balances"] == before["balances"]
    assert await client.result("openOrders.status") == open_before
    assert await client.result("myTrades", symbol="BTCUSDT") == trades_before
    answer = await client.buy("0.001")
    assert answer["fills"][0]["tradeId"] > trades_before[-1]["id"]
    await again.leave()
    assert again.end() == 0


async def test_ledger_that_cannot_be_written_ends_the_process_without_an_answer(
    tmp_path: Path, launch: Launch
) -> None:
    process = launch(tmp_path, "--symbols", "BTCUSDT", "--ticks-per-sec", "0.001")
    client = await process.trader()
    limit = (tmp_path / FILE_NAME).stat().st_size + 10
    subprocess.run(["prlimit", "--pid", str(process.process.pid), f"--fsize={limit}"], check=True)

    with pytest.raises(ConnectionError):
        await client.buy("0.01")

    assert process.wait() == 1
    assert "ledger.jsonl" in process.errors
    await process.leave()


def parent() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


async def test_it_lingers_until_parent_and_clients_have_gone(
    tmp_path: Path, launch: Launch
) -> None:
    with parent() as owner:
        process = launch(tmp_path, *QUICK, "--linger", "0.3", "--parent-pid", str(owner.pid))
        socket_ = await process.listen("/stream?streams=solusdt@trade")
        owner.kill()
        owner.wait()
        for _ in range(20):
            await socket_.recv()
        assert process.process.poll() is None

        await process.leave()

        assert process.wait() == 0
    assert process.ledger()[-1]["reason"] == "PARENT_GONE"


async def test_another_parent_may_adopt_it(running: Any, tmp_path: Path) -> None:
    arguments = ["--symbols", "SOLUSDT", "--linger", "0", "--parent-pid", str(os.getpid())]
    async with running(tmp_path, *arguments) as venue:
        with parent() as other:
            adopted = await post(venue, {"pid": other.pid})
            ended = asyncio.create_task(venue.exchange.unneeded())
            await asyncio.wait([ended], timeout=0.3)
            assert not ended.done()
            other.kill()
            other.wait()
            await asyncio.wait_for(ended, 20)

        assert adopted == (200, {"adopted": True})
        assert await post(venue, {"pid": other.pid}) == (200, {"adopted": False})
        assert (await post(venue, {"pid": 0}))[0] == 400


async def post(venue: Any, body: Any) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{venue.url}/sim/parent", json=body) as answer,
    ):
        return answer.status, await answer.json()


async def test_served_exchange_ends_by_its_signal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], eventually: Any
) -> None:
    serving = asyncio.create_task(run.serve(options.parse(["--data-dir", str(tmp_path), *QUICK])))
    await eventually((tmp_path / "endpoint.json").exists)

    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)

    assert await serving == 0
    assert '{"url": "http://127.0.0.1:' in capsys.readouterr().out


async def test_ledger_that_fails_while_the_market_moves_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--data-dir", str(tmp_path), *QUICK, "--ticks-per-sec", "100"]

    async def fail(_: object) -> None:
        raise LedgerFailedError("the disk is full")

    monkeypatch.setattr(Exchange, "pace", fail)

    assert await run.serve(options.parse(arguments)) == 1
    assert "krator exchange: the disk is full" in capsys.readouterr().err


def test_parent_that_has_gone_before_the_start_is_gone(tmp_path: Path, launch: Launch) -> None:
    with parent() as owner:
        owner.kill()

    process = launch(tmp_path, *QUICK, "--linger", "0", "--parent-pid", str(owner.pid))

    assert process.wait() == 0
