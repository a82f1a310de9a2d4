"""HTML tables as GitHub's Markdown has them, where they are tables and not a way to lay out a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from selectolax.lexbor import LexborNode

MAX_COLUMNS: Final = 100
_NOT_IN_CELLS: Final = "table, pre, ul, ol, dl, blockquote, h1, h2, h3, h4, h5, h6"


def is_grid(node: LexborNode) -> bool:
    """Say whether a table can be written as one: its cells hold no blocks but paragraphs, and one row has two cells."""
    if any(found.mem_id != node.mem_id for found in node.css(_NOT_IN_CELLS)):
        return False
    return any(len(_cells(row)) > 1 for row in node.css("tr"))


def table(node: LexborNode, written: Callable[[LexborNode], str]) -> str:
    """Return a table, its cells as `written` gives them; nothing when all of them are empty.

    Markdown wants a head: the first row if it has a th in each cell or stands in thead, else an empty one.
    """
    rows = node.css("tr")
    lines = _grid(rows, lambda cell: written(cell).replace("\n", " ").replace("|", "\\|"))
    with_head = bool(rows) and _is_head(rows[0])
    head = lines[0] if with_head else []
    body = [line for line in (lines[1:] if with_head else lines) if any(line)]
    if not body and not any(head):
        return ""
    width = max(len(line) for line in [head, *body])
    whole = [head, ["---"] * width, *body]
    return "\n".join(f"| {' | '.join([*line, *[''] * (width - len(line))])} |" for line in whole)


def _grid(rows: list[LexborNode], written: Callable[[LexborNode], str]) -> list[list[str]]:
    """Return the cells' texts in their columns; what a cell spans beyond its first place is empty."""
    taken: dict[int, int] = {}  # column: rows that a cell above still takes of it
    lines = []
    for row in rows:
        line: list[str] = []
        for cell in _cells(row):
            while taken.get(len(line), 0) > 0 and len(line) < MAX_COLUMNS:
                line.append("")
            down, across = _span(cell, "rowspan"), _span(cell, "colspan")
            taken.update(dict.fromkeys(range(len(line), len(line) + across), down))
            line += [written(cell), *[""] * (across - 1)]
        taken = {column: left - 1 for column, left in taken.items() if left > 1}
        lines.append(line[:MAX_COLUMNS])
    return lines


def _cells(row: LexborNode) -> list[LexborNode]:
    return [cell for cell in row.iter() if cell.tag in ("td", "th")]


def _is_head(row: LexborNode) -> bool:
    if row.parent is not None and row.parent.tag == "thead":
        return True
    return all(cell.tag == "th" for cell in _cells(row))


def _span(cell: LexborNode, name: str) -> int:
    said = (cell.attributes.get(name) or "").strip()
    return min(max(int(said), 1), MAX_COLUMNS) if said.isascii() and said.isdigit() and len(said) < 6 else 1
