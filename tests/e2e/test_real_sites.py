"""Real sites, crawled whole: the set of pages is the one that others find, each exactly once.

The others are wget for sites of a thousand pages and, since wget takes a minute of processor time for twenty thousand, lxml reading the
files themselves for the large one. CRAWL_TEST_WGET=1 compares that one with wget, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import Crawl, Documentation, NginxSite, Read, lacking
from lxml import html
from sites.nginx import Nginx

from crawler.url import canonicalise

LARGE = 20_000
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


LINKS = "//a/@href | //area/@href | //link/@href | //iframe/@src | //meta[@http-equiv='refresh']/@content"


def links_of(page: Path) -> set[str]:
    """Return what a page refers to, as it is written, without fragments."""
    tree = html.parse(page)
    assert not tree.xpath("//base"), page
    return {re.sub(r"(?i)^\s*\d+\s*;\s*url=", "", link).partition("#")[0] for link in tree.xpath(LINKS)} - {""}


def pages_found_by_lxml(root: Path, start: str) -> set[str]:
    """Return the canonical URLs of the HTML files below `root` to which links lead from `start`, without asking any server."""
    site = start.rpartition("/")[0] + "/"
    found, todo, pages, read = {start}, [start], set(), set()
    while todo:
        url = todo.pop()
        folder, path = url.rpartition("/")[0], root / unquote(urlsplit(url).path).lstrip("/")
        if path.is_dir() and not url.endswith("/"):
            targets = {f"{url}/"}  # as nginx redirects
        else:
            path = path / "index.html" if path.is_dir() else path
            if path.suffix != ".html" or not path.is_file():
                continue
            pages.add(url)
            links = {(folder, link) for link in links_of(path)} - read
            read |= links
            targets = {target for _, link in links if (target := canonicalise(link, url)) and target.startswith(site)}
        todo += targets - found
        found |= targets
    return pages


@pytest.mark.parametrize(
    ("folder", "package", "at_least"),
    [
        ("python3.11/html", "python3.11-doc", 500),
        ("postgresql-doc-15/html", "postgresql-doc-15", 1000),
        pytest.param("rust-doc/html", "rust-doc", LARGE, marks=pytest.mark.slow),
    ],
    ids=["python3.11-doc", "postgresql-doc-15", "rust-doc"],
)
def test_the_same_pages_as_others_find_each_once(
    folder: str,
    package: str,
    at_least: int,
    documentation: Documentation,
    nginx_site: NginxSite,
    crawl: Crawl,
    read_records: Read,
    tmp_path: Path,
) -> None:
    root = documentation(folder, package)
    nginx = nginx_site(root)
    start = f"{nginx.url}index.html"
    by_wget = at_least < LARGE or os.environ.get("CRAWL_TEST_WGET") == "1"
    expected = pages_found_by_wget(nginx, start, tmp_path) if by_wget else pages_found_by_lxml(root, start)
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
