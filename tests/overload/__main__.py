"""``python -m tests.overload --trades 40000``: a flood, a feed, and one strategy that is slow.

The venue, the feed and its three listeners are processes of their own. It ends when so many trades
were left out for the slow one since its queues were full, and prints one JSON object; exit code 1
when somebody was slowed, something was missing unsaid, or memory grew.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from krator_actors import telemetry
from krator_actors.config import VenueConfig
from krator_actors.feed import FeedConfig
from supervisors.heart import Heart
from supervisors.spec import Budget, ChildSpec, SupervisorSpec
from supervisors.status import NodeStatus
from tests.benchmarks.measure import short_folder, venue
from tests.benchmarks.venue import Options, Record
from tests.overload.actors import Heard, ListenerConfig

BTC = "BTC-USDT.SIM"
SLOW, QUICK, FEED = f"strategy:{BTC}/slow", f"strategy:{BTC}/quick", "feed:SIM"
TICKS_PER_SEC = 4_000.0
PAUSE_SECS = 0.005
FULL_AFTER = 3_000
"""Trades left out, by which the lane's 1,000 places of each class and its 512 unanswered frames
(``supervisors.outbox``, ``supervisors.lane``) are all in use: from there on memory must not grow"""
GROWTH_LIMIT_BYTES = 8_000_000
"""What Python's allocator may still take. A message that waits holds at least 500 bytes, so a queue
without a bound would take more with the 20,000 that a run leaves out at least"""
LEAST_TRADES = 20_000
LAG_LIMIT = 4_000
"""Trades, two seconds of them, by which the quick one may be behind; a feed that waits for the slow
one would make it all that were left out"""

LEFT_OUT_LIMIT = 0.05
"""Of what is left out for the slow one: a machine that is busy may stop the quick one as well"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.overload")
    parser.add_argument("--trades", type=int, default=40_000, help="to be left out before the end")
    parser.add_argument("--limit-secs", type=float, default=120.0)
    options = parser.parse_args()
    if options.trades < LEAST_TRADES:
        parser.error(f"fewer than {LEAST_TRADES} prove nothing")
    with short_folder() as folder:
        result = run(folder, options.trades, options.limit_secs)
    print(msgspec.json.encode(result).decode())
    return 1 if result["broken"] else 0


def run(folder: Path, trades: int, limit_secs: float) -> dict[str, Any]:
    telemetry.configure(folder / "log.jsonl", level="INFO", max_bytes=10_000_000, component="test")
    with venue(Options(symbols=("BTCUSDT",), ticks_per_sec=TICKS_PER_SEC)) as there:
        heart = Heart(
            _tree(folder, there.url),
            runtime=folder / "run",
            state_dir=folder,
            crash_dir=folder / "crash",
            budget=Budget(),
        )
        heart.start()
        try:
            return _watched(heart, folder, there.url, trades, time.monotonic() + limit_secs)
        finally:
            heart.stop()


def _tree(folder: Path, url: str) -> SupervisorSpec:
    def listener(name: str, pause_secs: float = 0.0) -> ChildSpec:
        config = ListenerConfig(folder, pause_secs)
        return ChildSpec(name=name, actor="tests.overload.actors:Listener", config=config)

    feed = FeedConfig(venue=VenueConfig(), url=url, symbols=(BTC,), routes={BTC: (SLOW, QUICK)})
    children = (
        listener("risk"),
        listener("rca"),
        listener(SLOW, PAUSE_SECS),
        listener(QUICK),
        ChildSpec(name=FEED, actor="krator_actors.feed:FeedActor", config=feed),
    )
    return SupervisorSpec(name="root", children=children)


def _watched(heart: Heart, folder: Path, url: str, trades: int, deadline: float) -> dict[str, Any]:
    def slow() -> Heard:
        return _heard(folder, "slow")

    _wait(lambda: slow().left_out >= FULL_AFTER, deadline, "the slow strategy's queues are full")
    began, full = time.monotonic(), slow().left_out
    before = {name: _node(heart, name).rss_bytes for name in (FEED, SLOW, QUICK)}
    lags: list[int] = []
    first = _heard(folder, "quick").next_id - _sent_trades(url)
    while slow().left_out < full + trades:
        events = heart.poll()
        assert not events, f"the system was built again: {events}\n{_reports(folder)}"
        assert time.monotonic() < deadline, f"{slow().left_out - full} of {trades} left out"
        lags.append(_sent_trades(url) - _heard(folder, "quick").next_id + first)
        time.sleep(0.2)
    secs = time.monotonic() - began
    growth = {name: _node(heart, name).rss_bytes - rss for name, rss in before.items()}
    result = {
        "secs": secs,
        "slow": slow(),
        "quick": _heard(folder, "quick"),
        "risk": _heard(folder, "risk"),
        "merged": _node(heart, FEED).conflated,
        "feed_stash": _node(heart, FEED).stash,
        "slow_inbox": _node(heart, SLOW).inbox,
        "rss_bytes": before,
        "growth_bytes": growth,
        "worst_lag": max(lags),
    }
    return {**result, "broken": list(_broken(result))}


def _reports(folder: Path) -> str:
    return "\n".join(path.read_text() for path in (folder / "crash").iterdir() if path.is_file())


def _broken(result: dict[str, Any]) -> list[str]:
    slow, quick, risk = result["slow"], result["quick"], result["risk"]
    promises = {
        "the quick strategy was slowed": result["worst_lag"] <= LAG_LIMIT,
        "the quick strategy missed trades": quick.left_out <= slow.left_out * LEFT_OUT_LIMIT,
        "trades were missing and nobody said so": slow.unsaid == quick.unsaid == 0,
        "no trade reached the slow strategy": slow.trades > 0,
        "quotes were not merged for the slow strategy": (
            result["merged"] > 0 and slow.quotes < quick.quotes / 2
        ),
        "risk was behind the quick strategy": (
            risk.newest_quote >= quick.newest_quote - 2 * LAG_LIMIT
        ),
        "more waits than may": result["slow_inbox"] <= 512 and result["feed_stash"] <= 4_000,
        "memory grew": max(result["growth_bytes"].values()) <= GROWTH_LIMIT_BYTES,
    }
    return [promise for promise, is_kept in promises.items() if not is_kept]


def _heard(folder: Path, name: str) -> Heard:
    path = folder / f"{name}.json"
    return msgspec.json.decode(path.read_bytes(), type=Heard) if path.exists() else Heard()


def _sent_trades(url: str) -> int:
    with urllib.request.urlopen(f"{url}/bench/record", timeout=10) as answer:
        return msgspec.json.decode(answer.read(), type=Record).ticks // 2


def _node(heart: Heart, name: str) -> NodeStatus:
    found = heart.status().find(name)
    assert found is not None, name
    return found


def _wait(condition: Callable[[], bool], deadline: float, what: str) -> None:
    for _ in itertools.takewhile(lambda _: not condition(), itertools.count()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
