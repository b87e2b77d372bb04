"""Break everything while it trades, then check from outside: ``make chaos SECONDS=600 SEED=n``.

Exit 0: nothing was lost, doubled or passed. 1: something was, or too few kills hit an order in
flight. The result is printed, and written to ``KRATOR_CHAOS_OUT`` when that is set.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from krator_actors import place
from krator_actors.adapters.embedded_postgres import embedded_dsn
from tests.chaos import findings
from tests.chaos.machine import Disk, Machine
from tests.chaos.plan import BASES, PERSONS, SYMBOLS, plan
from tests.chaos.storm import Storm
from tests.system.checker import Evidence, check_journal
from tests.system.harness import Krator, eventually
from tests.system.limit_checks import LimitRules
from tests.system.order_watch import OrderWatch

_JOURNAL_SECS = 60
RULES = LimitRules(
    venue="SIM",
    max_position_fraction=Decimal("0.02"),
    max_order_notional=Decimal(1_500),
    max_orders_per_sec=10,
    max_open_orders=6,
    tolerance=Decimal("0.02"),
)
CONFIG = f"""
[venue]
url = "{{url}}"
reconnect_initial_secs = 0.2
reconnect_max_secs = 2
reconcile_secs = 3
request_timeout_secs = 1
recv_window_ms = 1500
[risk]
max_position_fraction = "{RULES.max_position_fraction}"
max_order_notional = "{RULES.max_order_notional}"
max_orders_per_sec = {RULES.max_orders_per_sec}
max_open_orders = {RULES.max_open_orders}
max_executions = 100000
max_daily_loss_fraction = 1
max_drawdown_fraction = 1
max_volatility_fraction = 1
[supervision]
budget_restarts = 1000
heart_restarts = 1000
"""
STRATEGY = """
[[strategies]]
symbol = "{symbol}"
bar = "1-SECOND-LAST"
fast = 2
slow = 3
order_notional = "1200"
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long things break")
    parser.add_argument("--seed", type=int, default=1, help="of the faults, not of the run")
    parser.add_argument("--keep", type=Path, help="leave data folder and ledger here, afterwards")
    options = parser.parse_args()
    # Ended from outside is ended as by Ctrl-C: nothing is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        result, violations = run(options.seconds, options.seed, options.keep)
    except KeyboardInterrupt:
        sys.stderr.write("chaos: interrupted; everything it started has been ended\n")
        return 1
    except pytest.fail.Exception as failure:
        print(f"VIOLATION {failure}")
        return 1
    text = json.dumps(result, indent=2)
    print(text)
    if out := os.environ.get("KRATOR_CHAOS_OUT"):
        Path(out).write_text(text)
    for label in result["never_hit"]:
        print(f"NEVER HIT {label}")
    for violation in violations:
        print(f"VIOLATION {violation}")
    return 1 if violations else 0


def run(seconds: float, seed: int, keep: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Trade and break for ``seconds``; return the numbers and what was violated."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="krator-chaos-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        krator = Krator(folder)
        krator.data_dir.mkdir(mode=0o700)
        disk = Disk(krator.data_dir / "log")
        stack.callback(disk.close)
        if keep is not None:
            stack.callback(shutil.copytree, folder, keep, dirs_exist_ok=True)
        stack.callback(krator.close)
        url = krator.start_exchange(
            "--ticks-per-sec",
            "30",
            "--seed",
            str(seed),
            "--symbols",
            ",".join(f"{b}USDT" for b in BASES),
        )
        krator.config.write_text(
            CONFIG.format(url=url) + "".join(STRATEGY.format(symbol=s) for s in SYMBOLS)
        )
        machine = Machine(krator)
        stack.callback(machine.close)
        storm = Storm(krator, machine, disk, url)
        stack.callback(storm.close)
        eventually(lambda: machine.is_whole, 120, "the system runs")
        _rage(storm, seconds, seed)
        samples = list(storm.probe.samples)
        storm.calm()
        return _conclude(krator, machine, storm, samples, seconds=seconds, seed=seed)


def _rage(storm: Storm, seconds: float, seed: int) -> None:
    end = time.monotonic() + seconds
    for fault in plan(seed):
        storm.hit(fault)
        if time.monotonic() > end:
            return


def _conclude(
    krator: Krator,
    machine: Machine,
    storm: Storm,
    samples: list[Any],
    *,
    seconds: float,
    seed: int,
) -> tuple[dict[str, Any], list[str]]:
    watch = OrderWatch(krator.data_dir)
    krator.json("halt", "--by", PERSONS[0], "--reason", "quiet phase")
    eventually(lambda: not watch.poll(), 60, "no order is in flight in the quiet phase")
    ledger = krator.folder / "venue" / "ledger.jsonl"
    dsn = embedded_dsn(place.runtime_dir(krator.data_dir))

    def evidence() -> Evidence:
        return Evidence.read(krator.data_dir, ledger, venue="SIM")

    def journaled() -> bool:
        return not asyncio.run(check_journal(evidence(), krator.data_dir, dsn))

    eventually(journaled, _JOURNAL_SECS, "the journal has every record")
    report = krator.json("report")
    machine.close()
    stopped = krator.command("stop").returncode
    machine.run.wait(60)
    found = findings.judge(evidence(), report, RULES, PERSONS)
    flying = sum(watch.spans.in_flight_at(moment) for _, moment in storm.kills)
    recovery_ms = [ms for _, ms in machine.recoveries]
    wanted = int(seconds * findings.KILLS_PER_SEC)
    result: dict[str, Any] = {
        "seed": seed,
        "seconds": seconds,
        "faults": dict(sorted(storm.faults.items())),
        "kills": len(storm.kills),
        "kills_with_orders_in_flight": flying,
        "orders": len(evidence().of_venue("order")),
        **{kind: len(violations) for kind, violations in found.items()},
        "recovery_p50_ms": round(findings.percentile(recovery_ms, 0.5)),
        "recovery_p99_ms": round(findings.percentile(recovery_ms, 0.99)),
        "availability": round(findings.availability(samples), 4),
        "unavailable_secs_by_cause": findings.unavailable_secs_by_cause(samples),
        "availability_after": findings.after_hits(samples, storm.hits),
        "recovery_max_ms": findings.recovery_max_ms(machine.recoveries),
        "never_hit": storm.never_hit(),
    }
    violations = [f"{kind}: {text}" for kind, texts in found.items() for text in texts]
    violations += machine.not_healed
    violations += [f"left behind: {name}" for name in krator.leftovers()]
    if stopped:
        violations.append(f"krator stop ended with {stopped}")
    if flying < wanted:
        violations.append(f"only {flying} kills hit an order in flight; {wanted} are wanted")
    return result, violations


if __name__ == "__main__":
    sys.exit(main())
