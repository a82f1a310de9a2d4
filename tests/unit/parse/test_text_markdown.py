"""Markdown of HTML: what stands in it, and that an independent reader (markdown-it) reads the same from it."""

import html as escapes
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from selectolax.lexbor import LexborHTMLParser

from crawler.parse.markdown import MAX_DEPTH, to_markdown
from crawler.parse.marks import MAX_MARKS, mark, marks_in

URL = "https://example.org/a/page.html"


def markdown(body: str, kept: frozenset[str] | None = None, limit: int = 1_000_000) -> str:
    marked = mark(LexborHTMLParser(f"<html><body>{body}</body></html>").html or "")
    return to_markdown(marked, URL, marks_in(marked.html) if kept is None else kept, limit)


def rendered(text: str) -> str:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def text_of(html: str) -> str:
    reader = _Text()
    reader.feed(html)
    reader.close()
    return " ".join("".join(reader.parts).split())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<h1>One <em>two</em></h1><h6>six</h6>", "# One *two*\n\n###### six"),
        ("<p>a <b>bold </b>text</p>", "a **bold** text"),
        ("<p><b>a</b><b>b</b> <b><b>c</b></b></p>", "**ab** **c**"),
        ("<p><b></b><i> </i>x</p>", "x"),
        ("<p><del>gone</del></p>", "~~gone~~"),
        ("<p>one<br>two<br></p>", "one\\\ntwo"),
        ("<p>call <code>f(`x`)</code> and <kbd>Ctrl</kbd></p>", "call ``f(`x`)`` and `Ctrl`"),
        ("<p>* a_b _c_ [d] &lt;e&gt; &amp;amp; 1 &lt; 2</p>", "\\* a_b \\_c\\_ \\[d\\] \\<e> \\&amp; 1 < 2"),
        ("<p>__init__ and a__b__, or _</p>", "\\_\\_init\\_\\_ and a\\_\\_b\\_\\_, or \\_"),
        ("<p># no heading</p><p>1. no list</p><p>- neither</p><p>+1</p>", "\\# no heading\n\n1\\. no list\n\n\\- neither\n\n+1"),
        ('<p><a href="../x.html#f">in</a></p>', "[in](https://example.org/x.html#f)"),
        ('<p>see!<a href="//other.example/q?a=1&amp;b=(2)">it</a></p>', "see\\![it](<https://other.example/q?a=1&b=(2)>)"),
        ('<p><a href="javascript:go()">go</a> <a>bare</a> <a href="x"></a></p>', "go bare"),
        ('<h2>Title<a href="#title">¶</a></h2>', "## Title"),
        ('<h2><a href="#title">Title</a></h2><p><a href="#title">up</a></p>', f"## Title\n\n[up]({URL}#title)"),
        ('<p><img src="i.png" alt="a [pic]"></p>', "![a \\[pic\\]](https://example.org/a/i.png)"),
        ('<p><a href="/big"><img src="s.png" alt="p"></a></p>', "[![p](https://example.org/a/s.png)](https://example.org/big)"),
        ('<img src="data:image/gif;base64,AAAA" data-src="/real.png">', "![](https://example.org/real.png)"),
        ('<pre><code class="language-py">if a &lt; b:\n    **c**\n</code></pre>', "```py\nif a < b:\n    **c**\n```"),
        ('<div class="highlight-python3 notranslate"><div class="highlight"><pre>x</pre></div></div>', "```python3\nx\n```"),
        ("<pre>```\nin</pre>", "````\n```\nin\n````"),
        ("<pre>one<br>two</pre>", "```\none\ntwo\n```"),
        ("<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>", "- a\n  - b\n- c"),
        ("<ul><li>a</li><ul><li>b</li></ul></ul>", "- a\n- - b"),
        ('<ol start="9"><li>a</li><li><p>b</p><p>c</p></li></ol>', "9. a\n\n10. b\n\n    c"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b"),
        ("<hr><p>a</p><hr><hr><p>b</p><hr>", "a\n\n---\n\nb"),
        ("<dl><dt>term</dt><dd>meaning</dd></dl>", "**term**\n\nmeaning"),
        ("<a href=x><div><p>one</p><p>two</p></div></a>", "one\n\ntwo"),
        ("loose<div>block</div>text", "loose\n\nblock\n\ntext"),
        ("<script>x</script><style>y</style><svg><text>z</text></svg><!-- c --><select><option>o</select>", ""),
        ("<table><tr><td>layout<td><ul><li>of<li>a page</ul></table>", "layout\n\n- of\n- a page"),
        ("<table><tr><td>one cell</table>", "one cell"),
    ],
)
def test_markdown_of_html(body: str, expected: str) -> None:
    assert markdown(body) == expected


