"""The ``krator`` command: what a person types, and what comes back.

Exit codes: 0 done · 1 an error of ours · 2 wrong usage, configuration or input · 3 nothing is
running on that data folder · 4 already running on that data folder · 5 the system could not start
or gave up, kill --flatten is not flat, doctor found a failure · 6 the running system, or the
venue, did not answer in time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from krator_actors.place import DEFAULT_CONFIG

# numpy starts a thread pool when it is imported, and a process that forks must have one thread.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_REMOTE = (
    ("status", "the tree: name, state, pid, generation, restarts, budget, uptime, inbox"),
    ("report", "orders, fills, positions, profit and loss, from the journal"),
    ("stop", "stop the running system and wait until it has gone"),
    ("halt", "let only cancels pass, until a person resumes it"),
    ("reduce", "let only cancels and reductions pass, until a person resumes it"),
    ("resume", "lift a halt or a reduce"),
    ("override", "let one control of one symbol pass for a time"),
    ("kill", "halt, cancel every open order at the venue; also with no system running"),
    ("restart", "stop and start one actor or supervisor; ends its quarantine"),
)
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one ``krator`` command; returns the exit code. Entry point of the console script."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["exchange"]:
        from krator_actors.exchange.main import main as exchange  # noqa: PLC0415 - its own world

        return exchange(arguments[1:])
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        sys.stderr.write("krator: interrupted\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    from krator_actors import run  # noqa: PLC0415 - numpy and asyncpg take a second to import

    return run.main(options)


def _doctor(options: argparse.Namespace) -> int:
    from krator_actors import doctor  # noqa: PLC0415 - as in _run

    return doctor.main(options)


def _remote(name: str) -> Command:
    def command(options: argparse.Namespace) -> int:
        from krator_actors import commands  # noqa: PLC0415 - as in _run

        return commands.main(name, options)

    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="krator",
        description="A real-time algorithmic trading system that heals itself.",
        epilog=__doc__.split("\n\n", 1)[1] if __doc__ else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = words.add_parser("run", help="run the whole system until Ctrl-C", allow_abbrev=False)
    _add_place(run)
    _add_run(run)
    words.add_parser("exchange", help="run the simulated venue alone (krator exchange --help)")
    for name, text in _REMOTE:
        word = words.add_parser(name, help=text, description=text, allow_abbrev=False)
        _add_place(word)
        _add_json(word)
        _add_arguments(word, name)
        word.set_defaults(command=_remote(name))
    text = "check this machine, the data folder, the venue and the database; one line each"
    doctor = words.add_parser("doctor", help=text, description=text, allow_abbrev=False)
    _add_place(doctor)
    _add_json(doctor)
    doctor.set_defaults(command=_doctor)
    text = "config check: say ok, or every mistake in the configuration"
    config = words.add_parser("config", help=text, description=text, allow_abbrev=False)
    verbs = config.add_subparsers(title="commands", metavar="check", required=True)
    check = verbs.add_parser("check", help="say ok, or every mistake", allow_abbrev=False)
    _add_place(check)
    _add_json(check)
    check.set_defaults(command=_remote("config check"))
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--replay", type=Path, metavar="DIR", help="trade on a recorded session")
    run.add_argument("--speed", type=_positive, default=1.0, metavar="N", help="times its pace")
    run.add_argument(
        "--for", dest="run_secs", type=_positive, metavar="SECS", help="stop after so long"
    )
    run.add_argument("--seed", type=int, metavar="N", help="of the synthetic order flow")
    run.add_argument("--live", action="store_true", help="let orders reach a real venue")
    run.set_defaults(command=_run)


def _add_arguments(word: argparse.ArgumentParser, name: str) -> None:
    if name in {"halt", "reduce", "resume", "override", "kill"}:
        word.add_argument("--by", required=True, metavar="NAME", help="who decides this")
        word.add_argument("--reason", required=True, metavar="TEXT", help="why")
    if name in {"halt", "reduce", "resume"}:
        scope = word.add_mutually_exclusive_group()
        scope.add_argument("--symbol", metavar="SYMBOL", help="of one symbol, not of everything")
        scope.add_argument("--strategy", metavar="NAME", help="of one strategy's actor")
        scope.add_argument("--venue", metavar="NAME", help="of one venue")
    if name == "override":
        word.add_argument("control", metavar="REASON", help="as a denial names it: PRICE_COLLAR")
        word.add_argument("--symbol", required=True, metavar="SYMBOL")
        word.add_argument(
            "--for", dest="secs", required=True, type=_positive, metavar="SECS", help="up to 3600"
        )
    if name == "kill":
        word.add_argument("--flatten", action="store_true", help="also sell all holdings at market")
        word.add_argument("--live", action="store_true", help="at a real venue")
        word.add_argument("--yes", action="store_true", help="do not ask before --flatten")
    if name == "restart":
        word.add_argument("name", metavar="NAME", help="as krator status shows it")


def _add_json(word: argparse.ArgumentParser) -> None:
    word.add_argument("--json", action="store_true", help="one JSON object instead of text")


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="PATH",
        help=f"configuration file (default: {DEFAULT_CONFIG}, or the built-in defaults without it)",
    )
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help="data folder, instead of the configured one"
    )


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
