import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.parse.html import MAX_DESCRIPTION, MAX_TITLE, extract
from crawler.parse.links import Resolver
from crawler.parse.refresh import refresh_target
from crawler.policy.directives import MAX_DIRECTIVES
from crawler.url import MAX_URL_LENGTH, canonicalise, fingerprint

URL = "http://h.example/d/e/page.html?q=1"


def read(markup, **options):
    data = markup if isinstance(markup, bytes) else markup.encode()
    return extract(data, URL, **{"agent_token": "crawl", "max_links": 1000, "want_links": True, **options})


def urls(markup, **options):
    return [link.url for link in read(markup, **options).links]


@pytest.mark.parametrize(
    ("markup", "found"),
    [
        ("<a href=x.html>", ["http://h.example/d/e/x.html"]),
        ("<A HREF='../x'>", ["http://h.example/d/x"]),
        ("<a href=/x><a href='/x#f'><a href=' /x '><a href='\n/x\t'>", ["http://h.example/x"]),
        ("<a href='http://H.Example:80/x'><a href=/x>", ["http://h.example/x"]),
        ("<a href='?p=2'>", ["http://h.example/d/e/page.html?p=2"]),
        ("<a href='#top'>", ["http://h.example/d/e/page.html?q=1"]),
        ("<a>no</a><a name=x>", []),
        ("<map><area href=/area></map>", ["http://h.example/area"]),
        ("<iframe src=/i></iframe>", ["http://h.example/i"]),
        ("<frameset><frame src=/f></frameset>", ["http://h.example/f"]),
        ("<link rel=next href=/n><link rel='PREV x' href=/p>", ["http://h.example/n", "http://h.example/p"]),
        (
            "<link rel=alternate hreflang=de href=/de><link rel=alternate type='text/html' href=/fr>",
            ["http://h.example/de", "http://h.example/fr"],
        ),
        ("<link rel=alternate type=application/rss+xml href=/rss><link rel='alternate stylesheet' href=/s.css>", []),
        ("<link rel=stylesheet href=/s.css><link rel=canonical href=/c><link rel=icon href=/i.ico>", []),
        ("<a href='javascript:x()'><a href='mailto:a@b'><a href='data:text/html,x'><a href='ftp://h/x'><a href='tel:1'>", []),
        ("<a href='http://'><a href='http://[bad'><a href='//'>", []),
        ("<form action=/form><input formaction=/g><img src=/img><script src=/s></script><object data=/o>", []),
        ("<noscript><a href=/ns></noscript>", ["http://h.example/ns"]),
        ("<svg><a href=/svg></a></svg>", ["http://h.example/svg"]),
        ("<!-- <a href=/c> --><script>'<a href=/s>'</script><textarea><a href=/t></textarea><style><a href=/y></style>", []),
        ("<a href=/1><plaintext><a href=/2>", ["http://h.example/1"]),
        ("<a href=/1><!-- never closed <a href=/2>", ["http://h.example/1"]),
        ("<p <a href=/odd>><a href=/1", []),
        ("<a href=/a href=/b>", ["http://h.example/a"]),
        ("<a href='/a&amp;b&#x63;'>", ["http://h.example/a&bc"]),
        ("<a href='/ä b'>", ["http://h.example/%C3%A4%20b"]),
        ("", []),
        ("no markup at all", []),
    ],
)
def test_links(markup, found):
    assert urls(markup) == found


@pytest.mark.parametrize(
    ("base", "target"),
    [
        ("<base href=/x/>", "http://h.example/x/r"),
        ("<base href='../'>", "http://h.example/d/r"),
        ("<base href='http://other.example/y/z'>", "http://other.example/y/r"),
        ("<base href=/1/><base href=/2/>", "http://h.example/1/r"),
        ("<base target=_top><base href=/2/>", "http://h.example/2/r"),
        ("<base href='javascript:alert(1)'>", "http://h.example/d/e/r"),
        ("<base href='data:text/html,x'>", "http://h.example/d/e/r"),
        ("<base href='http://['>", "http://h.example/d/e/r"),
        ("<base href=''>", "http://h.example/d/e/r"),
    ],
)
def test_the_base(base, target):
    document = read(f"{base}<link rel=canonical href=r><meta http-equiv=refresh content='0;url=r'><a href=r>")
    assert [link.url for link in document.links] == [target]
    assert document.canonical == target
    assert document.refresh == target


