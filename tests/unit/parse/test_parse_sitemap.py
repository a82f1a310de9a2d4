import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.parse import sitemap
from crawler.parse.sitemap import MAX_COUNTED, MAX_ENTRIES, read_sitemap
from crawler.url import fingerprint

URL = "http://h.example/sitemap.xml"
NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def pages(data):
    return [link.url.removeprefix("http://h.example/") for link in read_sitemap(data, URL).links]


def indexes(data):
    return [link.url.removeprefix("http://h.example/") for link in read_sitemap(data, URL).sitemaps]


def urlset(*locs, root=f"urlset {NAMESPACE}"):
    body = "".join(f"<url><loc>{loc}</loc><lastmod>9999-99-99</lastmod></url>" for loc in locs)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{body}</{root.partition(" ")[0]}>'.encode()


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (urlset("http://h.example/a", "http://h.example/b"), ["a", "b"]),
        (urlset("  http://h.example/a?x=1&amp;y=2\n"), ["a?x=1&y=2"]),
        (urlset("http://h.example/a", root="urlset"), ["a"]),
        (urlset("http://h.example/a", root='urlset xmlns="http://wrong.example/"'), ["a"]),
        (urlset("http://h.example/a").replace(b"url", b"sm:url").replace(b"loc>", b"sm:loc>"), ["a"]),  # prefix without namespace
        (urlset("http://h.example/a", "http://H.EXAMPLE:80/a#f"), ["a"]),
        (urlset("/relative", "mailto:x", "ftp://h/x", "", "http://h.example/ok"), ["relative", "ok"]),
        (urlset("<![CDATA[http://h.example/cdata]]>"), ["cdata"]),
        (urlset("http://h.example/" + "x" * 1_000_000, "http://h.example/b"), ["b"]),
        (b"\xef\xbb\xbf" + urlset("http://h.example/bom"), ["bom"]),
        (urlset("http://h.example/a").decode().replace("UTF-8", "UTF-16").encode("utf-16"), ["a"]),
        (b"\n\n  " + urlset("http://h.example/a"), ["a"]),
        (urlset("http://h.example/a", "http://h.example/b")[:-30], ["a", "b"]),  # cut off
        (urlset("http://h.example/a", "http://h.example/b").replace(b"</url></urlset>", b"</wrong>&nope;"), ["a", "b"]),
        (
            b'<urlset xmlns:image="i"><url><image:image><image:loc>http://h.example/i.png</image:loc></image:image>'
            b'<loc>http://h.example/a</loc><xhtml:link rel="alternate" href="http://h.example/de"/></url></urlset>',
            ["a"],
        ),
        (
            b'<rss version="2.0"><channel><link>http://h.example/channel</link><item><title>t</title><link>http://h.example/1</link></item>'
            b"<item><link> http://h.example/2 </link><guid>http://h.example/guid</guid></item></channel></rss>",
            ["1", "2"],
        ),
        (
            b'<feed xmlns="http://www.w3.org/2005/Atom"><link rel="self" href="http://h.example/self"/>'
            b'<entry><link href="http://h.example/1"/><link rel="edit" href="http://h.example/edit"/></entry>'
            b'<entry><link rel="alternate" href="/2"/></entry></feed>',
            ["1", "2"],
        ),
        (b"http://h.example/a\r\nhttp://h.example/b\n\n  HTTP://h.example/c  \nnot a url\nftp://h.example/d", ["a", "b", "c"]),
        (b"\xef\xbb\xbfhttp://h.example/a", ["a"]),
        (b"<html><body><a href=/x>soft 404</a>", []),
        (b"", []),
        (b"<", []),
        (b"\0\0\0", []),
        (b"\xff\xfe\xff\xfe", []),
    ],
)
def test_pages(data, found):
    assert pages(data) == found


def test_an_index_lists_sitemaps_not_pages():
    data = (
        f"<sitemapindex {NAMESPACE}><sitemap><loc>http://h.example/1.xml.gz</loc></sitemap>"
        "<sitemap><loc>http://h.example/2.xml</loc></sitemap></sitemapindex>"
    ).encode()
    assert (pages(data), indexes(data)) == ([], ["1.xml.gz", "2.xml"])
    assert read_sitemap(data, URL).sitemaps[0].key == fingerprint("http://h.example/1.xml.gz")


def test_damage_is_noted_and_costs_only_what_follows():
    good = urlset(*(f"http://h.example/{number}" for number in range(5000)))
    cut = good[: len(good) // 2]
    assert pages(cut) == [str(number) for number in range(len(pages(cut)))]
    assert len(pages(cut)) > 2400
    assert read_sitemap(cut, URL).notes[0].startswith("XML damaged")
    assert read_sitemap(good, URL).notes == []


def test_entries_beyond_the_limit_are_counted():
    result = read_sitemap(urlset(*(f"http://h.example/{number}" for number in range(MAX_ENTRIES + 7))), URL)
    assert (len(result.links), result.dropped) == (MAX_ENTRIES, 7)
    text = "\n".join(f"http://h.example/{number}" for number in range(MAX_ENTRIES + 7)).encode()
    assert read_sitemap(text, URL).dropped == 7


def test_a_sitemap_without_end_is_not_read_to_its_end():
    result = read_sitemap(b"http://h.example/same\n" * (MAX_COUNTED + 5), URL)
    assert [link.url for link in result.links] == ["http://h.example/same"]
    assert (result.dropped, result.notes) == (MAX_COUNTED - MAX_ENTRIES, ["not read beyond 500000 entries"])


LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE u [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
    + "]><urlset><url><loc>http://h.example/&j;</loc></url><url><loc>http://h.example/b</loc></url></urlset>"
).encode()


def test_billion_laughs_are_not_laughed():
    result = read_sitemap(LAUGHS, URL)
    assert all(len(link.url) < 100 for link in result.links)


def test_no_external_entity_is_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("topsecret")
    for declaration in (f'<!ENTITY x SYSTEM "file://{secret}">', f'<!ENTITY % p SYSTEM "file://{secret}"> %p;'):
        data = f"<!DOCTYPE u [{declaration}]><urlset><url><loc>http://h.example/&x;</loc></url></urlset>".encode()
        result = read_sitemap(data, URL)
        assert "topsecret" not in repr(result)


def test_no_external_dtd_is_loaded(tmp_path):
    dtd = tmp_path / "x.dtd"
    dtd.write_text('<!ENTITY e "fromdtd">')
    data = f'<!DOCTYPE urlset SYSTEM "file://{dtd}"><urlset><url><loc>http://h.example/&e;</loc></url></urlset>'.encode()
    assert "fromdtd" not in repr(read_sitemap(data, URL))


def test_an_address_that_is_cut_off_is_none():
    whole = urlset("http://h.example/1", "http://h.example/22")
    end = whole.index(b"22") + 1
    assert pages(whole[:end]) == ["1"]
    assert pages(whole[: whole.index(b"22</loc>") + len(b"22</loc>")]) == ["1", "22"]


def test_what_was_read_is_freed():
    parser = sitemap.etree.XMLPullParser(events=("end",))
    parser.feed(urlset(*(f"http://h.example/{number}" for number in range(1000))).removesuffix(b"</urlset>"))
    assert len(list(sitemap._addresses(parser))) == 1000
    parser.feed(b"</urlset>")
    assert len(parser.close()) <= 1


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_give_a_sitemap(data, position):
    good = urlset("http://h.example/a", "http://h.example/b")
    read_sitemap(data, URL)
    read_sitemap(b"<" + data, URL)
    read_sitemap(good[:position] + data + good[position:], URL)
    read_sitemap(gzip.compress(data), URL)
