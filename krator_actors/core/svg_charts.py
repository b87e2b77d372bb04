"""Charts as inline SVG: no script, no font, no colour of their own (the page's CSS has them). Pure.

Every text is escaped here. A chart says in words what it shows (``role="img"`` with a label); the
numbers stand in a table beside it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from typing import Final

_WIDTH: Final = 720
_HEIGHT: Final = 220
_LEFT: Final = 96
_BOTTOM: Final = 32
_TOP: Final = 12
_RIGHT: Final = 12
_LARGEST: Final = 1e15
"""What is not below it is left out: no number, or one that leaves no room for others."""
_POINTS: Final = 1_000
"""A line of more is thinned: a screen has no more columns."""

Point = tuple[float, float]


def line_chart(label: str, points: Sequence[Point], ends: tuple[str, str]) -> str:
    """Return a line through (x, y) with x from 0 to 1; ``ends`` name the two ends of x."""
    drawn = [(x, y) for x, y in points if math.isfinite(x) and abs(y) < _LARGEST]
    if not drawn:
        return _empty(label)
    low, high = _range([y for _, y in drawn])
    path = " ".join(f"{_x(x):.1f},{_y(y, low, high):.1f}" for x, y in _thinned(drawn))
    # One point alone draws no line.
    x, y = drawn[-1]
    dot = f'<circle cx="{_x(x):.1f}" cy="{_y(y, low, high):.1f}" r="3" class="dot"/>'
    first, last = ends
    return _svg(
        label,
        [
            *_scale(low, high),
            _text(_LEFT, _HEIGHT - 8, first),
            _text(_WIDTH - _RIGHT, _HEIGHT - 8, last, anchor="end"),
            f'<polyline points="{path}" class="line"/>{dot}',
        ],
    )


def bar_chart(label: str, bars: Sequence[tuple[str, float]]) -> str:
    """Return one bar for each (name, value), from 0 up or down."""
    drawn = [(name, value) for name, value in bars if abs(value) < _LARGEST]
    if not drawn:
        return _empty(label)
    values = [value for _, value in drawn]
    low, high = _range([0.0, *values])
    step = (_WIDTH - _LEFT - _RIGHT) / len(drawn)
    zero = _y(0.0, low, high)
    parts = list(_scale(low, high))
    for number, (name, value) in enumerate(drawn):
        left, top = _LEFT + number * step, _y(value, low, high)
        kind = "bar" if value >= 0 else "bar loss"
        parts.append(
            f'<rect x="{left + step * 0.1:.1f}" y="{min(top, zero):.1f}" width="{step * 0.8:.1f}" '
            f'height="{max(abs(zero - top), 0.5):.1f}" class="{kind}">'
            f"<title>{html.escape(name)}: {value:g}</title></rect>"
        )
        parts.append(_text(left + step / 2, _HEIGHT - 8, name, anchor="middle"))
    return _svg(label, parts)


def _svg(label: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def _empty(label: str) -> str:
    middle = _text(_WIDTH / 2, _HEIGHT / 2, "nothing to show", anchor="middle")
    return _svg(f"{label}: nothing to show", [middle])


def _scale(low: float, high: float) -> Iterable[str]:
    for share in (0.0, 0.5, 1.0):
        value = low + (high - low) * share
        y = _y(value, low, high)
        right = _WIDTH - _RIGHT
        yield f'<line x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        yield _text(_LEFT - 6, y + 4, _number(value, high - low), anchor="end")


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    # A flat line stands in the middle.
    return (
        (low, high)
        if high > low
        else (low - abs(low) * 0.01 - 1e-9, high + abs(high) * 0.01 + 1e-9)
    )


def _x(share: float) -> float:
    return _LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, low: float, high: float) -> float:
    return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)


def _number(value: float, span: float) -> str:
    places = max(0, min(9, 2 - math.floor(math.log10(span)))) if span > 0 else 2
    return f"{value:,.{places}f}"


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Keep the lowest and highest of each piece, so that no peak is lost."""
    if len(points) <= _POINTS:
        return list(points)
    size = math.ceil(len(points) / (_POINTS // 2))
    kept: list[Point] = []
    for begin in range(0, len(points), size):
        piece = points[begin : begin + size]
        kept += sorted({min(piece, key=lambda p: p[1]), max(piece, key=lambda p: p[1])})
    return kept
