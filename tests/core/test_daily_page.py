"""The page is whole, needs nothing else, and shows hostile text as text."""

from __future__ import annotations

import re
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from krator_actors.core.daily_page import day_page
from krator_actors.core.daily_report import DayReport
from krator_actors.core.daily_tables import cell, day_text, tables
from krator_actors.core.svg_charts import bar_chart, line_chart
from tests.core.test_daily_report import report

VOID = {"meta", "circle", "line", "polyline"}
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table><h1>owned</h1>",
    "'; --><!-- &lt;b&gt;",
    "a\r\nb\x00",
]


class Page(HTMLParser):
    """What a browser would see of it; fails on a tag that does not close."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def hostile(text: str) -> DayReport:
    made = report()
    order = msgspec.structs.replace(made.orders[0], reason=text, client_order_id=text, symbol=text)
    profit = msgspec.structs.replace(made.profits[0], symbol=text)
    return msgspec.structs.replace(
        made, orders=[order], profits=[profit], limits_used={text: Decimal(1)}
    )


def test_page_has_every_table_with_a_caption_and_headings() -> None:
    page = Page(day_page(report()))

    shown = [t for t in tables(report()) if t.rows or t.is_always_shown]
    kinds = [tag for tag, _ in page.tags]
    assert kinds.count("table") == kinds.count("caption") == len(shown)
    assert all(attrs.get("scope") in {"col", "row"} for tag, attrs in page.tags if tag == "th")


def test_every_chart_says_what_it_shows() -> None:
    labels = [
        attrs.get("aria-label") for tag, attrs in Page(day_page(report())).tags if tag == "svg"
    ]

    assert len(labels) == 8
    assert all(labels)


def test_page_needs_nothing_from_anywhere() -> None:
    page = day_page(report())

    assert not {"script", "link", "img", "iframe", "object"} & {t for t, _ in Page(page).tags}
    assert not re.search(r"https?:|url\(|@import|\bsrc=|\bhref=", page)
    assert "prefers-color-scheme: dark" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_text(text: str) -> None:
    friendly, page = Page(day_page(hostile("x"))), Page(day_page(hostile(text)))

    assert [tag for tag, _ in page.tags] == [tag for tag, _ in friendly.tags]
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert cell(text) in page.text


@given(st.text())
def test_any_text_changes_no_tag(text: str) -> None:
    friendly, page = Page(day_page(hostile("x"))), Page(day_page(hostile(text)))

    assert [tag for tag, _ in page.tags] == [tag for tag, _ in friendly.tags]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_breaks_no_line_of_the_text_report(text: str) -> None:
    assert len(day_text(hostile(text)).splitlines()) == len(day_text(hostile("x")).splitlines())


NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20))
def test_any_points_make_a_chart(points: list[tuple[float, float]]) -> None:
    bars = [("bar", y) for _, y in points]

    for chart in (line_chart("x", points, ("a", "b")), bar_chart("x", bars)):
        assert not re.search("nan|inf", chart)
        assert Page(chart).tags[0][0] == "svg"


def test_long_curve_is_thinned_and_keeps_its_peaks() -> None:
    points = [(n / 100_000, 1.0) for n in range(100_000)]
    points[70_001] = (points[70_001][0], 9.0)

    chart = line_chart("x", points, ("a", "b"))

    assert len(chart) < 40_000
    assert re.search(r"\d+\.\d,12\.0", chart)
