"""kill -9 at every step of a commit, and of the repair at start: the records are those of an uninterrupted crawl."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SITES, Crawl, Read, environment, run_crawl
from dies_at import POINTS
from sites.process import SiteProcess
from truth import Record, Web, comparable, read_csv

DIES_AT = Path(__file__).parent / "dies_at.py"
PAGES = 150
QUICKLY = ("--per-host", 8, "--delay", 0, "--workers", 1, "--retries", 1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    shape = ("--pages", PAGES, "--missing-every", 20, "--redirect-every", 15, "--error-every", 50)
    process = SiteProcess(SITES / "generated.py", tmp_path_factory.mktemp("site") / "log", *shape)
    yield process
    process.stop()


@pytest.fixture(scope="module")
def web(server: SiteProcess) -> Iterator[Web]:
    with contextlib.closing(Web(server.url)) as found:
        yield found


def command(server: SiteProcess, folder: Path) -> list[str]:
    arguments = ["run", server.url, "--dir", folder / "home", "-o", folder / "out.jsonl", "-o", folder / "out.csv", *QUICKLY]
    return [str(argument) for argument in arguments]


def dies(point: str, count: int, arguments: list[str], folder: Path) -> bool:
    """Run until the point is reached for the `count`-th time; say whether it was."""
    done = subprocess.run(
        [sys.executable, str(DIES_AT), point, str(count), *arguments],
        env=environment(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done
    assert b"Traceback" not in done.stderr, done
    return done.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def expected(server: SiteProcess, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The records of an uninterrupted crawl."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    whole = run_crawl(folder, *command(server, folder))
    assert whole.code == 0, whole
    return comparable(json.loads(line) for line in (folder / "out.jsonl").read_text(encoding="utf-8").split("\n")[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_point(
    server: SiteProcess, web: Web, crawl: Crawl, read_records: Read, expected: Record, tmp_path: Path, point: str
) -> None:
    arguments = command(server, tmp_path)
    deaths = sum(dies(point, count, arguments, tmp_path) for count in (1, 3))
    assert deaths >= 1, "the point was never reached"
    finished = crawl(*arguments)
    assert finished.code == 0, finished
    for name, read in (("out.jsonl", read_records), ("out.csv", read_csv)):
        records = read(tmp_path / name)
        assert comparable(records) == expected if name == "out.jsonl" else comparable(records).keys() == expected.keys()
        web.check_paths(records)
