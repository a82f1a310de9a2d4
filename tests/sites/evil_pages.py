"""Evil in pages: redirects, private addresses, URLs, traps, directives, killers of parsers. `evil_web.py` serves these cases.

What a case links to is `/ok/…` when it must be fetched, `/never/…` when it must not be, `/many/…` when there are too many of them.
"""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from typing import Final

from evil import Body, Case, Exchange, head, html_page, whole

PRIVATE: Final = "/private/"
_sessions = itertools.count(1)


def hosts_spelled(port: int) -> list[str]:
    """The machine itself on another port, in every spelling: nobody may connect to it."""
    names = ["127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.", "①②⑦.0.0.1", "１２７。０。０。１", "0", "0.0.0.0"]
    names += ["[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::127.0.0.1]"]
    names += ["localhost", "LOCALHOST.", "127.0.0.77", "user:secret@127.0.0.1", "good.example@127.0.0.1"]
    return [f"{name}:{port}" for name in names]


OTHERS: Final = [  # private and reserved space where nobody may even try: no answer is needed to see that
    *("10.0.0.1", "169.254.169.254", "100.64.0.1", "192.168.1.1", "172.16.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"),
    *("[fe80::1]", "[fc00::1]", "[fd00:ec2::254]", "[::ffff:a9fe:a9fe]", "[2001::1]", "[64:ff9b::a9fe:a9fe]", "168.63.129.16"),
]


def redirect(location: str | bytes, status: int = 302) -> Case:
    line = location.encode() if isinstance(location, str) else location

    def case(exchange: Exchange) -> Body:
        port = b"%d" % private_port(exchange)
        yield head(status, length=0, extra="").replace(b"\r\n\r\n", b"\r\nLocation: " + line.replace(b"PRIVATE", port) + b"\r\n\r\n")

    return case


def private_port(exchange: Exchange) -> int:
    return int(getattr(exchange, "private", 0))


def markup(text: str | bytes, *, packed: bool = False, extra: str = "") -> Case:
    """A page of this markup; `packed` when it is large."""

    def case(exchange: Exchange) -> Body:
        body = text.encode() if isinstance(text, str) else text
        yield whole(200, gzip.compress(body, 1) if packed else body, extra=("Content-Encoding: gzip\r\n" if packed else "") + extra)

    return case


def large(make: Callable[[], bytes]) -> Case:
    """Markup made when it is asked for."""

    def case(exchange: Exchange) -> Body:
        yield whole(200, gzip.compress(make(), 1), extra="Content-Encoding: gzip\r\n")

    return case


def guarded(exchange: Exchange) -> Body:
    """Links into private space."""
    port = private_port(exchange)
    links = [f"http://{host}{PRIVATE}{number}" for number, host in enumerate(hosts_spelled(port))]
    links += [f"http://{host}{PRIVATE}{number}" for number, host in enumerate(OTHERS, 100)]
    links += [f"http:\\\\127.0.0.1:{port}\\private\\200", f"//127.0.0.1:{port}/private/201", f"http:127.0.0.1:{port}/ok/relative"]
    links += ["http://127.0.0.1:25/", "http://127.0.0.1:6000/"]
    yield whole(200, html_page("Guarded", *links))


def refresh_chain(exchange: Exchange) -> Body:
    """A meta refresh to ever another page, after no time."""
    number = exchange.path.rpartition("/")[2]
    target = int(number) + 1 if number.isdigit() else 1
    yield whole(200, f'<noscript><meta http-equiv="refresh" content="0;url=/refreshchain/{target}"></noscript>'.encode())


def header_chain(exchange: Exchange) -> Body:
    """The same by header."""
    number = exchange.path.rpartition("/")[2]
    target = int(number) + 1 if number.isdigit() else 1
    yield whole(200, b"<title>x</title>", extra=f"Refresh: 0; URL='/headerchain/{target}'\r\n")


def header_loop(exchange: Exchange) -> Body:
    yield whole(200, b"%PDF", "application/pdf", f"Refresh: 0;url=/headerloop{'' if exchange.path[-1] == '2' else '/2'}\r\n")


def private_refresh(exchange: Exchange) -> Body:
    yield whole(200, b"", extra=f"Refresh: 0; url=http://127.0.0.1:{private_port(exchange)}{PRIVATE}302\r\n")


