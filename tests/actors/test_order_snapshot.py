"""Recovery from a snapshot is recovery from the whole log, only shorter."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from krator_actors import order_ledger, order_sync
from krator_actors.adapters.local_log import log_path
from krator_actors.core import order_memory
from krator_actors.messages.handshake import OrdersSynced, SyncOrders
from krator_actors.messages.orders import (
    OrderAccepted,
    OrderCanceled,
    OrderEventTold,
    OrderExternal,
    OrderFilled,
    OrderSubmitted,
)
from krator_actors.model import OrderSide
from krator_actors.order_ledger import OrderGoneError, OrderLedger
from tests.actors.order_scene import (
    NAME,
    OPENING,
    STRATEGY,
    SYMBOL,
    FakeVenue,
    initialized,
    now_ms,
    serving,
    started,
)


@pytest.fixture
async def venue() -> AsyncIterator[FakeVenue]:
    async with serving() as fake:
        yield fake


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots and forgetting after a handful of orders."""
    monkeypatch.setattr(order_ledger, "SNAPSHOT_EVENTS", 10)
    monkeypatch.setattr(order_memory, "KEEP_FILLS", 3)
    monkeypatch.setattr(order_ledger, "KEEP_CLOSED", 2)


def opened(data_dir: Path, generation: int = 1) -> OrderLedger:
    return OrderLedger.open(
        data_dir, writer=NAME, venue="SIM", generation=generation, durability="process"
    )


def killed(ledger: OrderLedger) -> None:
    """As SIGKILL leaves it: no snapshot at the end."""
    ledger._log.close()


def life(name: str, *, filled: bool = True) -> Iterator[Any]:
    venue_id = f"v{name}"
    yield initialized(name, valid_until_ms=now_ms())
    yield OrderSubmitted(client_order_id=name, symbol=SYMBOL, ts_event=1)
    yield OrderAccepted(client_order_id=name, venue_order_id=venue_id, symbol=SYMBOL, ts_event=1)
    if filled:
        yield fill(name, f"t{name}")


def fill(name: str, trade_id: str) -> OrderFilled:
    return OrderFilled(
        client_order_id=name,
        venue_order_id=f"v{name}",
        trade_id=trade_id,
        symbol=SYMBOL,
        strategy=STRATEGY,
        side=OrderSide.BUY,
        last_quantity=Decimal(2),
        last_price=Decimal(100),
        fee=Decimal("0.001"),
        fee_currency="BTC",
        ts_event=1,
        ts_init=1,
    )


def lived(data_dir: Path, orders: int) -> OrderLedger:
    """Return the ledger of an account with so many orders that are over, and one that is open."""
    ledger = opened(data_dir)
    ledger.record(OPENING)
    for event in life("resting", filled=False):
        ledger.record(event)
    for number in range(orders):
        for event in life(f"k{number}"):
            ledger.record(event)
    return ledger


def folder(data_dir: Path) -> Path:
    return log_path(data_dir, NAME).parent


def no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "no space")


def facts(ledger: OrderLedger) -> Any:
    """What a ledger knows, whatever it had to read for it."""
    return (
        ledger.last_number,
        ledger.risk_generation,
        ledger.balances.totals,
        [msgspec.structs.asdict(order) for order in ledger.table.open_orders],
        ledger.table.recent_trade_id(SYMBOL, 3),
        ledger.table.opening,
    )


def whole(data_dir: Path) -> Any:
    for file in folder(data_dir).glob("*.snapshot"):
        file.unlink()
    ledger = opened(data_dir)
    try:
        return facts(ledger)
    finally:
        killed(ledger)


@pytest.mark.parametrize("orders", [0, 1, 5, 40])
def test_snapshot_and_tail_are_the_whole_log(tmp_path: Path, orders: int) -> None:
    ledger = lived(tmp_path, orders)
    ledger.close()
    ledger = opened(tmp_path, 2)
    for event in life("last"):
        ledger.record(event)
    killed(ledger)

    ledger = opened(tmp_path, 3)
    again, read = facts(ledger), ledger._events_since_snapshot
    killed(ledger)

    assert read == 4
    assert again == whole(tmp_path)


@pytest.mark.parametrize("merge_at", [0, 10_000])
def test_every_id_ever_seen_is_known_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, merge_at: int
) -> None:
    monkeypatch.setattr(order_memory, "_MERGE_AT_LEAST", merge_at)
    ledger = lived(tmp_path, 40)
    ledger.close()
    ledger = opened(tmp_path, 2)
    killed(ledger)
    ledger = opened(tmp_path, 3)

    known = [
        name in ledger.table.orders or ledger.is_forgotten(name)
        for name in (f"k{number}" for number in range(41))
    ]
    killed(ledger)

    assert known == [True] * 40 + [False]
    assert len(ledger.table.orders) < 10


