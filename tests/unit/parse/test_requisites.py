from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse import css, srcset
from crawler.parse.requisites import MAX_REQUISITES, named_by_link_elements, requisites_of_css, requisites_of_html

PAGE = "http://h.test/a/page.html"


def of_html(html: str) -> list[str]:
    return requisites_of_html(html.encode(), PAGE)


def of_css(sheet: str) -> list[str]:
    return [reference.url for reference in css.references(sheet)]


@pytest.mark.parametrize(
    ("sheet", "urls"),
    [
        ("a{b:url(c.png)}", ["c.png"]),
        ("a{b:url( c.png\n)}", ["c.png"]),
        ("a{b:url('c d.png')} e{f:URL(\"g\")}", ["c d.png", "g"]),
        (r'a{b:url("d\"x.png")}', ['d"x.png']),
        (r"a{b:url(i\28 j\)k)}", ["i(j)k"]),
        (r"a{b:u\72l(c.png)}", ["c.png"]),  # an escape in the function's name
        ('a{b:url("c\\\n.png")}', ["c.png"]),  # a line continued
        (r"a{b:url(\0\d800\110000)}", ["\ufffd" * 3]),
        ("/* url(no) */ a{b:/*url(no)*/url(c)} /* url(no)", ["c"]),
        ('a{content:"url(no)"} b{c:attr("no")}', []),
        ('a{b:url(no"x) , url(no x), url(c)}', ["c"]),  # bad url tokens end at the next parenthesis
        ('a{b:"not closed\n; c:url(d)}', ["d"]),
        ("a{b:url(c", ["c"]),  # closed by the end
        ("@import 'a.css';@import url(b.css) print;@IMPORT\turl('c.css');", ["a.css", "b.css", "c.css"]),
        ('@import "a.css" layer(x) supports(content: "no") screen; b{content: "no"}', ["a.css"]),
        ('@charset "utf-8"; @namespace url(http://no); @namespace svg "no"; a{b:url(c)}', ["c"]),
        ('a{b:image-set("c.png" 1x type("image/no"), url(d.png) 2x)}', ["c.png", "d.png"]),
        ("@font-face{src:url(a.woff2)format('woff2'),local('no'),url('b.woff')}", ["a.woff2", "b.woff"]),
        ("@media (min-width:1px){a{b:url(c)}} }}))) d{e:url(f)}", ["c", "f"]),
    ],
)
def test_urls_of_a_sheet(sheet: str, urls: list[str]) -> None:
    assert of_css(sheet) == urls


@pytest.mark.parametrize("evil", ['"', "/*", "url(", "(", "\\", "a:url(\\", "image-set(", "url( ", "@import ", "'\\\n", "{", "\\1"])
def test_reading_a_sheet_takes_linear_time(evil: str) -> None:
    started = time.process_time()
    of_css("a{b:url(" + evil * 40_000)
    of_css(evil * 40_000)
    assert time.process_time() - started < 5


def test_rewriting_keeps_all_but_the_urls() -> None:
    sheet = "/* x */ @import 'a.css' print; p { b : url( c.png ) , url(\"d\") ; color: red }"
    assert css.rewritten(sheet, lambda _: None) == sheet
    new = css.rewritten(sheet, lambda url: f'../{url}"\n</style>')
    assert of_css(new) == ['../a.css"\n</style>', '../c.png"\n</style>', '../d"\n</style>']
    assert "</style>" not in new
    assert css.rewritten(sheet, str.upper) == '/* x */ @import "A.CSS" print; p { b : url( "C.PNG" ) , url("D") ; color: red }'


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("ä".encode(), None, "ä"),
        ("ä".encode("latin-1"), "iso-8859-1", "ä"),
        (b'@charset "koi8-r";' + "я".encode("koi8-r"), None, '@charset "koi8-r";я'),
        (b'@charset "koi8-r";' + "я".encode(), "utf-8", '@charset "koi8-r";я'),  # the header decides
        (b'@charset "utf-16";' + "я".encode(), None, '@charset "utf-16";я'),  # it could be read, so it is not
        (b"\xef\xbb\xbf" + "я".encode(), "koi8-r", "я"),  # a byte order mark decides before all
        ("я".encode("utf-16"), None, "я"),
        (b"a", "rot13", "a"),
    ],
)
def test_charset_of_a_sheet(data: bytes, charset: str | None, text: str) -> None:
    assert css.decoded(data, charset) == text


def test_requisites_of_a_sheet_are_canonical() -> None:
    sheet = "@import '../b.css#x'; a{b:url(//cdn.test/é.png);c:url(data:image/png;base64,AA);d:url(#f);e:url(../b.css);f:url(about:blank)}"
    assert requisites_of_css(sheet.encode("latin-1"), "http://h.test/s/a.css", "latin1") == [
        "http://h.test/b.css",
        "http://cdn.test/%C3%A9.png",
    ]


