"""Runs what shows the hostile cases and tells the table: number, case, expected, seen."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple
from xml.etree import ElementTree

from cases import TABLE, UNNUMBERED, rows

ROOT: Final = Path(__file__).parents[2]
CRAWLS: Final = "tests/hostile/test_whole_program.py"
HEAD: Final = """# What the web does to a crawl, and what becomes of it

Every number of the table is played to the whole program by a server on loopback (`tests/sites/evil_web.py`), in one crawl and one
more with retries, or shown by the tests that are named. `tests/hostile/cases.py` holds the table; this page is written by

    python tests/hostile/cases.py --write docs/hostile.md

"""


class Seen(NamedTuple):
    """What a run of pytest brought to light."""

    rows: dict[int, tuple[bool, str]]  # by place in `rows()`
    tests: dict[str, Counter[str]]  # by node without parameters, and by file: how many passed, failed, were skipped
    measured: dict[str, str]


def run(nodes: Iterable[str]) -> Seen:
    """Run these tests and read pytest's report."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-o",
            "junit_family=xunit1",
            f"--junitxml={report}",
            *nodes,
        ]
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)
        return read(ElementTree.parse(report).getroot())


def read(report: ElementTree.Element) -> Seen:
    """Return what the report of pytest (JUnit's XML) says."""
    seen = Seen({}, {}, {})
    for test in report.iter("testcase"):
        file = test.get("classname", "").replace(".", "/") + ".py"
        node = f"{file}::{test.get('name', '').partition('[')[0]}"
        ends = {child.tag for child in test} & {"failure", "error", "skipped"}
        for name in (file, node):
            seen.tests.setdefault(name, Counter())[min(ends, default="passed")] += 1
        for told in test.iter("property"):
            name, value = told.get("name", ""), told.get("value", "")
            if name == "case":
                index, right, text = json.loads(value)
                seen.rows[index] = (right, text)
            else:
                seen.measured[name] = value
    return seen


def lines(seen: Seen) -> tuple[list[str], int]:
    """Return the table's lines in Markdown, and how many are not as expected."""
    found = [("| # | Case | Played by | Expected | Seen |"), "|---|---|---|---|---|"]
    wrong = 0
    places = {id(row): index for index, (_, row) in enumerate(rows())}
    for number, case in TABLE.items():
        title = f"{case.title}. {case.note}" if case.note else case.title
        for row in case.rows:
            right, text = seen.rows.get(places[id(row)], (False, "not run"))
            wrong += not right
            how = f"`{row.name}`" if not row.label else row.label
            found.append(line(number, title, f"{how}{', with retries' if row.tries else ''}", row.expected, text, right=right))
            title = ""
        for node in case.tests:
            ends = seen.tests.get(node, Counter({"not run": 1}))
            right = set(ends) == {"passed"}
            wrong += not right
            told = ", ".join(f"{count} {end}" for end, count in sorted(ends.items()))
            found.append(line(number, title, f"`{node.removeprefix('tests/')}`", "passes", told, right=right))
            title = ""
    for row in UNNUMBERED:
        right, text = seen.rows.get(places[id(row)], (False, "not run"))
        wrong += not right
        found.append(line(0, "Besides", row.label or f"`{row.name}`", row.expected, text, right=right))
    return found, wrong


def line(number: int, title: str, how: str, expected: str, seen: str, *, right: bool) -> str:
    cells = [str(number or ""), title, how, expected, seen if right else f"**{seen}**"]
    return "| " + " | ".join(clean(cell) for cell in cells) + " |"


def clean(text: str) -> str:
    """Return text that stays in its cell: no bars, no line ends, nothing that does not print."""
    text = "".join(character if character.isprintable() else "?" for character in text.replace("|", "\\|"))
    return text if len(text) <= 400 else f"{text[:400]}…"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="write the page there instead of printing it")
    options = parser.parse_args()
    began = time.monotonic()
    nodes = dict.fromkeys([CRAWLS, *(node for case in TABLE.values() for node in case.tests)])
    files = {node for node in nodes if "::" not in node}
    nodes = {node: None for node in nodes if node in files or node.partition("::")[0] not in files}
    seen = run(node for node in nodes if (ROOT / node.partition("::")[0]).is_file())
    table, wrong = lines(seen)
    verdict = f"{len(TABLE)} numbers, {len(table) - 2} cases, {wrong or 'none'} not as expected; "
    verdict += f"longest stall of the reactor {1000 * float(seen.measured.get('lag', 'nan')):.0f} ms "
    verdict += "(without the time for which other processes had the processor), "
    verdict += f"most memory of its process {seen.measured.get('memory', '?')} MiB; {time.monotonic() - began:.0f} s."
    page = HEAD + "\n".join([verdict, "", *table]) + "\n"
    if options.write is None:
        print(page)
    else:
        options.write.write_text(page, encoding="utf-8")
        print(verdict)
    return min(wrong, 1)
