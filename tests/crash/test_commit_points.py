"""kill -9 at every step of a commit, and of the repair at start: the records are those of an uninterrupted crawl."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Crawl, Read, Site, environment
from dies_at import POINTS
from sites.process import SiteProcess
from truth import Web, comparable, read_csv

DIES_AT = Path(__file__).parent / "dies_at.py"
PAGES = 150
QUICKLY = ("--per-host", 8, "--delay", 0, "--workers", 1, "--retries", 1)


@pytest.fixture
def server(site: Site) -> SiteProcess:
    return site("generated", "--pages", PAGES, "--missing-every", 20, "--redirect-every", 15, "--error-every", 50)


@pytest.fixture
def web(server: SiteProcess) -> Iterator[Web]:
    with contextlib.closing(Web(server.url)) as found:
        yield found


def command(server: SiteProcess, folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
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


@pytest.fixture
def expected(server: SiteProcess, crawl: Crawl, read_records: Read, tmp_path: Path) -> dict[str, object]:
    whole = crawl(*command(server, tmp_path / "uninterrupted"))
    assert whole.code == 0, whole
    return comparable(read_records(tmp_path / "uninterrupted" / "out.jsonl"))


def test_every_point(
    server: SiteProcess, web: Web, crawl: Crawl, read_records: Read, expected: dict[str, object], tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for number, point in enumerate(POINTS):
        with subtests.test(point):
            folder = tmp_path / f"point-{number}"
            arguments = command(server, folder)
            deaths = sum(dies(point, count, arguments, folder) for count in (1, 3))
            assert deaths >= 1, "the point was never reached"
            finished = crawl(*arguments)
            assert finished.code == 0, finished
            for name, read in (("out.jsonl", read_records), ("out.csv", read_csv)):
                records = read(folder / name)
                assert comparable(records) == expected if name == "out.jsonl" else comparable(records).keys() == expected.keys()
                web.check_paths(records)