def private_hints(exchange: Exchange) -> Body:
    """Canonical, alternate and base lead there, too."""
    address = f"http://[::ffff:127.0.0.1]:{private_port(exchange)}{PRIVATE}"
    yield whole(200, f'<link rel=canonical href="{address}303"><link rel=alternate href="{address}304">'.encode())


def spellings(exchange: Exchange) -> Body:
    """URLs in odd spellings. Those of `/ok/` exist."""
    port = exchange.sock.getsockname()[1]
    here = f"127.0.0.1:{port}"
    links = ["/ok/operator%.html", f"http://user:secret@{here}/ok/credentials", f"http://good.example@{here}/ok/at"]
    links += [f"http://{here}\\@evil.invalid/ok/slash", "/ok/" + "x" * 2_000_000, "/ok/p?" + "a=1&" * 5_000, "/never/p?" + "a=1&" * 60]
    links += [
        "../" * 2_000 + "ok/up",
        "../" * 10_000 + "never/up",
        "/ok/ta\tb\n",
        "  /ok/space  ",
        "http:/ok/path",
        "?only",
        "",
        "#",
        "\\ok\\back",
    ]
    links += [
        "/ok/a%2Fb",
        "/ok/a/b",
        "/ok/%7Etilde",
        "/ok/~tilde",
        "/ok/x/../dots",
        f"HTTP://{here}/ok/CASE",
        "/ok/nul\0l",
        "/ok/ü",
        "/ok/%zz",
    ]
    links += ["http://xn--/", "http://xn--a/", "http://a..b/", "http://[::1", "http://127.0.0.1:65536/", f"http://{'a' * 64}.invalid/long"]
    links += [
        "http://a b/",
        "http://%00/",
        "http://a%2fb/",
        "javascript:x()",
        "data:text/html,x",
        "file:///etc/passwd",
        "mailto:a@b",
        "ftp://a/",
    ]
    links += [
        "http://256.256.256.256/",
        "http://1.2.3.4.5/",
        "///",
        "http://",
        "http:///",
        "https://",
        "/ok/\ud800".encode("utf-8", "replace").decode(),
    ]
    yield whole(200, ("<title>URLs</title>" + "".join(f'<a href="{link}">x</a>' for link in links)).encode())


def calendar(exchange: Exchange) -> Body:
    """Another month, for ever."""
    month = int(exchange.path.partition("=")[2] or 0)
    yield whole(200, html_page("Calendar", f"/calendar?month={month + 1}"))


def growing(exchange: Exchange) -> Body:
    """A relative link that grows with every step."""
    yield whole(200, html_page("Growing", "a/"))


def sessions(exchange: Exchange) -> Body:
    """Each visit gives a new name to the same page."""
    yield whole(200, html_page("Session", f"/session/{next(_sessions):08x}/page"))


def links(count: int) -> Case:
    return large(lambda: b"<title>Links</title>" + b"".join(b"<a href=/many/%d>x</a>" % number for number in range(count)))


def many_hosts() -> bytes:
    """Links to 50 000 hosts, all of them this machine."""
    hosts = ((number >> 8 & 255, number & 255) for number in range(1, 50_001))
    return b"<title>Hosts</title>" + b"".join(b"<a href=http://127.9.%d.%d:9/x>x</a>" % host for host in hosts)


def away(exchange: Exchange) -> Body:
    """The canonical page is said to be another host's."""
    yield whole(200, f'<title>Away</title><link rel=canonical href="http://127.0.0.3:{exchange.sock.getsockname()[1]}/page">'.encode())


