"""What ``krator kill`` asks and says."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import msgspec

from krator_actors import emergency
from krator_actors.adapters.local_log import LogError
from krator_actors.config import Config
from krator_actors.emergency import BusyError, Flattened, Halted, HaltState, Plan
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
    "latched": "risk does not answer; it begins HALTED when it starts, until krator resume",
    "no_answer": "risk does not answer and the halt cannot be put on disk, so trading is NOT "
    "halted: new orders may follow",
}


def main(options: argparse.Namespace, config: Config, data_dir: Path, runtime: Path) -> int:
    """Run ``krator kill``; returns the exit code. Raises ConfigError."""
    for option in ("by", "reason"):
        if not getattr(options, option).strip():
            return fail(f"--{option} is empty; say who decides this, and why", EXIT_USAGE)
    if options.flatten and not options.yes and not sys.stdin.isatty():
        return fail("--flatten sells everything: confirm it with --yes", EXIT_USAGE)
    try:
        return _kill(options, config, data_dir, runtime)
    except VenueSilentError as error:
        return fail(f"the venue did not answer: {error}", EXIT_NO_ANSWER)
    except VenueRefusedError as error:
        return fail(f"the venue refused: {error}", EXIT_FAILED)
    except BusyError as error:
        return fail(str(error), EXIT_ALREADY_RUNNING)
    except (LogError, OSError) as error:
        return fail(f"nothing is sold that cannot be written down first: {error}", EXIT_FAILED)


def _kill(options: argparse.Namespace, config: Config, data_dir: Path, runtime: Path) -> int:
    by, reason = options.by, options.reason
    if options.flatten and not options.yes:
        url = emergency.venue_address(config, data_dir, live=options.live)
        if not _confirmed(asyncio.run(emergency.plan(config, url)), config):
            return fail("nothing was done", EXIT_USAGE)
    # Trading stops also when the venue is not to be had, or not meant.
    halted = asyncio.run(emergency.halt(data_dir, runtime, by=by, reason=reason))
    _tell_halt(halted, is_json=options.json)
    url = emergency.venue_address(config, data_dir, live=options.live)
    if not options.flatten:
        canceled = asyncio.run(emergency.cancel_all(config, url))
        if options.json:
            print_json({"trading": halted.state, "canceled": msgspec.structs.asdict(canceled)})
        else:
            say(_canceled(canceled))
        _warn_of_key(config, url)
        return EXIT_OK
    done = asyncio.run(emergency.flatten(config, url, data_dir, by=by, reason=reason))
    if options.json:
        print_json({"trading": halted.state, **msgspec.to_builtins(done, enc_hook=str)})
    else:
        _print_flattened(done)
    _warn_of_key(config, url)
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


def _tell_halt(halted: Halted, *, is_json: bool) -> None:
    text = _HALT_TEXTS[halted.state]
    if halted.state == "no_answer":
        warn(f"{text} ({halted.error})")
    elif not is_json:
        say(text)


def _warn_of_key(config: Config, url: str) -> None:
    warning = asyncio.run(emergency.key_warning(config, url))
    if warning:
        warn(warning)


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
        else "NOT flat: see above; krator kill --flatten can be run again"
    )
