"""The ``krator`` command: what a person types, and what comes back.

Exit codes: 0 done · 1 an error of ours · 2 wrong usage, configuration or input · 3 nothing is
running on that data folder · 4 already running on that data folder · 5 the system could not start,
kill --flatten is not flat, doctor found a failure, close a difference, the journal cannot be read,
or is not what was written · 6 the running system, or the venue, did not answer in time · 7 the
system ran and failed more often than its budget allows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from krator_actors.core.redaction import Redactor
from krator_actors.place import DEFAULT_CONFIG
from supervisors.redaction import redact_with

_REMOTE = (
    ("status", "the tree, alarms, and how far journal, publisher and jobs are"),
    ("report", "orders, fills, positions, profit and loss, from the journal"),
    ("close", "a day's report as text, JSON and HTML; journal, venue and positions compared"),
    ("portfolio", "equity, exposure, positions and open orders of the running system"),
    ("stop", "stop the running system and wait until it has gone"),
    ("halt", "let only cancels pass, until a person resumes it"),
    ("reduce", "let only cancels and reductions pass, until a person resumes it"),
    ("resume", "lift a halt or a reduce"),
    ("override", "let one control of one symbol pass for a time"),
    ("kill", "halt, cancel every open order at the venue; also with no system running"),
    ("restart", "stop and start one actor or supervisor; ends its quarantine"),
)
_ADMIN = (
    ("tree", "the tree: state, time to the next start, restarts, budget, last reason"),
    ("top", "processor, memory, inbox, message in work and counters of every process"),
    ("names", "the directory: where each name leads, with pid, generation and socket"),
    ("alarms", "what is wrong now, and since when"),
    ("reports", "the last supervisor reports, one line each"),
    ("state", "one actor: its own words, counters, last messages, handler times"),
    ("trace", "the next messages of one actor: class, sender, duration"),
    ("books", "have a feed tell a symbol's order book to its strategies, or no more of it"),
    ("suspend", "let one actor's messages wait until it is resumed"),
    ("resume", "have it handle its messages again"),
    ("kill", "SIGKILL one worker or supervisor, to see it healed"),
    ("breakers", "whether PostgreSQL and Redis are used, or left alone for now"),
    ("open-breaker", "leave postgresql or redis alone until it is closed; logs keep everything"),
    ("close-breaker", "use it again, whatever opened the breaker"),
    ("reset-budget", "give a child its whole budget again; starts a quarantined one"),
    ("children", "the children of one supervisor, the one started last first"),
    ("count-children", "how many there are, by kind"),
    ("spec", "how one child is specified, as JSON"),
    ("start-child", "add a child that the configuration file describes, and start it"),
    ("restart-child", "start a child that was terminated"),
    ("terminate-child", "stop a child until somebody starts it again"),
    ("delete-child", "forget a child that does not run"),
)
_NO_NAME = {"tree", "top", "names", "alarms", "reports", "breakers"}
_BREAKERS = {"open-breaker", "close-breaker"}
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one ``krator`` command; returns the exit code. Entry point of the console script."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["exchange"]:
        from krator_actors.exchange.main import main as exchange  # noqa: PLC0415 - its own world

        return exchange(arguments[1:])
    options = parser().parse_args(arguments)
    redact_with(Redactor().text)  # until the configuration says more
    command: Command = options.command
    try:
        return command(options)
    except KeyboardInterrupt:
        sys.stderr.write("krator: interrupted\n")
        return 1


def _run(options: argparse.Namespace) -> int:
    from krator_actors import run  # noqa: PLC0415 - numpy and asyncpg take a second to import

    return run.main(options)


def _record(options: argparse.Namespace) -> int:
    from krator_actors import record  # noqa: PLC0415 - as in _run

    return record.main(options)


def _doctor(options: argparse.Namespace) -> int:
    from krator_actors import doctor  # noqa: PLC0415 - as in _run

    return doctor.main(options)


def _remote(name: str) -> Command:
    def command(options: argparse.Namespace) -> int:
        from krator_actors import commands  # noqa: PLC0415 - as in _run

        return commands.main(name, options)

    return command


def parser() -> argparse.ArgumentParser:
    """Return what understands all words but ``exchange``, which has its own."""
    krator = argparse.ArgumentParser(
        prog="krator",
        description="A real-time algorithmic trading system that heals itself.",
        epilog=__doc__.split("\n\n", 1)[1] if __doc__ else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words = krator.add_subparsers(title="commands", metavar="COMMAND", required=True)
    run = words.add_parser("run", help="run the whole system until Ctrl-C", allow_abbrev=False)
    _add_place(run)
    _add_run(run)
    text = "record a venue's streams of the configured symbols, to be replayed"
    record = words.add_parser("record", help=text, description=text, allow_abbrev=False)
    _add_place(record)
    record.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the files")
    record.add_argument("--url", metavar="URL", help="of the venue, instead of venue.url")
    record.add_argument(
        "--for", dest="run_secs", type=_positive, metavar="SECS", help="stop after so long"
    )
    record.set_defaults(command=_record)
    words.add_parser("exchange", help="run the simulated venue alone (krator exchange --help)")
    for name, text in _REMOTE:
        word = words.add_parser(name, help=text, description=text, allow_abbrev=False)
        _add_place(word)
        _add_json(word)
        _add_arguments(word, name)
        word.set_defaults(command=_remote(name))
    _add_admin(words)
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
    _add_audit(words)
    _add_journal(words)
    return krator


def _add_admin(words: Any) -> None:
    text = "look into the running system; hold, kill, add or remove one child of it"
    admin = words.add_parser("admin", help=text, description=text, allow_abbrev=False)
    verbs = admin.add_subparsers(title="words", metavar="WORD", required=True, dest="word")
    for name, about in _ADMIN:
        word = verbs.add_parser(name, help=about, description=about, allow_abbrev=False)
        _add_place(word)
        _add_json(word)
        if name not in _NO_NAME:
            word.add_argument("name", metavar="NAME", help=_whose(name))
        if name in _BREAKERS:
            _add_person(word)
        if name == "reports":
            word.add_argument("--last", type=_count, default=20, metavar="N", help="so many")
        if name == "trace":
            word.add_argument("--messages", type=_count, default=10, metavar="N", help="at most")
            word.add_argument("--secs", type=_positive, default=10.0, metavar="S", help="at most")
        if name == "books":
            word.add_argument("--symbol", required=True, help="e.g. BTC-USDT.BINANCE")
            word.add_argument("--off", action="store_true", help="no more of it")
        word.set_defaults(command=_remote("admin"))


def _whose(word: str) -> str:
    return "postgresql or redis" if word in _BREAKERS else "as krator admin tree shows it"


def _add_audit(words: Any) -> None:
    text = "an order's whole story, or proof that the journal is what was written"
    audit = words.add_parser("audit", help=text, description=text, allow_abbrev=False)
    verbs = audit.add_subparsers(title="commands", metavar="order|verify", required=True)
    text = "tell all that the journal has of one order or incident"
    order = verbs.add_parser("order", help=text, description=text, allow_abbrev=False)
    order.add_argument("id", metavar="ID", help="its id, or how that begins")
    text = "recompute the journal's hash chain and compare it with the signed anchors"
    verify = verbs.add_parser("verify", help=text, description=text, allow_abbrev=False)
    _add_anchors(verify)
    for word, name in ((order, "audit order"), (verify, "audit verify")):
        _add_place(word)
        _add_json(word)
        word.set_defaults(command=_remote(name))


def _add_journal(words: Any) -> None:
    text = (
        "read the journal's events, back it up, put a backup in its place, or rebuild logs from it"
    )
    journal = words.add_parser("journal", help=text, description=text, allow_abbrev=False)
    verbs = journal.add_subparsers(
        title="commands", metavar="events|backup|restore|rebuild", required=True
    )
    for verb, text in (
        ("backup", "write the whole journal into a file, sealed when there is a data key"),
        ("restore", "verify a backup and put it in the journal's place; no system may run"),
    ):
        word = verbs.add_parser(verb, help=text, description=text, allow_abbrev=False)
        word.add_argument("file", type=Path, metavar="FILE")
        _add_anchors(word)
        _add_place(word)
        _add_json(word)
        word.set_defaults(command=_remote(f"journal {verb}"))
    text = "make the actors' local logs whole again from the journal; no system may run"
    rebuild = verbs.add_parser("rebuild", help=text, description=text, allow_abbrev=False)
    rebuild.add_argument(
        "names", nargs="*", metavar="NAME", help="of a log, as order:SIM or risk; default: all"
    )
    _add_anchors(rebuild)
    _add_place(rebuild)
    _add_json(rebuild)
    rebuild.set_defaults(command=_remote("journal rebuild"))
    text = "one line an event, in the journal's order; --json: an object with seq, writer, body"
    events = verbs.add_parser("events", help=text, description=text, allow_abbrev=False)
    events.add_argument("--after", type=int, default=0, metavar="SEQ", help="behind this one")
    events.add_argument("--limit", type=int, default=0, metavar="N", help="at most; 0: all")
    _add_place(events)
    _add_json(events)
    events.set_defaults(command=_remote("journal events"))


def _add_anchors(word: argparse.ArgumentParser) -> None:
    word.add_argument("--anchors", type=Path, metavar="FILE", help="instead of the data folder's")
    word.add_argument("--public-key", type=Path, metavar="FILE", help="that has signed them")


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("--replay", type=Path, metavar="DIR", help="trade on a recorded session")
    run.add_argument(
        "--lockstep", action="store_true", help="replay by no clock: same recording, same decisions"
    )
    run.add_argument("--speed", type=_positive, metavar="N", help="times its pace")
    run.add_argument(
        "--for", dest="run_secs", type=_positive, metavar="SECS", help="stop after so long"
    )
    run.add_argument("--seed", type=int, metavar="N", help="of the synthetic order flow")
    run.add_argument("--live", action="store_true", help="let orders reach a real venue")
    run.set_defaults(command=_run)


def _add_arguments(word: argparse.ArgumentParser, name: str) -> None:
    if name in {"halt", "reduce", "resume", "override", "kill"}:
        _add_person(word)
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
    if name == "close":
        word.add_argument("day", nargs="?", metavar="DATE", help="YYYY-MM-DD; default: yesterday")
    if name == "restart":
        word.add_argument("name", metavar="NAME", help="as krator status shows it")


def _add_person(word: argparse.ArgumentParser) -> None:
    word.add_argument("--by", required=True, metavar="NAME", help="who decides this")
    word.add_argument("--reason", required=True, metavar="TEXT", help="why")


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


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
