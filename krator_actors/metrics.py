"""What Prometheus is told: every metric's name, meaning and labels (docs/METRICS.md).

Nothing is asked here and nothing waits: a scrape shows what the gateway knows, and how old it is.
"""

from __future__ import annotations

import math
import platform
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from krator_actors.core.journal_lag import JournalLag
from krator_actors.core.limit_use import limit_uses
from krator_actors.core.limits import RiskLimits
from krator_actors.core.order_statistics import OrderStatistics
from krator_actors.core.performance import EquitySamples, drawdown
from krator_actors.core.sightings import Sightings
from krator_actors.core.slippage import EDGES_BPS
from krator_actors.messages.risk import PortfolioReport
from krator_actors.model import NANOS_PER_SEC, TradingState
from supervisors.observation import MessageTimes
from supervisors.status import NodeStatus
from supervisors.times import TimesTaken

_EDGES: Final = 27
"""Powers of two of a microsecond that are shown: up to 67 s, and then no upper edge."""

Labels = tuple[str, ...]
Rows = Iterable[tuple[Labels, float | None]]
"""Label values, and the number; None is left out: what is not known is not shown."""


class Observed(Collector):
    """Turns what the gateway knows into metrics; on the gateway's loop.

    The clocks are functions, because a collector is called without a time.
    """

    def __init__(
        self,
        sightings: Sightings,
        orders: OrderStatistics,
        samples: EquitySamples,
        lag: JournalLag,
        log_drops: Mapping[str, int],
        limits: RiskLimits,
        *,
        version: str,
        monotonic_ns: Callable[[], int],
        utc_ns: Callable[[], int],
    ) -> None:
        self._sightings = sightings
        self._orders = orders
        self._samples = samples
        self._lag = lag
        self._log_drops = log_drops
        self._limits = limits
        self._version = version
        self._monotonic_ns = monotonic_ns
        self._utc_ns = utc_ns

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry must not collect to find the names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of which there is a number."""
        now_secs, utc_ns = self._monotonic_ns() / NANOS_PER_SEC, self._utc_ns()
        seen = self._sightings
        build = [((self._version, platform.python_version()), 1.0)]
        yield _gauge("krator_build_info", "version of krator", build, "version", "python")
        ages = seen.ages(now_secs)
        yield _gauge("krator_answer_age_seconds", "since it answered", _by(ages), "source")
        up = {name: float(is_up) for name, is_up in seen.up(now_secs).items()}
        yield _gauge("krator_up", "1: it runs, as far as is known", _by(up), "actor")
        if seen.tree is not None:
            yield from _tree(seen.tree.all_nodes())
        yield from self._stages()
        yield from _orders(self._orders)
        if seen.portfolio is not None:
            yield from self._portfolio(seen.portfolio, utc_ns)
        yield from self._record(utc_ns)
        # 0 of each actor that is known, because a counter that begins above it has not increased.
        drops = {**dict.fromkeys(seen.up(now_secs), 0), **self._log_drops}
        text = "lost, by their writers' word"
        yield _counter("krator_log_dropped_lines", text, _by(drops), "actor")
        offset = [((), seen.clock_offset_secs)]
        yield _gauge("krator_clock_offset_seconds", "venue's clock ahead of this one", offset)

    def _stages(self) -> Iterator[Metric]:
        times = self._sightings.times
        stages = {
            "tick_to_strategy": _sum_of_ages(times, "strategy:", "TradeTick"),
            "strategy_to_risk": _sum_of_ages(times, "risk", "SubmitOrder"),
            "risk_decision": _handling(times, "risk", "SubmitOrder"),
            **{stage: taken.take() for stage, taken in self._orders.stages.items()},
        }
        if self._sightings.journal is not None:
            stages["journal"] = self._sightings.journal.times
        text = "how long each stage of an order's way takes"
        family = HistogramMetricFamily("krator_stage_seconds", text, labels=("stage",))
        for stage, taken in stages.items():
            buckets, seen = [], 0
            for index in range(_EDGES):
                seen += taken.counts[index]
                buckets.append((repr(2**index / 1e6), seen))
            buckets.append(("+Inf", taken.count))
            family.add_metric((stage,), buckets, taken.total_secs)
        yield family

    def _portfolio(self, report: PortfolioReport, utc_ns: int) -> Iterator[Metric]:
        state = [((each.value,), float(each is report.state)) for each in TradingState]
        yield _gauge("krator_trading_state", "1: this is the system's state", state, "state")
        held = Counter(f"{each.scope.value}" for each in report.states)
        yield _gauge("krator_latched_states", "states that are not ACTIVE", _by(held), "scope")
        recovered = [((), float(report.recovered))]
        yield _gauge("krator_risk_recovered", "0: risk denies all but cancels", recovered)
        equity = float(report.equity)
        peak = None if report.peak_equity is None else float(report.peak_equity)
        for name, text, value in (
            ("krator_equity_quote", "what the account is worth", equity),
            ("krator_cash_quote", "quote currency held", float(report.cash)),
            ("krator_drawdown_ratio", "share of the highest equity that is lost",
             drawdown(equity, peak)),
            ("krator_sharpe_ratio", "annualized", self._samples.sharpe),
            ("krator_sortino_ratio", "annualized", self._samples.sortino),
            ("krator_equity_returns", "samples behind these two", len(self._samples.returns)),
        ):  # fmt: skip
            yield _gauge(name, text, [((), value)])
        uses = [((use.limit, use.symbol), use.ratio) for use in limit_uses(report, self._limits)]
        text = "share of a limit that is used"
        yield _gauge("krator_limit_used_ratio", text, uses, "limit", "symbol")
        statuses = Counter(order.status.value for order in report.open_orders)
        yield _gauge("krator_open_orders", "orders without an end", _by(statuses), "status")
        yield from _positions(report, utc_ns)

    def _record(self, utc_ns: int) -> Iterator[Metric]:
        breakers = {}
        journal = self._sightings.journal
        if journal is not None:
            breakers["postgresql"] = float(journal.breaker != "closed")
            lag = self._lag.secs(utc_ns)
            for name, text, value in (
                ("krator_journal_connected", "1: PostgreSQL answers", float(journal.connected)),
                ("krator_journal_lag_records", "logged, not committed", journal.lag_records),
                ("krator_journal_lag_seconds", "age of the oldest of them", lag),
            ):
                yield _gauge(name, text, [((), value)])
            yield _counter("krator_journal_events", "committed", [((), journal.seq)])
        publisher = self._sightings.publisher
        if publisher is not None:
            breakers["redis"] = float(publisher.breaker != "closed")
            connected = [((), float(publisher.connected))]
            yield _gauge("krator_publisher_connected", "1: Redis takes events", connected)
            waiting = [((), publisher.waiting)]
            yield _gauge("krator_publisher_waiting_events", "not in the stream yet", waiting)
            for name, text, value in (
                ("krator_publisher_published_events", "put into the stream", publisher.published),
                ("krator_publisher_dropped_events", "left out of it", publisher.left_out),
                ("krator_publisher_outages", "times that Redis was away", publisher.outages),
            ):
                yield _counter(name, text, [((), value)])
        yield _gauge("krator_breaker_open", "1: not closed", _by(breakers), "breaker")
        jobs = self._sightings.jobs
        failures = {} if jobs is None else {job.name: job.failures for job in jobs.jobs}
        yield _gauge("krator_job_failures", "in a row, of what is due", _by(failures), "job")


_Read = Callable[[NodeStatus], float]

_OF_NODES: Final[tuple[tuple[str, str, _Read], ...]] = (
    ("krator_actor_uptime_seconds", "since it was ready", lambda n: n.uptime_secs),
    ("krator_actor_memory_bytes", "resident", lambda n: n.rss_bytes),
    ("krator_actor_cpu_ratio", "1: one processor", lambda n: n.cpu_percent / 100),
    ("krator_actor_quarantined", "1: used up its restarts", lambda n: n.state == "quarantined"),
)
_OF_BUDGETS: Final[tuple[tuple[str, str, _Read], ...]] = (
    ("krator_budget_limit_restarts", "in its period", lambda n: n.budget_limit or 0),
    ("krator_budget_spent_restarts", "of them used", lambda n: n.budget_spent),
)
_OF_WORKERS: Final[tuple[tuple[str, str, _Read], ...]] = (
    ("krator_inbox_messages", "wait to be handled", lambda n: n.inbox),
    ("krator_inbox_limit_messages", "there is room for", lambda n: n.inbox_limit),
    ("krator_stash_messages", "wait to be sent", lambda n: n.stash),
)
_COUNTS: Final[tuple[tuple[str, str, _Read], ...]] = (
    ("krator_actor_restarts", "starts after the first", lambda n: n.restarts),
    ("krator_messages_handled", "by workers", lambda n: n.handled),
    ("krator_messages_dropped", "left out, and declared", lambda n: n.dropped),
    ("krator_messages_conflated", "replaced by newer ones", lambda n: n.conflated),
    ("krator_messages_undelivered", "came back", lambda n: n.undelivered),
)


def _tree(nodes: Sequence[NodeStatus]) -> Iterator[Metric]:
    workers = [node for node in nodes if node.type == "worker"]
    budgeted = [node for node in nodes if node.budget_limit is not None]
    for of, table in ((nodes, _OF_NODES), (budgeted, _OF_BUDGETS), (workers, _OF_WORKERS)):
        for name, text, read in table:
            yield _gauge(name, text, [((n.name,), float(read(n))) for n in of], "actor")
    for name, text, read in _COUNTS:
        yield _counter(name, text, [((n.name,), float(read(n))) for n in nodes], "actor")
    alarms = [((n.name, alarm.kind), 1.0) for n in nodes for alarm in n.alarms]
    yield _gauge("krator_alarm_active", "1: raised", alarms, "actor", "kind")


def _orders(orders: OrderStatistics) -> Iterator[Metric]:
    yield _counter("krator_orders", "that came so far", _by(orders.states), "state")
    yield _counter("krator_denials", "by reason", _by(orders.denials), "reason")
    yield _counter("krator_fills", "by symbol", _by(orders.fills), "symbol")
    text = "mean filled share of the orders that ended at the venue"
    yield _gauge("krator_fill_ratio", text, [((), orders.fill_ratio)])
    means = [((symbol,), each.mean_bps) for symbol, each in orders.slippage.items()]
    text = "cost against the mid at decision, weighted with what was traded"
    yield _gauge("krator_slippage_mean_bps", text, means, "symbol")
    text = "cost of fills against the mid at decision"
    family = HistogramMetricFamily("krator_slippage_bps", text, labels=("symbol",))
    for symbol, each in orders.slippage.items():
        edges = (*(str(float(edge)) for edge in EDGES_BPS), "+Inf")
        seen, buckets = 0, []
        for edge, count in zip(edges, each.counts, strict=True):
            seen += count
            buckets.append((edge, seen))
        family.add_metric((symbol,), buckets, None)
    yield family


def _positions(report: PortfolioReport, utc_ns: int) -> Iterator[Metric]:
    positions = report.positions
    quantities = [((p.symbol,), float(p.quantity)) for p in positions]
    yield _gauge("krator_position_units", "held, in the base currency", quantities, "symbol")
    profits = [
        ((p.symbol, kind), float(value))
        for p in positions
        for kind, value in (
            ("realized", p.realized_pnl), ("unrealized", p.unrealized_pnl), ("fees", -p.fees)
        )
    ]  # fmt: skip
    yield _gauge("krator_profit_quote", "profit, loss and fees", profits, "symbol", "kind")
    staleness = [
        ((p.symbol,), max(0.0, (utc_ns - p.quote_ts_init) / NANOS_PER_SEC))
        for p in positions
        if p.quote_ts_init is not None
    ]
    yield _gauge("krator_feed_staleness_seconds", "age of the last quote", staleness, "symbol")


_AllTimes = Mapping[str, Mapping[str, MessageTimes]]


def _sum_of_ages(times: _AllTimes, prefix: str, message: str) -> TimesTaken:
    total = TimesTaken()
    for actor, classes in times.items():
        found = classes.get(message)
        if actor.startswith(prefix) and found is not None and found.age is not None:
            total += found.age
    return total


def _handling(times: _AllTimes, actor: str, message: str) -> TimesTaken:
    found = times.get(actor, {}).get(message)
    return TimesTaken() if found is None else found.handling


def _by(values: Mapping[str, float]) -> list[tuple[Labels, float | None]]:
    return [((key,), float(value)) for key, value in sorted(values.items())]


def _gauge(name: str, text: str, rows: Rows, *labels: str) -> Metric:
    return _filled(GaugeMetricFamily(name, text, labels=labels), rows)


def _counter(name: str, text: str, rows: Rows, *labels: str) -> Metric:
    return _filled(CounterMetricFamily(name, text, labels=labels), rows)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, rows: Rows
) -> GaugeMetricFamily | CounterMetricFamily:
    for labels, value in rows:
        if value is not None and math.isfinite(value):
            family.add_metric(labels, value)
    return family
