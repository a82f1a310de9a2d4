"""The part of the table (`cases.py`) that is about what answers contain: codings, cookies, traps, parsers, robots.txt, sitemaps."""

from __future__ import annotations

from typing import Final

from ends import (
    BAD_ENCODING,
    BAD_HTTP,
    FETCHED,
    HTTP_ERROR,
    PARSE,
    ROBOTS,
    TIMEOUT,
    TOO_LARGE,
    UNREACHABLE,
    Case,
    Row,
    counted,
    web,
)

DECODE: Final = "tests/unit/parse/test_parse_decode.py::"
SITEMAP: Final = "tests/unit/parse/test_parse_sitemap.py::"
POOL: Final = "tests/wire/test_parse_pool.py::"
ROBOTS_TESTS: Final = "tests/unit/policy/test_robots.py::"
TRAPS: Final = "tests/hostile/test_trap_sites.py"


def allowing(host: int, label: str) -> Row:
    """A host whose robots.txt forbids nothing."""
    return web("/ /page /no", FETCHED, host=host, label=label)


def forbidding(host: int, label: str) -> tuple[Row, Row]:
    """A host whose robots.txt forbids /no."""
    return web("/ /page", FETCHED, host=host, label=label), web("/no", ROBOTS, host=host, label=f"{label}: /no")


ENCODINGS: Final = {
    29: Case(
        "Bombs in gzip, deflate, br, zstd, and a bomb in a bomb",
        (web("/bomb.gz /deflatebomb /brbomb /zstdbomb /nestedbomb", TOO_LARGE, detail="decoded body exceeds"),),
    ),
    30: Case(
        "Five codings on top of each other, and twenty",
        (web("/layers5", FETCHED, title="A page"), web("/layers20", BAD_ENCODING, detail="20 content encodings")),
    ),
    31: Case(
        "gzip that is none, gzip that nobody declared",
        (
            web("/notgzip", FETCHED, detail="declared gzip, sent plain", title="A page"),
            web("/undeclaredgzip", FETCHED, detail="gzip undeclared", title="A page"),
            web("/emptygzip", FETCHED, bytes=0),
        ),
    ),
    32: Case(
        "gzip without trailer, with a bad checksum, with rubbish behind it, in two members, corrupt from the start",
        (
            web("/notrailer", FETCHED, detail="gzip truncated", bytes=4600),
            web("/badcrc", FETCHED, detail="gzip corrupt", bytes=4600),
            web("/gziptail", FETCHED, detail="followed by other bytes", bytes=4600),
            web("/twomembers", FETCHED, title="Two", detail=""),
            web("/badgzip", BAD_ENCODING, detail="gzip corrupt"),
        ),
    ),
    33: Case(
        "Windows of 2 GB (zstd), large windows (br)",
        (web("/zstdwindow /brjunk", BAD_ENCODING),),
        (f"{DECODE}test_a_zstd_window_beyond_the_limit_is_refused",),
    ),
    34: Case(
        "Codings that nobody knows: rot13, compress, aes128gcm, a name of 10 kB",
        (web("/rot13 /compress /aes128gcm /longcoding", BAD_ENCODING, detail="unknown content encoding"),),
    ),
    35: Case(
        "Charsets that contradict each other, and labels that name codecs of Python",
        (
            web("/liar", FETCHED, title="Ünï", charset="UTF-16LE"),
            *(web(f"/charset-{label}", FETCHED, title=label) for label in ("utf-7", "idna", "rot13", "zlib", "unicode_escape")),
            web("/charset-hz-gb-2312", FETCHED),
        ),
        ("tests/unit/parse/test_parse_charset.py::test_what_the_standard_does_not_know_is_no_label",),
    ),
    36: Case(
        "A label of 50 kB, lone surrogates, NULs",
        (web("/longcharset", FETCHED), web("/surrogates", FETCHED, title="a\ufffd\ufffd\ufffd\ufffdb\ufffdc\ufffd")),
        ("tests/unit/parse/test_parse_charset.py::test_any_bytes_become_valid_utf8",),
        note="Every line of the outputs is valid UTF-8 and valid JSON.",
    ),
    37: Case(
        "150 and 10 000 cookies, a cookie of 1 MB, cookies for .com",
        (web("/tencookies", FETCHED, title="A page"), web("/manycookies /megacookie", BAD_HTTP, detail="head is larger")),
        ("tests/unit/fetch/test_cookies.py", "tests/wire/test_session.py::test_without_being_asked_no_cookie_is_kept"),
        note="Cookies are off by default: then none is kept.",
    ),
}

