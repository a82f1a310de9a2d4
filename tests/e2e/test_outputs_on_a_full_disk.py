"""A disk that fills up while the archive or an output is written: exit code 8, a message that says so, and the same command goes on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from conftest import Crawl, Read, Site
from test_bad_input import UNAVAILABLE, check_refused, fill
from warcio.archiveiterator import ArchiveIterator


def test_the_disk_of_an_archive_and_of_a_mirror_fills_up(
    small_disk: Path, site: Site, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    server = site("generated", "--pages", 300)
    ballast = fill(small_disk, 700_000)
    command = ("run", server.url, "--dir", small_disk / "home", "-o", tmp_path / "out.warc.gz", "--per-host", "32", "--delay", "0")
    check_refused(crawl(*command), UNAVAILABLE, str(small_disk))
    ballast.unlink()
    resumed = crawl(*command)
    assert resumed.code == 0, resumed
    records = read_records(small_disk / "home/records.jsonl")
    with (tmp_path / "out.warc.gz").open("rb") as stream:
        told = [(record.rec_type, record.rec_headers.get_header("WARC-Target-URI")) for record in ArchiveIterator(stream)]
    found = Counter(url for kind, url in told if kind in ("response", "revisit"))
    assert found == Counter(record["url"] for record in records if record["status"] is not None)
    assert len(found) >= 300

    mirrored = ("run", server.url, "--dir", tmp_path / "home", "-o", f"{small_disk}/site.mirror/", "--per-host", "32", "--delay", "0")
    fill(small_disk, 200_000)
    refused = crawl(*mirrored)
    assert refused.code == UNAVAILABLE, refused
    assert "No space left on device" in refused.stderr
    (small_disk / "ballast").unlink()
    assert crawl(*mirrored).code == 0
    assert (small_disk / "site.mirror/index.html").is_file()
