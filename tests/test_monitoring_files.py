"""What conf/ and docs/METRICS.md name is what a gateway exports, and the queries can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.core import Metric

from krator_actors.config import RiskConfig
from krator_actors.core.journal_lag import JournalLag
from krator_actors.core.order_statistics import OrderStatistics
from krator_actors.core.performance import EquitySamples
from krator_actors.core.sightings import Sightings
from krator_actors.messages.operations import JobsStatus, JournalStatus, PublisherStatus
from krator_actors.metrics import Observed
from krator_actors.risk_limits import limits_of
from supervisors.status import NodeStatus
from tests.core.portfolios import portfolio

ROOT = Path(__file__).parent.parent
DASHBOARD = json.loads((ROOT / "conf/grafana/krator.json").read_text())
RULES = (ROOT / "conf/prometheus/krator.rules.yml").read_text()
PAGE = (ROOT / "docs/METRICS.md").read_text()
FUNCTIONS = {
    "abs", "absent", "and", "by", "count", "histogram_quantile", "increase", "or", "rate", "sum",
    "vector",
}  # fmt: skip
TOKEN = re.compile(
    r'\s+|(?P<text>"[^"]*")|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z_]\w*)|(?P<range>\[\d+[smhd]\])'
    r"|(?P<sign>=~|!=|==|>=|<=|[-+*/<>=(){},])"
)


def exported() -> dict[str, Metric]:
    """Return every family of a gateway that has heard of everybody, by name."""
    seen = Sightings(stale_secs=1.0)
    seen.tree = NodeStatus(name="root", type="supervisor", state="running")
    seen.portfolio = portfolio()
    seen.journal = JournalStatus(
        connected=True, breaker="closed", seq=1, lag_records=0, watermarks={}
    )
    seen.publisher = PublisherStatus(
        connected=True, breaker="closed", waiting=0, published=0, left_out=0, outages=0, reason=""
    )
    seen.jobs = JobsStatus(jobs=())
    observed = Observed(
        seen,
        OrderStatistics(),
        EquitySamples(60),
        JournalLag(),
        {},
        limits_of(RiskConfig(), [], {}),
        version="1",
        monotonic_ns=lambda: 0,
        utc_ns=lambda: 0,
    )
    return {family.name: family for family in observed.collect()}


def series() -> set[str]:
    """Return the names that a query may use."""
    names = {"up"}
    for family in exported().values():
        match family.type:
            case "counter":
                names.add(f"{family.name}_total")
            case "histogram":
                names |= {f"{family.name}_{end}" for end in ("bucket", "count", "sum")}
            case _:
                names.add(family.name)
    return names


def dashboard_queries() -> list[str]:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def alert_queries() -> list[str]:
    return re.findall(r"^ +expr: (.*)$", RULES, re.MULTILINE)


def tokens(query: str) -> Iterator[re.Match[str]]:
    at = 0
    while at < len(query):
        found = TOKEN.match(query, at)
        assert found is not None, f"{query!r} at {query[at:]!r}"
        yield found
        at = found.end()


@pytest.mark.parametrize("query", [*dashboard_queries(), *alert_queries()])
def test_query_names_what_is_exported_and_its_brackets_close(query: str) -> None:
    known, labels = series(), {"le", "job"}
    labels |= {name for family in exported().values() for name in family._labelnames}  # type: ignore[attr-defined]
    open_brackets: list[str] = []
    for token in tokens(query):
        sign, name = token["sign"], token["name"]
        if sign in {"(", "{"}:
            open_brackets.append(sign)
        elif sign in {")", "}"}:
            assert open_brackets.pop() == {")": "(", "}": "{"}[sign]
        elif name is not None and not (open_brackets[-1:] == ["{"] and name in labels):
            assert name in known | FUNCTIONS | labels

    assert open_brackets == []


def test_every_query_is_about_a_metric() -> None:
    assert len(dashboard_queries()) > 50
    assert len(alert_queries()) == RULES.count("- alert: ")
    assert all(series() & set(re.findall(r"\w+", query)) for query in dashboard_queries())


@pytest.mark.parametrize(
    "subject",
    [
        "krator_feed_staleness_seconds", "drawdown", "HALTED", "krator_actor_quarantined",
        "krator_breaker_open", "krator_journal_lag_seconds", "krator_clock_offset_seconds",
        "krator_actor_restarts_total", "krator_log_dropped_lines_total",
    ],
)  # fmt: skip
def test_there_is_an_alert_for(subject: str) -> None:
    assert any(subject in query for query in alert_queries())


def test_every_alert_has_a_severity_a_summary_and_a_line_that_says_what_to_do() -> None:
    alerts = re.split(r"- alert: ", RULES)[1:]

    for alert in alerts:
        name = alert.split("\n", 1)[0]
        assert re.search(r"severity: (page|ticket)}", alert), name
        assert re.search(r'summary: ".+"}', alert), name
        assert f"`{name}`" in PAGE


def test_page_lists_every_metric_and_no_other() -> None:
    listed = set(re.findall(r"^\| `(krator_\w+)`", PAGE, re.MULTILINE))
    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in exported().values()
    }

    assert listed == names


def test_every_metric_has_its_unit_in_its_name_and_a_text() -> None:
    for name, family in exported().items():
        assert re.fullmatch(r"krator(_[a-z]+)+", name)
        assert family.documentation


def test_panels_have_places_of_their_own() -> None:
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]

    assert len(set(places)) == len(places)
    assert all(x + w <= 24 for x, _, w, _ in places)
