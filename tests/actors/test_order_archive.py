"""What is in the archive is read again as it was, and nothing else is."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from krator_actors.core.orders import Order
from krator_actors.messages.orders import OrderCanceled
from krator_actors.model import OrderSide, OrderStatus, OrderType
from krator_actors.order_archive import ArchivedOrder, ArchiveError, OrderArchive


def archived(name: str, *trade_ids: str) -> ArchivedOrder:
    order = Order(
        client_order_id=name,
        strategy="strategy:x",
        symbol="BTC-USDT.SIM",
        side=OrderSide.BUY,
        order_type=OrderType.LIMIT,
        quantity=Decimal("2.50"),
        price=Decimal("0.1"),
        status=OrderStatus.CANCELED,
        first_number=1,
        number=9,
        last_event=OrderCanceled(client_order_id=name, symbol="BTC-USDT.SIM", ts_event=1),
    )
    return ArchivedOrder(order, trade_ids)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "order.archive"


def test_orders_are_read_where_append_says_also_by_the_next_process(path: Path) -> None:
    archive = OrderArchive(path)
    written = [archived("a", "1", "2"), archived("b"), archived("c", "3")]
    places = archive.append(written[:2]) + archive.append(written[2:])
    archive.close()

    archive = OrderArchive(path)
    read = [archive.read(place) for place in places]
    scanned = list(archive.orders())
    archive.close()

    assert read == written
    assert scanned == [(p, w.order) for p, w in zip(places, written, strict=True)]


def test_whatever_a_death_leaves_half_written_is_cut_off_and_written_over(path: Path) -> None:
    archive = OrderArchive(path)
    archive.append([archived("a")])
    known = archive.size_bytes
    (place,) = archive.append([archived("b")])
    whole = archive.size_bytes
    archive.close()
    data = path.read_bytes()

    for size in range(known, whole + 1):
        path.write_bytes(data[:size])
        archive = OrderArchive(path)
        archive.cut_behind(known)
        left = archive.size_bytes
        (again,) = archive.append([archived("c")])
        name = archive.read(again).order.client_order_id
        archive.close()

        assert left == (whole if size == whole else place)
        assert name == "c"


def test_no_damaged_byte_of_an_order_is_believed(path: Path) -> None:
    archive = OrderArchive(path)
    (place,) = archive.append([archived("a", "1")])
    data = path.read_bytes()

    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(ArchiveError, match="damaged at byte 0"):
            archive.read(place)
    archive.close()
