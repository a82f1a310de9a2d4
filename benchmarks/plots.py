"""Plots as SVG files of their own: bars, and curves on logarithmic axes. Readable on light and on dark pages, and without colours."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH = 820
_STYLE = """
text { font: 14px system-ui, "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-size: 16px; font-weight: 600; }
.small { font-size: 12px; fill: #59636e; }
.paper { fill: #ffffff; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.ours { fill: #0a66c2; } .theirs { fill: #9aa4af; }
.curve { fill: none; stroke-width: 2.5; }
.s0 { stroke: #0a66c2; } .d0 { fill: #0a66c2; }
.s1 { stroke: #c2410c; stroke-dasharray: 9 4; } .d1 { fill: #c2410c; }
.s2 { stroke: #15803d; stroke-dasharray: 3 4; } .d2 { fill: #15803d; }
.s3 { stroke: #9333ea; stroke-dasharray: 12 4 3 4; } .d3 { fill: #9333ea; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .small { fill: #9da7b1; } .paper { fill: #0d1117; } .grid { stroke: #30363d; }
  .ours { fill: #58a6ff; } .theirs { fill: #6e7681; }
  .s0 { stroke: #58a6ff; } .d0 { fill: #58a6ff; } .s1 { stroke: #fb923c; } .d1 { fill: #fb923c; }
  .s2 { stroke: #4ade80; } .d2 { fill: #4ade80; } .s3 { stroke: #c084fc; } .d3 { fill: #c084fc; }
}
"""
_SERIES = 4


class Bar(NamedTuple):
    """One bar; `text` stands beside it."""

    label: str
    value: float
    text: str
    ours: bool = False


Point = tuple[float, float]


def bars(title: str, note: str, rows: Sequence[Bar]) -> str:
    """Return horizontal bars from zero, in the order given; `note` says what is shown and which way is better."""
    left, right, row = 290, 110, 34
    most = max((bar.value for bar in rows), default=0.0) or 1.0
    parts = []
    for index, bar in enumerate(rows):
        y = 70 + index * row
        length = max(1.0, bar.value / most * (WIDTH - left - right))
        parts += [
            _text(left - 10, y + 15, bar.label, anchor="end"),
            f'<rect class="{"ours" if bar.ours else "theirs"}" x="{left}" y="{y}" width="{length:.1f}" height="22" rx="2"/>',
            _text(left + length + 8, y + 15, bar.text),
        ]
    return _page(title, note, 80 + len(rows) * row, parts)


def curves(title: str, note: str, series: Mapping[str, Sequence[Point]], *, across: str, up: str) -> str:
    """Return curves on logarithmic axes, at most four, each named at its last point; every coordinate is positive.

    `across` names the horizontal axis and `up` the vertical one.
    """
    points = [point for line in series.values() for point in line]
    if not points or len(series) > _SERIES or min(min(point) for point in points) <= 0:
        raise ValueError("curves need points with positive coordinates, on at most four lines")
    xs, ys = _decades(x for x, _ in points), _decades(y for _, y in points)
    left, top, width, height = 80, 90, WIDTH - 80 - 170, 330

    def place(point: Point) -> Point:
        x = left + (math.log10(point[0]) - xs[0]) / (xs[-1] - xs[0]) * width
        return x, top + height - (math.log10(point[1]) - ys[0]) / (ys[-1] - ys[0]) * height

    parts = []
    for x in xs:
        at = place((10.0**x, 10.0 ** ys[0]))[0]
        parts += [f'<line class="grid" x1="{at:.1f}" y1="{top}" x2="{at:.1f}" y2="{top + height}"/>']
        parts += [_text(at, top + height + 20, _number(x), anchor="middle", kind="small")]
    for y in ys:
        at = place((10.0 ** xs[0], 10.0**y))[1]
        parts += [f'<line class="grid" x1="{left}" y1="{at:.1f}" x2="{left + width}" y2="{at:.1f}"/>']
        parts += [_text(left - 8, at + 4, _number(y), anchor="end", kind="small")]
    parts += [_text(left + width / 2, top + height + 42, across, anchor="middle", kind="small"), _text(left, top - 8, up, kind="small")]
    labels = _apart([place(max(line))[1] for line in series.values()])
    for index, ((name, line), label) in enumerate(zip(series.items(), labels, strict=True)):
        parts += _curve(index, name, [place(point) for point in sorted(line)], label)
    return _page(title, note, top + height + 56, parts)


def _curve(index: int, name: str, points: Sequence[Point], label: float) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = [f'<circle class="d{index}" cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
    return [f'<polyline class="curve s{index}" points="{path}"/>', *dots, _text(points[-1][0] + 12, label + 5, name)]


def _apart(heights: Sequence[float], least: float = 18.0) -> list[float]:
    """Return the heights moved down as far as is needed for labels not to meet."""
    moved = list(heights)
    order = sorted(range(len(moved)), key=moved.__getitem__)
    for above, below in itertools.pairwise(order):
        moved[below] = max(moved[below], moved[above] + least)
    return moved


def _decades(values: Iterable[float]) -> list[int]:
    """Return the exponents of ten that enclose the values, at least two."""
    found = list(values)
    low, high = math.floor(math.log10(min(found))), math.ceil(math.log10(max(found)))
    return list(range(low, max(high, low + 1) + 1))


def _number(exponent: int) -> str:
    return f"{10**exponent:,}".replace(",", "\u202f") if exponent >= 0 else f"{10.0**exponent:.{-exponent}f}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _page(title: str, note: str, height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" height="{height:.0f}" role="img">'
    named = f"<title>{escape(title)}</title><desc>{escape(note)}</desc><style>{_STYLE}</style>"
    paper = f'<rect class="paper" width="{WIDTH}" height="{height:.0f}" rx="6"/>'
    return "\n".join([head, named, paper, _text(20, 28, title, kind="title"), _text(20, 50, note, kind="small"), *parts, "</svg>"]) + "\n"
