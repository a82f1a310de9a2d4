"""A real PostgreSQL: tables made, filled, filled again without doubles, widened, refused; what it holds is read by psql."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from conftest import Crawl, Site

from crawler.errors import StoreError, UsageError
from crawler.export.formats import parse_output, write
from crawler.export.source import Source
from crawler.export.targets import check_target
from crawler.model import Outcome, Record, Via

PROGRAMS = Path("/usr/lib/postgresql/15/bin")


def as_owner() -> dict[str, Any]:
    """A server refuses to run as root: then it runs as the user of Debian's package."""
    return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the address of a server on a socket in a folder of its own."""
    if not (PROGRAMS / "initdb").exists() and os.environ.get("CI") != "true":
        pytest.skip("PostgreSQL is not installed (postgresql-15)")
    folder = Path(tempfile.mkdtemp(prefix="pg"))  # short: it is part of a socket's name
    owner = as_owner()
    if owner:
        shutil.chown(folder, "postgres", "postgres")
    name = owner.get("user") or pwd.getpwuid(os.geteuid()).pw_name
    log = (folder.parent / f"{folder.name}.log").open("wb")
    options: dict[str, Any] = {"cwd": folder, "stdout": log, "stderr": log, **owner}
    subprocess.run(
        [PROGRAMS / "initdb", "-D", folder / "data", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"], check=True, **options
    )
    command = [PROGRAMS / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    process = subprocess.Popen(command, **options)
    try:
        for _ in range(200):
            if subprocess.run([PROGRAMS / "pg_isready", "-q", "-h", folder], check=False).returncode == 0:
                break
            time.sleep(0.05)
        yield f"postgresql://{name}@/postgres?host={folder}"
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        shutil.rmtree(folder)
        Path(log.name).unlink()


@pytest.fixture
def psql(server: str) -> Iterator[Any]:
    """Return a function that asks psql; afterwards there are no tables."""

    def ask(query: str) -> list[str]:
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", server, "-c", query], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    yield ask
    ask("DROP SCHEMA public CASCADE")
    ask("CREATE SCHEMA public")


def record(url: str, **values: Any) -> Record:
    known = dict.fromkeys(Record.__struct_fields__) | {"url": url, "outcome": Outcome.FETCHED, "depth": 1, "via": Via.LINK, "robots": []}
    return Record(**(known | {"attempts": 1, "fetched_at": "2026-01-31T23:59:59.123Z"} | values))  # type: ignore[arg-type]


def source(records: list[Record], items: list[dict[str, Any]] | None = None) -> Source:
    def lines(item_type: str | None) -> Iterator[bytes]:
        return (msgspec.json.encode(item) for item in items or [] if item_type in (None, item["type"]))

    return Source(lambda: iter(records), lines, {"book": ["title", "price", "tags"]}, list, [])


def book(url: str, title: Any, price: Any = None, tags: Any = None) -> dict[str, Any]:
    return {"type": "book", "url": url, "title": title, "price": price, "tags": tags}


def test_records_written_twice_are_there_once(server: str, psql: Any) -> None:
    records = [
        record("http://a/1", title="tab\tand 'quote' \\ and\nline", robots=["noindex", 'a "b",{c}'], headers={"x": "\x00y"}, bytes=2**40),
        record("http://a/2", title="nul\x00l", text="Ünï \U0001f4da", links=["http://a/1", "nul\x00"]),
        record("http://a/3", outcome=Outcome.FAILED, fetched_at=None, detail=""),
    ]
    assert write(parse_output(server), source(records)) == 3
    assert psql("SELECT count(*), count(DISTINCT url), sum(bytes) FROM records") == ["3|3|1099511627776"]
    assert psql("SELECT robots[2], headers->>'x' FROM records WHERE url = 'http://a/1'") == ['a "b",{c}|\N{REPLACEMENT CHARACTER}y']
    assert psql("SELECT title = E'tab\\tand ''quote'' \\\\ and\\nline' FROM records WHERE url = 'http://a/1'") == ["t"]
    assert psql("SELECT title, text, links[1] FROM records WHERE url = 'http://a/2'") == ["nul\ufffdl|Ünï \U0001f4da|http://a/1"]
    assert psql("SELECT fetched_at AT TIME ZONE 'UTC' FROM records WHERE url = 'http://a/1'") == ["2026-01-31 23:59:59.123"]
    assert psql("SELECT outcome, fetched_at IS NULL, detail = '' FROM records WHERE url = 'http://a/3'") == ["failed|t|t"]
    later = [*records[:2], record("http://a/3", title="now it is there"), record("http://a/4")]
    assert write(parse_output(server), source(later)) == 4
    assert psql("SELECT url, outcome, title FROM records ORDER BY url OFFSET 2") == [
        "http://a/3|fetched|now it is there",
        "http://a/4|fetched|",
    ]


def test_items_written_twice_are_there_once_and_those_that_went_are_gone(server: str, psql: Any) -> None:
    items = [book("http://a/1", "x", 1, ["t"]), book("http://a/1", "y", 2), book("http://a/2", "z", 3)]
    assert write(parse_output(server), source([record("http://a/1")], items)) == 4
    fewer = [book("http://a/1", "new", 5), *items[2:]]
    assert write(parse_output(f"{server}&items=book"), source([], fewer)) == 2
    assert psql("SELECT url, item_number, title, price, tags FROM book ORDER BY url") == ["http://a/1|1|new|5|", "http://a/2|1|z|3|"]
    assert psql("SELECT tags FROM book WHERE url = 'http://a/1'") == [""]
    assert psql("SELECT count(*) FROM records") == ["1"], "items alone were written"


def test_a_table_by_another_name_in_a_schema(server: str, psql: Any) -> None:
    psql("CREATE SCHEMA shop")
    output = parse_output(f"{server}&items=book&table=shop.Books")
    assert write(output, source([], [book("u", "x", 1, {"a": [1]})])) == 1
    assert psql("SELECT tags->'a'->0 FROM shop.\"Books\"") == ["1"]


def test_a_table_that_is_there_keeps_its_columns_and_gets_those_it_lacks(server: str, psql: Any) -> None:
    psql("CREATE TABLE book (url text, item_number integer, title varchar, stars integer, price numeric, PRIMARY KEY (url, item_number))")
    psql("INSERT INTO book VALUES ('http://a/1', 1, 'old', 5, 0)")
    assert write(parse_output(f"{server}&items=book"), source([], [book("http://a/1", "new", 12, ["t"])])) == 1
    assert psql("SELECT title, stars, price, tags FROM book") == ['new|5|12|["t"]']


def test_values_that_a_column_cannot_hold_are_refused_and_nothing_is_changed(server: str, psql: Any) -> None:
    assert write(parse_output(server), source([record("http://a/1")], [book("http://a/1", "x", 1)])) == 2
    more = source([record("http://a/1"), record("http://a/2")], [book("http://a/1", "x", 1.5)])
    with pytest.raises(UsageError, match="book has the column price as bigint, and the crawl's values are double precision"):
        write(parse_output(server), more)
    assert psql("SELECT count(*) FROM records") == ["1"], "all tables or none"
    psql("CREATE TABLE plain (url text)")
    with pytest.raises(StoreError, match="no unique or exclusion constraint"):
        write(parse_output(f"{server}&table=plain"), source([record("http://a/1")]))


def test_a_database_that_cannot_be_had_is_told_without_the_password(server: str) -> None:
    check_target(parse_output(server), overwrite=False)
    with pytest.raises(StoreError, match=r"postgresql://me:…@127\.0\.0\.1:1/db.*refused") as caught:
        check_target(parse_output("postgresql://me:hidden@127.0.0.1:1/db"), overwrite=False)
    assert "hidden" not in str(caught.value)
    with pytest.raises(UsageError, match="not an address of a database"):
        check_target(parse_output("postgresql://h/db?colour=red"), overwrite=False)
    with pytest.raises(StoreError, match='"nobody" does not exist'):
        write(parse_output(server.replace("/postgres?", "/nobody?")), source([]))


def test_many_rows(server: str, psql: Any) -> None:
    assert write(parse_output(server), source([record(f"http://a/{number}") for number in range(5_000)])) == 5_000
    assert psql("SELECT count(*) FROM records") == ["5000"]


def test_a_crawl_writes_into_it_and_tells_no_password(server: str, psql: Any, site: Site, crawl: Crawl) -> None:
    """The server trusts whoever is on its socket: a password that is given does no harm, and is told nowhere."""
    address = server.replace("@/", ":hidden@/")
    target = site("generated", "--pages", 12)
    command = ("run", target.url, "--dir", "home", "--delay", 0, "-o", f"{address}&table=pages")
    first = crawl(*command)
    assert (first.code, first.stderr.count("wrote postgresql://"), "12 rows" in first.stderr) == (0, 1, True), first
    assert psql("SELECT count(*) FROM pages") == ["12"]
    again = crawl(*command)
    exported = crawl("export", "home", "-o", address, "--table", "pages")
    assert (again.code, exported.code) == (0, 0), exported
    assert psql("SELECT count(*) FROM pages") == ["12"]
    assert "hidden" not in first.stderr + first.stdout + again.stderr + exported.stderr
