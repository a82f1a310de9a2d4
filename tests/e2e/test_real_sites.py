"""Real sites, crawled whole: the set of pages is the one that wget finds, each exactly once."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from conftest import Crawl, Documentation, NginxSite, Read, lacking
from sites.nginx import Nginx

from crawler.url import canonicalise

FULL_SPEED = ("--per-host", "32", "--delay", "0")

pytestmark = pytest.mark.real_site


def pages_found_by_wget(nginx: Nginx, start: str, folder: Path) -> set[str]:
    """Return the canonical URLs of the HTML pages that wget meets, as nginx logged them."""
    program = shutil.which("wget")
    if program is None:
        lacking("wget", "wget")
    before = len(nginx.requests())
    options = ["-q", "-r", "-l", "inf", "-np", "--spider", "-nd", "--no-config"]
    code = subprocess.run([str(program), *options, start], cwd=folder, check=False, timeout=300).returncode
    assert code in (0, 8), f"wget ended with {code}"  # 8: some answers were errors, broken links that is
    found = {
        canonicalise(request.uri, nginx.url)
        for request in nginx.requests()[before:]
        if request.status == 200 and request.content_type.startswith("text/html")
    }
    return {url for url in found if url is not None}


@pytest.mark.parametrize(
    ("folder", "package", "at_least"),
    [
        ("python3.11/html", "python3.11-doc", 500),
        ("postgresql-doc-15/html", "postgresql-doc-15", 1000),
        pytest.param("rust-doc/html", "rust-doc", 20_000, marks=pytest.mark.slow),
    ],
    ids=["python3.11-doc", "postgresql-doc-15", "rust-doc"],
)
def test_the_same_pages_as_wget_each_once(
    folder: str,
    package: str,
    at_least: int,
    documentation: Documentation,
    nginx_site: NginxSite,
    crawl: Crawl,
    read_records: Read,
    tmp_path: Path,
) -> None:
    nginx = nginx_site(documentation(folder, package))
    start = f"{nginx.url}index.html"
    expected = pages_found_by_wget(nginx, start, tmp_path)
    assert len(expected) >= at_least

    before = len(nginx.requests())
    output = tmp_path / "out.jsonl"
    done = crawl("run", start, "--dir", tmp_path / "home", "-o", output, *FULL_SPEED, timeout=300)
    assert done.code == 0, done

    records = read_records(output)
    assert [url for url, count in Counter(record["url"] for record in records).items() if count > 1] == []
    pages = {
        record["url"]
        for record in records
        if record["outcome"] == "fetched" and record["status"] == 200 and record["content_type"] == "text/html"
    }
    assert pages == expected
    asked = Counter(request.uri for request in nginx.requests()[before:])
    assert [uri for uri, count in asked.items() if count > 1] == [], "no URL is asked for twice"
