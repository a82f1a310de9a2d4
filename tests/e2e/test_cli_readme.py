"""Every command of the README runs as it stands there, against the demo site in place of https://example.com/ and example.org."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import CRAWL, environment

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)
SET_UP = [block for block in BLOCKS if "pip install" in block]

HASTE = {
    "CRAWL_POLITENESS__DELAY": "0",
    "CRAWL_POLITENESS__PER_HOST": "16",
    "CRAWL_FETCH__RETRIES": "0",
    "CRAWL_PARSE__WORKERS": "1",
    "CRAWL_SCOPE__EXCLUDE": '["/slow"]',
}
"""What a page that takes a second, and a pause after each, would teach is tested elsewhere."""


@pytest.fixture
def demo_site(tmp_path: Path) -> Iterator[str]:
    process = subprocess.Popen([*CRAWL, "demo", "--serve"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(tmp_path))
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().strip()
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def test_set_up_is_two_commands_and_the_second_is_what_ci_runs() -> None:
    assert [len(block.splitlines()) for block in SET_UP] == [1, 1]
    assert SET_UP[0].rstrip().endswith("crawl demo")
    assert SET_UP[1].rstrip().endswith("pytest")
    assert "--group dev" in SET_UP[1]
    assert "--group dev" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_every_fence_is_one_we_run() -> None:
    assert README.count("```") == 2 * len(BLOCKS)


@pytest.mark.slow
def test_the_commands_work_in_the_order_of_the_page(demo_site: str, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "crawl"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m crawler.cli "$@"\n')
    program.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    variables = environment(tmp_path) | {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    home = f"{demo_site.removeprefix('http://').rstrip('/').replace(':', '-')}.crawl"
    script = "\n".join(block for block in BLOCKS if block not in SET_UP)
    script = script.replace("https://example.com/", demo_site).replace("https://example.org/", demo_site).replace("example.com.crawl", home)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=work,
        env=variables | HASTE,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    made = {path.name for path in work.iterdir()}
    assert {home, "some.crawl", "both.crawl", "pages.jsonl", "pages.csv", "example.csv"} <= made
    assert {"answers.jsonl", "answers.csv", "pages", "index.html"} <= made
    assert {"all.warc.gz", "all.cdxj", "all.wacz", "all.md", "all.mirror", "all.sqlite", "hosts.parquet", "report.html"} <= made
    assert "denied (robots)" in done.stdout
    assert "some links are broken" in done.stdout
    assert "<testsuites " in (work / "links.xml").read_text(encoding="utf-8")
    with (work / "titles.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert len(rows) == 48
    assert {row["title"] for row in rows} >= {"Chapter 8", "Section 1.1"}
    assert pyarrow.parquet.read_table(work / "titles.parquet").num_rows == len(rows)
    entries = [json.loads(line) for line in (work / "entries.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"type": "entry", "text": "Chapter 1", "page": demo_site, "url": demo_site} in entries


def test_every_output_and_every_extra_is_told() -> None:
    from crawler.cli import COMMANDS
    from crawler.export.formats import FORMATS

    for form in FORMATS.values():
        assert f"{form.extensions[0]}`" in README if form.extensions else f"{form.schemes[0]}://" in README, form.name
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {extra for extra in extras if f"| `{extra}` |" not in README} == set()
    assert {command for command in COMMANDS if not re.search(rf"\bcrawl {command}\b", README)} == set()


def test_the_record_and_the_exit_codes_are_told_in_full() -> None:
    from crawler.errors import Exit
    from crawler.model import Outcome, Reason, Record, Via

    told = set(re.findall(r"`([a-z_]+)`", README))
    assert {*Record.__struct_fields__, *Outcome, *Reason, *Via} <= told
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.M)} == {code.value for code in Exit}