NEVER: Final = '<a href="/never/{0}">a</a><form action="/never/{0}"><input name=a></form>'
CASES: Final[dict[str, Case]] = {
    "/selfredirect": redirect("/selfredirect"),
    "/fragment": redirect("/fragment#again"),
    "/tojavascript": redirect("javascript:alert(1)"),
    "/todata": redirect("data:text/html,<a>"),
    "/toftp": redirect("ftp://127.0.0.1/"),
    "/togopher": redirect("gopher://127.0.0.1:70/"),
    "/tonul": redirect(b"/ok/n\x00\x1b[2Jul"),
    "/tolong": redirect("/ok/" + "x" * 20_000),
    "/totwo": redirect("/ok/first\r\nLocation: /never/second"),
    "/tolatin": redirect("/ok/ü".encode("latin-1")),
    "/toforbidden": redirect("/forbidden/fruit"),
    "/tooffport": redirect("http://127.0.0.1:PRIVATE/private/300"),
    "/tospelled": redirect("http://0x7f.1:PRIVATE/private/301", 307),
    "/selfcookie": redirect("/selfcookie\r\nSet-Cookie: again=1"),
    "/tooff": redirect("/many/off"),
    "/toredis": redirect("http://127.0.0.1:6379/flushall"),
    "/canonicalaway": away,
    "/refreshchain": refresh_chain,
    "/headerchain": header_chain,
    "/headerloop": header_loop,
    "/headerjunk": markup("<title>x</title>", extra="Refresh: " + "1" * 50_000 + "x\r\n"),
    "/headerscript": markup("<title>x</title>", extra="Refresh: 0; url=javascript:x()\r\n"),
    "/refreshprivate": private_refresh,
    "/hintsprivate": private_hints,
    "/guarded": guarded,
    "/canonicalloop": markup("<link rel=canonical href=/canonicalloop/2><link rel=alternate hreflang=xx href=/canonicalloop>"),
    "/urls": spellings,
    "/calendar": calendar,
    "/growing/": growing,
    "/session": sessions,
    "/nofollow": markup('<title>x</title><a rel="external NoFollow" href=/never/rel>a</a><form action=/never/form><button></form>'),
    "/metanofollow": markup('<meta name=robots content="noindex, NOFOLLOW">' + NEVER.format("meta")),
    "/metanone": markup("<meta name=crawl content=none>" + NEVER.format("none")),
    "/xrobots": markup(NEVER.format("header"), extra="X-Robots-Tag: otherbot: index\r\nX-Robots-Tag: nofollow\r\n"),
    "/xrobotsours": markup(NEVER.format("ours"), extra="X-Robots-Tag: crawl: none\r\n"),
    "/xrobotsother": markup('<a href="/ok/other">a</a>', extra="X-Robots-Tag: otherbot: nofollow\r\n"),
    "/deep300": markup("<div>" * 300 + "<a href=/ok/deep>x</a>"),
    "/deep100000": markup(b"<div>" * 100_000),
    "/attributes": large(lambda: b"<a " + b" ".join(b"a%d=1" % number for number in range(150_000)) + b">"),
    "/lessthan": markup("<a " * 10_000),
    "/comments": markup("<!--" * 40_000),
    "/longtext": large(lambda: b"<p>" + b"x" * 11_000_000 + b"<a href=/ok/aftertext>x</a>"),
    "/longtitle": large(lambda: b"<title>" + b"x" * 5_000_000 + b"</title><a href=/ok/aftertitle>x</a>"),
    "/longattribute": large(lambda: b"<p title='" + b"x" * 11_000_000 + b"'><a href=/ok/afterattribute>x</a>"),
    "/nuls": markup(b"<title>n\0</title>\0<a href=/ok/nuls>x</a>" + b"\0" * 100_000),
    **{
        f"/unclosed{tag}": markup(f"<a href=/ok/before{tag}>x</a><{tag} ><a href=/never/in{tag}>")
        for tag in ("!--", "script", "textarea", "title")
    },
    "/plaintext": markup("<a href=/ok/beforeplain>x</a><plaintext><a href=/never/plain>"),
    "/bases": markup("<base href=/ok/base/>" * 100 + "<base href=/never/><a href=based>x</a>"),
    "/basescript": markup("<base href=javascript:x()><a href=ok/basescript>x</a>"),
    "/doctype": markup(b"<!doctype " + b"x" * 1_000_000 + b"><a href=/ok/doctype>x</a>"),
    "/nested": markup("<a href=/ok/nested>" * 100_000),
    "/misnested": markup("<b><i><p></b></i><a href=/ok/misnested>" * 2_000),
    "/bait": markup(
        "<title>Bait</title>"
        + "".join(f'<meta http-equiv=refresh content="{text}">' for text in ("1" * 500_000, " " * 500_000 + "x", "0;" + "url" * 100_000))
        + f'<a href="{" " * 500_000}/ok/bait">a</a><meta name=robots content="{"," * 500_000}"><base target="{"a" * 500_000}">'
        + "<a href=/ok/bait>x</a>"
    ),
    "/manylinks": links(200_000),
    "/million": links(1_000_000),
    "/hosts": large(many_hosts),
}
