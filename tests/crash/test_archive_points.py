"""kill -9 at the steps of the archive and of the outputs made of it: records, items and archive agree one to one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import SITES, Crawl, Read, environment
from dies_in_archive import ONCE, POINTS
from sites.process import SiteProcess
from warcio.archiveiterator import ArchiveIterator

DIES = Path(__file__).parent / "dies_in_archive.py"
JOB = """
politeness = {{ delay = 0, per_host = 8 }}
parse.workers = 1
store = {{ archive_size = 6000, commit_interval = 0.02 }}
seeds = ["{url}"]
[extract.page]
fields = {{ title = "title" }}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    shape = ("--pages", 40, "--missing-every", 11, "--redirect-every", 7)
    process = SiteProcess(SITES / "generated.py", tmp_path_factory.mktemp("site") / "log", *shape)
    yield process
    process.stop()


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_kill_in_the_archive(server: SiteProcess, crawl: Crawl, read_records: Read, tmp_path: Path, point: str) -> None:
    (tmp_path / "job.toml").write_text(JOB.format(url=server.url))
    outputs = ("out.jsonl.gz", "out.warc.gz", "out.mirror/")
    arguments = ["run", "--job", "job.toml", "--dir", "home", *(part for name in outputs for part in ("-o", name))]
    command = [sys.executable, str(DIES), point, str(1 if point in ONCE else 2), *arguments]
    dead = subprocess.run(command, env=environment(tmp_path), cwd=tmp_path, capture_output=True, check=False)
    assert dead.returncode == -signal.SIGKILL, dead
    finished = crawl(*arguments)
    assert finished.code == 0, finished
    records = read_records(tmp_path / "home/records.jsonl")
    assert len({record["url"] for record in records}) == len(records)
    answered = Counter(record["url"] for record in records if record["status"] is not None)
    segments = sorted((tmp_path / "home/archive").glob("*.warc.gz"))
    assert len(segments) > 3
    assert archived(segments) == archived([tmp_path / "out.warc.gz"]) == answered
    items = Counter(json.loads(line)["url"] for line in (tmp_path / "home/items.jsonl").read_text().splitlines())
    assert items == Counter(record["url"] for record in records if record["title"] is not None)
    assert (tmp_path / "out.mirror/index.html").is_file()
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".out")], "what a kill left beside is gone"


def archived(files: list[Path]) -> Counter[str]:
    """Return how often each URL is answered in WARC files; a revisit of what no earlier record holds fails the test."""
    found: Counter[str] = Counter()
    payloads: set[tuple[str, str]] = set()
    for file in files:
        with file.open("rb") as stream:
            for record in ArchiveIterator(stream, check_digests="raise"):
                fields = record.rec_headers.get_header
                if record.rec_type in ("response", "revisit"):
                    found[fields("WARC-Target-URI")] += 1
                    record.content_stream().read()
                if record.rec_type == "response":
                    payloads.add((fields("WARC-Target-URI"), fields("WARC-Payload-Digest")))
                if record.rec_type == "revisit":
                    assert (fields("WARC-Refers-To-Target-URI"), fields("WARC-Payload-Digest")) in payloads
    return found
