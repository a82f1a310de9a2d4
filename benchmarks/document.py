"""What a benchmark found, as a table in words: printed, and written with its plots into its own section of docs/performance.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

OURS = ("twisted", "treq", "httptools", "selectolax", "msgspec")
"""What the program stands on, whose versions decide how fast it is."""


class Verdict(NamedTuple):
    """What had to be shown, in words, and whether it was."""

    text: str
    met: bool


class Section(NamedTuple):
    """What one benchmark has to say. `plots` are SVG texts by the names of their files, shown in this order."""

    name: str
    title: str
    how: str
    table: str
    plots: Mapping[str, str]
    verdicts: Sequence[Verdict]
    result: Mapping[str, Any]  # for programs

    def text(self) -> str:
        """Return the section as it is printed: Markdown that reads well as it stands."""
        told = [f"- {'met' if verdict.met else '**not met**'}: {verdict.text}" for verdict in self.verdicts]
        return "\n\n".join(part for part in (self.how, self.table, "\n".join(told)) if part)


def add_options(parser: argparse.ArgumentParser, *, rounds: int | None) -> None:
    """Add what every benchmark understands; no rounds for one that is not repeated."""
    if rounds is not None:
        parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--write", type=Path, metavar="FILE", help="a Markdown file whose section for this is replaced; plots beside it")


def deliver(section: Section, arguments: argparse.Namespace) -> None:
    """Print what was found, or write it as well."""
    if arguments.json:
        verdicts = [verdict._asdict() for verdict in section.verdicts]
        print(json.dumps({**section.result, "verdicts": verdicts, "table": section.table}))
    else:
        print(section.text())
    if arguments.write is not None:
        write(section, arguments.write)


def write(section: Section, file: Path) -> None:
    """Put a section into a Markdown file, in the place of its last version, and its plots into `plots` beside it."""
    folder = file.parent / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for name, plot in section.plots.items():
        (folder / f"{name}.svg").write_text(plot, encoding="utf-8")
        shown.append(f"![{section.title}](plots/{name}.svg)")
    replace_section(file, section.name, "\n\n".join([f"## {section.title}", section.text(), *shown]))
    replace_section(file, "machine", machine())


def replace_section(file: Path, name: str, text: str) -> None:
    """Replace what stands between the two marks of a section; a section without marks is added at the end."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    marked = f"{begin}\n{text}\n{end}"
    if begin in before and end in before:
        after = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: marked, before, count=1, flags=re.S)
    else:
        after = f"{before.rstrip()}\n\n{marked}\n".lstrip()
    file.write_text(after, encoding="utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are aligned, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 1) + ("-" if not column else ":") for column, width in enumerate(widths))
    return "\n".join([line(header), f"|{rule}|", *map(line, rows)])


def machine() -> str:
    """Return what kind of machine this is, without its name, and the versions of what the program stands on."""
    with Path("/proc/meminfo").open(encoding="ascii") as file:
        memory = int(file.readline().split()[1]) / 1024**2
    cores = len(os.sched_getaffinity(0))
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    kind = f"{cores} cores ({_processor()}), {memory:.0f} GB, {system}, Linux {platform.release().split('-')[0]}"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in OURS)
    nginx = version_of(["/usr/sbin/nginx", "-v"]) or version_of(["nginx", "-v"])
    served = f" Pages served by nginx {nginx}." if nginx else ""
    return f"Machine: {kind}; the servers run on the same cores. Crawl on Python {platform.python_version()}, {versions}.{served}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.machine()


def version_of(command: Sequence[str], pattern: str = r"(\d+(?:\.\d+)+)") -> str | None:
    """Return the version that a program prints, or None when it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return None
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found and not done.returncode else None


def versions_of(python: str, *packages: str) -> str:
    """Return the versions of those packages that an interpreter has, in words; empty when it has none."""
    found = [(name, version_of([python, "-c", f"from importlib.metadata import version; print(version({name!r}))"])) for name in packages]
    return ", ".join(f"{name} {version}" for name, version in found if version)


def crawl_version() -> str:
    """Return the version of the program in this folder."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from crawler import __version__

    return __version__
