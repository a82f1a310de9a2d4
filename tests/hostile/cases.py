"""Everything the web, the network and the clock may do to a crawl, by number, each with what is to become of it.

    python tests/hostile/cases.py                        # run it all and print the table: number, case, expected, seen
    python tests/hostile/cases.py --write docs/hostile.md

Rows with paths are played by `tests/sites/evil_web.py` to the whole program (`test_whole_program.py`); what no server can play, or
not alone, is shown by the tests that are named.
"""

from __future__ import annotations

import sys
from typing import Final

from cases_of_answers import ANSWERS
from cases_of_content import CONTENT
from ends import (
    ADDRESS,
    CONNECT,
    DNS,
    FETCHED,
    HTTP_ERROR,
    REDIRECT,
    REDIRECTED,
    ROBOTS,
    TOO_LARGE,
    TRUNCATED,
    UNREACHABLE,
    Case,
    Row,
    again,
    counted,
    web,
)

GOOD: Final = 100
MANY_HOSTS: Final = 10_000  # of the 50 000 that one page links to: so many links of a page are taken

SESSION: Final = "tests/wire/test_session.py::"
TLS: Final = "tests/wire/test_tls.py::"
HOSTILE: Final = "tests/hostile/"

ROUTES: Final = {
    38: Case(
        "One ETag on different URLs",
        (web("/etag1", FETCHED, title="First of one ETag"), web("/etag2", FETCHED, title="Second of one ETag")),
        tests=(f"{SESSION}test_a_line_with_validators_is_answered_with_not_modified",),
        note="A crawl sends no validators of its own; those that the lines of `crawl batch` give belong to their URLs.",
    ),
    39: Case("304 to an unconditional request", (web("/surprise304", HTTP_ERROR, status=304, bytes=None),)),
    40: Case(
        "Date of the year 9999, negative Age, rubbish in Last-Modified and ETag",
        (web("/olddate", FETCHED, title="A page", attempts=1),),
        note="No schedule depends on these fields.",
    ),
    41: Case(
        "Content-Type and Content-Disposition: endless, misleading, of another kind; a 4 GB image as text/html",
        (
            web("/disposition /longtype /bidi-type /octet", FETCHED),
            web("/iso", TOO_LARGE, detail="announced", content_type="text/html"),
        ),
        note="What is not HTML by its type is not searched for links: /octet links to /never/.",
    ),
    42: Case(
        "Redirects in a circle, to themselves, with a cookie, by a fragment, without end",
        (
            web("/loop /loop/2", REDIRECTED),
            web("/selfredirect /selfcookie /fragment", REDIRECT, detail="itself"),
            web("/count /count/[1-10]", REDIRECTED),
        ),
        note="Ten redirects in a row are followed; the eleventh is seen and not followed.",
    ),
    43: Case(
        "Redirects to file:, ftp:, data:, javascript:, gopher:, to nothing, to what is no URL",
        (web("/redirectfile /toftp /todata /tojavascript /togopher /redirectnowhere /badredirect /tolong", REDIRECT),),
    ),
    44: Case(
        "Private addresses by link, redirect, refresh, canonical, robots.txt and sitemap",
        (
            web("/redirectprivate", REDIRECTED, redirect_to="http://169.254.169.254/latest/meta-data/"),
            web("http://169.254.169.254/latest/meta-data/", ADDRESS),
            web("/guarded /refreshprivate /hintsprivate", FETCHED),
            web("/tooffport /tospelled", REDIRECTED),
            counted(r"/private/(?:10\d|110|114)$", 12, ADDRESS, "12 private and reserved networks"),
            counted(r"/private/(?:20[01]|30[0-4]|400)$", 8, ADDRESS, "by link, redirect, refresh, canonical, alternate and sitemap"),
            web("/", UNREACHABLE, host=17, label="robots.txt redirects into private space"),
        ),
        ("tests/hostile/test_guard_matrix.py",),
        note="A listener on the port in question counts who connects: nobody.",
    ),
    45: Case(
        "IPv4 within IPv6: mapped, NAT64, 6to4, compatible, Teredo",
        (counted(r"/private/(?:1[0-6]|11[1-3])$", 10, ADDRESS, "seven spellings of this machine, three of other networks"),),
        ("tests/unit/fetch/test_fetch_guard.py::test_refused",),
    ),
    46: Case(
        "Decimal, octal, hexadecimal, short, full-width spellings",
        (counted(r"/private/(?:\d|1[7-9]|2[01])$", 15, ADDRESS, "15 spellings of this machine"),),
        note="They are canonical before anything is decided.",
    ),
    47: Case(
        "A name that is public when it is checked and private when it is connected to",
        tests=(
            "tests/wire/test_fetch_addresses.py::test_forbidden_addresses_are_not_connected_to",
            "tests/wire/test_fetch_addresses.py::test_a_seeds_name_is_exempt_at_its_first_addresses_only",
            "tests/unit/fetch/test_fetch_guard.py::test_a_named_seed_is_exempt_at_its_first_addresses",
        ),
        note="The address that is connected to is the one that was judged: names are not resolved a second time.",
    ),
    48: Case(
        "Name servers that fail, stall, lie or never end",
        (web("http://xn--/ http://xn--a/ http://a..b/", DNS),),
        (
            "tests/unit/fetch/test_fetch_dns.py",
            "tests/wire/test_fetch_addresses.py::test_names_without_address",
            "tests/wire/test_fetch_addresses.py::test_a_resolver_that_stalls",
            "tests/wire/test_fetch_addresses.py::test_the_deadline_covers_the_resolver",
        ),
    ),
    49: Case(
        "Secrets over a redirect to another origin",
        tests=(
            f"{SESSION}test_nothing_that_is_a_sites_goes_on_to_where_it_redirects",
            f"{SESSION}test_what_was_got_by_https_does_not_go_on_by_http",
        ),
        note="A redirect is a URL of its own: what a request carries depends on its own origin alone.",
    ),
    50: Case(
        "Redirects out of scope, and to what robots.txt forbids",
        (
            web("/toforbidden", REDIRECTED),
            web("/forbidden/fruit", ROBOTS),
            web("/tooff", REDIRECTED),
        ),
        note="/tooff leads to a URL that is excluded: it is never asked for.",
    ),
    51: Case(
        "Redirects and links to other services of this machine",
        (
            web("/toredis", REDIRECTED),
            web("http://127.0.0.1:6379/flushall http://127.0.0.1:25/ http://127.0.0.1:25/mail http://127.0.0.1:6000/", ADDRESS),
        ),
    ),
    52: Case(
        "Refreshes by meta and header: loops, chains, within noscript, junk",
        (
            web("/refresh /refreshchain /refreshchain/[1-10] /headerchain /headerchain/[1-10]", FETCHED),
            web("/headerloop /headerloop/2 /headerjunk /headerscript", FETCHED),
        ),
        note="They count as redirects: ten in a row.",
    ),
    53: Case(
        "Canonical and hreflang in a circle, or to another host",
        (web("/canonicalloop /canonicalloop/2", FETCHED), web("/canonicalaway", FETCHED, title="Away")),
    ),
    54: Case("A lone % in a path", (web("/ok/operator%.html /ok/%zz", FETCHED),)),
    55: Case(
        "Credentials in URLs, and what looks like them",
        (
            web("/ok/credentials /ok/at", FETCHED),
            web("/@evil.invalid/ok/slash", HTTP_ERROR, status=404),
        ),
        note="The password is in no output, no log and not in the database.",
    ),
    56: Case(
        "A URL of 2 MB, 5 000 parameters, 10 000 times ../",
        (web("/urls /ok/up", FETCHED),),
        ("tests/unit/test_url.py::test_length_is_capped",),
        note="What is longer than 8 192 characters is no link.",
    ),
    57: Case(
        "Host names: xn-- rubbish, empty and overlong labels, full-width, IDNA",
        (web(f"http://{'a' * 64}.invalid/long http://xn--a/ http://a..b/", DNS, label="a label of 64 letters, xn--a, a..b"),),
        ("tests/unit/test_url.py::test_absolute",),
    ),
    58: Case(
        "Tabs and line feeds in an href, backslashes, http:/path, ?only, nothing, blanks",
        (
            web("/ok/tab /ok/back /ok/path /urls?only /ok/space /ok/nul%EF%BF%BDl", FETCHED),
            web("/127.0.0.1:PRIVATE/ok/relative", HTTP_ERROR),
        ),
        ("tests/unit/test_url.py::test_relative",),
    ),
    59: Case(
        "Two spellings of one URL; two URLs that look alike",
        (web("/ok/~tilde /ok/dots /ok/CASE /ok/a%2Fb /ok/a/b /ok/%C3%BC", FETCHED),),
        note="One record each: no URL is in the records twice, and none that is missing here.",
    ),
    60: Case(
        "Port 0, 65536, empty, and ports of other services",
        (web("http://127.0.0.1:25/ http://127.0.0.1:6000/", ADDRESS, detail="port"),),
        ("tests/unit/fetch/test_fetch_guard.py::test_bad_ports_are_refused_on_public_addresses",),
    ),
}

