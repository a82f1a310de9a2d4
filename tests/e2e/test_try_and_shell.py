"""``crawl try`` and ``crawl shell`` as their users run them, against a small site of files."""

from __future__ import annotations

import contextlib
import functools
import http.server
import importlib.util
import json
import os
import pty
import select
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CRAWL, Crawl, environment

PAGE = """<!doctype html><html><head><meta charset="iso-8859-1"><title>Books</title></head><body>
<article><h3><a href="one.html" title="One">One</a></h3><p class="price">£51.77</p><span>2024-03-05</span></article>
<article><h3><a href="two.html" title="Zwölf">Two</a></h3><p class="price">free</p></article>
<ul><li class="next"><a href="page-2.html">next</a></li></ul><a href="/about.html">about</a>
</body></html>"""
JOB = """
seeds = ["{site}/catalogue/index.html"]
[politeness]
delay = 0
[extract.book]
when = "/catalogue/"
each = "article"
[extract.book.fields]
title = "h3 a@title"
price = {{ css = ".price", type = "float", required = true }}
pages = ".pages"
[extract.author]
when = "/author/"
[extract.author.fields]
name = "h1"
[[follow]]
css = "li.next a"
next = true
[[follow]]
css = "h3 a"
only = true
"""


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def books(tmp_path: Path) -> Iterator[str]:
    """The origin of a small site; ``/private/`` is forbidden by its robots.txt."""
    folder = tmp_path / "site"
    for name in ("catalogue", "private"):
        (folder / name).mkdir(parents=True)
        (folder / name / "index.html").write_bytes(PAGE.encode("iso-8859-1"))
    (folder / "robots.txt").write_text("User-agent: *\nDisallow: /private/\n")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    origin = f"http://127.0.0.1:{server.server_port}"
    (tmp_path / "books.toml").write_text(JOB.format(site=origin))
    yield origin
    server.shutdown()
    thread.join()
    server.server_close()


def test_try_shows_each_selector_with_what_it_takes(crawl: Crawl, books: str) -> None:
    done = crawl("try", "books.toml", f"{books}/catalogue/index.html")
    assert (done.code, done.stderr) == (0, ""), done
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.startswith("  ") and line.strip()}
    assert '"One" | "Zwölf"' in rows["title"]
    assert " 2 " in rows["title"]
    assert "css .price, float" in rows["price"]
    assert "51.77" in rows["price"]
    assert rows["pages"].rstrip().endswith("matched nothing")
    assert "book: 1 item  (when /catalogue/)" in done.stdout
    assert "author: not for this page: its URL has none of /author/" in done.stdout
    assert "book.price: not a number: 'free'" in done.stdout
    assert "follow[0]: css li.next a: 1 link, priority 50" in done.stdout
    assert f"50  {books}/catalogue/page-2.html" in done.stdout
    assert "3 links to follow, 1 of the page left out" in done.stdout


def test_try_as_json(crawl: Crawl, books: str) -> None:
    done = crawl("try", "books.toml", f"{books}/catalogue/index.html", "--json")
    found = json.loads(done.stdout)
    url = f"{books}/catalogue/index.html"
    assert found["items"] == [{"type": "book", "url": url, "title": "One", "price": 51.77, "pages": None}]
    assert found["faults"] == [["book.price", "not a number: 'free'"]]
    assert [(link["url"].rpartition("/")[2], link["priority"]) for link in found["links"]] == [
        ("one.html", 0),
        ("two.html", 0),
        ("page-2.html", 50),
    ]
    price = next(field for field in found["rules"][0]["fields"] if field["rule"] == "book.price")
    assert price == {"rule": "book.price", "selector": "css .price, float", "matches": 2, "values": [51.77], "required": True}


