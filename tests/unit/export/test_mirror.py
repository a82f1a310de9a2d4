from __future__ import annotations

import gzip
import hashlib
import time
from pathlib import Path

import pytest

from crawler.archive.reading import answer_at, answers
from crawler.archive.records import archived_exchange, revisit
from crawler.errors import StoreError, UsageError
from crawler.export import mirror
from crawler.export.mirror import write_mirror
from crawler.export.mirror_names import MAX_NAME, MAX_PATH, file_of, folders_of
from crawler.export.source import Source
from crawler.model import Archived, Exchanged
from crawler.offline.links import PageLinks
from crawler.offline.pages import rewritten_page

SEED = "http://h.test/"
HTML = "text/html; charset=utf-8"


def exchange(
    url: str, body: bytes | str, content_type: str | None = HTML, status: int = 200, truncated: str | None = None, **headers: str
) -> tuple[Archived, bytes]:
    fields = {**({"Content-Type": content_type} if content_type else {}), **{k.replace("_", "-"): v for k, v in headers.items()}}
    head = "".join([f"HTTP/1.1 {status} Said\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"]).encode()
    payload = body if isinstance(body, bytes) else body.encode()
    exchanged = Exchanged(b"GET / HTTP/1.1\r\n\r\n", head)
    return archived_exchange(url=url, ip=None, started_at=1e9, exchanged=exchanged, payload=payload, truncated=truncated), head


