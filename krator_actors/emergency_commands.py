"""What ``krator cancel-all`` and ``krator flatten`` ask and say."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from pathlib import Path

import msgspec

from krator_actors import emergency, place
from krator_actors.adapters.local_log import LogError
from krator_actors.config import Config
from krator_actors.emergency import BusyError, Flattened, HaltState, Plan
from krator_actors.report_text import computed, plain
from krator_actors.terminal import (
    EXIT_ALREADY_RUNNING,
    EXIT_FAILED,
    EXIT_NO_ANSWER,
    EXIT_OK,
    EXIT_USAGE,
    fail,
    print_json,
    print_table,
    say,
    warn,
)
from krator_actors.venue_desk import Canceled, VenueSilentError
from krator_actors.venue_errors import VenueRefusedError

_HALT_TEXTS: dict[HaltState, str] = {
    "halted": "trading is HALTED until krator resume",
    "latched": "nothing runs; the next krator run begins HALTED, until krator resume",
    "not_running": "nothing runs on this data folder",
    "no_answer": "risk does not answer, so trading is NOT halted: new orders may follow",
}


def main(
    name: str, options: argparse.Namespace, config: Config, data_dir: Path, runtime: Path
) -> int:
    """Run ``cancel-all`` or ``flatten``; returns the exit code. Raises ConfigError."""
    work = _cancel_all if name == "cancel-all" else _flatten
    try:
        return work(options, config, data_dir, runtime)
    except VenueSilentError as error:
        return fail(f"the venue did not answer: {error}", EXIT_NO_ANSWER)
    except VenueRefusedError as error:
        return fail(f"the venue refused: {error}", EXIT_FAILED)
    except BusyError as error:
        return fail(str(error), EXIT_ALREADY_RUNNING)
    except (LogError, OSError) as error:
        return fail(f"nothing is sold that cannot be written down first: {error}", EXIT_FAILED)


def _cancel_all(options: argparse.Namespace, config: Config, data_dir: Path, runtime: Path) -> int:
    by = options.by or getpass.getuser()
    url = emergency.venue_address(config, data_dir, live=options.live)
    state = asyncio.run(
        emergency.halt(data_dir, runtime, by=by, reason=options.reason, latch=False)
    )
    _tell_halt(state, is_json=options.json)
    canceled = asyncio.run(emergency.cancel_all(config, url, settles=state != "not_running"))
    if options.json:
        print_json({"trading": state, **msgspec.structs.asdict(canceled)})
    else:
        say(_canceled(canceled))
    return EXIT_OK


def _flatten(options: argparse.Namespace, config: Config, data_dir: Path, runtime: Path) -> int:
    for option in ("by", "reason"):
        if not getattr(options, option).strip():
            return fail(f"--{option} is empty; say who decides this, and why", EXIT_USAGE)
    if not options.yes and not sys.stdin.isatty():
        return fail("flatten sells everything: confirm it with --yes", EXIT_USAGE)
    place.prepare(data_dir)
    url = emergency.venue_address(config, data_dir, live=options.live)
    if not options.yes and not _confirmed(asyncio.run(emergency.plan(config, url)), config):
        return fail("nothing was done", EXIT_USAGE)
    by, reason = options.by, options.reason
    state = asyncio.run(emergency.halt(data_dir, runtime, by=by, reason=reason, latch=True))
    _tell_halt(state, is_json=options.json)
    done = asyncio.run(emergency.flatten(config, url, data_dir, by=by, reason=reason))
    if options.json:
        print_json({"trading": state, **msgspec.to_builtins(done, enc_hook=str)})
    else:
        _print_flattened(done)
    return EXIT_OK if done.is_flat else EXIT_FAILED


def _confirmed(plan: Plan, config: Config) -> bool:
    say(f"At {config.venue.name}, halt trading, cancel {plan.open_orders} open orders, and sell")
    for order in plan.sells:
        say(f"  {order.symbol}  {plain(order.quantity)}  at market")
    if not plan.sells:
        say("  nothing: there is no holding of a configured symbol")
    sys.stdout.write("Type yes to do it: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() == "yes"


def _tell_halt(state: HaltState, *, is_json: bool) -> None:
    if state == "no_answer":
        warn(_HALT_TEXTS[state])
    elif not is_json:
        say(_HALT_TEXTS[state])


def _canceled(canceled: Canceled) -> str:
    text = f"canceled {canceled.canceled} open orders"
    if canceled.ended_before:
        text += f"; {canceled.ended_before} had ended before the cancel arrived"
    return text


def _print_flattened(done: Flattened) -> None:
    say(_canceled(done.canceled))
    if done.sold:
        header = ("SYMBOL", "QUANTITY", "SOLD", "AVERAGE", "STATUS", "REASON")
        rows = [
            (
                sold.symbol,
                plain(sold.quantity),
                plain(sold.outcome.filled),
                computed(sold.outcome.average_price),
                sold.outcome.status.value,
                sold.outcome.reason or "-",
            )
            for sold in done.sold
        ]
        print_table(header, rows, right="QUANTITY SOLD AVERAGE")
    else:
        say("nothing to sell")
    if done.left:
        say("left: " + ", ".join(f"{asset} {plain(total)}" for asset, total in done.left.items()))
    say(
        "flat: the rest is too small to be sold"
        if done.is_flat and done.left
        else "flat"
        if done.is_flat
        else "NOT flat: see above; krator flatten can be run again"
    )
