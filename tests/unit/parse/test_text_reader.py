"""The main content of pages by both libraries: what is kept and left out, limits, and that no page breaks a worker."""

import os
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.parse import extractors
from crawler.parse.simhash import visible_text
from crawler.parse.text import MAX_HTML, MAX_TEXT, TextReader

if os.environ.get("CI") != "true":
    for library in ("resiliparse", "trafilatura"):
        pytest.importorskip(library, reason=f"{library} is not installed: pip install 'crawl[text,article]'")

URL = "https://example.org/news/one.html"
SENTENCE = "The committee met in the old town hall and talked at length about the price of bread, and nobody left early. "
PAGE = f"""<!DOCTYPE html><html lang="en"><head><title>Bread</title>
<meta property="article:published_time" content="2024-02-29T08:00:00Z"><meta name="author" content="Ada &quot;A&quot; Byron"></head>
<body><header><nav class="menu"><ul><li><a href="/">Home page</a></li><li><a href="/about">About us all</a></li></ul></nav></header>
<main><article class="post"><h1>Bread is dear<a href="#t">¶</a></h1><p>{SENTENCE * 3}</p>
<p>See <a href="two.html">the second part</a> and <code>loaf_of(2)</code>, <b>please</b>.</p>
<div><ul><li>first item of the list</li><li>second item of the list</li></ul></div>
<table><tr><th>Loaf</th><th>Price</th></tr><tr><td>rye</td><td>3</td></tr></table>
<pre><code class="language-py">for loaf in range(2):
    bake(loaf)</code></pre><p>{SENTENCE * 2}</p></article></main>
<aside class="sidebar"><p>Buy our newsletter now</p></aside>
<footer><p>Copyright by the committee</p></footer><script>var secret = "in a script";</script></body></html>""".encode()
MENU = ("Home page", "About us all", "newsletter", "Copyright", "secret")


@pytest.fixture(scope="module")
def readers() -> dict[tuple[str, str], TextReader]:
    return {(form, name): TextReader(form, name) for form in ("text", "markdown") for name in ("resiliparse", "trafilatura")}


@pytest.mark.parametrize("name", ["resiliparse", "trafilatura"])
@pytest.mark.parametrize("form", ["text", "markdown"])
def test_the_main_content_and_nothing_around_it(readers: dict[tuple[str, str], TextReader], form: str, name: str) -> None:
    text = readers[form, name].read(PAGE, URL)
    assert text is not None
    for phrase in ("Bread is dear", SENTENCE.strip(), "first item of the list", "bake(loaf)", "rye"):
        assert phrase in text
    assert not [phrase for phrase in (*MENU, "¶") if phrase in text and not (phrase == "¶" and form == "text")]


@pytest.mark.parametrize("name", ["resiliparse", "trafilatura"])
def test_markdown_has_date_author_and_links_that_lead_somewhere(readers: dict[tuple[str, str], TextReader], name: str) -> None:
    text = readers["markdown", name].read(PAGE, URL)
    assert text is not None
    head, _, body = text.removeprefix("---\n").partition("\n---\n\n")
    assert head.splitlines()[0] == 'date: "2024-02-29"'
    assert head.splitlines()[1].startswith('author: "Ada')
    assert body.startswith("# Bread is dear")
    assert "[the second part](https://example.org/news/two.html)" in body
    assert "`loaf_of(2)`" in body
    assert "- first item of the list" in body
    assert "**please**" in body
    assert "---" not in readers["text", name].read(PAGE, URL).splitlines()


def test_markdown_by_resiliparse_has_tables_and_languages(readers: dict[tuple[str, str], TextReader]) -> None:
    text = readers["markdown", "resiliparse"].read(PAGE, URL)
    assert "| Loaf | Price |\n| --- | --- |\n| rye | 3 |" in text
    assert "```py\nfor loaf in range(2):\n    bake(loaf)\n```" in text


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('<script type="application/ld+json">{"@type": "Article", "datePublished": "2023-01-02T03:04"}</script>', 'date: "2023-01-02"'),
        ('<meta name="DC.date" content="2023-01-02">', 'date: "2023-01-02"'),
        ('<meta name="date" content="yesterday"><meta name="author" content="https://example.org/ada">', None),
        ('<meta name="author" content=" ">', None),
    ],
)
def test_dates_and_authors(readers: dict[tuple[str, str], TextReader], head: str, expected: str | None) -> None:
    page = f"<html><head>{head}</head><body><main><p>{SENTENCE}</p></main></body></html>".encode()
    text = readers["markdown", "resiliparse"].read(page, URL)
    assert text == (f"---\n{expected}\n---\n\n" if expected else "") + SENTENCE.strip()


