"""The commands of a second terminal: status, report, portfolio, stop, restart, config check."""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

import msgspec

from krator_actors import (
    act_commands,
    admin,
    audit_commands,
    emergency_commands,
    gateway_address,
    place,
    rebuild_commands,
    record_commands,
    report_text,
    tree_text,
)
from krator_actors.adapters.embedded_postgres import (
    EmbeddedPostgresError,
)
from krator_actors.adapters.postgres import JournalStore, JournalUnavailableError
from krator_actors.config import Config, ConfigError, require_code
from krator_actors.core.report import Report, build_report
from krator_actors.services import ask_services
from krator_actors.terminal import (
    EXIT_FAILED,
    EXIT_NO_ANSWER,
    EXIT_NOT_RUNNING,
    EXIT_OK,
    EXIT_USAGE,
    fail,
    print_json,
    say,
)
from supervisors.messages import ActorError, Message
from supervisors.status import NodeStatus
from supervisors.system import (
    NotRunningError,
    RefusedError,
    request_stop,
    restart_child,
    status,
)

_STOP_TIMEOUT_SECS = 60.0
_STOP_POLL_SECS = 0.1


def main(name: str, options: argparse.Namespace) -> int:
    """Run the command called ``name``; returns the exit code, says what went wrong on stderr."""
    try:
        config = place.load_config(options.config)
        if name == "config check":
            require_code(config)
            return _config_check(options)
        data_dir = options.data_dir or place.last_run(config.system.data_dir)
        runtime = place.runtime_dir(data_dir)
        match name:
            case "status":
                return _status(data_dir, runtime, options)
            case "admin":
                return admin.main(config, data_dir, runtime, options)
            case "report":
                return _report(data_dir, config, options)
            case "portfolio":
                return act_commands.portfolio(runtime, options)
            case "stop":
                return _stop(data_dir, runtime, options)
            case "restart":
                return _restart(runtime, options)
            case "audit order" | "audit verify" | "journal backup" | "journal restore":
                return audit_commands.main(name, options, config, data_dir)
            case "journal rebuild":
                return rebuild_commands.main(options, config, data_dir)
            case "close" | "journal events":
                return record_commands.main(name, options, config, data_dir)
            case "kill":
                return emergency_commands.main(options, config, data_dir, runtime)
            case _:
                return act_commands.main(name, options, config, runtime)
    except ConfigError as error:
        return fail(str(error), EXIT_USAGE)
    except NotRunningError as error:
        return fail(
            f"nothing is running on that data folder ({error}); start it with krator run",
            EXIT_NOT_RUNNING,
        )
    except RefusedError as error:
        return admin.refused(error)
    except (EmbeddedPostgresError, JournalUnavailableError) as error:
        return fail(f"the journal cannot be read: {error}", EXIT_FAILED)
    except PermissionError as error:
        return fail(f"{error}: it belongs to another user; run this as that user", EXIT_USAGE)
    except (ActorError, TimeoutError) as error:
        return fail(f"no answer from the running system: {error}", EXIT_NO_ANSWER)


def _config_check(options: argparse.Namespace) -> int:
    path = options.config or place.DEFAULT_CONFIG
    used = str(path) if path.exists() else None
    if options.json:
        print_json({"ok": True, "path": used})
    else:
        say(f"{used}: ok" if used else f"ok: there is no {path}; the built-in defaults apply")
    return EXIT_OK


def _status(data_dir: Path, runtime: Path, options: argparse.Namespace) -> int:
    node = status(runtime)
    trading = act_commands.trading(data_dir, runtime)
    services = ask_services(runtime)
    gateway = gateway_address.url(runtime)
    if options.json:
        more = {
            "services": services,
            "trading": msgspec.to_builtins(trading),
            "gateway": gateway,
        }
        print_json(msgspec.to_builtins(node) | more)
        return EXIT_OK
    tree_text.print_tree(node)
    tree_text.print_services(services)
    if gateway is not None:
        say(f"gateway: {gateway} (/metrics /health /ready /status)")
    if any(each.alarms for each in node.all_nodes()):
        say("")
        tree_text.print_alarms(node)
    act_commands.print_trading(trading)
    return EXIT_OK


def _report(data_dir: Path, config: Config, options: argparse.Namespace) -> int:
    is_running = place.DataDirLock(data_dir).is_held()
    report = read_report(data_dir, config, is_running=is_running)
    if options.json:
        print_json(report)
    else:
        report_text.print_report(report)
    return EXIT_OK


def read_report(data_dir: Path, config: Config, *, is_running: bool) -> Report:
    """Return the report of the whole journal, starting PostgreSQL for it when nothing runs.

    Raises EmbeddedPostgresError, JournalUnavailableError, or NotRunningError when there is no
    journal in that folder yet.
    """
    return asyncio.run(_fold(config, data_dir, is_running=is_running))


async def _fold(config: Config, data_dir: Path, *, is_running: bool) -> Report:
    async with audit_commands.journal_dsn(config, data_dir, is_running=is_running) as dsn:
        store = await JournalStore.connect_reader(dsn)
        try:
            events: list[Message] = [entry.event async for entry in store.events()]
        finally:
            await store.close()
    return build_report(events)


def print_summary(data_dir: Path, config: Config) -> None:
    """Print the report at the end of a run; says so when the journal cannot be read."""
    try:
        report_text.print_report(read_report(data_dir, config, is_running=False))
    except (EmbeddedPostgresError, JournalUnavailableError, NotRunningError, OSError) as error:
        fail(f"the journal cannot be read: {error}", EXIT_FAILED)


def _stop(data_dir: Path, runtime: Path, options: argparse.Namespace) -> int:
    lock = place.DataDirLock(data_dir)
    if not lock.is_held():
        raise NotRunningError(str(data_dir))
    request_stop(runtime)
    deadline = time.monotonic() + _STOP_TIMEOUT_SECS
    while lock.is_held():
        if time.monotonic() > deadline:
            return fail(f"still running after {_STOP_TIMEOUT_SECS:g} s", EXIT_NO_ANSWER)
        time.sleep(_STOP_POLL_SECS)
    if options.json:
        print_json({"stopped": True})
    else:
        say("stopped")
    return EXIT_OK


def _restart(runtime: Path, options: argparse.Namespace) -> int:
    root = status(runtime)
    node = root.find(options.name)
    if node is None or node is root:
        names = ", ".join(_names(root)[1:])
        return fail(f"there is nothing to restart called {options.name}; there are {names}", 2)
    restart_child(runtime, options.name)
    if options.json:
        print_json({"name": options.name, "was": node.state, "generation": node.generation})
    else:
        say(f"{options.name} was {node.state} (generation {node.generation}); it starts again")
    return EXIT_OK


def _names(node: NodeStatus) -> list[str]:
    return [node.name, *(name for child in node.children for name in _names(child))]
