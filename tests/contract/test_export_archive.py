"""Archives to hand on, read back by programs that are not ours: warcio, cdxj-indexer, wacz."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from sites.exchanges import made_entry, read_warc, warcio_check
from test_archive import Store, page, record_at

from crawler.archive.cdxj import cdxj_line
from crawler.errors import HomeError, UsageError
from crawler.export.cdxj import write_cdxj
from crawler.export.formats import parse_output, write
from crawler.export.segments import sorted_lines
from crawler.export.source import Source
from crawler.export.wacz import write_wacz
from crawler.export.warc import index_beside, write_warc
from crawler.model import Outcome, Record, Via
from crawler.store.archive import FOLDER, committed_files


def record(url: str, outcome: Outcome = Outcome.FETCHED, content_type: str = "text/html", **others: object) -> Record:
    nothing = dict.fromkeys(name for name in Record.__struct_fields__ if name not in ("headers", "links", "text"))
    known = {"url": url, "outcome": outcome, "content_type": content_type, "fetched_at": "2023-11-14T22:13:20.500Z", "depth": 0}
    return Record(**nothing | known | {"via": Via.LINK, "robots": [], "attempts": 1} | others)


RECORDS = [
    record("http://a.test/1", title="One", text="words of the page"),
    record("http://a.test/2"),
    record("http://a.test/style.css", content_type="text/css"),
    record("http://a.test/3", Outcome.FAILED),
]


def source(*stores: Store) -> Source:
    return Source(
        records=lambda: iter(RECORDS),
        items=lambda _: iter([]),
        item_fields={},
        archives=lambda: [(store.home / FOLDER, committed_files(store.db)) for store in stores],
        seeds=["http://a.test/1"],
    )


def filled(home: Path, first: int, size: int = 3000, count: int = 12) -> Store:
    home.mkdir(parents=True)
    store = Store(home, size=size)
    store.commit(*map(page, range(first, first + count)))
    return store


def indexed_by_another_program(*paths: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Return the lines that cdxj-indexer writes of WARC files."""
    command = [sys.executable, "-W", "ignore", "-m", "cdxj_indexer.main", "--sort", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, check=True)
    return lines_of(done.stdout)


def lines_of(data: bytes) -> list[tuple[str, str, dict[str, str]]]:
    found = [line.split(" ", 2) for line in data.decode().splitlines()]
    return [(key, time, {name: value for name, value in json.loads(text).items() if name != "recordDigest"}) for key, time, text in found]


def test_a_warc_of_all_segments_with_the_index_that_another_program_would_make(tmp_path: Path) -> None:
    store = filled(tmp_path / "home", 0)
    store.commit(made_entry("http://www.a.test/same?b&a", b"page 3 " * 40), made_entry("http://a.test/gone", b"no", status=404))
    assert len(list(store.archive.folder.glob("*.gz*"))) > 3
    target = tmp_path / "all.warc.gz"
    records = write_warc(source(store), target)
    warcio_check(target)
    found = read_warc(target.read_bytes())
    assert records == len(found)
    assert [one.payload for one in found if one.type == "response"][:12] == [f"page {n} ".encode() * 40 for n in range(12)]
    lines = lines_of((tmp_path / "all.cdxj").read_bytes())
    assert lines == indexed_by_another_program(target)
    assert [line for _, _, line in lines if line["mime"] == "warc/revisit"]
    store.close()


def test_an_index_alone_points_into_the_home(tmp_path: Path) -> None:
    store = filled(tmp_path / "home", 0)
    assert write_cdxj(source(store), tmp_path / "x.cdxj") == 12
    for _, _, line in lines_of((tmp_path / "x.cdxj").read_bytes()):
        assert record_at(store.home, line).fields["WARC-Target-URI"] == line["url"]
    store.close()


def test_the_archives_of_several_processes_are_one(tmp_path: Path) -> None:
    stores = [filled(tmp_path / "home" / f"shard-{n}", 100 * n) for n in range(2)]
    urls = sorted(f"http://a.test/{n}" for n in [*range(12), *range(100, 112)])
    write_warc(source(*stores), tmp_path / "all.warc.gz")
    warcio_check(tmp_path / "all.warc.gz")
    assert lines_of((tmp_path / "all.cdxj").read_bytes()) == indexed_by_another_program(tmp_path / "all.warc.gz")
    write_cdxj(source(*stores), tmp_path / "x.cdxj")
    lines = lines_of((tmp_path / "x.cdxj").read_bytes())
    assert sorted(line["url"] for _, _, line in lines) == urls
    stores[0].close()
    stores[1].close()
    for _, _, line in lines:
        data = (tmp_path / "home" / line["filename"]).read_bytes()[int(line["offset"]) :][: int(line["length"])]
        assert read_warc(data)[0].fields["WARC-Target-URI"] == line["url"]
    stores = [Store(store.home) for store in stores]
    write_wacz(source(*stores), tmp_path / "all.wacz")
    assert sorted(line["url"] for _, _, line in wacz_index(tmp_path / "all.wacz")) == urls
    for store in stores:
        store.close()


