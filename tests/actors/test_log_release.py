"""What snapshots cover is removed from the logs of order and risk, and nothing is lost with it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors import order_ledger, risk, risk_ledger
from krator_actors.adapters import local_log
from krator_actors.adapters.at_rest import KEY_VARIABLE
from krator_actors.adapters.local_log import (
    LogKeyError,
    LogRemovedError,
    log_path,
    write_committed,
)
from krator_actors.core import order_memory
from krator_actors.messages.handshake import OrdersAbsorbed, OrdersRemoved, OrdersSynced, SyncOrders
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderDenied,
    OrderEventTold,
    OrderFilled,
)
from krator_actors.messages.risk import DuplicateRefused
from krator_actors.order_ledger import OrderLedger
from krator_actors.risk import OrderLogLostError
from supervisors.testing import eventually
from tests.actors.order_scene import NAME, STRATEGY, FakeVenue, serving, started
from tests.actors.test_order_snapshot import facts, fill, killed, life, lived, opened
from tests.actors.test_risk import ORDER, Bench, filled, initialized, order

ALL = 1_000_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of some ten records, snapshots and forgetting after a handful of orders."""
    monkeypatch.setattr(local_log, "SEGMENT_BYTES", 2_000)
    monkeypatch.setattr(order_ledger, "SNAPSHOT_EVENTS", 10)
    monkeypatch.setattr(order_ledger, "KEEP_CLOSED", 2)
    monkeypatch.setattr(order_memory, "KEEP_FILLS", 3)
    monkeypatch.setattr(order_memory, "_MERGE_AT_LEAST", 20)
    monkeypatch.setattr(risk_ledger, "SNAPSHOT_EVENTS", 10)
    monkeypatch.setattr(risk, "SNAPSHOT_SECS", 0.0)


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    async with serving() as fake:
        yield fake


@contextlib.asynccontextmanager
async def keeping(ledger: OrderLedger) -> AsyncIterator[None]:
    task = asyncio.create_task(ledger.keep_snapshots())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def commit(data_dir: Path, number: int = ALL) -> None:
    """Say what the journal would."""
    write_committed(data_dir, {NAME: number, "risk": number})


async def work(ledger: OrderLedger, orders: Iterator[int]) -> None:
    """Let orders live and die, with a snapshot every few records."""
    async with keeping(ledger):
        for number in orders:
            for event in life(f"k{number}"):
                ledger.record(event)
            await eventually(lambda: is_quiet(ledger))


def is_quiet(ledger: OrderLedger) -> bool:
    """Return whether no snapshot is due or being written."""
    newest = ledger.last_number - ledger._events_since_snapshot
    return not ledger._snapshot_due.is_set() and ledger._snapshots._written == newest


async def shortened(data_dir: Path, orders: int = 60) -> OrderLedger:
    """Return the ledger of a log whose beginning has been removed."""
    ledger = lived(data_dir, 0)
    ledger.absorbed(ALL)
    commit(data_dir)
    await work(ledger, iter(range(orders)))
    assert ledger.first_number > 1
    return ledger


async def test_nothing_is_lost_when_a_shortened_log_is_recovered(tmp_path: Path) -> None:
    ledger = await shortened(tmp_path)
    before = facts(ledger)
    killed(ledger)

    ledger = opened(tmp_path, 2)
    known = [
        name in ledger.table.orders or ledger.is_forgotten(name)
        for name in (f"k{number}" for number in range(61))
    ]
    first = await ledger.recall("k0")
    killed(ledger)

    assert not log_path(tmp_path, NAME).exists()
    assert facts(ledger) == before
    assert known == [True] * 60 + [False]
    assert first is not None
    assert (first.filled, ledger.table.trade_ids([first])) == (Decimal(2), [("tk0",)])


async def test_late_fill_of_an_order_whose_records_are_gone_counts_once(tmp_path: Path) -> None:
    ledger = await shortened(tmp_path)
    await ledger.recall("k0")
    ledger.record(fill("k0", "late"))
    for number in (2, 3):
        killed(ledger)
        ledger = opened(tmp_path, number)
        order = ledger.table.orders.get("k0") or await ledger.recall("k0")
        ledger.record(fill("k0", "late"))

        assert order is not None
        assert order.filled == Decimal(4)
        await work(ledger, iter(range(number * 100, number * 100 + 10)))
    killed(ledger)


@pytest.mark.parametrize(("absorbed", "committed"), [(0, ALL), (ALL, 0), (30, ALL), (ALL, 30)])
async def test_nothing_is_removed_that_risk_or_the_journal_lacks(
    tmp_path: Path, absorbed: int, committed: int
) -> None:
    ledger = lived(tmp_path, 0)
    ledger.absorbed(absorbed)
    commit(tmp_path, committed)

    await work(ledger, iter(range(60)))

    assert ledger.first_number <= min(absorbed, committed) + 1
    numbers = [told.number for told in ledger.told_after(min(absorbed, committed))]
    killed(ledger)
    assert numbers == list(range(min(absorbed, committed) + 1, ledger.last_number + 1))


