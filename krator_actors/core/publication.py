"""How events and states look to readers outside: docs/REDIS.md describes it to them. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from krator_actors.core.backlog import Waiting
from krator_actors.core.chain import row_of
from krator_actors.messages.operations import PublisherStatus
from krator_actors.messages.risk import PortfolioReport

_encode = msgspec.json.Encoder(decimal_format="string").encode


def entry_of(item: Waiting) -> dict[str, str | bytes | int]:
    """Return the fields of one stream entry; what an event does not have is empty."""
    row = row_of(item.record, seq=0, writer=item.log.writer, ts_written=0)
    return {
        "writer": row.writer,
        "number": row.number,
        "generation": row.generation,
        "type": row.type,
        "ts": row.ts_logged,
        "ts_event": "" if row.ts_event is None else row.ts_event,
        "symbol": row.symbol or "",
        "client_order_id": row.client_order_id or "",
        "body": _encode(msgspec.msgpack.decode(row.body)),
    }


def states_of(report: PortfolioReport) -> dict[str, bytes]:
    """Return key (without prefix) to JSON: prices, positions and the state of trading."""
    states: dict[str, bytes] = {}
    for position in report.positions:
        fields: dict[str, Any] = msgspec.structs.asdict(position)
        quote_ts = fields.pop("quote_ts_init")
        states[f"position:{position.symbol}"] = _encode({**fields, "ts": report.ts_event})
        if position.mark_price is not None and quote_ts is not None:
            price = {
                "symbol": position.symbol,
                "price": position.mark_price,
                "quote_ts": quote_ts,
                "ts": report.ts_event,
            }
            states[f"price:{position.symbol}"] = _encode(price)
    state: dict[str, Any] = msgspec.structs.asdict(report)
    del state["positions"]
    state["ts"] = state.pop("ts_event")
    state["symbols"] = [position.symbol for position in report.positions]
    states["state"] = _encode(state)
    return states


def publisher_state(status: PublisherStatus, ts_ns: int) -> bytes:
    """Return what readers see of the publisher itself, as JSON."""
    return _encode({**msgspec.structs.asdict(status), "ts": ts_ns})