PAGES: Final = {
    61: Case(
        "Calendars, growing paths, session ids, redirects that count",
        (
            web("/calendar /calendar?month=[1-5] /session", FETCHED),
            web("/growing/ /growing/a/ /growing/a/a/ /growing/a/a/a/", FETCHED),
            counted("/session/", 5, FETCHED, "five pages of sessions, then the depth limit of the crawl"),
        ),
        (TRAPS, "tests/unit/policy/test_traps.py"),
        note="The fifth `a/` is refused as trap:repeated_segments. Without a depth limit: the tests named.",
    ),
    62: Case("200 for every URL there is", tests=(TRAPS,)),
    63: Case(
        "The same page under many URLs",
        (web("/keep[0-4] /oldhttp[0-4]", FETCHED, title="A page"),),
        note="Each URL has its record, with the digest of the body. Bodies are not stored, so nothing is stored twice.",
    ),
    64: Case(
        "200 000 links on a page, and a million",
        (
            web("/manylinks", FETCHED, detail="190000 links beyond the limit"),
            web("/million", PARSE, detail="memory|time"),
        ),
        note="The tree of a page with a million links is larger than a worker may be (`page_memory`): the page is told as such.",
    ),
    65: Case(
        "Links to 50 000 hosts",
        (web("/hosts", FETCHED, detail="40000 links beyond the limit"),),
        ("tests/hostile/test_whole_program.py::test_fifty_thousand_hosts_out_of_scope_are_refused_at_the_door",),
    ),
    66: Case(
        "rel=nofollow, robots directives, forms",
        (web("/nofollow /metanofollow /metanone /xrobots /xrobotsours /xrobotsother", FETCHED),),
        note="What they lead to (/never/) is never asked for; forms are never sent.",
    ),
    67: Case(
        "Bytes that are no text as HTML, a PDF of 50 MB, a film without end",
        (web("/binary", FETCHED, bytes=102400), web("/pdf", TOO_LARGE, detail="50000000 bytes announced"), web("/film", TOO_LARGE)),
        ("tests/wire/test_fetch_answers.py::test_content_type_gate",),
    ),
    68: Case("300 elements deep", (web("/deep300 /ok/deep", FETCHED),), note="The link at the bottom is found."),
    69: Case("100 000 and 200 000 elements deep", (web("/deep100000 /spin", PARSE, detail="timed out"),)),
    70: Case("150 000 attributes on one element", (web("/attributes", PARSE, detail="timed out"),)),
    71: Case("10 000 times `<a `, 40 000 times `<!--`", (web("/lessthan /comments", FETCHED),)),
    72: Case(
        "A text, a title and an attribute of many megabytes",
        (web("/longtext /longtitle /longattribute /ok/aftertext /ok/aftertitle /ok/afterattribute", FETCHED),),
        note="The links behind them are found.",
    ),
    73: Case(
        "NULs, what is never closed, a doctype of 1 MB, plaintext, a hundred bases, bases that are none",
        (
            web("/nuls /unclosed!-- /unclosedscript /unclosedtextarea /unclosedtitle /plaintext /doctype", FETCHED),
            web("/ok/nuls /ok/before!-- /ok/beforescript /ok/beforetextarea /ok/beforetitle /ok/beforeplain /ok/doctype", FETCHED),
            web("/bases /basescript /ok/base/based /ok/basescript", FETCHED),
        ),
    ),
    74: Case("100 000 nested links, misnested formatting", (web("/nested /misnested /ok/nested /ok/misnested", FETCHED),)),
    75: Case("Long rows of one character wherever a pattern is looked for", (web("/bait /headerjunk /ok/bait", FETCHED),)),
    76: Case(
        "A parse worker hangs, outgrows its memory, dies, talks rubbish",
        tests=(
            "tests/hostile/test_evil_web.py::test_a_page_that_kills_its_worker_costs_itself_alone",
            "tests/wire/test_parse_pool_victims.py::test_killing_a_worker_loses_no_page",
            "tests/wire/test_parse_pool_victims.py::test_a_page_that_kills_its_worker_twice_is_given_up_and_told",
            "tests/wire/test_parse_pool_processes.py::test_a_worker_that_talks_rubbish_is_not_believed",
            "tests/wire/test_parse_pool_processes.py::test_an_answer_that_is_no_parsed_page_is_not_believed",
        ),
    ),
    77: Case(
        "A page that spins while the crawl is killed and begun again",
        tests=("tests/hostile/test_clocks.py::test_a_poisonous_page_across_kills_costs_itself_alone",),
        note="A worker's death is counted in the run: each run tries the page twice at most, and a kill is not the page's fault.",
    ),
}