def test_links_carry_key_and_nofollow():
    links = read(
        "<a rel='external NoFollow' href=/a><a href=/b><a rel=nofollow href=/b><a rel=nofollower href=/c><area rel=nofollow href=/d>"
    ).links
    assert [(link.url[-1], link.nofollow) for link in links] == [("a", True), ("b", False), ("c", False), ("d", True)]
    assert all(link.key == fingerprint(link.url) for link in links)


def test_spellings_of_one_url_are_one_link_and_followed_if_any_is():
    links = read("<a rel=nofollow href=/x><a href='http://h.example:80/x'>").links
    assert [(link.url, link.nofollow) for link in links] == [("http://h.example/x", False)]


def test_links_beyond_the_limit_are_counted():
    markup = "".join(f"<a href=/{number}><a href='/{number}#x'>" for number in range(50))
    document = read(markup, max_links=20)
    assert [link.url for link in document.links] == [f"http://h.example/{number}" for number in range(20)]
    assert document.dropped_links == 30


def test_references_far_beyond_the_limit_are_counted_not_kept():
    found = read("".join(f"<a href=/{n}>" for n in range(1_000)) + "<a href=/0 rel=nofollow>", max_links=10)
    assert (len(found.links), found.dropped_links) == (10, 990)
    assert not found.links[0].nofollow


def test_a_hundred_thousand_links():
    document = read("".join(f"<a href='/?{number}'>" for number in range(100_000)), max_links=50)
    assert (len(document.links), document.dropped_links) == (50, 99_950)


def test_what_one_document_reports_is_limited(monkeypatch):
    monkeypatch.setattr("crawler.parse.links.MAX_REPORTED", 1000)
    document = read("".join(f"<a href='/{number}'>" for number in range(100)))
    assert 0 < len("".join(link.url for link in document.links)) <= 1000
    assert len(document.links) + document.dropped_links == 100


def test_links_can_be_left_out():
    document = read("<title>t</title><a href=/x><link rel=canonical href=/c>", want_links=False)
    assert (document.links, document.dropped_links, document.title, document.canonical) == ([], 0, "t", "http://h.example/c")


@pytest.mark.parametrize(
    ("markup", "title"),
    [
        ("<title> A \n\t B </title>", "A B"),
        ("<title></title>", None),
        ("<title>a &amp; b &lt;c&gt;</title>", "a & b <c>"),
        ("<title>a</title><title>b</title>", "a"),
        ("<svg><title>icon</title></svg><title>page</title>", "page"),
        ("<svg><g><title>icon</title></g></svg>", None),
        ("<body><p><title>late</title>", "late"),
        ("<title>never closed <p>x", "never closed <p>x"),
        (b"<title>a\0b\xffc</title>", "a\ufffdb\ufffdc"),
        ("<title>\x1b[2J\x07a\x7f\x9b31m\u202e</title>", "[2Ja31m\u202e"),
        ("<title>" + "x" * 5000 + "</title>", "x" * MAX_TITLE),
        ("<title>&#xD800;&#0;&#x110000;</title>", "\ufffd\ufffd\ufffd"),
        ("", None),
    ],
)
def test_title(markup, title):
    assert read(markup).title == title


def test_description_language_and_canonical():
    document = read(
        "<html lang=' de-AT '><meta name=Description content=' one\ntwo '><meta name=description content=second>"
        "<link rel='shortlink canonical' href='/c?utm_source=x#f'><link rel=canonical href=/d>"
    )
    assert (document.description, document.language, document.canonical) == ("one two", "de-AT", "http://h.example/c")
    assert len(read(f"<meta name=description content='{'y' * 9999}'>").description) == MAX_DESCRIPTION
    assert read("<html lang=''>").language is None
    assert read("<link rel=canonical href='mailto:x'>").canonical is None


@pytest.mark.parametrize(
    ("markup", "directives"),
    [
        ("<meta name=robots content='NOINDEX, nofollow'>", ["noindex", "nofollow"]),
        ("<META NAME=ROBOTS CONTENT=None>", ["none"]),
        (
            "<meta name=crawl content=nofollow><meta name=robots content='noindex,max-snippet:20'>",
            ["nofollow", "noindex", "max-snippet:20"],
        ),
        ("<meta name=otherbot content=nofollow>", []),
        ("<meta name=robots content=',, ,'>", []),
        ("<meta name=robots>", []),
        (
            "<meta name=robots content='unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT, nofollow'>",
            ["unavailable_after: fri, 25 jun 2010 15:00:00 gmt", "nofollow"],
        ),
        ("<meta name=robots content='no\x1bindex'><meta name=robots content='noindex, none'>", ["noindex", "none"]),
        ("<body><meta name=robots content=noindex>", ["noindex"]),
    ],
)
def test_meta_robots(markup, directives):
    assert read(markup).robots == directives