MACHINE: Final = {
    85: Case(
        "Certificates that are expired, not valid yet, of another name, self-signed, of an unknown issuer, for 10 000 hosts",
        tests=(
            f"{TLS}test_a_wrong_certificate_has_its_reason",
            f"{TLS}test_each_reason_is_in_its_record",
            f"{TLS}test_a_certificate_for_ten_thousand_hosts_takes_no_time",
        ),
        note="Revocation is not looked up: that would mean a request to a third party for each host.",
    ),
    86: Case(
        "TLS that stalls, is none, or is too old",
        tests=(
            f"{TLS}test_no_handshake",
            f"{TLS}test_a_server_of_old_versions_only",
            f"{TLS}test_a_handshake_that_stalls_is_a_time_out_that_names_the_stage",
            "tests/wire/test_fetch_tls.py::test_tls_to_a_server_that_speaks_none",
            "tests/wire/test_fetch_tls.py::test_tls_handshake_that_stalls",
        ),
    ),
    87: Case(
        "A reset at every stage",
        (
            web("http://127.0.0.198:CLOSED/", CONNECT, detail="refused", label="a port that is closed"),
            web("/reset", TRUNCATED, detail="without an answer.*reset"),
            web("/resethead /resetbody /resetnolength", TRUNCATED, detail="reset"),
            web("/resetafter", FETCHED, title="A page"),
            again("/reset /resetnolength", TRUNCATED, attempts=3),
        ),
        ("tests/wire/test_fetch_tls.py::test_tls_connections_end_without_the_servers_consent",),
    ),
    88: Case(
        "IPv6 that leads nowhere beside IPv4 that works",
        tests=("tests/wire/test_happy_eyeballs.py::test_a_black_hole_of_one_family_beside_a_good_address_of_the_other",),
    ),
    89: Case(
        "429 and 503 with Retry-After: 0, -1, 1e9, 5 000 digits, nan, the year 9999 and 99999, 1970, rubbish, two",
        (web("/later[0-9] /429 /500 /503", HTTP_ERROR), again("/503", HTTP_ERROR, attempts=3)),
        (
            "tests/unit/policy/test_retry.py",
            "tests/wire/test_engine_manners.py::test_retry_after_stills_the_whole_host",
        ),
        note="The wait is bounded by max_retry_after, here 0.1 s, or the crawl would not end.",
    ),
    90: Case(
        "A site becomes ten times slower; many names of one address",
        tests=("tests/wire/test_engine_manners.py::test_no_more_in_flight_than_allowed_and_never_closer_than_the_delay",),
        note="No more than `per_host` requests are in flight to a name, so a slower site is asked less often by itself.",
    ),
    91: Case(
        "The wall clock jumps by 30 days and back by a year",
        tests=(f"{HOSTILE}test_clocks.py::test_a_wall_clock_that_jumps_changes_nothing",),
    ),
    92: Case(
        "The machine sleeps for ten seconds",
        tests=(f"{HOSTILE}test_clocks.py::test_after_a_sleep_there_is_no_burst_and_nothing_has_failed",),
    ),
}