async def test_snapshots_are_written_while_it_works(tmp_path: Path) -> None:
    ledger = lived(tmp_path, 0)
    keeping = asyncio.create_task(ledger.keep_snapshots())
    file = folder(tmp_path) / "order%3ASIM.snapshot"

    for event in (e for n in range(3) for e in life(f"k{n}")):
        ledger.record(event)
    async with asyncio.timeout(5):
        while not file.exists():
            await asyncio.sleep(0.01)
    keeping.cancel()
    killed(ledger)

    assert opened(tmp_path, 2)._events_since_snapshot < 10


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *itertools.product(
            ["order%3ASIM.snapshot", "order%3ASIM.closed"], ["flip", "cut", "empty", "missing"]
        ),
        *itertools.product(["order%3ASIM.archive"], ["cut", "empty", "missing"]),
    ],
)
def test_what_a_damaged_file_said_is_read_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, harm: str
) -> None:
    monkeypatch.setattr(order_memory, "_MERGE_AT_LEAST", 0)
    lived(tmp_path, 40).close()
    file = folder(tmp_path) / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes({"flip": data, "cut": data[:-1], "empty": bytearray()}[harm])

    ledger = opened(tmp_path, 2)
    again = facts(ledger)
    known = all(n in ledger.table.orders or ledger.is_forgotten(n) for n in ("k0", "k39"))
    killed(ledger)

    assert known
    assert again == whole(tmp_path)


def test_snapshot_of_another_log_is_ignored(tmp_path: Path) -> None:
    lived(tmp_path / "one", 5).close()
    killed(lived(tmp_path / "two", 5))
    snapshot = folder(tmp_path / "one") / "order%3ASIM.snapshot"
    (folder(tmp_path / "two") / snapshot.name).write_bytes(snapshot.read_bytes())

    ledger = opened(tmp_path / "two", 2)
    again = facts(ledger)
    killed(ledger)

    assert again == whole(tmp_path / "two")


def test_snapshot_that_knows_more_than_the_log_is_ignored(tmp_path: Path) -> None:
    ledger = lived(tmp_path, 5)
    size = log_path(tmp_path, NAME).stat().st_size
    for event in life("lost"):
        ledger.record(event)
    ledger.close()
    with log_path(tmp_path, NAME).open("r+b") as file:
        file.truncate(size)

    ledger = opened(tmp_path, 2)
    killed(ledger)

    assert "lost" not in ledger.table.orders
    assert not ledger.is_forgotten("lost")


async def test_forgotten_order_is_read_again_from_the_archive(tmp_path: Path) -> None:
    lived(tmp_path, 40).close()
    ledger = opened(tmp_path, 2)

    by_name = await ledger.recall("k3")
    by_venue = await ledger.recall("vk4", SYMBOL)
    nobody = await ledger.recall("k99")

    killed(ledger)
    assert by_name is not None
    assert by_venue is not None
    assert (by_name.client_order_id, by_name.filled) == ("k3", Decimal(2))
    assert by_venue is ledger.table.orders["k4"]
    assert isinstance(ledger.latest(by_name).event, OrderFilled)
    assert ledger.table.knows_fill(SYMBOL, "tk3", "vk3")
    assert nobody is None


async def test_forgotten_order_that_is_damaged_is_said_to_be_gone(tmp_path: Path) -> None:
    lived(tmp_path, 40).close()
    archive = folder(tmp_path) / "order%3ASIM.archive"
    archive.write_bytes(archive.read_bytes().replace(b"k3", b"k?"))
    ledger = opened(tmp_path, 2)

    assert ledger.is_forgotten("k3")
    with pytest.raises(OrderGoneError, match="damaged"):
        await ledger.recall("k3")
    killed(ledger)


async def test_late_fill_of_a_recalled_order_is_folded_again_after_a_kill(tmp_path: Path) -> None:
    lived(tmp_path, 40).close()
    ledger = opened(tmp_path, 2)
    await ledger.recall("k3")
    ledger.record(fill("k3", "late"))
    killed(ledger)

    ledger = opened(tmp_path, 3)
    again, order = facts(ledger), ledger.table.orders["k3"]
    killed(ledger)

    assert order.filled == Decimal(4)
    assert again == whole(tmp_path)


