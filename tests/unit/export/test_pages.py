"""Folders of Markdown and text: every page once, names that are safe everywhere, front matter that a YAML reader reads."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.errors import UsageError
from crawler.export.names import Names
from crawler.export.pages import INDEX, write_markdown, write_text
from crawler.export.places import MARK
from crawler.export.source import Source
from crawler.model import Outcome, Record, Via
from crawler.url import canonicalise


def record(url: str, text: str | None = "words", **facts: object) -> Record:
    values = {
        **dict.fromkeys(Record.__struct_fields__),
        "outcome": Outcome.FETCHED,
        "via": Via.LINK,
        "depth": 1,
        "robots": [],
        "attempts": 1,
        "content_type": "text/html",
        "fetched_at": "2026-11-22T10:00:00.000Z",
        "digest": "ab" * 32,
    }
    return Record(**{**values, **facts, "url": url, "text": text})


def source(records: list[Record]) -> Source:
    return Source(lambda: iter(records), lambda _type: iter(()), {}, list, [])


def files(folder: Path) -> Iterator[str]:
    return (str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file())


def front_matter(text: str) -> tuple[dict[str, str], str]:
    head, _, body = text.removeprefix("---\n").partition("\n---\n\n")
    return yaml.load(head, Loader=yaml.BaseLoader), body


def test_a_file_for_each_page_that_has_text(tmp_path: Path) -> None:
    records = [
        record("https://example.org/", "# Home", title='Home: a "house" #1', language="en"),
        record("https://example.org/guide/start.html?lang=de&x=1", '---\ndate: "2024-02-29"\nauthor: "Ada"\n---\n\nText'),
        record("https://example.org/image.png", None, content_type="image/png"),
        record("https://example.org/gone", None, outcome=Outcome.FAILED, content_type=None),
    ]
    target = tmp_path / "pages.md"
    assert write_markdown(source(records), target) == 2
    entries = [json.loads(line) for line in (target / INDEX).read_text().splitlines()]
    assert [entry["url"] for entry in entries] == [records[0].url, records[1].url]
    assert sorted([INDEX, MARK, *(entry["file"] for entry in entries)]) == sorted(files(target))
    assert entries[0] == {
        "file": "example.org/index.md", "url": "https://example.org/", "title": records[0].title,
        "fetched_at": records[0].fetched_at, "digest": "ab" * 32,
    }  # fmt: skip
    assert re.fullmatch(r"example\.org/guide/start~[0-9a-f]+\.md", entries[1]["file"])
    facts, body = front_matter((target / entries[0]["file"]).read_text())
    assert (facts["title"], facts["language"], facts["url"]) == ('Home: a "house" #1', "en", "https://example.org/")
    assert body == "# Home\n"
    facts, body = front_matter((target / entries[1]["file"]).read_text())
    assert (facts["date"], facts["author"], facts["digest"]) == ("2024-02-29", "Ada", "ab" * 32)
    assert body == "Text\n"


def test_text_is_the_text_alone_and_replaces_the_last_export(tmp_path: Path) -> None:
    target = tmp_path / "pages.txt"
    assert write_text(source([record("https://example.org/a"), record("https://example.org/b")]), target) == 2
    assert write_text(source([record("https://example.org/a", "new")]), target) == 1
    assert sorted(files(target)) == sorted([MARK, INDEX, "example.org/a.txt"])
    assert (target / "example.org/a.txt").read_text() == "new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["pages.txt"]


def test_a_crawl_that_kept_no_text_is_told_how_to(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r'no text of its 1 pages.*text = "markdown"'):
        write_markdown(source([record("https://example.org/", None)]), tmp_path / "p.md")
    assert list(tmp_path.iterdir()) == []
    assert write_markdown(source([record("https://example.org/i.png", None, content_type="image/png")]), tmp_path / "p.md") == 0


def test_a_folder_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "p.md").mkdir()
    (tmp_path / "p.md" / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"p\.md"):
        write_markdown(source([record("https://example.org/")]), tmp_path / "p.md")
    assert list(files(tmp_path / "p.md")) == ["mine.txt"]


URLS = [
    "https://example.org/", "https://example.org/index.html", "https://example.org/index", "https://example.org/INDEX",
    "https://example.org/a", "https://example.org/a/", "https://example.org/a.html", "https://example.org/a.htm", "https://example.org/a.md",
    "https://example.org/a.md/b", "https://example.org/a/b", "https://example.org/A/B", "http://example.org/a", "https://example.org:8443/a",
    "https://example.org/a?x=1", "https://example.org/a?x=2", "https://example.org/%2e%2e%2f%2e%2e%2fetc/passwd",
    "https://example.org/..%2f..%2f..%2fout", "https://example.org/%00%0A%1B[2J", "https://example.org/con", "https://example.org/nul.html",
    "https://example.org/.git/config", "https://example.org/%ff%fe", "https://example.org/" + "x" * 1900,
    "https://example.org/" + "y/" * 900,
    "https://example.org/caf%C3%A9", "https://example.org/cafe%CC%81", "https://index.jsonl/", "https://index.jsonl/x", "https://[::1]/x",
    "https://example.org//a", "https://example.org/a%2Fb", "https://example.org/trailing.", "https://example.org/trailing%20",
    "https://example.org/%E2%80%AEgnp.html", "https://example.org/%F0%9F%8D%9E" + "%C3%A9" * 200,
]  # fmt: skip


def check_name(path: str) -> None:
    for name in path.split("/"):
        assert 0 < len(name.encode()) <= 200
        assert not name.startswith(".")
        assert name[-1] not in ". "
        assert not re.search(r'[\x00-\x1f\x7f<>:"\\|?*\u202e]', name)


def test_every_url_has_a_name_of_its_own_inside_the_folder(tmp_path: Path) -> None:
    target = tmp_path / "p.md"
    assert write_markdown(source([record(url, url) for url in URLS]), target) == len(URLS)
    entries = [json.loads(line) for line in (target / INDEX).read_text().splitlines()]
    assert [entry["url"] for entry in entries] == URLS
    assert len({entry["file"].casefold() for entry in entries}) == len(URLS)
    assert [path.name for path in tmp_path.iterdir()] == ["p.md"]
    for entry in entries:
        check_name(entry["file"])
        assert front_matter((target / entry["file"]).read_text())[1] == entry["url"] + "\n"


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.sampled_from("aA.~%2Fe/\\:?é\u0301 *\u202e"), max_size=12), min_size=2, max_size=8))
def test_names_of_any_urls_differ_and_stay_inside(paths: list[str]) -> None:
    urls = {url for path in paths if (url := canonicalise(f"https://example.org/{path}"))}
    names = Names(".md")
    given_ = [names.path(url) for url in urls]
    folders = {"/".join(path.split("/")[:depth]).casefold() for path in given_ for depth in range(1, path.count("/") + 1)}
    assert len({path.casefold() for path in given_}) == len(urls)
    assert not folders & {path.casefold() for path in given_}
    for path in given_:
        check_name(path)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(min_size=1, max_size=30), min_size=20, max_size=100))
def test_front_matter_holds_any_title(tmp_path_factory: pytest.TempPathFactory, titles: list[str]) -> None:
    target = tmp_path_factory.mktemp("front") / "p.md"
    write_markdown(source([record(f"https://example.org/{number}", title=title) for number, title in enumerate(titles)]), target)
    for number, title in enumerate(titles):
        facts, body = front_matter((target / f"example.org/{number}.md").read_bytes().decode())
        assert facts["title"] == title
        assert body == "words\n"
