"""``krator journal rebuild``: the local logs made whole again from the journal."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from krator_actors import audit_commands, place
from krator_actors.adapters.anchors import AnchorError
from krator_actors.adapters.at_rest import DataKeyError
from krator_actors.adapters.local_log import LogError
from krator_actors.adapters.log_repair import RebuildError
from krator_actors.clock import utc_ns
from krator_actors.config import Config
from krator_actors.core.order_life import OrderTransitionError
from krator_actors.rebuild import Outcome, Rebuilt, UnknownWriterError, rebuild
from krator_actors.terminal import (
    EXIT_ALREADY_RUNNING,
    EXIT_FAILED,
    EXIT_NOT_RUNNING,
    EXIT_OK,
    EXIT_USAGE,
    fail,
    print_json,
    say,
)
from supervisors.system import NotRunningError


def main(options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    """Make the logs called ``options.names`` whole, or all; returns the exit code.

    Raises ConfigError, EmbeddedPostgresError, JournalUnavailableError.
    """
    place.prepare(data_dir)
    lock = place.DataDirLock(data_dir)
    try:
        lock.acquire()
    except place.AlreadyRunningError:
        return fail("a system runs on that data folder; stop it first", EXIT_ALREADY_RUNNING)
    try:
        outcome = asyncio.run(_rebuilt(options, config, data_dir))
    except NotRunningError as error:
        return fail(
            f"{error}: put a backup there first, with krator journal restore", EXIT_NOT_RUNNING
        )
    except UnknownWriterError as error:
        return fail(str(error), EXIT_USAGE)
    except (RebuildError, LogError, AnchorError, DataKeyError) as error:
        return fail(f"the logs were not rebuilt, and are as they were. {error}", EXIT_FAILED)
    except OSError as error:
        return fail(
            f"the logs could not be written: {error}; free space and do it again", EXIT_FAILED
        )
    except OrderTransitionError as error:
        return fail(
            f"the logs are whole, but this version's table of orders refuses them: {error}",
            EXIT_FAILED,
        )
    finally:
        lock.release()
    if options.json:
        print_json(outcome)
    else:
        _print(outcome)
    return EXIT_OK


async def _rebuilt(options: argparse.Namespace, config: Config, data_dir: Path) -> Outcome:
    anchors = audit_commands.anchors_of(options, data_dir)
    async with audit_commands.journal_dsn(config, data_dir, is_running=False) as dsn:
        return await rebuild(dsn, data_dir, options.names, anchors, now_ns=utc_ns())


def _print(outcome: Outcome) -> None:
    say(f"{outcome.rows} rows of the journal verified, none changed, missing or added")
    for log in outcome.logs:
        say(f"{log.writer}: {_found(log)}")
    for fold in outcome.folded:
        say(f"{fold.writer}: folded anew from its first record; {fold.open_orders} orders are open")
    if outcome.aside is not None:
        say(f"what was replaced is in {outcome.aside}")


def _found(log: Rebuilt) -> str:
    if not log.last:
        return "empty"
    if not log.written:
        text = f"was whole, 1 to {log.last}"
    else:
        parts = ", ".join(f"{first} to {last}" for first, last in log.written)
        text = f"{parts} written from the journal; whole now, 1 to {log.last}"
    if log.compared:
        text += f"; {log.compared} were in both, and equal"
    if log.last > log.journal_last:
        text += f"; {log.journal_last + 1} to {log.last} are in the log only, until the next start"
    if log.was_absent:
        text += "; there was no log: what it had behind these is lost"
    return text
