"""One crawl of a whole evil web: each case gets its outcome, good pages get theirs, nothing is connected to that should not be.

The cases are in `sites/evil_wire.py`, `sites/evil_pages.py` and `sites/evil_web.py`; the table below says what is to become of each.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Crawl, Read, Site, Spawn

FETCHED = ("fetched", None)
REDIRECTED = ("redirected", None)
BAD_HTTP = ("failed", "bad_http")
BAD_ENCODING = ("failed", "bad_encoding")
TOO_LARGE = ("failed", "too_large")
TIMEOUT = ("failed", "timeout")
TRUNCATED = ("failed", "truncated")
HTTP_ERROR = ("failed", "http_error")
REDIRECT = ("failed", "redirect")
PARSE = ("failed", "parse")
DNS = ("failed", "dns")
ADDRESS = ("denied", "address")
ROBOTS = ("denied", "robots")
UNREACHABLE = ("denied", "robots_unreachable")


def each(paths: str, outcome: tuple[str, str | None]) -> dict[str, tuple[str, str | None]]:
    return {f"/{path}": outcome for path in paths.split()}


def numbered(name: str, count: int, outcome: tuple[str, str | None], first: int = 0) -> dict[str, tuple[str, str | None]]:
    return {f"/{name}{number}": outcome for number in range(first, first + count)}


GOOD = 100
EXPECTED = {
    "/": FETCHED,
    **numbered("ok/", GOOD, FETCHED),
    # Framing and heads
    **each("nolength samelengths lengthandchunked teidentity status299 barelf noreason obsfold", FETCHED),
    **each("nulheader longline onehint empty204 glued ok/linked", FETCHED),
    **each("twolengths tegzip chunkunderscore chunknegative chunkhuge chunklongline http09 icy statusabc statusline", BAD_HTTP),
    **each("status000 leadingspace nocolon spacename megaline manyheaders hints switch101 manycookies", BAD_HTTP),
    **each("status999 surprise304", HTTP_ERROR),
    **numbered("keep", 5, FETCHED),
    **numbered("oldhttp", 5, FETCHED),
    **numbered("later", 10, HTTP_ERROR),
    # Slowness and size
    **numbered("stall", 8, TIMEOUT),
    **each("driphead", TIMEOUT),
    **each("hugelength endlesschunks", TOO_LARGE),
    # Encodings and charsets
    **each("brbomb zstdbomb deflatebomb nestedbomb", TOO_LARGE),
    **each("layers5 notgzip undeclaredgzip notrailer badcrc gziptail twomembers ok/member emptygzip", FETCHED),
    **each("layers20 zstdwindow brjunk longcoding compress", BAD_ENCODING),
    **each("liar longcharset surrogates charset-utf-7 charset-idna charset-rot13 charset-zlib", FETCHED),
    **each("charset-unicode_escape charset-hz-gb-2312 tencookies disposition longtype bidi-type octet olddate terminal", FETCHED),
    # Redirects and refreshes: eleven pages of a chain, for ten hops are followed
    **each("selfredirect fragment tojavascript todata toftp togopher tolong", REDIRECT),
    **each("tonul totwo tolatin toforbidden tooffport tospelled", REDIRECTED),
    **each("ok/n[2Jul ok/first ok/%C3%BC", FETCHED),
    **each("refreshchain headerchain headerloop headerloop/2 headerjunk headerscript refreshprivate", FETCHED),
    **numbered("refreshchain/", 10, FETCHED, 1),
    **numbered("headerchain/", 10, FETCHED, 1),
    **each("hintsprivate guarded canonicalloop canonicalloop/2", FETCHED),
    "/forbidden/fruit": ROBOTS,
    # URLs: spelled oddly, fetched once
    **each("urls urls?only ok/operator%.html ok/credentials ok/at ok/up ok/tab ok/space ok/path ok/back", FETCHED),
    **each("ok/a%2Fb ok/a/b ok/~tilde ok/dots ok/CASE ok/nul%EF%BF%BDl ok/%zz ok/", FETCHED),
    **each("@evil.invalid/ok/slash 127.0.0.1:PRIVATE/ok/relative", HTTP_ERROR),
    # Traps end at the depth limit of six, growing paths earlier
    **each("calendar growing/ growing/a/ growing/a/a/ growing/a/a/a/ session", FETCHED),
    **numbered("calendar?month=", 5, FETCHED, 1),
    # Directives
    **each("nofollow metanofollow metanone xrobots xrobotsours xrobotsother ok/other", FETCHED),
    # Killers of parsers
    **each("deep100000 attributes million", PARSE),
    **each("deep300 ok/deep lessthan comments longtext ok/aftertext longtitle ok/aftertitle longattribute", FETCHED),
    **each("ok/afterattribute nuls ok/nuls plaintext ok/beforeplain bases ok/base/based basescript ok/basescript", FETCHED),
    **each("unclosed!-- unclosedscript unclosedtextarea unclosedtitle ok/before!-- ok/beforescript", FETCHED),
    **each("ok/beforetextarea ok/beforetitle doctype ok/doctype nested ok/nested manylinks hosts", FETCHED),
}
OK_HOST = {"/": FETCHED, "/page": FETCHED, "/no": FETCHED}
HALF_HOST = OK_HOST | {"/no": ROBOTS}
HOSTS: list[dict[str, tuple[str, str | None]]] = [  # from 127.0.0.2 on, one for each robots.txt, in the order of `evil_web.ROBOTS`
    {"/": UNREACHABLE},  # endless
    OK_HOST,  # 600 kB of 0xFF
    HALF_HOST,  # a byte order mark
    OK_HOST,  # redirects to itself for ever
    {"/": UNREACHABLE},  # 503, Retry-After: 9999999999
    {"/": UNREACHABLE},  # 429
    OK_HOST,  # 404
    {"/": UNREACHABLE},  # reset
    {"/": TIMEOUT},  # hangs
    OK_HOST,  # HTML
    OK_HOST,  # every byte there is
    HALF_HOST,  # UTF-16
    HALF_HOST,  # line ends of CR alone
    HALF_HOST,  # NULs in between
    HALF_HOST,  # Crawl-delay of 30 years
    {"/": UNREACHABLE},  # redirects into private space
    OK_HOST,  # redirects to file:
    {"/": UNREACHABLE},  # a zstd bomb
    {"/": ROBOTS},  # 200 000 wildcards: cut, to forbid more
    OK_HOST,  # a line of a megabyte, and nothing that counts within 500 KiB
    HALF_HOST,  # 400 000 empty lines
    HALF_HOST,  # 30 000 anchored rules
    OK_HOST  # lists the sitemaps
    | each("lols.xml quadratic.xml external.xml cut.xml wrong.xml marked.xml text.txt page.xml large.xml index.xml", FETCHED)
    | numbered("index.xml?", 5, FETCHED)
    | each("ok/external ok/whole ok/wrong ok/marked", FETCHED)
    | {"/bomb.xml": TOO_LARGE, "/endless.xml": TRUNCATED, "/absent.xml": HTTP_ERROR},
]
ELSEWHERE = {"http://127.0.0.1:25/": ADDRESS, "http://127.0.0.1:25/mail": ADDRESS, "http://127.0.0.1:6000/": ADDRESS} | dict.fromkeys(
    ["http://xn--/", "http://xn--a/", "http://a..b/", f"http://{'a' * 64}.invalid/long"], DNS
)
PRIVATE = {*range(22), *range(100, 115), 200, 201, *range(300, 305), 400}
"""The numbers of the links to private addresses: by link, redirect, refresh, canonical, alternate and sitemap."""
MANY_HOSTS = 10_000  # of the 50 000 that one page links to: so many links of a page are taken
LONGEST_LAG = 0.4  # seconds, on two processors that five processes share; each turn by itself is meant to stay below 0.1
MOST_MEMORY = 300  # MiB, of the process that holds the reactor


class Trap:
    """A port of this machine that nobody may connect to; `callers` are those who did."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.callers: list[Any] = []
        self.port = 0
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.77"), (socket.AF_INET6, "::1")):
            sock = stack.enter_context(socket.socket(family))
            try:
                sock.bind((address, self.port))
            except OSError:
                assert family is socket.AF_INET6, "no IPv6 on this machine is no fault"
                continue
            sock.listen()
            self.port = sock.getsockname()[1]
            threading.Thread(target=self._watch, args=(sock,), daemon=True).start()

    def _watch(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, caller = sock.accept()
                self.callers.append(caller)
                connection.close()


@pytest.fixture
def trap() -> Iterator[Trap]:
    with contextlib.ExitStack() as stack:
        yield Trap(stack)


def expected(port: int, private: int) -> dict[str, tuple[str, str | None]]:
    """Every URL and its end, but for those that are counted."""
    table = dict(ELSEWHERE)
    for number, paths in enumerate([EXPECTED, *HOSTS], 1):
        table |= {f"http://127.0.0.{number}:{port}{path.replace('PRIVATE', str(private))}": end for path, end in paths.items()}
    return table


def peak_memory(pid: int) -> float:
    """MiB that a process had at most."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
        return int(found[1]) / 1024 if found else 0.0
    return 0.0


@pytest.mark.slow
def test_a_whole_evil_web(site: Site, spawn_crawl: Spawn, crawl: Crawl, read_records: Read, trap: Trap, tmp_path: Path) -> None:
    server = site("evil_web", "--private", trap.port, "--patience", 20)
    home, jsonl, table = tmp_path / "home", tmp_path / "out.jsonl", tmp_path / "out.csv"
    command = ("run", *server.urls(len(HOSTS) + 1), "--dir", home, "-o", jsonl, "-o", table, "--json", "--record-headers")
    command += ("--scope", "any", "--exclude", "/many/", "--depth", 6, "--timeout", 3, "--retries", 0, "--per-host", 16, "--delay", 0)
    command += ("--max-body", 5_000_000, "--page-time", 2.5)
    limits = {"CRAWL_FETCH__MAX_RETRY_AFTER": "0.1", "CRAWL_POLITENESS__MAX_DELAY": "0.3", "CRAWL_FETCH__RETRY_DELAY": "0.05"}
    running, began, memory = spawn_crawl(*command, env=limits), time.monotonic(), 0.0
    while running.running and time.monotonic() - began < 90:
        memory = max(memory, peak_memory(running.pid))
        time.sleep(0.1)
    assert not running.running, "it does not end"
    done = running.wait()
    assert done.code == 0, done
    assert not done.error_lines, done
    assert "Traceback" not in done.stderr
    assert memory < MOST_MEMORY

    records = read_records(jsonl)
    found = {record["url"]: (record["outcome"], record["reason"]) for record in records}
    assert len(found) == len(records), "a URL has two records"
    check_outcomes(found, server.port, trap)
    check_titles({record["url"]: record["title"] for record in records}, server.port)
    assert Counter(record["attempts"] for record in records if record["outcome"] == "fetched").keys() == {1}
    asked = [hit.path.partition(":")[2] for hit in server.hits()]
    assert not [path for path in asked if path.startswith(("/never/", "/forbidden/", "/many/"))]
    check_events([json.loads(line) for line in done.stderr.splitlines()])
    check_texts(crawl, home, server.url, [jsonl, table, home / "records.jsonl"], done.stderr)


def check_outcomes(found: dict[str, tuple[str, str | None]], port: int, trap: Trap) -> None:
    """Each case by the table; what has changing names is counted."""
    sessions = {url for url in found if "/session/" in url}
    assert (len(sessions), {found[url] for url in sessions}) == (5, {FETCHED})
    hosts = {url for url in found if url.startswith("http://127.9.")}
    assert (len(hosts), {found[url] for url in hosts}) == (MANY_HOSTS, {ADDRESS})
    private = {url for url in found if "/private/" in url}
    assert {found[url] for url in private} == {ADDRESS}
    assert {int(url.rpartition("/")[2]) for url in private} == PRIVATE
    table = expected(port, trap.port)
    rest = {url: end for url, end in found.items() if url not in sessions | hosts | private}
    assert {url: (rest.get(url), table.get(url)) for url in rest.keys() | table.keys() if rest.get(url) != table.get(url)} == {}
    assert trap.callers == []


def check_titles(titles: dict[str, str | None], port: int) -> None:
    """What decoding and charsets came to."""
    main = f"http://127.0.0.1:{port}/"
    assert titles[main + "liar"] == "Ünï"
    assert titles[main + "surrogates"] == "a\ufffd\ufffd\ufffd\ufffdb\ufffdc\ufffd"
    assert titles[main + "glued"] == titles[main + "undeclaredgzip"] == titles[main + "layers5"] == "A page"
    assert titles[main + "charset-utf-7"] == "utf-7"
    assert "Forged" not in titles.values()


def check_events(events: list[dict[str, Any]]) -> None:
    """The reactor was never held up for long, and no fault of ours was told."""
    assert {event["event"] for event in events} <= {"start", "progress", "stall", "summary"}
    lags = [event["lag"] for event in events if "lag" in event] + [event["seconds"] for event in events if event["event"] == "stall"]
    assert max(lags) < LONGEST_LAG, [event for event in events if event["event"] == "stall"]
    summary = events[-1]
    assert summary["refused"]["exclude:/many/"] == 10_000 + 50_000, "so many links of a page and entries of a sitemap are read"
    assert {rule: summary["refused"][rule] for rule in ("nofollow", "redirects", "trap:repeated_segments", "trap:query_parameters")} == {
        "nofollow": 5,
        "redirects": 2,
        "trap:repeated_segments": 1,
        "trap:query_parameters": 1,
    }


CONTROLS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f]")
MISLEADING = re.compile(r"[\u202a-\u202e\u2066-\u2069\u2028\u2029]")


def check_texts(crawl: Crawl, home: Path, url: str, files: list[Path], stderr: str) -> None:
    """No control character reaches a file or a terminal, no formula a spreadsheet, no password anything."""
    shown = [
        crawl("why", home, f"{url}{path}").stdout for path in ("terminal", "bidi-type", "tonul", "nulheader", "ok/credentials", "tolong")
    ]
    shown.append(crawl("status", home).stdout)
    exported = crawl("export", home, "--format", "csv").stdout
    assert all(text.strip() for text in shown)
    assert not any(MISLEADING.search(text) for text in shown)
    texts = [file.read_bytes().decode() for file in files]
    for text in (*shown, exported, stderr, *texts):
        assert not CONTROLS.search(text)
        assert "secret" not in text
    assert b"secret" not in (home / "crawl.sqlite").read_bytes()
    with files[1].open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert {len(row) for row in rows} == {len(rows[0])}
    cells = [cell for row in rows for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    assert any(cell.startswith("'=cmd") for cell in cells)


def test_fifty_thousand_hosts_out_of_scope_are_refused_at_the_door(site: Site, crawl: Crawl, read_records: Read, tmp_path: Path) -> None:
    server = site("evil_web")
    done = crawl("run", f"{server.url}hosts", "--dir", tmp_path / "home", "-o", tmp_path / "out.jsonl", "--json")
    assert done.code == 0, done
    assert [(record["url"], record["outcome"]) for record in read_records(tmp_path / "out.jsonl")] == [(f"{server.url}hosts", "fetched")]
    assert json.loads(done.stderr.splitlines()[-1])["refused"] == {"scope:host": MANY_HOSTS}
