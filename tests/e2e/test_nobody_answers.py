"""A site that does not answer: the outputs asked for are there all the same, with nothing in them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from conftest import Crawl
from warcio.archiveiterator import ArchiveIterator


def test_every_output_of_a_crawl_that_nobody_answered(crawl: Crawl, tmp_path: Path) -> None:
    names = ("out.warc.gz", "out.wacz", "all.cdxj", "out.mirror/", "out.parquet")
    done = crawl("run", "http://127.0.0.1:9/", "--retries", 0, "--dir", "home", *(part for name in names for part in ("-o", name)))
    assert "no archive" not in done.stderr, done
    assert done.code not in (2, 8), done
    with (tmp_path / "out.warc.gz").open("rb") as stream:
        assert list(ArchiveIterator(stream)) == []
    assert (tmp_path / "out.cdxj").read_bytes() == (tmp_path / "all.cdxj").read_bytes() == b""
    with zipfile.ZipFile(tmp_path / "out.wacz") as package:
        assert json.loads(package.read("datapackage.json"))["profile"] == "data-package"
    assert (tmp_path / "out.mirror/index.html").is_file()