def test_meta_robots_are_limited():
    assert len(read(f"<meta name=robots content='{','.join(map(str, range(10**5)))}'>").robots) == MAX_DIRECTIVES


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ("5; url=/x", "/x"),
        ("0;URL='/x'", "/x"),
        ('0 ; url = "/x" rest', "/x"),
        ("0,/x", "/x"),
        ("0 /x", "/x"),
        ("  1.5;/x ", "/x"),
        (".5; url=x", "x"),
        ("0; 'x'y", "x"),
        ("0; urlx", "urlx"),
        ("5", None),
        ("5;", None),
        ("", None),
        ("x; url=/x", None),
        ("-1; url=/x", None),
        ("5x; url=/x", None),
        ("0; url=", None),
    ],
)
def test_refresh_target(content, target):
    assert refresh_target(content) == target


@pytest.mark.parametrize("junk", ["1" * 200_000 + "x", "." * 200_000 + "x", " " * 200_000 + "x", "1." * 100_000 + "x; url=/y"])
def test_a_long_refresh_is_read_in_one_go(junk):
    began = time.process_time()
    assert refresh_target(junk) is None
    assert time.process_time() - began < 0.1


def test_refresh_is_found_anywhere_and_resolved():
    assert read("<noscript><meta http-equiv=Refresh content='0; url=/nojs'></noscript>").refresh == "http://h.example/nojs"
    assert read("<body><meta http-equiv=refresh content='0; url=x'>").refresh == "http://h.example/d/e/x"
    assert read("<meta http-equiv=refresh content='0; url=javascript:x()'>").refresh is None
    assert read("<meta http-equiv=refresh content='30'>").refresh is None


@pytest.mark.parametrize("depth", [254, 3000])
def test_deep_nesting_drops_no_link(depth):
    assert urls("<a href=/before>" + "<div>" * depth + "<a href=/inside>" + "</div>" * depth + "<a href=/after>") == [
        "http://h.example/before",
        "http://h.example/inside",
        "http://h.example/after",
    ]


def test_a_text_or_attribute_above_ten_megabytes_drops_no_link():
    huge = "x" * 11_000_000
    assert urls(f"<p>{huge}<a href=/1><p title='{huge}'><a href=/2>") == ["http://h.example/1", "http://h.example/2"]


@pytest.mark.parametrize(
    "piece", ["<a ", "<!--", "<a href=x>", "</p>", "<b><i>", "<table><tr>", "<!doctype ", "<![CDATA[", "&#", "<svg><math>"]
)
def test_repeated_fragments_end(piece):
    extract((piece * 3000).encode(), URL, agent_token="crawl", max_links=10, want_links=True)


REFERENCES = st.text(alphabet="ab./?#%:\\-_~ @2é\t", max_size=20) | st.from_regex(
    r"\A(\.\./){0,6}[a-z0-9_.-]{1,8}(/[a-z0-9_.-]{0,8}){0,3}\Z"
)
BASES = st.sampled_from(
    [URL, "http://h.example/", "http://h.example/a//b/", "https://h.example:8080/x/y/z?a/b", "http://[::1]/a/b", "http://h.example/a?"]
)


@settings(max_examples=500, deadline=None)
@given(REFERENCES, BASES)
def test_the_quick_way_to_resolve_is_no_other_way(reference, base):
    base = canonicalise(base)
    reference = reference.partition("#")[0]
    assert Resolver(base).resolve(reference) == canonicalise(reference, base)


def test_a_reference_too_long_to_be_parsed_is_no_link_although_it_would_become_short():
    assert read(f"<a href={'../' * 10_000}up>").links == []
    assert read(f"<a href={'../' * 2_000}up>").links[0].url == "http://h.example/up"


def test_a_plain_path_beyond_the_url_limit_is_no_link():
    room = MAX_URL_LENGTH - len("http://h.example/d/e/")
    assert urls(f"<a href={'a' * room}>") == ["http://h.example/d/e/" + "a" * room]
    assert urls(f"<a href={'a' * (room + 1)}>") == []


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=400)
    | st.lists(st.sampled_from([b"<", b">", b"<a href=", b"'", b"<base href=", b"<title>", b"</", b"\0", b"\xff", b"<meta "])).map(b"".join)
)
def test_any_bytes_give_a_document_that_is_json(data):
    msgspec.json.encode(extract(data.decode("utf-8", "replace").encode(), URL, agent_token="crawl", max_links=10, want_links=True))
    msgspec.json.encode(extract(data, URL, agent_token="crawl", max_links=10, want_links=True))