TABLE: Final[dict[int, Case]] = dict(sorted({**ANSWERS, **CONTENT, **ROUTES, **MACHINE}.items()))
"""Every number, in order."""

UNNUMBERED: Final[tuple[Row, ...]] = (
    web(f"/ /ok/[0-{GOOD - 1}] /ok/linked", FETCHED, label=f"{GOOD} good pages among them"),
    web("/ok/first /ok/n[2Jul /ok/member /ok/bait /ok/deep /ok/nested /ok/misnested /ok/doctype /ok/nuls /ok/other /ok/", FETCHED),
    web("/ok/aftertext /ok/aftertitle /ok/afterattribute /ok/beforeplain /ok/base/based /ok/basescript", FETCHED),
    web("/ok/before!-- /ok/beforescript /ok/beforetextarea /ok/beforetitle /ok/elsewhere", FETCHED),
    web("/tonul /totwo /tolatin", REDIRECTED),
    web("/404 /410", HTTP_ERROR),
    counted(r"^http://127\.9\.", MANY_HOSTS, ADDRESS, "hosts of one page"),
)
"""What the crawl meets besides: pages that prove that the others cost nobody anything."""


def rows() -> list[tuple[int, Row]]:
    """Return every row with its number; 0 for those without."""
    return [(number, row) for number, case in TABLE.items() for row in case.rows] + [(0, row) for row in UNNUMBERED]


if __name__ == "__main__":
    from tell_cases import main

    sys.exit(main())
