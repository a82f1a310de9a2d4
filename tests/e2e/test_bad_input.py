"""What users get wrong: one line that names the place and the remedy, the right exit code, no traceback, nothing touched."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

import pytest
from conftest import Crawl, Finished, Read, Site

NOWHERE = "http://127.0.0.1:9/"  # discard: nobody listens, and nothing may get as far as asking
USAGE, INVALID, UNAVAILABLE = 2, 4, 8


def check_refused(done: Finished, code: int, *parts: str) -> None:
    assert done.code == code, done
    assert "Traceback" not in done.stderr, done
    assert len(done.error_lines) == 1, done
    for part in parts:
        assert part in done.error_lines[0]
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code", "parts"),
    [
        ([], USAGE, ["no URL", "https://example.com/"]),
        (["ftp://example.com/"], USAGE, ["ftp", "http://"]),
        (["http://"], USAGE, ["http://", "not a URL"]),
        ([NOWHERE, "--concurency", "3"], USAGE, ["--concurency", "--concurrency"]),
        ([NOWHERE, "--concurrency"], USAGE, ["--concurrency"]),
        ([NOWHERE, "--concurrency", "0"], USAGE, ["--concurrency", "1"]),
        ([NOWHERE, "--concurrency", "many"], USAGE, ["--concurrency", "many"]),
        ([NOWHERE, "--delay", "-1"], USAGE, ["--delay", "-1"]),
        ([NOWHERE, "--include", "a(b"], USAGE, ["--include", "a(b", "position"]),
        ([NOWHERE, "--exclude", "[z-a]"], USAGE, ["--exclude", "[z-a]"]),
        ([NOWHERE, "--scope", "planet"], USAGE, ["--scope", "planet", "domain"]),
        ([NOWHERE, "--header", "no colon"], USAGE, ["--header", "no colon"]),
        ([NOWHERE, "--proxy", "proxy.example:3128"], USAGE, ["--proxy", "proxy.example:3128", "http://user@proxy.example:3128"]),
        (
            [NOWHERE, "--proxy", "http://ann:pw@proxy.example:3128"],
            USAGE,
            ["http://ann:…@proxy.example:3128", "--proxy-password", "env:NAME"],
        ),
        ([NOWHERE, "--proxy", "ftp=http://proxy.example:3128"], USAGE, ["--proxy ftp=", "https"]),
        ([NOWHERE, "--proxy", "http://ann@h:1", "--proxy-password", "env:NOT_SET"], USAGE, ["--proxy-password", "NOT_SET"]),
        ([NOWHERE, "--proxy", "http://h:1", "--no-proxy", "a b"], USAGE, ["--no-proxy", "'a b'", "example.org"]),
        ([NOWHERE, "--no-proxy", "example.org"], USAGE, ["--no-proxy", "--proxy URL"]),
        ([NOWHERE, "--reactor", "iocp"], USAGE, ["--reactor", "iocp", "epoll"]),
        ([NOWHERE, "-o", "pages.xlsx"], USAGE, ["pages.xlsx", ".jsonl"]),
        ([NOWHERE, "-o", "pages.md"], USAGE, ["folder", "slash", "pages.md/"]),
        ([NOWHERE, "-o", "a.parquet?partitoin=host"], USAGE, ["partitoin", "did you mean partition"]),
        ([NOWHERE, "-o", "a.md/", "-o", "b.txt/"], USAGE, ["b.txt/", "together with a.md/"]),
        ([NOWHERE, "-o", "absent/pages.parquet"], USAGE, ["absent", "does not exist"]),
        ([NOWHERE, "-o", "a.csv", "-o", "./a.csv"], USAGE, ["a.csv", "twice"]),
        ([NOWHERE, "-o", "postgresql://me:hidden@127.0.0.1:9/db"], UNAVAILABLE, ["postgresql://me:…@127.0.0.1:9/db", "refused"]),
        ([NOWHERE, "-o", "absent/pages.jsonl"], USAGE, ["absent", "does not exist"]),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else str(value),
)
def test_a_mistake_on_the_command_line(crawl: Crawl, tmp_path: Path, arguments: list[str], code: int, parts: list[str]) -> None:
    check_refused(crawl("run", *arguments, "--dir", tmp_path / "home"), code, *parts)
    assert not (tmp_path / "pages.xlsx").exists()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[fetch]\nconcurency = 3\n", ["config.toml", "fetch.concurency", "concurrency"]),
        ("[fetsch]\nconcurrency = 3\n", ["config.toml", "fetsch", "[fetch]"]),
        ("[fetch]\nconcurrency = 0\n", ["config.toml", "fetch.concurrency"]),
        ('[politeness.hosts."a.example:80"]\ndelay = 1\n', ["config.toml", "politeness.hosts", "leave the port out"]),
        ('[fetch]\nproxies = { all = "proxy.example:3128" }\n', ["fetch.proxies", "socks5://"]),
        ("[fetch\n", ["config.toml", "not TOML"]),
    ],
    ids=["key", "section", "value", "host", "proxy", "syntax"],
)
def test_a_mistake_in_the_configuration_file(crawl: Crawl, tmp_path: Path, text: str, parts: list[str]) -> None:
    (tmp_path / "config.toml").write_text(text)
    done = crawl("run", NOWHERE, "--dir", tmp_path / "home", env={"CRAWL_CONFIG": str(tmp_path / "config.toml")})
    check_refused(done, INVALID, *parts)


def test_a_mistake_in_the_environment(crawl: Crawl, tmp_path: Path) -> None:
    done = crawl("run", NOWHERE, "--dir", tmp_path / "home", env={"CRAWL_FETCH__TIMEOUT": "soon"})
    check_refused(done, INVALID, "CRAWL_FETCH__TIMEOUT")


def test_a_home_that_is_a_file(crawl: Crawl, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("mine\n")
    check_refused(crawl("run", NOWHERE, "--dir", tmp_path / "home"), UNAVAILABLE, str(tmp_path / "home"), "--dir")
    assert (tmp_path / "home").read_text() == "mine\n"


def test_a_home_that_is_not_one(crawl: Crawl, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"meow")
    for extra in ([], ["--fresh"], ["--overwrite"]):
        check_refused(crawl("run", NOWHERE, "--dir", folder, *extra), UNAVAILABLE, str(folder), "--dir")
    assert [path.name for path in folder.iterdir()] == ["cat.jpg"]


def test_a_home_below_a_file(crawl: Crawl, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_refused(crawl("run", NOWHERE, "--dir", tmp_path / "file" / "home"), UNAVAILABLE, "file", "--dir")


def test_a_home_that_cannot_be_written(crawl: Crawl) -> None:
    check_refused(crawl("run", NOWHERE, "--dir", "/proc/sys/crawl-home"), UNAVAILABLE, "/proc/sys/crawl-home", "--dir")


@pytest.mark.parametrize("command", ["run", "status", "export"])
def test_a_home_of_a_newer_version(site: Site, crawl: Crawl, tmp_path: Path, command: str) -> None:
    server, home = site("generated", "--pages", 3), tmp_path / "home"
    assert crawl("run", server.url, "--dir", home, "--delay", "0").code == 0
    with contextlib.closing(sqlite3.connect(home / "crawl.sqlite")) as database:
        database.execute("PRAGMA user_version = 99")
    before = (home / "records.jsonl").read_bytes()
    arguments = [server.url, "--dir", home] if command == "run" else [home]
    check_refused(crawl(command, *arguments), UNAVAILABLE, "newer", "99")
    assert (home / "records.jsonl").read_bytes() == before


def test_a_home_of_another_program(crawl: Crawl, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with contextlib.closing(sqlite3.connect(home / "crawl.sqlite")) as database:
        database.execute("CREATE TABLE diary (entry TEXT)")
    check_refused(crawl("run", NOWHERE, "--dir", home, "--fresh"), UNAVAILABLE, str(home), "--dir")
    with contextlib.closing(sqlite3.connect(home / "crawl.sqlite")) as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("diary",)]


def test_a_home_with_another_crawl(site: Site, crawl: Crawl, tmp_path: Path) -> None:
    server, home = site("generated", "--pages", 3), tmp_path / "home"
    assert crawl("run", server.url, "--dir", home, "--delay", "0", "--max-pages", "1").code == 0
    check_refused(crawl("run", f"{server.url}p/1.html", "--dir", home), USAGE, str(home), "seeds", "--dir")


@pytest.mark.parametrize("command", ["status", "export", "why"])
def test_reading_a_home_that_does_not_exist(crawl: Crawl, tmp_path: Path, command: str) -> None:
    done = crawl(command, tmp_path / "absent", *(["http://127.0.0.1/"] if command == "why" else []))
    check_refused(done, UNAVAILABLE, str(tmp_path / "absent"))
    assert not (tmp_path / "absent").exists()


def fill(folder: Path, leave: int) -> Path:
    """Fill a file system up to `leave` bytes."""
    ballast = folder / "ballast"
    free = os.statvfs(folder)
    ballast.write_bytes(bytes(free.f_bavail * free.f_bsize - leave))
    return ballast


def test_a_home_on_a_full_disk(small_disk: Path, crawl: Crawl) -> None:
    fill(small_disk, 0)
    check_refused(crawl("run", NOWHERE, "--dir", small_disk / "home"), UNAVAILABLE, str(small_disk / "home"))


@pytest.mark.parametrize("full", ["home", "output"])
def test_a_disk_that_fills_up_stops_the_crawl_and_loses_nothing(
    full: str, small_disk: Path, site: Site, crawl: Crawl, read_records: Read, tmp_path: Path
) -> None:
    server = site("generated", "--pages", 2000)
    home = (small_disk if full == "home" else tmp_path) / "home"
    output = (small_disk if full == "output" else tmp_path) / "out.jsonl"
    ballast = fill(small_disk, 1_000_000 if full == "home" else 200_000)
    command = ("run", server.url, "--dir", home, "-o", output, "--per-host", "32", "--delay", "0")
    stopped = crawl(*command)
    check_refused(stopped, UNAVAILABLE, str(small_disk))
    half = read_records(output)
    ballast.unlink()
    resumed = crawl(*command)
    assert resumed.code == 0, resumed
    records = read_records(output)
    urls = {record["url"] for record in records}
    assert len(records) == len(urls) == 2000
    assert {record["url"] for record in half} <= urls
