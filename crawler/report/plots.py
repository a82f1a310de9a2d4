"""Distributions as SVG: bars with their numbers, readable without colours, by screen readers (title and description), and on paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import count
from typing import Final

from crawler.report.model import Bin
from crawler.report.wording import count as told

_WIDTH: Final = 720
_HEIGHT: Final = 220
_BASE: Final = 180  # the line that bars stand on
_TOP: Final = 24
_ROW: Final = 26
_NARROW: Final = 460  # horizontal bars stand two beside each other
_NAMES: Final = 170  # where they begin
_MAX_LABELS: Final = 16
_MAX_ROWS: Final = 12


class Plots:
    """Draws the plots of one document: their ids are numbered."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def histogram(self, title: str, bins: Sequence[Bin], label: Callable[[Bin], str]) -> str:
        """Return bars that stand side by side, one for each bin; `label` names a bin."""
        if not bins:
            return ""
        highest = max(found.count for found in bins)
        step = _WIDTH / len(bins)
        every = -(-len(bins) // _MAX_LABELS)
        parts = [f'<line x1="0" y1="{_BASE}" x2="{_WIDTH}" y2="{_BASE}" class="axis"/>']
        for number, found in enumerate(bins):
            parts.append(_column(number * step, step, found.count / highest, f"{label(found)}: {told(found.count)}"))
            middle = number * step + step / 2
            if found.count and len(bins) <= 2 * _MAX_LABELS:
                height = found.count / highest * (_BASE - _TOP)
                parts.append(f'<text x="{middle:.1f}" y="{_BASE - height - 5:.1f}" class="value">{told(found.count)}</text>')
            if number % every == 0:
                parts.append(f'<text x="{middle:.1f}" y="{_BASE + 18}" class="label">{escape(label(found))}</text>')
        described = "; ".join(f"{label(found)}: {told(found.count)}" for found in bins if found.count)
        return self._svg(title, described, (_WIDTH, _HEIGHT), parts)

    def bars(self, title: str, counts: Mapping[str, int]) -> str:
        """Return bars one below the other, the first twelve of `counts`; what is beyond them is one bar."""
        rows = list(counts.items())
        if not rows:
            return ""
        if len(rows) > _MAX_ROWS:
            rows = [*rows[: _MAX_ROWS - 1], ("others", sum(value for _, value in rows[_MAX_ROWS - 1 :]))]
        highest = max(value for _, value in rows)
        parts = [_row(number, name, value, value / highest) for number, (name, value) in enumerate(rows)]
        return self._svg(title, "; ".join(f"{name}: {told(value)}" for name, value in rows), (_NARROW, _ROW * len(rows) + 4), parts)

    def _svg(self, title: str, description: str, extent: tuple[int, int], parts: Sequence[str]) -> str:
        number = next(self._numbers)
        head = (
            f'<svg viewBox="0 0 {extent[0]} {extent[1]}" role="img" aria-labelledby="plot{number} said{number}">'
            f'<title id="plot{number}">{escape(title)}</title><desc id="said{number}">{escape(description)}</desc>'
        )
        return "".join([head, *parts, "</svg>"])


def _column(left: float, width: float, share: float, tip: str) -> str:
    height = share * (_BASE - _TOP)
    gap = min(6.0, width * 0.2)
    return (
        f'<rect x="{left + gap / 2:.1f}" y="{_BASE - height:.1f}" width="{width - gap:.1f}" height="{height:.1f}" class="bar">'
        f"<title>{escape(tip)}</title></rect>"
    )


def _row(number: int, name: str, value: int, share: float) -> str:
    top = number * _ROW
    width = max(1.0, share * (_NARROW - _NAMES - 60))
    shown = name if len(name) <= 26 else name[:25] + "…"
    return (
        f'<text x="{_NAMES - 10}" y="{top + 18}" class="name">{escape(shown)}</text>'
        f'<rect x="{_NAMES}" y="{top + 4}" width="{width:.1f}" height="{_ROW - 8}" class="bar">'
        f"<title>{escape(name)}: {told(value)}</title></rect>"
        f'<text x="{_NAMES + width + 8:.1f}" y="{top + 18}" class="count">{told(value)}</text>'
    )
