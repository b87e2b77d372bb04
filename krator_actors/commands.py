"""The commands of a second terminal, and what comes back when one of them fails.

What only some of them need is imported when one of those was typed, because actors, databases and
the venue's client take a second to import, and a halt may not wait for them.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import msgspec

from krator_actors import act_commands, gateway_address, place, tree_text
from krator_actors.config import Config, ConfigError, require_code
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
from supervisors.children import ChildRefusedError
from supervisors.decisions import RequestError
from supervisors.messages import ActorError
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
        return _run(name, options, config, data_dir)
    except ConfigError as error:
        return fail(str(error), EXIT_USAGE)
    except NotRunningError as error:
        return fail(
            f"nothing is running on that data folder ({error}); start it with krator run",
            EXIT_NOT_RUNNING,
        )
    except ChildRefusedError as error:
        # A child that did not start is a failure, any other refusal is wrong usage.
        has_failed = error.error is RequestError.START_FAILED
        return fail(str(error), EXIT_FAILED if has_failed else EXIT_USAGE)
    except RefusedError as error:
        return fail(str(error), EXIT_USAGE)
    except PermissionError as error:
        return fail(f"{error}: it belongs to another user; run this as that user", EXIT_USAGE)
    except (ActorError, TimeoutError) as error:
        return fail(f"no answer from the running system: {error}", EXIT_NO_ANSWER)


def _run(name: str, options: argparse.Namespace, config: Config, data_dir: Path) -> int:
    runtime = place.runtime_dir(data_dir)
    match name:
        case "status":
            return _status(data_dir, runtime, options)
        case "stop":
            return _stop(data_dir, runtime, options)
        case "restart":
            return _restart(runtime, options)
        case "portfolio":
            return act_commands.portfolio(runtime, options)
        case "halt" | "reduce" | "resume" | "override":
            return act_commands.main(name, options, config, runtime)
        case "kill":
            from krator_actors import emergency_commands  # noqa: PLC0415 - see above

            return emergency_commands.main(options, config, data_dir, runtime)
        case "admin":
            from krator_actors import admin  # noqa: PLC0415 - see above

            return admin.main(config, data_dir, runtime, options)
        case _:
            from krator_actors import journal_commands  # noqa: PLC0415 - see above

            return journal_commands.main(name, options, config, data_dir)


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
    act_commands.print_left_alone(node, trading)
    tree_text.print_services(services)
    if gateway is not None:
        say(f"gateway: {gateway} (/metrics /health /ready /status)")
    if any(each.alarms for each in node.all_nodes()):
        say("")
        tree_text.print_alarms(node)
    act_commands.print_trading(trading)
    return EXIT_OK


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
