"""The command line of ``krator exchange``."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from krator_actors.exchange import fixed
from krator_actors.exchange.limits import DEFAULT_ORDER_LIMIT, DEFAULT_WEIGHT_LIMIT

HOST = "127.0.0.1"
_DESCRIPTION = """\
The simulated venue: price-time-priority matching behind Binance's spot dialect (REST, market
streams, WebSocket API) on loopback. It makes its own seeded order flow, or replays a recorded
session. It keeps its own ledger and goes on while everything else is dead.
"""

_EPILOG = """\
It prints one JSON line {"url": ...} when it is ready and writes DIR/endpoint.json. SIGTERM and
SIGINT end it. Exit codes: 0 ended as told, 1 the ledger could not be written, 2 it could not
start. The API key and secret are "krator-sim" and "krator-sim-secret" unless the environment has
KRATOR_VENUE_API_KEY and KRATOR_VENUE_API_SECRET.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the exchange is told when it starts."""

    data_dir: Path
    host: str
    port: int
    replay: Path | None
    speed: float
    start_at_once: bool
    lockstep: bool
    seed: int
    symbols: tuple[str, ...]
    ticks_per_sec: float
    quote_balance: int
    """units of 1e-8, given to a new ledger only"""
    fee_rate: int
    """units of 1e-8 of what an order receives"""
    linger_secs: float | None
    parent_pid: int | None
    public_key: Path | None
    weight_limit: int
    order_limit: int
    withdrawals: bool


def parse(argv: list[str]) -> Options:
    """Return the options; a wrong one prints what is right and raises SystemExit(2)."""
    parser = _parser()
    given = parser.parse_args(argv)
    if (given.linger is None) != (given.parent_pid is None):
        parser.error("--linger and --parent-pid go together")
    if (given.start_at_once or given.lockstep) and given.replay is None:
        parser.error("--start-at-once and --lockstep need --replay")
    return Options(
        data_dir=given.data_dir,
        host=given.host,
        port=given.port,
        replay=given.replay,
        speed=given.speed,
        start_at_once=given.start_at_once,
        lockstep=given.lockstep,
        seed=given.seed,
        symbols=given.symbols,
        ticks_per_sec=given.ticks_per_sec,
        quote_balance=given.quote_balance,
        fee_rate=given.fee_rate,
        linger_secs=given.linger,
        parent_pid=given.parent_pid,
        public_key=given.public_key,
        weight_limit=given.weight_limit,
        order_limit=given.order_limit,
        withdrawals=given.withdrawals,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="krator exchange",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_process(parser.add_argument_group("process"))
    _add_market(parser.add_argument_group("market"))
    _add_account(parser.add_argument_group("account"))
    return parser


def _add_process(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--data-dir", type=Path, required=True, metavar="DIR", help="ledger and endpoint.json")
    add(
        "--host",
        type=_loopback,
        default=HOST,
        metavar="ADDRESS",
        help=f"a loopback address (default {HOST}); ::1 for IPv6",
    )
    add("--port", type=_port, default=0, help="0 (default) takes a free one")
    add("--linger", type=_not_negative, metavar="SECS", help="see --parent-pid")
    add(
        "--parent-pid",
        type=int,
        metavar="PID",
        help="end --linger seconds after this process and the last client have gone",
    )


def _add_market(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--replay", type=Path, metavar="DIR", help="a recorded session: spot_*.jsonl.gz")
    add("--speed", type=_positive, default=1.0, metavar="N", help="replay N times as fast")
    add(
        "--start-at-once",
        action="store_true",
        help="do not wait with the replay for the first subscriber",
    )
    add(
        "--lockstep",
        action="store_true",
        help="send each recorded frame when GET /sim/step asks for it, by no clock",
    )
    add("--seed", type=int, default=1, help="of the synthetic order flow (default 1)")
    add(
        "--symbols",
        type=_symbols,
        default=("BTCUSDT", "ETHUSDT", "SOLUSDT"),
        metavar="A,B",
        help="synthetic only; default BTCUSDT,ETHUSDT,SOLUSDT",
    )
    add(
        "--ticks-per-sec",
        type=_positive,
        default=20.0,
        metavar="N",
        help="synthetic: what participants do in a second, for each symbol (default 20)",
    )


def _add_account(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--quote-balance",
        type=_units(above_zero=True),
        default="100000",
        metavar="USDT",
        help="of the account of a new ledger (default 100000)",
    )
    add(
        "--fee-rate",
        type=_units(above_zero=False),
        default="0.001",
        metavar="RATE",
        help="of what an order receives (default 0.001)",
    )
    add("--public-key", type=Path, metavar="PEM", help="Ed25519 instead of HMAC signatures")
    add(
        "--weight-limit",
        type=_count,
        default=DEFAULT_WEIGHT_LIMIT,
        metavar="N",
        help=f"request weight a minute (default {DEFAULT_WEIGHT_LIMIT})",
    )
    add(
        "--order-limit",
        type=_count,
        default=DEFAULT_ORDER_LIMIT,
        metavar="N",
        help=f"new orders in 10 seconds (default {DEFAULT_ORDER_LIMIT})",
    )
    add("--withdrawals", action="store_true", help="the API key may withdraw")


def _loopback(text: str) -> str:
    # Nobody else's: whoever reaches it owns the account.
    try:
        is_loopback = ipaddress.ip_address(text).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise argparse.ArgumentTypeError(f"{text} is not a loopback address, as 127.0.0.1 or ::1")
    return text


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:  # noqa: PLR2004 - the range of TCP ports
        raise argparse.ArgumentTypeError(f"port {port} is not in 0..65535")
    return port


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1e6:  # noqa: PLR2004 - refuses inf and nan too
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1e6:  # noqa: PLR2004 - refuses inf and nan too
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def _symbols(text: str) -> tuple[str, ...]:
    symbols = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not symbols:
        raise argparse.ArgumentTypeError("no symbol was named")
    return symbols


def _units(*, above_zero: bool) -> Callable[[str], int]:
    def convert(text: str) -> int:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not value.is_finite() or value < 0 or (above_zero and not value):
            raise argparse.ArgumentTypeError(f"{text} is too small")
        if not above_zero and value >= 1:
            raise argparse.ArgumentTypeError(f"{text} is not below 1")
        return fixed.from_decimal(value)

    return convert