def test_a_table_with_head_spans_and_pipes() -> None:
    body = (
        "<table><caption>Sizes</caption><tr><th>A</th><th>B</th><th>C</th></tr>"
        "<tr><td rowspan=2>x</td><td colspan=2><code>p|q</code></td></tr><tr><td><p>1</p><p>2</p></td><td>3</td></tr></table>"
    )
    assert markdown(body) == "Sizes\n\n| A | B | C |\n| --- | --- | --- |\n| x | `p\\|q` |  |\n|  | 1<br>2 | 3 |"
    assert rendered(markdown(body)).count("<td>") == 6
    assert markdown("<table><tr><td>1<td>2</table>") == "|  |  |\n| --- | --- |\n| 1 | 2 |"


def test_a_base_element_says_where_links_lead() -> None:
    page = mark('<html><head><base href="/root/"></head><body><p><a href="x">y</a></p></body></html>')
    assert to_markdown(page, URL, marks_in(page.html), 100) == "[y](https://example.org/root/x)"


def test_only_kept_texts_are_written() -> None:
    page = mark('<html><body><p>menu</p><p>Say <b>this</b> not that</p><img src="a.png" alt="no"><pre>no code</pre></body></html>')
    letters = re.findall("[\U00100000-\U0010fffd]", page.html)
    assert len(letters) == 6
    assert to_markdown(page, URL, frozenset(letters[1:3]), 1000) == "Say **this**"


def test_texts_beyond_the_marks_are_left_out() -> None:
    page = "<html><body>" + "<p>x</p>" * (MAX_MARKS + 10) + "</body></html>"
    assert markdown(page, limit=10_000_000).count("x") == MAX_MARKS


def test_writing_ends_after_the_limit() -> None:
    assert 1000 <= len(markdown("<p>word word</p>" * 100_000, limit=1000)) < 2200


def test_deep_nesting_is_text_without_markup() -> None:
    body = "<div>" * MAX_DEPTH + "<p>a <b>b</b></p>" + "</div>" * MAX_DEPTH + "<p>after</p>"
    assert markdown(body) == "a b\n\nafter"
    assert markdown("<b>" * 500 + "x") == "**x**"


words = st.text(st.sampled_from("ab1 **__`[]<>#+-=~|\\!&;:.()/é\n"), min_size=1, max_size=40)


@settings(max_examples=100, deadline=None)
@given(st.lists(words, min_size=1, max_size=3))
def test_any_text_is_read_as_it_stands(texts: list[str]) -> None:
    body = "".join(f"<p>{escapes.escape(text)}</p>" for text in texts)
    written = rendered(markdown(body))
    assert text_of(written) == text_of(body.replace("</p>", "</p> "))
    assert set(re.findall(r"<(\w+)", written)) <= {"p"}


@settings(max_examples=60, deadline=None)
@given(words, words, words)
def test_text_within_code_links_lists_and_cells(code: str, label: str, cell: str) -> None:
    esc = escapes.escape
    body = (
        f"<h2>{esc(label)}</h2><ul><li>x<code>{esc(code)}</code>y</li></ul><p>(<a href='/t'>{esc(label)}</a>)</p>"
        f"<table><tr><th>{esc(cell)}.</th><th>y</th></tr></table><pre>{esc(code)}</pre>"
    )
    squeezed = "".join(text_of(body).split())
    assert "".join(text_of(rendered(markdown(body)).replace("<br>", "")).split()) == squeezed