async def test_one_damaged_snapshot_is_not_the_end(tmp_path: Path) -> None:
    ledger = await shortened(tmp_path)
    before = facts(ledger)
    killed(ledger)
    newest = log_path(tmp_path, NAME).with_suffix(".snapshot")
    newest.write_bytes(newest.read_bytes()[:-1])

    for generation in (2, 3):
        ledger = opened(tmp_path, generation)
        again = facts(ledger)
        killed(ledger)

        assert again == before


@pytest.mark.parametrize("harm", ["damaged", "missing"])
async def test_shortened_log_without_a_snapshot_is_refused(tmp_path: Path, harm: str) -> None:
    killed(await shortened(tmp_path))
    files = list(log_path(tmp_path, NAME).parent.glob("*.snapshot*"))
    kept = {file: file.read_bytes() for file in files}
    for file in files:
        if harm == "missing":
            file.unlink()
        else:
            file.write_bytes(file.read_bytes()[:-1])

    for generation in (2, 3):
        with pytest.raises(LogRemovedError, match="from a backup"):
            opened(tmp_path, generation)
    for file, data in kept.items():
        file.write_bytes(data)
    ledger = opened(tmp_path, 4)
    killed(ledger)

    assert len(files) == 2
    assert [order.client_order_id for order in ledger.table.open_orders] == ["resting"]


# -- sealed --------------------------------------------------------------------------------------


KEY, OTHER_KEY = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))
SECRETS = (b"vk1", b"tk1", b"resting", b"BTC-USDT", b"BTC", b"OrderFilled", b"strategy:")


def plain(folder: Path) -> list[tuple[str, bytes]]:
    """Return what can be read in the files of a folder, and in which."""
    found = []
    for file in folder.iterdir():
        data = file.read_bytes()
        # By chance three bytes are anywhere; as msgpack a text has its length before it.
        marks = [bytes([0xA0 + len(word)]) + word for word in SECRETS]
        found += [(file.name, mark) for mark in marks if mark in data]
    return found


async def test_nothing_of_an_order_can_be_read_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    ledger = await shortened(tmp_path)
    before = facts(ledger)
    ledger.close()

    shown = plain(tmp_path / "log")
    ledger = opened(tmp_path, 2)
    again = facts(ledger)
    recalled = await ledger.recall("k1")
    killed(ledger)

    assert shown == []
    assert again == before
    assert recalled is not None


async def test_folder_of_no_key_is_sealed_from_its_key_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await shortened(tmp_path)
    before = facts(ledger)
    ledger.close()
    shown = {name for name, _ in plain(tmp_path / "log")}
    monkeypatch.setenv(KEY_VARIABLE, KEY)

    ledger = opened(tmp_path, 2)
    is_the_same = facts(ledger) == before
    await work(ledger, iter(range(100, 110)))
    recalled = await ledger.recall("k1"), await ledger.recall("k100")
    ledger.close()

    assert any(name.endswith(".snapshot") for name in shown)
    left = {name for name, _ in plain(tmp_path / "log")}
    assert not [name for name in left if "snapshot" in name]
    assert any(name.endswith(".archive") for name in left)  # what it had, it keeps as it was
    assert is_the_same
    assert None not in recalled


@pytest.mark.parametrize("key", ["", OTHER_KEY])
async def test_sealed_folder_without_its_key_is_refused_and_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    (await shortened(tmp_path)).close()
    files = {file: file.read_bytes() for file in (tmp_path / "log").iterdir()}
    monkeypatch.setenv(KEY_VARIABLE, key)

    with pytest.raises(LogKeyError, match="is sealed with the key"):
        opened(tmp_path, 2)

    assert {file: file.read_bytes() for file in (tmp_path / "log").iterdir()} == files


async def test_damaged_place_of_closed_orders_is_read_from_the_archive(tmp_path: Path) -> None:
    killed(await shortened(tmp_path))
    closed = log_path(tmp_path, NAME).with_suffix(".closed")
    closed.write_bytes(closed.read_bytes()[:-1])

    ledger = opened(tmp_path, 2)
    known = [bool(await ledger.recall(f"k{number}")) for number in range(50)]
    killed(ledger)

    assert known == [True] * 50


# -- in the actor --------------------------------------------------------------------------------


async def trade(scene: Any, venue: FakeVenue, orders: int) -> None:
    for number in range(orders):
        await scene.place(f"k{number}")
        await scene.until(OrderAccepted, f"k{number}")
        venue.fill(f"k{number}", "2")
        await scene.until(OrderFilled, f"k{number}")


def answers(scene: Any) -> list[object]:
    return [m for m in scene.harness.told_to("risk") if isinstance(m, OrdersSynced | OrdersRemoved)]