def test_a_page_without_main_content_gives_all_it_has(readers: dict[tuple[str, str], TextReader]) -> None:
    page = b"<html><body><nav><p>only navigation</p></nav></body></html>"
    assert readers["text", "resiliparse"].read(page, URL) == "only navigation"
    assert readers["markdown", "resiliparse"].read(page, URL) == "only navigation"
    assert readers["text", "resiliparse"].read(b"<html><body><script>x</script></body></html>", URL) is None


def test_control_characters_are_left_out_and_long_texts_cut(readers: dict[tuple[str, str], TextReader]) -> None:
    for form in ("text", "markdown"):
        assert readers[form, "resiliparse"].read(b"<p>red \x1b[31m alert\x9b</p>".replace(b"\x9b", "\x9b".encode()), URL) in (
            "red [31m alert",
            "red \\[31m alert",
        )
        long = readers[form, "resiliparse"].read(b"<html><body><main>" + f"<p>{'né word ' * 100}</p>".encode() * 1_500, URL)
        assert MAX_TEXT - 4 <= len(long.encode()) <= MAX_TEXT


@pytest.mark.parametrize("name", ["resiliparse", "trafilatura"])
def test_pages_that_would_take_too_long_have_no_text(readers: dict[tuple[str, str], TextReader], name: str) -> None:
    begun = time.process_time()
    for page in (b"<div>" * 5_000 + b"x", b"<div>" * 100 + b"<p>x</p>" * 60_000, b"<p>" + b"x" * MAX_HTML):
        assert readers["text", name].read(page, URL) is None
        assert readers["markdown", name].read(page, URL) is None
    assert time.process_time() - begun < 4  # the libraries themselves take minutes


def test_trafilatura_is_stopped_and_works_on(readers: dict[tuple[str, str], TextReader], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.parse.text.MAX_SECONDS", 0.3)
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)  # it may strike in a finaliser: then it strikes again
    page = ("<html><body><main><p>" + "<span>a</span> " * 8_000).encode()  # it needs the square of their number
    begun = time.process_time()
    assert readers["text", "trafilatura"].read(page, URL) is None
    assert time.process_time() - begun < 2
    assert SENTENCE.strip() in (readers["text", "trafilatura"].read(PAGE, URL) or "")
    assert readers["text", "resiliparse"].read(page, URL) is not None


TAGS = ("div", "p", "b", "a", "li", "ul", "table", "tr", "td", "pre", "code", "h1", "dl", "dd", "blockquote", "img", "br", "svg", "main")
soup = st.lists(
    st.one_of(st.sampled_from([f"<{tag}>" for tag in TAGS]), st.sampled_from([f"</{tag}>" for tag in TAGS]), st.text(max_size=8)),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(soup)
def test_no_page_makes_it_raise(pieces: list[str]) -> None:
    page = "".join(pieces).encode("utf-8", "replace")
    for form in ("text", "markdown"):
        text = TextReader(form, "resiliparse").read(page, URL)
        assert text is None or text.strip()
    assert isinstance(visible_text(page), str)


def test_a_library_that_stumbles_costs_a_page_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TextReader("text", "resiliparse")

    class PanicException(BaseException):
        """As pyo3 raises it: no Exception."""

    for error, raised in (
        (ValueError("x"), None),
        (PanicException("x"), None),
        (MemoryError(), MemoryError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ):
        monkeypatch.setattr(reader, "_extract", _raiser(error))
        if raised is None:
            assert reader.read(PAGE, URL) is None
        else:
            with pytest.raises(raised):
                reader.read(PAGE, URL)


def _raiser(error: BaseException):
    def extract(_html: bytes, _url: str) -> str:
        raise error

    return extract


def test_which_library_is_used_and_what_is_said_when_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    there: set[str] = {"trafilatura"}
    monkeypatch.setattr(extractors, "find_spec", lambda name: name if name in there else None)
    assert extractors.chosen("auto") == "trafilatura"
    assert extractors.available("auto") is None
    assert "pip install 'crawl[text]'" in (extractors.available("resiliparse") or "")
    there.clear()
    assert extractors.available("auto") == "store.text needs a library that finds the main content of a page: pip install 'crawl[text]'"
    assert "pip install 'crawl[article]'" in (extractors.available("trafilatura") or "")
    with pytest.raises(ValueError, match="no extractor"):
        TextReader("text", "auto")
    there.update(("resiliparse", "trafilatura"))
    assert extractors.chosen("auto") == "resiliparse"


def test_visible_text_has_no_navigation_and_no_scripts() -> None:
    text = visible_text(PAGE)
    assert SENTENCE.strip() in text
    assert not [phrase for phrase in MENU if phrase in text]
