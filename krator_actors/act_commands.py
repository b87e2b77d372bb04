"""What a person decides about trading in a running system: halt, reduce, resume, override."""

from __future__ import annotations

import argparse
import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from krator_actors import halt_file
from krator_actors.config import Config, ConfigError
from krator_actors.halt_file import FiledHalt
from krator_actors.messages.risk import (
    ActRefused,
    ControlOverridden,
    Halt,
    OverrideControl,
    PortfolioReport,
    PortfolioRequest,
    Reduce,
    Resume,
    Scope,
    TradingStateChanged,
)
from krator_actors.portfolio_text import print_portfolio
from krator_actors.report_text import shortened, utc_time
from krator_actors.terminal import EXIT_OK, EXIT_USAGE, fail, print_json, print_table, say
from supervisors.client import Client
from supervisors.messages import ActorError
from supervisors.status import NodeStatus
from supervisors.system import NotRunningError

_ASK_TIMEOUT_SECS = 5.0
_STATUS_TIMEOUT_SECS = 2.0
_REASON_CHARS = 60

_Act = Halt | Reduce | Resume | OverrideControl
_Answer = TradingStateChanged | ControlOverridden | ActRefused


class Trading(msgspec.Struct, frozen=True, kw_only=True):
    """What ``krator status`` says of trading."""

    answered: bool
    """False: risk does not answer; what it would say is not known"""
    states: tuple[TradingStateChanged, ...] = ()
    """every state that is not ACTIVE"""
    overrides: tuple[ControlOverridden, ...] = ()
    filed: FiledHalt | None = None
    """a halt that waits for risk on disk"""
    held: dict[str, Decimal] = {}
    """symbol to the quantity that is held, of those of which anything is"""


def main(name: str, options: argparse.Namespace, config: Config, runtime: Path) -> int:
    """Run one of these commands; returns the exit code.

    Raises ConfigError for a name that is not configured, NotRunningError, ActorError.
    """
    for option in ("by", "reason"):
        if not getattr(options, option).strip():
            return fail(f"--{option} is empty; say who decides this, and why", EXIT_USAGE)
    act = _act(name, options, config)
    if not runtime.is_dir():
        raise NotRunningError(f"no {runtime}")
    done = asyncio.run(_ask(runtime, act))
    match done:
        case ActRefused():
            return fail(done.reason, EXIT_USAGE)
        case _ if options.json:
            print_json(done)
        case TradingStateChanged():
            whose = done.target or "trading"
            say(f"{whose} is {done.state.value}, by {done.by}: {done.reason}")
        case ControlOverridden():
            say(f"{done.control} of {done.symbol} lets pass until {utc_time(done.until_ns)}")
    return EXIT_OK


def trading(data_dir: Path, runtime: Path) -> Trading:
    """Ask risk for every state that is not ACTIVE; also says what waits on disk."""
    filed = halt_file.read(data_dir)
    try:
        report = asyncio.run(ask_portfolio(runtime))
    except (ActorError, OSError):
        return Trading(answered=False, filed=filed)
    return Trading(
        answered=True,
        states=report.states,
        overrides=report.overrides,
        filed=filed,
        held={each.symbol: each.quantity for each in report.positions if each.quantity},
    )


def portfolio(runtime: Path, options: argparse.Namespace) -> int:
    """Print what risk knows of the account now; returns the exit code.

    Raises NotRunningError, ActorError.
    """
    if not runtime.is_dir():
        raise NotRunningError(f"no {runtime}")
    report = asyncio.run(ask_portfolio(runtime))
    if options.json:
        print_json(report)
    else:
        print_portfolio(report)
    return EXIT_OK


def print_left_alone(root: NodeStatus, trading: Trading) -> None:
    """Print the positions that no strategy looks after, because theirs is quarantined."""
    for worker in root.workers():
        symbol = worker.name.removeprefix("strategy:").partition("/")[0]
        if worker.state == "quarantined" and symbol in trading.held:
            say(
                f"\n{symbol}: {trading.held[symbol]:f} is held, and nobody decides on it while "
                f"{worker.name} is quarantined; only a bracket still sells it."
            )


def print_trading(trading: Trading) -> None:
    """Print every state that is not ACTIVE, by whom, why and since when; and overrides."""
    if not trading.answered:
        say("\ntrading: risk does not answer; while it does not, nothing new is let through")
    elif not trading.states:
        say("\ntrading: ACTIVE")
    else:
        header = ("TRADING", "OF", "BY", "SINCE", "REASON")
        rows = [
            (
                state.state.value,
                state.target or "everything",
                state.by,
                utc_time(state.ts_event),
                shortened(state.reason, _REASON_CHARS),
            )
            for state in trading.states
        ]
        say("")
        print_table(header, rows)
    if trading.filed is not None:
        say(f"a halt by {trading.filed.by} waits for risk: {trading.filed.reason}")
    for overridden in trading.overrides:
        say(
            f"{overridden.control} of {overridden.symbol} lets pass until "
            f"{utc_time(overridden.until_ns)}, by {overridden.by}: {overridden.reason}"
        )


def _act(name: str, options: argparse.Namespace, config: Config) -> _Act:
    by, reason = options.by, options.reason
    if name == "override":
        _check("symbol", options.symbol, config.symbols)
        return OverrideControl(
            control=options.control, symbol=options.symbol, secs=options.secs, by=by, reason=reason
        )
    scope, target = Scope.SYSTEM, ""
    if options.symbol is not None:
        scope, target = Scope.SYMBOL, _check("symbol", options.symbol, config.symbols)
    elif options.strategy is not None:
        names = [strategy.actor_name for strategy in config.strategies]
        scope, target = Scope.STRATEGY, _check("strategy", options.strategy, names)
    elif options.venue is not None:
        scope, target = Scope.VENUE, _check("venue", options.venue, [config.venue.name])
    match name:
        case "halt":
            return Halt(scope=scope, target=target, by=by, reason=reason)
        case "reduce":
            return Reduce(scope=scope, target=target, by=by, reason=reason)
        case _:
            return Resume(scope=scope, target=target, by=by, reason=reason)


def _check(option: str, name: str, known: tuple[str, ...] | list[str]) -> str:
    # A halt of a name that nobody has would look like one that works.
    if name not in known:
        raise ConfigError(f"--{option} {name} is not configured; there are {', '.join(known)}")
    return name


async def _ask(runtime: Path, act: _Act) -> _Answer:
    async with Client(runtime, name="cli") as client:
        union: Any = _Answer
        answer: _Answer = await client.ask("risk", act, union, timeout_secs=_ASK_TIMEOUT_SECS)
        return answer


async def ask_portfolio(runtime: Path) -> PortfolioReport:
    """Ask risk of the system that runs there. Raises ActorError, OSError."""
    async with Client(runtime, name="cli") as client:
        report: PortfolioReport = await client.ask(
            "risk", PortfolioRequest(), PortfolioReport, timeout_secs=_STATUS_TIMEOUT_SECS
        )
        return report
