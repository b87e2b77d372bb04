"""``krator run`` and its companions, from outside."""

from __future__ import annotations

import json
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors.adapters.local_log import log_path, read_log
from krator_actors.messages.strategy import SignalRaised
from krator_actors.model import OrderSide
from tests.system.harness import ROOT, Krator, eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_replay_trades_every_recorded_symbol_and_ends_by_itself(
    krator: Krator, replay_dir: Path
) -> None:
    run = krator.start("--replay", str(replay_dir), "--speed", "20")

    assert run.wait(120) == 0, krator.output()

    report = krator.json("report")
    traded = {fill["symbol"] for fill in report["fills"]}
    assert traded == {"BTC-USDT.SIM", "ETH-USDT.SIM"}
    assert {order["symbol"] for order in report["orders"] if order["status"] == "FILLED"} == traded
    assert {position["symbol"] for position in report["positions"]} == traded
    assert "end of the recording" in krator.output()
    assert krator.leftovers() == []


def test_synthetic_run_answers_every_command_and_stops_on_ctrl_c(krator: Krator) -> None:
    run = krator.start()
    krator.wait_ready(run)

    names = set(flat(krator.json("status")))
    assert {"root", "storage", "journal", "risk", "order:SIM", "feed:SIM", "rca"} <= names
    assert {n for n in names if n.startswith("strategy:")} == {
        f"strategy:{symbol}-USDT.SIM/sma_cross" for symbol in ("BTC", "ETH", "SOL")
    }
    assert "risk" in krator.command("status").stdout
    eventually(lambda: krator.json("report")["fills"], 90, "the first fill")
    run.send_signal(signal.SIGINT)

    assert run.wait(60) == 0, krator.output()
    assert "Summary" in krator.output()
    lines = (krator.data_dir / "logs" / "krator.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    schema = ["timestamp", "level", "component", "event_type"]
    assert all(list(record)[:4] == schema for record in records)
    components = {record["component"] for record in records}
    assert "order:SIM" in components
    assert components <= {"krator", *names}
    assert krator.leftovers() == []


def test_bracket_of_a_strategy_sells_what_its_entry_bought(krator: Krator) -> None:
    shipped = (ROOT / "conf" / "krator.toml").read_text()
    for key in ("stop_loss_fraction", "take_profit_fraction"):
        shipped = shipped.replace(f'\n{key} = "0"', f'\n{key} = "0.0002"')
    krator.config.write_text(shipped)
    run = krator.start()
    krator.wait_ready(run)

    def sold() -> list[Any]:
        orders = krator.json("report")["orders"]
        return [o for o in orders if o["side"] == "SELL" and o["status"] == "FILLED"]

    eventually(sold, 150, "a bracket has sold")
    assert krator.command("stop").returncode == 0

    assert run.wait(60) == 0, krator.output()
    writers = {order["strategy"] for order in krator.json("report")["orders"]}
    signals = [
        record.event
        for writer in writers
        for record in read_log(log_path(krator.data_dir, writer), types=SignalRaised)
    ]
    assert signals
    assert all(s.is_bracketed and s.side is OrderSide.BUY for s in signals)
    assert all(Decimal(p["quantity"]) >= 0 for p in krator.json("report")["positions"])


def test_halt_holds_across_a_restart_until_a_named_person_resumes(krator: Krator) -> None:
    run = krator.start()
    krator.wait_ready(run)
    halted = krator.json("halt", "--by", "ada", "--reason", "odd prices")
    assert halted["state"] == "HALTED"

    assert krator.command("stop").returncode == 0
    assert run.wait(30) == 0
    run = krator.start()
    krator.wait_ready(run)

    eventually(lambda: "HALTED" in krator.output().rpartition("Krator is running")[2], 30, "halted")
    resumed = krator.json("resume", "--by", "ada", "--reason", "checked")
    assert (resumed["state"], resumed["by"]) == ("ACTIVE", "ada")


def test_for_ends_the_run_with_exit_code_0(krator: Krator) -> None:
    run = krator.start("--for", "3")

    assert run.wait(90) == 0, krator.output()
    assert "after 3 s" in krator.output()
    assert krator.leftovers() == []


def test_every_process_that_forks_has_one_thread(krator: Krator) -> None:
    run = krator.start()
    krator.wait_ready(run)

    root = krator.json("status")
    supervisors = {node["name"]: node["pid"] for node in nodes(root) if node["children"]}
    admin = int(process_status(root["pid"])["PPid"])
    forking = {"krator run": run.pid, "admin": admin, **supervisors}

    assert int(process_status(admin)["PPid"]) == run.pid
    assert {name: process_status(pid)["Threads"] for name, pid in forking.items()} == dict.fromkeys(
        ("krator run", "admin", "root", "execution", "market", "strategies", "operations"), "1"
    )


def test_second_run_on_the_same_folder_is_refused_and_harms_nothing(krator: Krator) -> None:
    run = krator.start()
    krator.wait_ready(run)

    second = krator.command("run", "--for", "1")

    assert second.returncode == 4
    assert f"pid {run.pid}" in second.stderr
    assert krator.command("status").returncode == 0


@pytest.mark.parametrize("word", ["status", "stop", "report"])
def test_command_without_a_running_system_says_so(krator: Krator, word: str) -> None:
    done = krator.command(word)

    assert done.returncode == 3
    assert "krator run" in done.stderr


@pytest.mark.parametrize("word", ["halt", "resume"])
def test_halt_without_a_running_system_says_so(krator: Krator, word: str) -> None:
    assert krator.command(word, "--by", "ada", "--reason", "test").returncode == 3


def test_wrong_word_names_the_right_ones(krator: Krator) -> None:
    done = krator.command("statsu")

    assert done.returncode == 2
    for word in ("run", "exchange", "status", "report", "stop", "halt", "resume"):
        assert word in done.stderr


def test_wrong_configuration_names_every_mistake_and_starts_nothing(krator: Krator) -> None:
    krator.config.write_text("[risk]\nmax_orders_per_second = 3\n[venue]\nkind = 'nyse'\n")

    done = krator.command("run")

    assert done.returncode == 2
    assert "risk.max_orders_per_second" in done.stderr
    assert "venue.kind" in done.stderr
    assert krator.leftovers() == []


def test_port_taken_is_a_clear_error(krator: Krator) -> None:
    import socket  # noqa: PLC0415 - only here

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        krator.config.write_text(f"[exchange]\nport = {port}\n")
        done = krator.command("run")

    assert done.returncode == 2
    assert str(port) in done.stderr
    assert krator.leftovers() == []


@pytest.mark.parametrize("content", [None, b"", b"not gzip", b"\x1f\x8b\x08\x00broken"])
def test_broken_replay_is_a_clear_error(krator: Krator, content: bytes | None) -> None:
    folder = krator.folder / "recording"
    folder.mkdir()
    if content is not None:
        (folder / "spot_btcusdt.jsonl.gz").write_bytes(content)

    done = krator.command("run", "--replay", str(folder))

    assert done.returncode == 2
    assert "recording" in done.stderr
    assert krator.leftovers() == []


def test_postgresql_that_does_not_start_is_a_clear_error(krator: Krator) -> None:
    cluster = krator.data_dir / "postgres"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("9\n")

    done = krator.command("run")

    assert done.returncode == 5
    assert "PostgreSQL" in done.stderr
    assert krator.leftovers() == []


def test_data_folder_without_permission_is_a_clear_error(krator: Krator) -> None:
    krator.data_dir.write_text("a file, not a folder")

    done = krator.command("run")

    assert done.returncode == 2
    assert "--data-dir" in done.stderr


def nodes(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [node, *(each for child in node["children"] for each in nodes(child))]


def process_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def flat(node: dict[str, Any]) -> list[str]:
    return [node["name"], *(name for child in node["children"] for name in flat(child))]