def test_try_on_a_file(crawl: Crawl, books: str, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_bytes(PAGE.encode("iso-8859-1"))
    done = crawl("try", "books.toml", "--html", "page.html", "--url", "https://example.org/catalogue/x", "--json")
    assert json.loads(done.stdout)["items"][0]["url"] == "https://example.org/catalogue/x"
    assert "book: not for this page" in crawl("try", "books.toml", "page.html").stdout


def test_try_shows_the_items_of_a_hook(crawl: Crawl, books: str, tmp_path: Path) -> None:
    (tmp_path / "hooks.py").write_text(
        "def parse(page):\n    for number in range(7):\n        yield {'type': 'thing', 'number': number, 'of': page.url}\n"
    )
    (tmp_path / "hook.toml").write_text(f'seeds = ["{books}"]\nhook = "hooks.py"\n')
    told = crawl("try", "hook.toml", "--html", "site/catalogue/index.html", "--url", f"{books}/x").stdout
    assert "hook: made 7 items and links\n" in told
    assert f'  {{"type": "thing", "url": "{books}/x", "number": 0, "of": "{books}/x"}}\n' in told
    assert '"number": 4' in told
    assert '"number": 5' not in told
    assert "  … and 2 more items\n" in told


def test_try_obeys_robots_txt_and_says_what_is_wrong(crawl: Crawl, books: str, tmp_path: Path) -> None:
    denied = crawl("try", "books.toml", f"{books}/private/index.html")
    assert (denied.code, denied.stdout) == (12, "")
    assert "robots" in denied.stderr
    assert "--no-robots asks all the same" in denied.stderr
    assert crawl("try", "books.toml", f"{books}/private/index.html", "--no-robots").code == 0
    missing = crawl("try", "books.toml", f"{books}/nothing.html")
    assert (missing.code, "404" in missing.stderr) == (12, True)
    absent = crawl("try", "books.toml", "absent.html")
    assert (absent.code, "absent.html: there is no such file" in absent.stderr) == (2, True)
    job = tmp_path / "books.toml"
    job.write_text(job.read_text().replace("li.next a", "li.next["))
    wrong = crawl("try", "books.toml", books)
    assert wrong.code == 4
    assert "follow[0].css" in wrong.stderr
    job.write_text(f'seeds = ["{books}"]\n')
    bare = crawl("try", "books.toml", books)
    assert (bare.code, "has no rules to try" in bare.stderr) == (2, True)


def test_shell_prints_one_expression(crawl: Crawl, books: str, tmp_path: Path) -> None:
    fetched = crawl("shell", f"{books}/catalogue/index.html", "-c", 'css("h3 a::attr(title)")')
    assert (fetched.code, fetched.stdout, fetched.stderr) == (0, "One\nZwölf\n", "")
    (tmp_path / "page.html").write_bytes(PAGE.encode("iso-8859-1"))
    local = crawl("shell", "page.html", "-c", "(page.url, xpath('//title/text()').get(), len(links()))")
    assert local.stdout == "('http://localhost/page.html', 'Books', 4)\n"


def test_shell_says_what_is_wrong_with_an_expression(crawl: Crawl, books: str) -> None:
    done = crawl("shell", "books.toml", "-c", "1/0")  # any file will do
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr == "crawl: -c: ZeroDivisionError: division by zero\n"
    assert crawl("shell", f"{books}/nothing.html").code == 12
    assert "name one page" in crawl("shell").stderr


def test_shell_reads_a_script_from_standard_input(books: str, tmp_path: Path) -> None:
    typed = b'view(css("h3 a"))\nfor link in links():\n    print(link[-8:])\n\npage\n'
    command = [*CRAWL, "shell", f"{books}/catalogue/index.html"]
    done = subprocess.run(command, input=typed, env=environment(tmp_path), capture_output=True, timeout=60, check=True)
    assert '<a href="one.html" title="One">One</a>' in done.stdout.decode()
    assert "one.html" in done.stdout.decode()
    assert f"<page {books}/catalogue/index.html>" in done.stdout.decode()
    assert "(HTTP 200)" in done.stderr.decode()


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, folder: Path, *arguments: str, python_path: Path | None = None) -> None:
        self._ours, theirs = pty.openpty()
        env = environment(folder) | {"TERM": "dumb", "PROMPT_TOOLKIT_NO_CPR": "1"}
        env["PYTHONPATH"] = os.pathsep.join(filter(None, [str(python_path or ""), env["PYTHONPATH"]]))
        # A session of its own whose terminal this is: Ctrl-C goes to all of its processes.
        self.process = subprocess.Popen(
            ["setsid", "-c", *CRAWL, *arguments], env=env, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder
        )
        os.close(theirs)

    def until(self, text: str) -> str:
        """Return what is written until `text` comes."""
        got, end = b"", time.monotonic() + 30
        while text.encode() not in got:
            assert time.monotonic() < end, got
            if select.select([self._ours], [], [], 0.1)[0]:
                got += os.read(self._ours, 65536)
        return got.decode()

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> int:
        """Press Ctrl-D until the command ends: a prompt that is being drawn anew may not take the first."""
        end = time.monotonic() + 15
        try:
            while self.process.poll() is None and time.monotonic() < end:
                self.type(b"\x04")
                if select.select([self._ours], [], [], 0.1)[0]:
                    with contextlib.suppress(OSError):  # the other end was closed
                        os.read(self._ours, 65536)
            return self.process.wait(1)
        finally:
            self.process.kill()
            os.close(self._ours)


def test_shell_on_a_terminal_survives_control_c_and_remembers(books: str, tmp_path: Path) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "ptpython.py").write_text("raise ImportError")  # the plain prompt, whatever is installed
    terminal = Terminal(tmp_path, "shell", f"{books}/catalogue/index.html", python_path=tmp_path / "without")
    try:
        assert "help_me()" in terminal.until(">>> ")
        terminal.type(b"import time; time.sleep(30)\n")
        terminal.until("sleep(30)")
        time.sleep(0.2)  # the line is read, and the sleep begins
        terminal.type(b"\x03")
        assert "KeyboardInterrupt" in terminal.until(">>> ")
        terminal.type(b'css("title::text").get() * 2\n')
        terminal.until("BooksBooks")
    finally:
        code = terminal.close()
    assert code == 0
    assert 'css("title::text").get() * 2' in (tmp_path / ".local/state/crawl/shell-history").read_text()


def test_shell_uses_ptpython_where_it_is_installed(tmp_path: Path) -> None:
    if importlib.util.find_spec("ptpython") is None:
        assert os.environ.get("CI") != "true", "ptpython is missing"
        pytest.skip("ptpython is missing: pip install ptpython")
    (tmp_path / "page.html").write_text(PAGE)
    terminal = Terminal(tmp_path, "shell", "page.html")
    try:
        terminal.until("help_me()")
        terminal.until(">>>")
        terminal.type(b'css("title::text").get() * 2\r')
        terminal.until("BooksBooks")
    finally:
        code = terminal.close()
    assert code == 0