class Archive:
    """A segment that a test writes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.path = folder / "crawl-00000.warc.gz.open"
        self.path.touch()

    def add(self, *arguments: object, **known: object) -> Archived:
        archived, _ = exchange(*arguments, **known)  # type: ignore[arg-type]
        self.append(archived.request + archived.response)
        return archived

    def append(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def source(self, *seeds: str) -> Source:
        lengths = {self.path.name.removesuffix(".open"): self.path.stat().st_size, "index.cdxj": 0}
        return Source(lambda: iter(()), lambda _: iter(()), {}, lambda: [(self.folder, lengths)], list(seeds or [SEED]))


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def made(archive: Archive, tmp_path: Path):
    """Return a function that makes the mirror and gives its files by path."""

    def make(*seeds: str) -> dict[str, bytes]:
        target = tmp_path / "site.mirror"
        count = write_mirror(archive.source(*seeds), target)
        files = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
        assert len(files) == count + 2  # the root's page and the mark of an export
        return files

    return make


@pytest.mark.parametrize(
    ("url", "media", "path"),
    [
        ("http://h.test/", "text/html", "h.test/index.html"),
        ("http://h.test/a", "text/html", "h.test/a.html"),
        ("http://h.test/a.htm", "text/html", "h.test/a.htm"),
        ("http://h.test/a.php", "text/html", "h.test/a.php.html"),
        ("http://h.test/v1.2/", "text/html", "h.test/v1.2/index.html"),
        ("http://h.test:8080/i.png", "image/png", "h.test_8080/i.png"),
        ("http://h.test/i", "image/png", "h.test/i.png"),
        ("http://h.test/LICENSE", "text/plain", "h.test/LICENSE.txt"),
        ("http://h.test/a.tar.xz", "text/plain", "h.test/a.tar.xz"),
        ("http://h.test/x", None, "h.test/x"),
        ("http://h.test/%E4%B8%AD%20a/b", "text/css", "h.test/中 a/b.css"),
        ("http://h.test/a%2F..%2Fb/%00c%3F", None, "h.test/a_.._b/_c_"),
        ("http://h.test//a/.hidden", None, "h.test/_/a/_.hidden"),
        ("http://h.test/%FF/con.txt", None, "h.test/%FF/_con.txt"),
        ("http://h.test/a.%20/b.", None, "h.test/a_/b_"),
        ("http://[::1]:8080/", "text/html", "[__1]_8080/index.html"),
    ],
)
def test_where_a_file_lies(url: str, media: str | None, path: str) -> None:
    assert "/".join([*folders_of(url), file_of(url, media)]) == path


def test_names_stay_short_and_differ() -> None:
    urls = [f"http://h.test/{'%E4%B8%AD' * 150}{n}.png" for n in range(5)]
    urls += [f"http://h.test/{'long/' * 390}{n}" for n in range(5)]
    urls += [f"http://h.test/p?q={n}" for n in range(5)]
    paths = ["/".join([*folders_of(url), file_of(url, "image/png")]) for url in urls]
    assert len(set(paths)) == len(urls)
    assert max(len(path.encode()) for path in paths) <= MAX_PATH
    assert max(len(name.encode()) for path in paths for name in path.split("/")) <= MAX_NAME
    assert all(path.endswith(".png") for path in paths)


def test_links_lead_to_files_or_to_the_web(archive: Archive, made) -> None:
    archive.add(
        SEED,
        "<title>t</title><a href='/b/c?x=1#f'>1</a><a href=old>2</a><a href=/lost>3</a><a href=#here>4</a><a href=mailto:x@y>5</a>"
        "<a href='//other.test/z'>6</a><img src=/i.png srcset='i.png 1x, //cdn.test/j.png 2x'><a href='b/c?x=1&amp;utm_source=y'>7</a>",
    )
    archive.add("http://h.test/b/c?x=1", "<a href=../>up</a><p style='background:url(../i.png)'><form action=/lost?a=b>")
    archive.add("http://h.test/old", "", status=301, Location="/older")
    archive.add("http://h.test/older", "", status=302, Location="/b/c?x=1#there")
    archive.add("http://h.test/lost", "no", status=404)
    archive.add("http://h.test/i.png", b"\x89PNG", "image/png")
    files = made()
    name = next(path for path in files if path.startswith("h.test/b/c~"))
    page = files["h.test/index.html"].decode()
    relative = name.removeprefix("h.test/")
    assert [part.split('"')[0] for part in page.split('href="')[1:]] == [
        f"{relative}#f",
        relative,
        "http://h.test/lost",
        "#here",
        "mailto:x@y",
        "http://other.test/z",
        relative,
    ]
    assert 'src="i.png" srcset="i.png 1x, http://cdn.test/j.png 2x"' in page
    inner = files[name].decode()
    assert 'href="../index.html"' in inner
    assert "url(&quot;../i.png&quot;)" in inner
    assert 'action="http://h.test/lost?a=b"' in inner
    assert files["h.test/i.png"] == b"\x89PNG"


def test_sheets_are_rewritten_and_utf8(archive: Archive, made) -> None:
    archive.add(SEED, "<link rel=stylesheet href='//cdn.test/s' integrity=sha256-x crossorigin>")
    sheet = '@charset "koi8-r"; @import "t.css"; a{b:url(я.png);c:url(#x)}'.encode("koi8-r")
    archive.add("http://cdn.test/s", gzip.compress(sheet), "text/css", Content_Encoding="gzip")
    archive.add("http://cdn.test/t.css", "a{b:url(http://h.test/)}", "text/css")
    archive.add("http://cdn.test/%D1%8F.png", b"png", "image/png")
    files = made()
    assert b'<link rel="stylesheet" href="../cdn.test/s.css">' in files["h.test/index.html"]
    assert files["cdn.test/s.css"].decode().endswith('@import "t.css"; a{b:url("%D1%8F.png");c:url(#x)}')
    assert files["cdn.test/t.css"] == b'a{b:url("../h.test/index.html")}'
    assert files["cdn.test/я.png"] == b"png"


def test_pages_become_utf8(archive: Archive, made) -> None:
    archive.add(SEED, "<meta charset=koi8-r><title>я</title><script src=j></script>".encode("koi8-r"), "text/html")
    archive.add("http://h.test/j", "'я'".encode("koi8-r"), "text/javascript; charset=koi8-r")
    files = made()
    assert files["h.test/index.html"].startswith('<html><head><meta charset="utf-8"><title>я</title>'.encode())
    assert files["h.test/index.html"].count(b"charset") == 1
    assert files["h.test/j.js"] == "'я'".encode()


def test_revisits_and_later_answers(archive: Archive, made) -> None:
    first = archive.add("http://h.test/one.bin", b"same", "application/x")
    again, head = exchange("http://h.test/two.bin", b"same", "application/x")
    assert again.payload == first.payload
    archive.append(revisit(url="http://h.test/two.bin", ip=None, head=head, archived=again, refers_to_uri="x", refers_to_date="y"))
    unknown, head = exchange("http://h.test/three.bin", b"never archived", "application/x")
    archive.append(revisit(url="http://h.test/three.bin", ip=None, head=head, archived=unknown, refers_to_uri="x", refers_to_date="y"))
    archive.add("http://h.test/retried", "busy", "text/plain", 503)
    archive.add("http://h.test/retried", "there", "text/plain")
    archive.add("http://h.test/cut", "half", "text/plain", truncated="time")
    files = made()
    assert sorted(files) == [".crawl-export", "h.test/one.bin", "h.test/retried.txt", "h.test/two.bin", "index.html"]
    assert files["h.test/two.bin"] == b"same"
    assert files["h.test/retried.txt"] == b"there"


def test_no_two_files_are_one_and_none_is_a_folder(archive: Archive, made) -> None:
    urls = ["a", "A", "a/b", "a/b/c", "B.html/x", "b", "b.html", "q?1", "q?2", "index.html", "", "%61%2Fz", "a_z"]
    urls = [f"http://h.test/{url}" for url in urls]
    for url in urls:
        archive.add(url, f"<title>{url}</title>", HTML)
    archive.add("https://h.test/a", "<title>https://h.test/a</title>", HTML)
    files = made()
    paths = [path for path in files if path.startswith("h.test")]
    assert len({path.casefold() for path in paths}) == len(paths) == len(urls) + 1
    held = {files[path].decode().partition("<title>")[2].partition("</title>")[0] for path in paths}
    assert held == {*urls, "https://h.test/a"}


def test_a_missing_type_is_seen_in_the_content(archive: Archive, made) -> None:
    archive.add("http://h.test/page", "<!DOCTYPE html><title>t</title>", None)
    archive.add("http://h.test/data", "plain", None)
    files = made()
    assert b'<meta charset="utf-8">' in files["h.test/page.html"]
    assert files["h.test/data"] == b"plain"


def test_the_root_leads_to_the_seeds(archive: Archive, made) -> None:
    archive.add("http://h.test/start", "", status=302, Location="/home page")
    archive.add("http://h.test/home%20page", "x")
    assert b'content="0; url=h.test/home%20page.html"' in made("http://h.test/start")["index.html"]
    listed = made("http://h.test/start", "http://h.test/not<there>")["index.html"]
    assert b"refresh" not in listed
    assert b'<a href="h.test/home%20page.html">http://h.test/start</a>' in listed
    assert b'<a href="http://h.test/not&lt;there&gt;">' in listed


def test_a_mirror_replaces_its_like_alone(archive: Archive, made, tmp_path: Path) -> None:
    archive.add(SEED, "one")
    made()
    archive.add(SEED, "two")
    assert b"two" in made()["h.test/index.html"]
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "site.mirror"}
    (tmp_path / "mine.mirror").mkdir()
    (tmp_path / "mine.mirror" / "file").write_text("precious")
    with pytest.raises(UsageError, match=r"mine\.mirror"):
        write_mirror(archive.source(), tmp_path / "mine.mirror")


def test_processes_share_the_files(archive: Archive, made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "SHARE", 10)
    for n in range(40):
        archive.add(f"http://h.test/{n}", f"<a href={(n + 1) % 40}>next</a>")
    files = made()
    assert all(f'href="{(n + 1) % 40}.html"'.encode() in files[f"h.test/{n}.html"] for n in range(40))


@pytest.mark.parametrize("fate", ["os.kill(os.getpid(), signal.SIGKILL)", "all(iter(lambda: 1, 2))"], ids=["dies", "never ends"])
def test_a_page_that_ends_its_process_is_copied(archive: Archive, made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fate: str) -> None:
    for n in range(4):
        archive.add(f"http://h.test/{n}", f"<title>{n}</title>")
    deadly = tmp_path / "deadly.py"
    deadly.write_text(
        "import os, signal, sys\n"
        "from crawler.offline import rewrite\n"
        "inner = rewrite.rewritten_page\n"
        "rewrite.PAGE_TIME = 0.5\n"
        f"rewrite.rewritten_page = lambda html, page: {fate} if b'>2<' in html else inner(html, page)\n"
        "sys.exit(rewrite.main(sys.argv[1:]))\n"
    )
    monkeypatch.setattr(mirror, "PROGRAM", "deadly")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(mirror.__file__).parent.parent.parent}")
    files = made()
    assert files["h.test/2.html"] == b"<title>2</title>"
    assert all(b"utf-8" in files[f"h.test/{n}.html"] for n in (0, 1, 3))


def test_damage_is_told(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.add(SEED, "one")
    whole = archive.source()
    data = archive.path.read_bytes()
    archive.path.write_bytes(data[: len(data) // 2] + b"damage" + data[len(data) // 2 :])
    with pytest.raises(StoreError, match=r"crawl-00000\.warc\.gz: cannot be read"):
        write_mirror(whole, tmp_path / "site.mirror")
    archive.path.write_bytes(data)
    monkeypatch.setattr(mirror, "PROGRAM", "crawler.offline.there_is_none")
    with pytest.raises(StoreError, match="there_is_none"):
        write_mirror(whole, tmp_path / "site.mirror")
    assert {path.name for path in tmp_path.iterdir()} == {"archive"}


def test_reading_segments(archive: Archive) -> None:
    body = hashlib.sha256(b"x").digest() * 30_000  # more than one chunk of input
    archive.add(SEED, body, "image/png", X_Name="a: b")
    archive.add("http://h.test/2", "two")
    length = archive.path.stat().st_size
    archive.append(b"\x1f\x8b half of a member")
    named = archive.path.with_suffix("")  # as a crawl names it, also while it is open
    found = list(answers(named, length))
    assert [answer.url for _, answer in found] == [SEED, "http://h.test/2"]
    answer = found[0][1]
    assert (answer.status, answer.payload, answer.header("x-name"), answer.truncated) == (200, body, "a: b", False)
    archive.path.rename(named)  # as a crawl does with a segment that is full
    assert answer_at(named, found[1][0]) == found[1][1]
    assert len(list(answers(named, found[1][0]))) == 1


class NoFiles:
    """The paths of a mirror without files."""

    def path_of(self, url: str) -> None:
        return None


def alone() -> PageLinks:
    return PageLinks(NoFiles(), "http://h.test/a/p", "h.test/a/p.html")


@pytest.mark.parametrize(
    ("html", "inner"),
    [
        ("<base href='/b/' target=_top><a href=c>", '<base target="_top"></head><body><a href="http://h.test/b/c">'),
        ("<base href='/b/'><a href='#x'>", '<a href="http://h.test/b/#x">'),
        ("<meta http-equiv=refresh content='3;URL=c'>", '<meta http-equiv="refresh" content="3; url=http://h.test/a/c">'),
        ("<meta http-equiv=content-security-policy content=x><p>", '<meta charset="utf-8"></head>'),
        ("<link rel='preconnect' href=//x><link rel=manifest href=m><p>", '<meta charset="utf-8"></head>'),
        ("<link rel=canonical href=c>", '<link rel="canonical" href="http://h.test/a/c">'),
        ("<a href='javascript:x()' ping=/p>", '<a href="javascript:x()">'),
        ("<a href=''>", '<a href="">'),
        ("<svg><use xlink:href='s.svg#i'/></svg>", '<use xlink:href="http://h.test/a/s.svg#i">'),
        ("<style>@import 'c' print; a > b{}</style>", '<style>@import "http://h.test/a/c" print; a > b{}</style>'),
        ("<template><img src=i></template>", '<template><img src="http://h.test/a/i"></template>'),
        ("<script>if (a < b && '<a href=x>') {}</script>", "<script>if (a < b && '<a href=x>') {}</script>"),
        ("<!-- c --><!doctype html public '-//W3C//DTD HTML 4.0 Transitional//EN'><p>", "<!-- c --><!doctype html public '-//W3C//DTD"),
        ("<p>", '<html><head><meta charset="utf-8"></head><body><p></p></body></html>'),  # quirks mode stays
        ("<frameset><frame src=f></frameset>", '<frame src="http://h.test/a/f">'),
        ("", '<meta charset="utf-8">'),
    ],
)
def test_what_becomes_of_a_page(html: str, inner: str) -> None:
    assert inner in rewritten_page(html.encode(), alone()).decode()


def test_a_doctype_is_looked_for_in_linear_time() -> None:
    started = time.process_time()
    rewritten_page(b"<!--x-->" * 20_000 + b"<p>", alone())
    rewritten_page(b"<!--" * 100_000, alone())
    assert time.process_time() - started < 5
