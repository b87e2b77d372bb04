from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.chain import (
    GENESIS,
    ChainFault,
    ChainVerifier,
    JournalRow,
    next_hash,
    row_bytes,
    row_of,
)
from krator_actors.core.log_frames import RawRecord
from krator_actors.messages.orders import (
    AccountReport,
    OrderInitialized,
    OrderSubmitted,
    SubmitOrder,
)
from krator_actors.model import OrderSide, OrderType
from supervisors.messages import Message

numbers = st.integers(0, 2**62)
texts = st.text(max_size=8)
rows = st.builds(
    JournalRow,
    seq=numbers,
    writer=texts,
    generation=numbers,
    number=numbers,
    ts_logged=numbers,
    ts_written=numbers,
    ts_event=st.none() | numbers,
    type=texts,
    symbol=st.none() | texts,
    client_order_id=st.none() | texts,
    body=st.binary(max_size=8),
)


def record(event: Message, number: int = 1) -> RawRecord:
    return RawRecord(number, 3, 1_000, type(event).__name__, msgspec.msgpack.encode(event))


def submitted(name: str = "o-1") -> OrderSubmitted:
    return OrderSubmitted(client_order_id=name, symbol="BTC-USDT.SIM", ts_event=7)


def chain(writers: str) -> list[tuple[JournalRow, bytes]]:
    """Return a valid journal: one row for each letter, which is its writer."""
    seen: dict[str, int] = {}
    result, previous = [], GENESIS
    for seq, writer in enumerate(writers, 1):
        seen[writer] = seen.get(writer, 0) + 1
        row = row_of(record(submitted(), seen[writer]), seq=seq, writer=writer, ts_written=9)
        previous = next_hash(previous, row)
        result.append((row, previous))
    return result


def verify(journal: list[tuple[JournalRow, bytes]]) -> ChainFault | None:
    verifier = ChainVerifier()
    return next(filter(None, (verifier.check(row, digest) for row, digest in journal)), None)


def test_row_has_what_its_event_is_about() -> None:
    row = row_of(record(submitted()), seq=5, writer="order:SIM", ts_written=2_000)

    assert (row.seq, row.writer, row.number, row.generation) == (5, "order:SIM", 1, 3)
    assert (row.symbol, row.client_order_id, row.ts_event) == ("BTC-USDT.SIM", "o-1", 7)
    assert (row.ts_logged, row.ts_written, row.type) == (1_000, 2_000, "OrderSubmitted")


def test_row_of_an_order_inside_an_event_has_its_id() -> None:
    order = SubmitOrder(
        client_order_id="o-2",
        strategy="s",
        symbol="ETH-USDT.SIM",
        side=OrderSide.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        cause="trade:1",
        ts_event=1,
        ts_init=2,
    )
    event = OrderInitialized(order=order, risk_generation=1, request_valid_until_ms=9, ts_event=3)

    row = row_of(record(event), seq=1, writer="order:SIM", ts_written=1)

    assert (row.symbol, row.client_order_id, row.ts_event) == ("ETH-USDT.SIM", "o-2", 3)


def test_row_of_an_event_about_no_order_has_none() -> None:
    event = AccountReport(balances={"USDT": Decimal(1)}, ts_event=3)

    row = row_of(record(event), seq=1, writer="order:SIM", ts_written=1)

    assert (row.symbol, row.client_order_id) == (None, None)


@pytest.mark.parametrize("body", [{"symbol": 5}, {"order": "yes"}, [1, 2]])
def test_row_of_an_event_that_means_something_else_is_stored_all_the_same(body: object) -> None:
    raw = RawRecord(1, 1, 1, "Strange", msgspec.msgpack.encode(body))

    row = row_of(raw, seq=1, writer="w", ts_written=1)

    assert row.body == raw.body
    assert (row.symbol, row.client_order_id, row.ts_event) == (None, None, None)


@given(rows, rows)
def test_different_rows_have_different_bytes(one: JournalRow, other: JournalRow) -> None:
    assert (row_bytes(one) == row_bytes(other)) == (one == other)


@given(rows, st.data())
def test_every_column_is_in_the_bytes(row: JournalRow, data: st.DataObject) -> None:
    column = data.draw(st.sampled_from(JournalRow.__struct_fields__))
    value = getattr(row, column)
    other = data.draw(rows.map(lambda r: getattr(r, column)).filter(lambda v: v != value))

    assert row_bytes(msgspec.structs.replace(row, **{column: other})) != row_bytes(row)


@given(st.text("abc", max_size=12))
def test_chain_as_written_is_verified(writers: str) -> None:
    assert verify(chain(writers)) is None


@given(st.text("abc", min_size=1, max_size=12), st.data())
def test_changed_row_is_found(writers: str, data: st.DataObject) -> None:
    journal = chain(writers)
    index = data.draw(st.integers(0, len(journal) - 1))
    row, digest = journal[index]
    journal[index] = (msgspec.structs.replace(row, body=row.body + b"!"), digest)

    assert verify(journal) == ChainFault(index + 1, "its hash does not follow from its content")


@given(st.text("abc", min_size=2, max_size=12), st.data())
def test_missing_row_is_found(writers: str, data: st.DataObject) -> None:
    journal = chain(writers)
    index = data.draw(st.integers(0, len(journal) - 2))
    del journal[index]

    assert verify(journal) == ChainFault(
        index + 1, f"row {index + 1} is missing; row {index + 2} follows"
    )


def test_doubled_record_is_found() -> None:
    (row, digest), *_ = chain("a")
    again = msgspec.structs.replace(row, seq=2)

    fault = verify([(row, digest), (again, next_hash(digest, again))])

    assert fault == ChainFault(2, "record 1 of a stands where 2 belongs")


def test_missing_end_is_found() -> None:
    verifier = ChainVerifier()
    journal = chain("ab")
    verifier.check(*journal[0])

    fault = verifier.check_end(2, journal[1][1], {"a": 1, "b": 1})

    assert fault == ChainFault(2, "the rows end at 1; the journal says 2")


def test_wrong_watermark_is_found() -> None:
    verifier = ChainVerifier()
    row, digest = chain("a")[0]
    verifier.check(row, digest)

    assert verifier.check_end(1, digest, {"a": 1}) is None
    assert verifier.check_end(1, digest, {"a": 2}) is not None