@pytest.mark.parametrize(
    ("html", "urls"),
    [
        ("<link rel='Alternate StyleSheet' href=s.css>", ["s.css"]),
        ("<link rel='shortcut icon' href=i.ico><link rel=manifest href=m>", ["i.ico", "m"]),
        ("<link rel=preload as=font href=f><link rel=preload as=fetch href=no><link rel=preload href=no>", ["f"]),
        ("<link rel=preload as=image imagesrcset='a 1x, b 2x'>", ["a", "b"]),
        ("<link rel=canonical href=no><link rel=next href=no><link href=no>", []),
        ("<script src=j.js></script><script>'no.js'</script>", ["j.js"]),
        ("<img src=i.png srcset='a.png 1x,b.png 2x'>", ["i.png", "a.png", "b.png"]),
        ("<picture><source srcset=a.webp><img src=b.png></picture>", ["a.webp", "b.png"]),
        ("<video src=v poster=p><source src=w><track src=t></video><audio src=a></audio>", ["v", "p", "w", "t", "a"]),
        ("<input type=IMAGE src=i><input type=text src=no>", ["i"]),
        ("<embed src=e><object data=o></object>", ["e", "o"]),
        ("<svg><image href=i /><use xlink:href=u.svg#part /><use href='#no'/></svg>", ["i", "u.svg"]),
        ("<style>@import 'a.css'; p{b:url(c)}</style><p style='x:url(d)'>", ["a.css", "c", "d"]),
        ("<body background=b><table background=c><td background=d>", ["b", "c", "d"]),
        ("<a href=no><iframe src=no></iframe>", []),
        ("<img src='  i.png\n'><img src=i.png#x><img src><img src=''>", ["i.png"]),
        ("<noscript><img src=i></noscript>", ["i"]),
    ],
)
def test_requisites_of_a_page(html: str, urls: list[str]) -> None:
    assert of_html(html) == [f"http://h.test/a/{url}" for url in urls]


def test_the_base_element_counts() -> None:
    assert of_html("<base target=_top><base href='//cdn.test/b/'><base href=/no><img src=i>") == ["http://cdn.test/b/i"]
    assert of_html("<base href='mailto:x'><img src=i>") == ["http://h.test/a/i"]


def test_requisites_are_limited() -> None:
    found = of_html("".join(f"<img src={n}>" for n in range(MAX_REQUISITES + 5)))
    assert len(found) == MAX_REQUISITES
    assert found[-1] == f"http://h.test/a/{MAX_REQUISITES - 1}"


@pytest.mark.parametrize(
    ("value", "candidates"),
    [
        ("a 1x, b 2x", [("a", "1x"), ("b", "2x")]),
        ("a, b", [("a", ""), ("b", "")]),
        ("a,b 2x", [("a,b", "2x")]),  # a comma within a URL is part of it
        (" , a.png  100w 2h ,", [("a.png", "100w 2h")]),
        ("data:image/png;base64,AA== 1x, b 2x", [("data:image/png;base64,AA==", "1x"), ("b", "2x")]),
        ("a (x, y) 1x, b", [("a", "(x, y) 1x"), ("b", "")]),
        ("a (x, b", [("a", "(x, b")]),
        (",, ,", []),
    ],
)
def test_candidates(value: str, candidates: list[tuple[str, str]]) -> None:
    assert srcset.candidates(value) == candidates


def test_rewritten_candidates() -> None:
    assert srcset.rewritten("a 1x,  b 2x, c", {"a": "x/a", "c": "x/c"}.get) == "x/a 1x, b 2x, x/c"


@given(
    st.lists(
        st.sampled_from(
            ["url(", ")", '"', "'", "\\", "\n", "a", "/*", "*/", "@import ", ";", "{", "}", "(", "image-set(", "é", " ", "\\61 "]
        )
    )
)
def test_rewriting_any_text_finds_the_same_urls_again(pieces: list[str]) -> None:
    sheet = "".join(pieces)
    urls = of_css(sheet)
    assert of_css(css.rewritten(sheet, lambda url: url)) == urls
    assert of_css(css.rewritten(sheet, lambda url: f"x{url}")) == [f"x{url}" for url in urls]


def test_what_link_elements_name_whatever_their_relation_but_for_connections() -> None:
    page = (
        b'<link rel=search href=/s.xml><link rel="made" href="a@b.example"><link rel="dns-prefetch" href=//c.example>'
        b'<link rel="preconnect stylesheet" href=//d.example><link href="/none"><link rel=stylesheet href=a.css><a href=/x>'
    )
    assert named_by_link_elements(page, "http://h.example/d/") == [
        "http://h.example/s.xml",
        "http://h.example/d/a@b.example",
        "http://h.example/none",
        "http://h.example/d/a.css",
    ]
