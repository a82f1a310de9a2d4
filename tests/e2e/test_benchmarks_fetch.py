"""The benchmarks of fetching, in a small size: they run, measure what they say, and judge it. How fast this machine is, is not judged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import lacking

BENCHMARKS = Path(__file__).parent.parent.parent / "benchmarks"


def run(name: str, *options: object, env: dict[str, str] | None = None) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


FAST = ("--rounds", 1, "--seconds", 0.3, "--warm-up", 0.2, "--concurrency", 8, "--size", 2000)


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What `fetch.py` found in one round."""
    told: dict[str, Any] = json.loads(run("fetch.py", *FAST, "--json"))
    return told


def test_fetch_measures_every_client_and_names_those_that_are_missing(found: dict[str, Any]) -> None:
    assert set(found["clients"]) >= {"treq-twisted", "twisted", "treq-ours", "crawler", "ours"}
    assert set(found["clients"]) | set(found["missing"]) == {
        "treq-twisted", "twisted", "treq-ours", "crawler", "ours", "aiohttp", "aiohttp-uvloop", "wrk",
    }  # fmt: skip
    for measured in found["clients"].values():
        assert measured["rate"] > 0
        assert 0 < measured["cpu"] < 0.1
        assert len(measured["rounds"]) == 1
    # Not the bars themselves, but far from what chance can do: a lean agent is faster than a stock one, on any machine.
    assert found["clients"]["ours"]["cpu"] < found["clients"]["treq-twisted"]["cpu"]
    assert {verdict["met"] for verdict in found["verdicts"]} <= {True, False}


def test_fetch_measures_wrk_where_it_is_installed(found: dict[str, Any]) -> None:
    if shutil.which("wrk") is None:
        lacking("wrk", "wrk")
    assert found["clients"]["wrk"]["cpu"] < found["clients"]["ours"]["cpu"]


def test_fetch_without_nginx_says_what_serves(tmp_path: Path) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sh").symlink_to("/bin/sh")
    script = "import sys, fetch; fetch.nginx_program = lambda: None; sys.argv[1:] = sys.argv[2:]; fetch.main()"
    command = [sys.executable, "-c", script, "--", *map(str, FAST)]
    environment = os.environ | {"PATH": str(programs), "PYTHONPATH": str(BENCHMARKS)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    first, *_ = done.stdout.splitlines()
    assert "a server of its own in Python, since nginx is missing" in first
    assert "apt-get install wrk" in done.stdout
    assert "treq over ours, as the crawler calls it: " in done.stdout


def test_a_client_that_gets_other_pages_fails(tmp_path: Path) -> None:
    script = "import sys, fetch; fetch.write_pages = lambda folder, size: None; sys.argv[1:] = sys.argv[2:]; fetch.main()"
    command = [sys.executable, "-c", script, "--", *map(str, FAST)]
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 1
    assert "answers were not the pages" in done.stderr


@pytest.mark.slow
def test_c10k_has_all_requests_under_way_at_once_in_little_memory() -> None:
    found: dict[str, Any] = json.loads(run("c10k.py", "--requests", 400, "--seconds", 2, "--addresses", 5, "--pause", 0, "--json"))
    assert set(found["clients"]) == {"agent", "crawler", "threads"}
    for measured in found["clients"].values():
        assert (measured["begun"], measured["answered"], measured["problem"]) == (400, 400, "")
        assert 0 < measured["memory"] < 200_000
        assert measured["lags"]["end"] is not None
    for client in ("agent", "crawler"):
        assert found["clients"][client]["at_once"] == 400
        assert found["clients"][client]["memory"] <= 30_000
        assert found["clients"][client]["seconds"] >= 2
    assert all(verdict["met"] for verdict in found["verdicts"]), found["verdicts"]


def test_c10k_says_so_when_not_all_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import c10k

    told = {"answered": 9, "begun": 10, "problem": "timeout", "before": 0, "peak": 400_000}
    found = dict.fromkeys(c10k.CLIENTS, c10k.Found(told, 8, 0))
    verdicts = c10k.verdicts(found, 10)
    assert [met for _, met in verdicts] == [False] * 6
    assert verdicts[0][0].endswith("9 of 10 answered timeout")
    assert verdicts[1][0].endswith("8 of 10 at once")
    assert verdicts[2][0].endswith("40.0 kB a request (at most 30)")
    assert c10k.most_at_once([c10k.Times(0, 2), c10k.Times(1, 3), c10k.Times(2.5, 4)]) == 2
