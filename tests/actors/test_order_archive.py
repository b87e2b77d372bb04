"""What is in the archive is read again as it was, and nothing else is."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path

import pytest

from krator_actors.adapters.at_rest import KEY_VARIABLE
from krator_actors.adapters.local_log import LogKeyError
from krator_actors.core.orders import Order
from krator_actors.messages.orders import OrderCanceled
from krator_actors.model import OrderSide, OrderStatus, OrderType
from krator_actors.order_archive import ArchivedOrder, ArchiveError, OrderArchive

KEY, OTHER_KEY = (base64.b64encode(letter * 32).decode() for letter in (b"k", b"o"))


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


def appended(path: Path, *orders: ArchivedOrder) -> list[int]:
    """Append as a process of its own."""
    archive = OrderArchive(path)
    try:
        return archive.append(orders)
    finally:
        archive.close()


def test_sealed_orders_show_nothing_and_are_read_beside_plain_ones(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [archived("plain"), archived("secret", "t1"), archived("later"), archived("again")]
    places = appended(path, written[0])
    plain_bytes = path.stat().st_size
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    places += appended(path, *written[1:3])
    sealed = path.read_bytes()[plain_bytes:]
    monkeypatch.delenv(KEY_VARIABLE)
    places += appended(path, written[3])
    monkeypatch.setenv(KEY_VARIABLE, f"{OTHER_KEY}\n{KEY}")

    archive = OrderArchive(path)
    read = [archive.read(place) for place in places]
    scanned = list(archive.orders())
    archive.close()

    assert read == written
    assert scanned == [(p, w.order) for p, w in zip(places, written, strict=True)]
    assert not [word for word in (b"secret", b"later", b"t1", b"BTC", b"Order") if word in sealed]


def test_sealed_order_is_not_read_with_another_key(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    (place,) = appended(path, archived("secret"))
    monkeypatch.setenv(KEY_VARIABLE, OTHER_KEY)

    archive = OrderArchive(path)
    with pytest.raises(LogKeyError, match="sealed with the key"):
        archive.read(place)
    archive.close()


def test_no_byte_of_a_sealed_order_is_believed_when_it_was_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    (place,) = appended(path, archived("secret"))
    data = path.read_bytes()

    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        archive = OrderArchive(path)
        with pytest.raises(ArchiveError, match="damaged at byte"):
            archive.read(place)
        archive.close()


def test_sealed_order_is_not_believed_at_another_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    first, second = appended(path, archived("a"), archived("b"))
    data = path.read_bytes()
    path.write_bytes(data[:first] + data[second:] + data[first:second])

    archive = OrderArchive(path)
    with pytest.raises(ArchiveError, match="not what was sealed"):
        archive.read(first)
    archive.close()


def test_no_two_processes_seal_under_one_salt(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    archive = OrderArchive(path)
    (kept,) = archive.append([archived("a")])
    first = path.read_bytes()[:kept]
    archive.clear()
    archive.append([archived("a")])
    archive.close()
    again = path.read_bytes()[:kept]

    (place,) = appended(path, archived("a"))
    data = path.read_bytes()

    salts = {first[-32:], again[-32:], data[place - 32 : place]}
    assert len(salts) == 3