INDEXES: Final = {
    78: Case(
        "robots.txt: endless, 600 kB, 200 000 wildcards, a line of 1 MB, 400 000 lines, 30 000 anchors, a bomb",
        (
            *forbidding(2, "25 MB"),
            allowing(3, "600 kB of 0xFF"),
            web("/", ROBOTS, host=20, label="200 000 wildcards: cut so that more is forbidden"),
            allowing(21, "a line of 1 MB, the rules behind it"),
            *forbidding(22, "400 000 empty lines"),
            *forbidding(23, "30 000 anchored rules"),
            allowing(19, "a zstd bomb of blanks: cut"),
        ),
        ("tests/unit/policy/test_robots_rules.py",),
    ),
    79: Case(
        "robots.txt: redirects for ever, to file:; HTML, every byte, a byte order mark, UTF-16, CR alone, NULs",
        (
            *forbidding(4, "a byte order mark"),
            allowing(5, "redirects to itself for ever"),
            allowing(11, "HTML"),
            allowing(12, "every byte there is"),
            *forbidding(13, "UTF-16"),
            *forbidding(14, "line ends of CR alone"),
            *forbidding(15, "NULs in between"),
            allowing(18, "redirects to file:"),
        ),
        (f"{ROBOTS_TESTS}test_redirects_end",),
    ),
    80: Case(
        "robots.txt: 503, 429, reset, no answer, 404",
        (
            web("/", UNREACHABLE, host=6, label="503, Retry-After: 9999999999"),
            web("/", UNREACHABLE, host=7, label="429"),
            web("/", UNREACHABLE, host=9, label="reset"),
            web("/", TIMEOUT, host=10, label="no answer: its pages share the failure"),
            allowing(8, "404"),
        ),
        (f"{ROBOTS_TESTS}test_unreachable_is_retried_then_denies_all_for_a_while",),
    ),
    81: Case(
        "Crawl-delay of 30 years, nan, -1; rules that change",
        forbidding(16, "Crawl-delay: 1000000000, nan, -1"),
        (
            f"{ROBOTS_TESTS}test_delay_is_clamped",
            f"{ROBOTS_TESTS}test_expiry_also_when_the_clock_jumps",
            f"{ROBOTS_TESTS}test_new_rules_replace_old_ones",
        ),
    ),
    82: Case(
        "Sitemaps: 60 000 entries, a bomb, without end, an index of itself, 100 000 of them in robots.txt",
        (
            web("/large.xml", FETCHED, host=24, detail="10000 links beyond the limit"),
            web("/bomb.xml /endless.xml", TOO_LARGE, host=24),
            web("/index.xml /index.xml?[0-4]", FETCHED, host=24),
            web("/absent.xml", HTTP_ERROR, host=24),
            allowing(24, "the pages beside them"),
            counted(r"/map\d{5}$", 1000, HTTP_ERROR, "the first 1 000 of 100 000"),
            allowing(25, "the pages beside them"),
        ),
        note="An index counts as a step deeper; the depth limit of this crawl ends the index of itself.",
    ),
    83: Case(
        "Billion laughs, quadratic growth, external entities and DTDs",
        (web("/lols.xml /quadratic.xml /external.xml /ok/external", FETCHED, host=24),),
        (
            f"{SITEMAP}test_billion_laughs_are_not_laughed",
            f"{SITEMAP}test_no_external_entity_is_read",
            f"{SITEMAP}test_no_external_dtd_is_loaded",
        ),
    ),
    84: Case(
        "Sitemaps: cut, of another namespace, with a byte order mark, with entries of 1 MB, of other hosts, of the year 9999; text, HTML",
        (
            web("/cut.xml /wrong.xml /marked.xml /text.txt /page.xml /elsewhere.xml", FETCHED, host=24),
            web("/ok/whole /ok/wrong /ok/marked", FETCHED, host=24),
            web("/ok/elsewhere", FETCHED, label="an entry on another host, which is in scope here"),
        ),
        note="An entry is judged as a link is: what is out of scope is refused.",
    ),
}

CONTENT: Final = {**ENCODINGS, **PAGES, **INDEXES}