def test_what_is_not_committed_is_in_no_export(tmp_path: Path) -> None:
    store = filled(tmp_path / "home", 0, size=1_000_000)
    store.archive.append([page(99)])
    write_warc(source(store), tmp_path / "all.warc.gz")
    assert "http://a.test/99" not in {one.fields.get("WARC-Target-URI") for one in read_warc((tmp_path / "all.warc.gz").read_bytes())}
    assert len((tmp_path / "all.cdxj").read_bytes().splitlines()) == 12
    store.die()


def wacz_index(path: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Return the index's lines, read block by block through the index of blocks, and check that each leads to its record."""
    with zipfile.ZipFile(path) as package:
        index = package.read("indexes/index.cdx.gz")
        meta, *blocks = lines_of(package.read("indexes/index.idx"))
        assert meta == ("!meta", "0", {"format": "cdxj-gzip-1.0", "filename": "index.cdx.gz"})
        found = []
        for key, time, block in blocks:
            data = index[block["offset"] : block["offset"] + block["length"]]
            assert block["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
            lines = lines_of(gzip.decompress(data))
            assert lines[0][:2] == (key, time)
            found += lines
        for _, _, line in found:
            member = package.read(f"archive/{line['filename']}")[int(line["offset"]) :][: int(line["length"])]
            assert read_warc(member)[0].fields["WARC-Target-URI"] == line["url"]
    assert found == sorted(found, key=lambda line: line[:2])
    return found


def test_a_wacz_is_valid_and_everything_in_it_is_found(tmp_path: Path) -> None:
    store = filled(tmp_path / "home", 0, count=700, size=50_000)
    target = tmp_path / "crawl.wacz"
    assert write(parse_output(str(target)), source(store)) == 2
    store.close()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "wacz.main", "validate", "-f", str(target)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "invalid" not in done.stdout.lower(), done.stdout
    assert len(wacz_index(target)) == 700
    with zipfile.ZipFile(target) as package:
        assert package.testzip() is None
        stored = [one.filename for one in package.infolist() if one.compress_type == zipfile.ZIP_STORED]
        assert {name for name in package.namelist() if name.endswith(".gz")} <= set(stored)
        described = json.loads(package.read("datapackage.json"))
        assert (described["wacz_version"], described["mainPageUrl"]) == ("1.1.1", "http://a.test/1")
        assert (
            json.loads(package.read("datapackage-digest.json"))["hash"]
            == "sha256:" + hashlib.sha256(package.read("datapackage.json")).hexdigest()
        )
        assert {one["path"] for one in described["resources"]} == {
            name for name in package.namelist() if not name.startswith("datapackage")
        }
        for one in described["resources"]:
            data = package.read(one["path"])
            assert (one["bytes"], one["hash"]) == (len(data), f"sha256:{hashlib.sha256(data).hexdigest()}")
        header, *pages = map(json.loads, package.read("pages/pages.jsonl").splitlines())
        assert header["format"] == "json-pages-1.0"
        assert [(one["url"], one["title"], one.get("text"), one.get("seed")) for one in pages] == [
            ("http://a.test/1", "One", "words of the page", True),
            ("http://a.test/2", "http://a.test/2", None, None),
        ]


def test_a_crawl_without_archive_says_how_to_have_one(tmp_path: Path) -> None:
    empty = source()
    for function, name in [(write_warc, "x.warc.gz"), (write_cdxj, "x.cdxj"), (write_wacz, "x.wacz")]:
        with pytest.raises(UsageError, match=r"kept no archive: one that is begun with an output \.warc\.gz"):
            function(empty, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["crawl-00000.warc.gz", "index.cdxj"])
def test_an_archive_that_lost_bytes_is_not_exported(tmp_path: Path, name: str) -> None:
    store = filled(tmp_path / "home", 0, size=1000)
    with (tmp_path / "home" / FOLDER / name).open("r+b") as file:
        file.truncate(500)
    with pytest.raises(HomeError, match=r"\d+ committed bytes are missing"):
        write_warc(source(store), tmp_path / "all.warc.gz")
    assert not (tmp_path / "all.warc.gz").exists()
    store.die()


def test_the_index_beside_is_named_after_the_file() -> None:
    assert index_beside(Path("/x/pages.warc.gz")) == Path("/x/pages.cdxj")
    assert index_beside(Path("/x/pages.WARC.GZ")) == Path("/x/pages.cdxj")


def test_lines_that_do_not_fit_in_memory_are_sorted_all_the_same(tmp_path: Path) -> None:
    lines = [
        cdxj_line(url=f"http://a.test/{n}", date="2020", mime="x", status=200, digest="d", length=1, offset=n, filename="f")
        for n in range(2000)
    ]
    random.Random(1).shuffle(lines)
    assert list(sorted_lines(iter(lines), tmp_path, room=10_000)) == sorted(lines)
    assert list(tmp_path.iterdir()) == []
