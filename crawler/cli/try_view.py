"""What ``crawl try`` shows to people. Everything from the web is `Text`: nothing of it is read as markup."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from crawler.cli.one_page import OnePage
from crawler.cli.quantities import format_bytes, plural
from crawler.cli.report import clean

VALUES: Final = 3
"""Values of a field that are shown."""
WIDTH: Final = 160
"""Columns where standard output is no terminal."""
_LONGEST: Final = 70
_LINKS: Final = 20
_FAULTS: Final = 30
_ITEMS: Final = 5


def show(answer: bytes, page: OnePage) -> None:
    """Print the findings (JSON of `offline.try_rules.Findings`) to standard output."""
    findings = json.loads(answer)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, emoji=False, width=WIDTH)
    led = f"{page.asked} led to " if page.asked else ""
    answered = f"HTTP {page.status}, " if page.status is not None else ""
    _line(console, f"{led}{page.url}  ({answered}{findings['charset']}, {format_bytes(len(page.body))})", "bold")
    for rule in findings["rules"]:
        _show_item_rule(console, rule)
    _show_faults(console, findings["faults"])
    _show_follow(console, findings)


def _line(console: Console, text: str, style: str = "") -> None:
    console.print(Text(clean(text), style=style), soft_wrap=True)


def _show_item_rule(console: Console, rule: dict[str, Any]) -> None:
    console.print()
    if not rule["applies"]:
        _line(console, f"{rule['name']}: not for this page: its URL has none of {' '.join(rule['when'])}", "yellow")
        return
    when = f"  (when {' or '.join(rule['when'])})" if rule["when"] else ""
    _line(console, f"{rule['name']}: {plural(rule['items'], 'item')}{when}", "bold green" if rule["items"] else "bold red")
    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    table.add_column("  field", no_wrap=True)
    table.add_column("selector", overflow="fold")
    table.add_column("matches", justify="right", no_wrap=True)
    table.add_column("values", overflow="fold")
    if rule["each"] is not None:
        table.add_row(*_row(rule["each"], "each item", ""))
    searched = rule["each"] is None or rule["each"]["matches"] > 0
    for field in rule["fields"]:
        name = field["rule"].partition(".")[2]
        table.add_row(*_row(field, name + (" *" if field["required"] else ""), _values(field["values"])), style="" if searched else "dim")
    console.print(table)


def _row(found: dict[str, Any], name: str, values: str) -> list[Text]:
    nothing = found["matches"] == 0
    said = Text("matched nothing", "red") if nothing else Text(clean(values))
    if not nothing and not values and name != "each item":
        said = Text("no value", "yellow")
    return [Text(f"  {clean(name)}"), Text(clean(found["selector"]), "cyan"), Text(str(found["matches"]), "red" if nothing else ""), said]


def _values(values: list[Any]) -> str:
    shown = [_cut(json.dumps(value, ensure_ascii=False)) for value in values[:VALUES]]
    if len(values) > VALUES:
        shown.append(f"… {len(values) - VALUES} more")
    return " | ".join(shown)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _show_faults(console: Console, faults: list[list[str]]) -> None:
    if not faults:
        return
    console.print()
    _line(console, plural(len(faults), "fault"), "bold red")
    counted = Counter((rule, what) for rule, what in faults)
    for (rule, what), count in counted.most_common(_FAULTS):
        _line(console, f"  {rule}: {what}{f'  ({count} times)' if count > 1 else ''}")
    if len(counted) > _FAULTS:
        _line(console, f"  … and {len(counted) - _FAULTS} more kinds")


def _show_follow(console: Console, findings: dict[str, Any]) -> None:
    links = findings["links"]
    if not findings["follow"] and findings["hook"] is None:
        return
    console.print()
    for rule in findings["follow"]:
        _line(console, _told_of(rule), "green" if rule["links"] else "yellow")
    if findings["hook"] is not None:
        _show_hook(console, findings)
    left_out = f", {findings['left_out']} of the page left out" if findings["left_out"] else ""
    _line(console, f"{plural(len(links), 'link')} to follow{left_out}", "bold")
    ranked = sorted(links, key=lambda link: -link["priority"])
    for link in ranked[:_LINKS]:
        _line(console, f"  {link['priority']:4d}  {link['url']}{'  (nofollow)' if link['nofollow'] else ''}")
    if len(ranked) > _LINKS:
        _line(console, f"  … and {len(ranked) - _LINKS} more")


def _show_hook(console: Console, findings: dict[str, Any]) -> None:
    _line(console, f"hook: made {plural(findings['hook'], 'item or link', 'items and links')}")
    ruled = {rule["name"] for rule in findings["rules"]}
    items = [item for item in findings["items"] if item["type"] not in ruled]  # those of rules are told above, field by field
    for item in items[:_ITEMS]:
        _line(console, f"  {json.dumps(item, ensure_ascii=False)}")
    if len(items) > _ITEMS:
        _line(console, f"  … and {plural(len(items) - _ITEMS, 'more item')}")


def _told_of(rule: dict[str, Any]) -> str:
    if not rule["applies"]:
        return f"{rule['rule']}: not for this page: its URL has none of {' '.join(rule['when'])}"
    count = plural(rule["links"], "link") if rule["links"] else "matched nothing"
    return f"{rule['rule']}: {rule['selector']}: {count}, priority {rule['priority']}{', only these' if rule['only'] else ''}"
