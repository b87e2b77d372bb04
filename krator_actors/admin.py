"""``krator admin``: look into a running system, and hold, kill, add or remove one child of it.

All of it is also to be had from code: ``supervisors.looking``, ``.children`` and ``.system``.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from krator_actors import breaker_commands, place, stream_changes, tree_text
from krator_actors.config import Config
from krator_actors.messages.market import BookRequest, FeedStatus, FeedStatusRequest
from krator_actors.terminal import (
    EXIT_FAILED,
    EXIT_OK,
    fail,
    print_json,
    print_table,
    say,
)
from supervisors import children, looking, reports, system
from supervisors.client import Client
from supervisors.spec import ChildSpec, SupervisorSpec
from supervisors.status import NodeStatus, RefusedError

_ASK_TIMEOUT_SECS = 5.0
_LOOK_SECS = 0.1


class _Place(NamedTuple):
    """Where the system runs, and what its configuration file says now."""

    config: Config
    data_dir: Path
    runtime: Path


Word = Callable[[_Place, argparse.Namespace], int]


def main(config: Config, data_dir: Path, runtime: Path, options: argparse.Namespace) -> int:
    """Do one word of ``krator admin``; returns the exit code. Raises what ``ask_root`` raises."""
    return _WORDS[options.word](_Place(config, data_dir, runtime), options)


def _tree(at: _Place, options: argparse.Namespace) -> int:
    root = system.status(at.runtime)
    return _show(root, options, lambda: tree_text.print_tree(root))


def _top(at: _Place, options: argparse.Namespace) -> int:
    root = system.status(at.runtime)
    return _show(root, options, lambda: tree_text.print_top(root))


def _names(at: _Place, options: argparse.Namespace) -> int:
    entries = looking.names(at.runtime)
    return _show({"names": entries}, options, lambda: tree_text.print_names(entries))


def _alarms(at: _Place, options: argparse.Namespace) -> int:
    root = system.status(at.runtime)
    found = [(node.name, alarm) for node in root.all_nodes() for alarm in node.alarms]
    answer = {"alarms": [{"name": name, "alarm": alarm} for name, alarm in found]}
    return _show(answer, options, lambda: tree_text.print_alarms(root))


def _reports(at: _Place, options: argparse.Namespace) -> int:
    found = reports.read_reports(at.data_dir / "crash", options.last)
    return _show({"reports": found}, options, lambda: tree_text.print_reports(found))


def _state(at: _Place, options: argparse.Namespace) -> int:
    name = _known(at, options.name).name
    insight = looking.actor_state(at.runtime, name)
    return _show(insight, options, lambda: tree_text.print_insight(name, insight))


def _trace(at: _Place, options: argparse.Namespace) -> int:
    name = _known(at, options.name).name
    seen = looking.trace(at.runtime, name, messages=options.messages, secs=options.secs)
    return _show({"handled": seen}, options, lambda: tree_text.print_handled(seen))


def _books(at: _Place, options: argparse.Namespace) -> int:
    name = _known(at, options.name).name
    state = asyncio.run(_book_state(at.runtime, name, options.symbol, wanted=not options.off))
    if state not in {stream_changes.ON, stream_changes.OFF}:
        return fail(f"the order book of {options.symbol}: {state}", EXIT_FAILED)
    text = f"the order book of {options.symbol} is {state}"
    return _show(
        {"name": name, "symbol": options.symbol, "book": state}, options, lambda: say(text)
    )


async def _book_state(runtime: Path, name: str, symbol: str, *, wanted: bool) -> str:
    """Ask for the change, and until it is made, refused or expired."""
    async with Client(runtime, name="cli") as client:
        request: BookRequest | FeedStatusRequest = BookRequest(symbol=symbol, wanted=wanted)
        while True:
            status = await client.ask(name, request, FeedStatus, timeout_secs=_ASK_TIMEOUT_SECS)
            if (state := status.books[symbol]) != stream_changes.WAITING:
                return state
            request = FeedStatusRequest()
            await asyncio.sleep(_LOOK_SECS)


def _suspend(at: _Place, options: argparse.Namespace) -> int:
    name = _known(at, options.name).name
    changed = looking.suspend(at.runtime, name)
    text = f"{name} is suspended{'' if changed else ' already'}; krator admin resume {name}"
    return _show({"name": name, "changed": changed}, options, lambda: say(text))


def _resume(at: _Place, options: argparse.Namespace) -> int:
    name = _known(at, options.name).name
    changed = looking.resume(at.runtime, name)
    text = f"{name} handles its messages{'' if changed else '; it was not suspended'}"
    return _show({"name": name, "changed": changed}, options, lambda: say(text))


def _kill(at: _Place, options: argparse.Namespace) -> int:
    node = _known(at, options.name)
    looking.kill(at.runtime, node.name)
    text = f"{node.name} (pid {node.pid}, generation {node.generation}) was killed"
    answer = {"name": node.name, "pid": node.pid, "generation": node.generation}
    return _show(answer, options, lambda: say(text))


def _breaker(at: _Place, options: argparse.Namespace) -> int:
    return breaker_commands.main(at.runtime, options)


def _reset_budget(at: _Place, options: argparse.Namespace) -> int:
    node = _known(at, options.name)
    if node.budget_limit is None:
        raise RefusedError(f"{node.name} has no budget: its restarts count for its supervisor")
    system.reset_budget(at.runtime, node.name)
    starts = ", and starts" if node.state == "quarantined" else ""
    text = f"{node.name} has its whole budget again{starts}"
    answer = {"name": node.name, "was": node.state, "spent": node.budget_spent}
    return _show(answer, options, lambda: say(text))


def _children(at: _Place, options: argparse.Namespace) -> int:
    name = _known(at, options.name).name
    found = [(child, here.value) for child, here in children.which_children(at.runtime, name)]
    answer = {"children": [{"name": child, "is": here} for child, here in found]}
    return _show(answer, options, lambda: print_table(("CHILD", "IS"), found))


def _count_children(at: _Place, options: argparse.Namespace) -> int:
    counts = children.count_children(at.runtime, _known(at, options.name).name)
    text = (
        f"specs {counts.specs} · active {counts.active} · supervisors {counts.supervisors} · "
        f"workers {counts.workers}"
    )
    return _show(counts, options, lambda: say(text))


def _spec(at: _Place, options: argparse.Namespace) -> int:
    spec = children.get_childspec(at.runtime, _parent(at, options.name), options.name)
    # A person reads it as a program does: one field after the other, nothing left out.
    print_json(spec)
    return EXIT_OK


def _start_child(at: _Place, options: argparse.Namespace) -> int:
    configured = _configured(at)
    if options.name not in configured:
        raise RefusedError(f"the configuration has no {_suggest(options.name, configured)}")
    parent, spec = configured[options.name]
    started = children.start_child(at.runtime, parent, spec)
    return _started(options, started)


def _restart_child(at: _Place, options: argparse.Namespace) -> int:
    started = children.restart_child(at.runtime, _parent(at, options.name), options.name)
    return _started(options, started)


def _terminate_child(at: _Place, options: argparse.Namespace) -> int:
    children.terminate_child(at.runtime, _parent(at, options.name), options.name)
    text = f"{options.name} has ended; krator admin restart-child {options.name} starts it"
    return _show({"name": options.name}, options, lambda: say(text))


def _delete_child(at: _Place, options: argparse.Namespace) -> int:
    children.delete_child(at.runtime, _parent(at, options.name), options.name)
    return _show({"name": options.name}, options, lambda: say(f"{options.name} is forgotten"))


def _started(options: argparse.Namespace, started: children.Started) -> int:
    text = f"{options.name} {'is not needed, and ended' if started.ignored else 'is ready'}"
    answer = {"name": options.name, "ignored": started.ignored, "info": started.info}
    return _show(answer, options, lambda: say(text))


def _configured(at: _Place) -> dict[str, tuple[str, ChildSpec | SupervisorSpec]]:
    """Return every child that the configuration file describes now, with its supervisor.

    Never with orders to a real venue: that needs ``krator run --live``.
    """
    changes: dict[str, Any] = {"data_dir": at.data_dir}
    if at.config.venue.kind != "sim":
        changes["dry_run"] = True
    system_config = at.config.system.model_copy(update=changes)
    config = at.config.model_copy(update={"system": system_config})
    from krator_actors import tree  # noqa: PLC0415 - only here, and it imports every actor

    root = tree.build(config, venue_url=place.venue_url(config, at.data_dir))
    return {name: (parent, spec) for parent, name, spec in _all_specs(root)}


def _all_specs(parent: SupervisorSpec) -> list[tuple[str, str, ChildSpec | SupervisorSpec]]:
    found: list[tuple[str, str, ChildSpec | SupervisorSpec]] = []
    for child in parent.children:
        found.append((parent.name, child.name, child))
        if isinstance(child, SupervisorSpec):
            found += _all_specs(child)
    return found


def _known(at: _Place, name: str) -> NodeStatus:
    """Return that node of the running tree. Raises RefusedError with names that are like it."""
    root = system.status(at.runtime)
    node = root.find(name)
    if node is None:
        raise RefusedError(f"there is no {_suggest(name, [n.name for n in root.all_nodes()])}")
    return node


def _parent(at: _Place, name: str) -> str:
    _known(at, name)
    parent = system.status(at.runtime).parent_of(name)
    if parent is None:
        raise RefusedError(f"{name} is the root: it is nobody's child; see krator stop")
    return parent.name


def _suggest(name: str, known: Any) -> str:
    likely = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    likely = likely or [each for each in known if name and name in each][:3]
    end = f"; did you mean {' or '.join(likely)}?" if likely else "; see krator admin tree"
    return f"{name}{end}"


def _show(answer: Any, options: argparse.Namespace, write: Callable[[], object]) -> int:
    if options.json:
        print_json(answer)
    else:
        write()
    return EXIT_OK


_WORDS: Mapping[str, Word] = {
    "tree": _tree,
    "top": _top,
    "names": _names,
    "alarms": _alarms,
    "reports": _reports,
    "state": _state,
    "trace": _trace,
    "books": _books,
    "suspend": _suspend,
    "resume": _resume,
    "kill": _kill,
    "breakers": _breaker,
    "open-breaker": _breaker,
    "close-breaker": _breaker,
    "reset-budget": _reset_budget,
    "children": _children,
    "count-children": _count_children,
    "spec": _spec,
    "start-child": _start_child,
    "restart-child": _restart_child,
    "terminate-child": _terminate_child,
    "delete-child": _delete_child,
}
