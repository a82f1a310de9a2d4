"""The pieces of a report's HTML: everything that comes from pages is escaped here."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ground:#fff;--panel:#f4f6f8;--text:#1b1f24;--faint:#59636e;--line:#d5dae0;--bar:#2c6fb3;--link:#0a58a8;
--bad:#b3261e;--good:#1a7f37}
@media(prefers-color-scheme:dark){:root{--ground:#14181d;--panel:#1e242b;--text:#e6e9ed;--faint:#9da7b3;--line:#39424d;--bar:#5aa2e8;
--link:#7ab8ff;--bad:#ff8f87;--good:#56d364}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1.5rem 1.25rem 4rem;background:var(--ground);color:var(--text);
font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.3rem;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.5rem 0 .4rem}
p{margin:.4rem 0 .8rem}.faint{color:var(--faint)}.bad{color:var(--bad)}.good{color:var(--good)}
a{color:var(--link)}a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--bar);outline-offset:2px}
nav ul{list-style:none;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;padding:0;margin:1rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9rem,1fr));gap:.75rem;margin:1.25rem 0;padding:0;list-style:none}
.tiles li{background:var(--panel);border-radius:.5rem;padding:.7rem .9rem}
.tiles strong{display:block;font-size:1.5rem;line-height:1.2;font-variant-numeric:tabular-nums}
.scroll{overflow-x:auto;margin:.5rem 0 1rem}
table{border-collapse:collapse;width:100%;font-size:.92rem}
caption{text-align:left;color:var(--faint);padding:.25rem 0}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{font-weight:600}thead th{border-bottom-width:2px;white-space:nowrap}tbody th{font-weight:400;min-width:12rem}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td ul,td ol{margin:0;padding-left:1.1rem}td ul{list-style:none;padding:0}td ul,td ol{min-width:17rem}
figure{margin:1rem 0;padding:1rem;background:var(--panel);border-radius:.5rem}
figcaption{font-weight:600;margin-bottom:.5rem}
svg{display:block;width:100%;height:auto;max-width:48rem;font:12px system-ui,"Liberation Sans",sans-serif}
svg .bar{fill:var(--bar)}svg text{fill:var(--text)}svg .axis{stroke:var(--faint)}
svg .value,svg .label{text-anchor:middle}svg .label,svg .count{fill:var(--faint)}svg .name{text-anchor:end}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:1rem}.pair figure{margin:0}
.pair svg{max-width:32rem}
@media print{body{max-width:none;padding:0;font-size:10pt}nav{display:none}h2{break-after:avoid}tr,figure{break-inside:avoid}
.scroll{overflow:visible}a{color:inherit;text-decoration:none}:root{--ground:#fff;--panel:#f4f6f8;--text:#000;--faint:#444;--line:#bbb;
--bar:#2c6fb3}}
"""

_SUM: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_SUM}'; base-uri 'none'; form-action 'none'"
"""The document loads nothing, runs nothing, sends nothing, and has no style but `STYLE`."""


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Cell = str | int | None


def text(value: Cell) -> str:
    """Return HTML for a value: what is no markup yet is escaped."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else escape(str(value))


def link(url: str, shown: str | None = None) -> Markup:
    """Return a link to a crawled page, which is told nothing of where it was followed."""
    if not url.startswith(("http://", "https://")):
        return Markup(escape(url))
    return Markup(f'<a href="{escape(url)}" rel="noreferrer noopener nofollow">{escape(shown or url)}</a>')


def links(urls: Sequence[str], total: int | None = None, *, ordered: bool = False) -> Markup:
    """Return a list of links, and how many there are beyond it."""
    more = (total or 0) - len(urls)
    items = [f"<li>{link(url)}</li>" for url in urls] + ([f'<li class="faint">and {more} more</li>'] if more > 0 else [])
    tag = "ol" if ordered else "ul"
    return Markup(f"<{tag}>{''.join(items)}</{tag}>")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]], *, numbers: Sequence[int] = ()) -> str:
    """Return a table whose first column heads each row; `numbers` are the columns set as numbers."""
    head = "".join(f'<th scope="col"{_set(index in numbers)}>{escape(name)}</th>' for index, name in enumerate(columns))
    body = "".join(f"<tr>{_cells(row, numbers)}</tr>\n" for row in rows)
    if not body:
        return ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table><caption>{escape(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n"
    )


def section(key: str, title: str, *parts: str) -> str:
    """Return a section with its heading."""
    return f'<section aria-labelledby="{key}">\n<h2 id="{key}">{escape(title)}</h2>\n{"".join(parts)}</section>\n'


def paragraph(said: str, kind: str = "") -> str:
    """Return a paragraph of plain text."""
    return f"<p{f' class={kind}' if kind else ''}>{text(said)}</p>\n" if said else ""


def figure(title: str, plot: str) -> str:
    """Return a plot with its title; nothing when there is no plot."""
    return f"<figure><figcaption>{escape(title)}</figcaption>{plot}</figure>\n" if plot else ""


def document(title: str, body: str) -> str:
    """Return the whole document."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">\n'
        '<meta name="referrer" content="no-referrer">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="robots" content="noindex, nofollow">\n<title>{escape(title)}</title>\n'
        f"<style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )


def _cells(row: Sequence[Cell], numbers: Sequence[int]) -> str:
    cells = [
        f"<td{_set(index in numbers)}>{text(value)}</td>" if index else f'<th scope="row">{text(value)}</th>'
        for index, value in enumerate(row)
    ]
    return "".join(cells)


def _set(as_number: bool) -> str:
    return ' class="number"' if as_number else ""