async def test_risk_that_asks_for_removed_records_is_told_so(
    venue: FakeVenue, tmp_path: Path
) -> None:
    commit(tmp_path)
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.harness.deliver(OrdersAbsorbed(number=ALL), "risk")
        await trade(scene, venue, 20)
        ledger = scene.harness.actor._ledger
        await scene.harness.eventually(lambda: ledger.first_number > 1)

        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=0), "risk")
        refused = answers(scene)[-1]
        watermark = ledger.first_number - 1
        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=watermark), "risk")
        await scene.harness.eventually(lambda: isinstance(answers(scene)[-1], OrdersSynced))

        assert isinstance(refused, OrdersRemoved)
        assert refused.first_number == ledger.first_number


async def test_id_whose_records_are_removed_is_refused_after_a_restart(
    venue: FakeVenue, tmp_path: Path
) -> None:
    commit(tmp_path)
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.harness.deliver(OrdersAbsorbed(number=ALL), "risk")
        await trade(scene, venue, 20)
        ledger = scene.harness.actor._ledger
        await scene.harness.eventually(lambda: ledger.first_number > 1)

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()
        await scene.place("k0")

        (told,) = [m for m in scene.harness.told_to(STRATEGY) if isinstance(m, OrderEventTold)]
        assert isinstance(told.event, OrderFilled)
    assert venue.placed().count("k0") == 1


# -- risk ----------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def busy(bench: Bench) -> None:
    """Let risk approve and absorb, until its own log has lost its beginning."""
    commit(bench.data_dir)
    number = 0
    while risk_log(bench).exists():
        number += 1
        await bench.submit(order(f"k{number}"))
        await bench.happen(initialized(order(f"k{number}")))
        await bench.happen(filled(f"k{number}", str(number)))
    await bench.harness.eventually(lambda: absorbed(bench)[-1] > 0)


def risk_log(bench: Bench) -> Path:
    return log_path(bench.data_dir, "risk")


def absorbed(bench: Bench) -> list[int]:
    return [m.number for m in bench.harness.told_to(ORDER) if isinstance(m, OrdersAbsorbed)]


@pytest.mark.parametrize("damaged", [False, True])
async def test_portfolio_is_the_same_after_a_kill_with_a_shortened_log(
    bench: Bench, *, damaged: bool
) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await busy(bench)
        before = await bench.portfolio()
        removed = absorbed(bench)[-1]
        with pytest.MonkeyPatch.context() as killed_now:
            killed_now.setattr(harness.actor._ledger, "snapshot", lambda _watermark: None)
            await harness.stop()
    if damaged:
        newest = bench.data_dir / "log" / "risk.snapshot"
        newest.write_bytes(newest.read_bytes()[:-1])

    async with bench.start():
        watermark = bench.requests()[0].watermark
        await bench.recover()
        after = await bench.portfolio()
        again = await bench.submit(order("k1"))

    assert 0 < removed <= watermark
    assert (after.positions, after.cash) == (before.positions, before.cash)
    assert (after.fills, after.orders_approved) == (before.fills, before.orders_approved)
    assert isinstance(again, DuplicateRefused)


async def test_shortened_log_of_risk_without_a_snapshot_is_refused(bench: Bench) -> None:
    async with bench.start():
        await bench.recover()
        await busy(bench)
    for file in (bench.data_dir / "log").glob("risk.snapshot*"):
        file.write_bytes(file.read_bytes()[:-1])

    with pytest.raises(LogRemovedError, match="krator journal rebuild"):
        async with bench.start():
            pass


async def test_nothing_of_risk_can_be_read_without_the_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    async with bench.start():
        await bench.recover()
        await busy(bench)
        before = await bench.portfolio()

    shown = plain(bench.data_dir / "log")
    async with bench.start():
        await bench.recover()
        after = await bench.portfolio()

    assert shown == []
    assert (after.positions, after.cash) == (before.positions, before.cash)


async def test_risk_that_cannot_be_told_all_trades_nothing_and_keeps_no_snapshot(
    bench: Bench,
) -> None:
    async with bench.start() as harness:
        await harness.deliver(
            OrdersRemoved(venue="SIM", risk_generation=bench.generation, first_number=10), ORDER
        )
        reasons = [await bench.reason(order(f"k{number}")) for number in range(30)]
        details = {d.detail for d in harness.told_to(STRATEGY) if isinstance(d, OrderDenied)}

    assert set(reasons) == {"RISK_RECOVERING"}
    assert details == {"risk waits for its snapshot, which is lost"}
    assert not list((bench.data_dir / "log").glob("risk.snapshot*"))


async def test_order_log_that_lost_its_end_is_met_by_the_snapshot_before(bench: Bench) -> None:
    async with bench.start() as harness:
        await bench.recover()
        await busy(bench)
        while not harness.actor._ledger._events_since_snapshot:
            await bench.happen(filled("external", "late"))
    before = (bench.data_dir / "log" / "risk.snapshot.before").read_bytes()
    bench.log = bench.log[:-1]

    with pytest.raises(OrderLogLostError):
        async with bench.start() as harness:
            await harness.deliver(bench.synced(bench.requests()[0]), ORDER)
    harness.actor._ledger.close()

    assert (bench.data_dir / "log" / "risk.snapshot").read_bytes() == before
    async with bench.start():
        assert 0 < bench.requests()[0].watermark <= len(bench.log)