def test_half_written_end_of_the_archive_is_cut_off(tmp_path: Path) -> None:
    lived(tmp_path, 40).close()
    archive = folder(tmp_path) / "order%3ASIM.archive"
    size = archive.stat().st_size
    with archive.open("ab") as file:
        file.write(archive.read_bytes()[: size // 40 // 2])

    killed(opened(tmp_path, 2))

    assert archive.stat().st_size == size


async def test_archive_that_cannot_be_written_leaves_orders_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = lived(tmp_path, 40)

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", no_space)
        ledger.close()
    ledger = opened(tmp_path, 2)
    in_memory = "k0" in ledger.table.orders
    ledger.record(fill("k0", "late"))
    ledger.close()
    ledger = opened(tmp_path, 3)
    order = ledger.table.orders["k0"]
    killed(ledger)

    assert in_memory
    assert ledger.is_forgotten("k1")
    assert order.filled == Decimal(4)


# -- in the actor --------------------------------------------------------------------------------


async def trade(scene: Any, venue: FakeVenue, orders: int) -> None:
    for number in range(orders):
        await scene.place(f"k{number}")
        await scene.until(OrderAccepted, f"k{number}")
        venue.fill(f"k{number}", "2")
        await scene.until(OrderFilled, f"k{number}")


async def test_order_closed_long_ago_is_refused_and_its_latest_event_told_again(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await trade(scene, venue, 12)

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()
        forgotten = "k0" not in scene.harness.actor._table.orders
        await scene.place("k0")

        (told,) = [m for m in scene.harness.told_to(STRATEGY) if isinstance(m, OrderEventTold)]
        assert forgotten
        assert isinstance(told.event, OrderFilled)
    assert venue.placed().count("k0") == 1


async def test_late_fill_of_a_forgotten_order_is_its_own_and_counts_once(
    venue: FakeVenue, tmp_path: Path
) -> None:
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await scene.place("early")
        await scene.until(OrderAccepted, "early")
        venue.fill("early", "1")
        venue.end("early", "CANCELED")
        await scene.until(OrderCanceled, "early")
        await trade(scene, venue, 12)

    async with started(venue, tmp_path, generation=2) as scene:
        await scene.reachable()
        forgotten = "early" not in scene.harness.actor._table.orders
        venue.fill("early", "1")
        await scene.until(OrderFilled, "early")
        venue.drop()
        await scene.reachable(times=2)

        assert forgotten
        assert scene.kinds("early") == [OrderFilled]
        assert not [e for e in scene.events() if isinstance(e, OrderExternal)]


async def test_events_are_told_again_in_pieces_while_new_ones_happen(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_sync, "PIECE_EVENTS", 3)
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await trade(scene, venue, 5)
        already = len(scene.harness.told)

        await scene.harness.deliver(SyncOrders(risk_generation=2, watermark=1), "risk")
        await scene.place("new", risk_generation=2)
        await scene.harness.eventually(
            lambda: any(isinstance(m, OrdersSynced) for _, m in scene.harness.told[already:])
        )
        await scene.until(OrderAccepted, "new")

        later = [m for to, m in scene.harness.told[already:] if to == "risk"]
        numbers = [m.number for m in later if isinstance(m, OrderEventTold)]
        synced = next(m for m in later if isinstance(m, OrdersSynced))
        assert numbers == list(range(2, numbers[-1] + 1))
        assert later[numbers.index(synced.number) + 1] is synced


async def test_newer_sync_replaces_the_one_under_way(
    venue: FakeVenue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_sync, "PIECE_EVENTS", 3)
    async with started(venue, tmp_path) as scene:
        await scene.reachable()
        await trade(scene, venue, 5)
        already = len(scene.harness.told)

        older = SyncOrders(risk_generation=2, watermark=0, sync_id=1)
        newer = SyncOrders(risk_generation=3, watermark=4, sync_id=1)
        await asyncio.gather(
            scene.harness.deliver(older, "risk"), scene.harness.deliver(newer, "risk")
        )
        await scene.harness.eventually(
            lambda: any(isinstance(m, OrdersSynced) for _, m in scene.harness.told[already:])
        )

        later = [m for to, m in scene.harness.told[already:] if to == "risk"]
        answers = [m.risk_generation for m in later if isinstance(m, OrdersSynced)]
        numbers = [m.number for m in later if isinstance(m, OrderEventTold)]
        assert answers == [3]
        assert numbers[numbers.index(5) :] == list(range(5, numbers[-1] + 1))
