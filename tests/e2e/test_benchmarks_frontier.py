"""The benchmark of the frontier, in a small size: it runs, measures what it says, and judges it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

BENCHMARK = Path(__file__).parent.parent.parent / "benchmarks" / "frontier.py"
SMALL = ("--urls", 6000, "--hosts", 300, "--step", 1000, "--crawl", 500)


def run(*options: object, folder: Path) -> str:
    command = [sys.executable, str(BENCHMARK), *map(str, SMALL), "--folder", str(folder), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == []
    return done.stdout


def test_it_discovers_crawls_dies_and_resumes(tmp_path: Path) -> None:
    found: dict[str, Any] = json.loads(run("--json", folder=tmp_path))
    last = found["steps"][-1]
    assert last["known"] == 6000
    assert [step["crawling"] for step in found["steps"]].count(True) == 1
    assert last["crawled"] > 500
    assert found["waiting"] == 300
    assert 0 < found["next"] < 1
    assert 50 < found["bytes"] < 2000
    assert found["rate"] > 100
    assert found["bare"] > found["rate"]
    assert 0 < found["resume"] < 10
    assert len(found["verdicts"]) == 4
    assert {verdict["met"] for verdict in found["verdicts"]} <= {True, False}


def test_it_says_so_when_a_child_fails(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, str(BENCHMARK), *map(str, SMALL), "--stage", "resume", "--folder", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
