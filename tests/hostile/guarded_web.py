"""Spellings of addresses that are not public, the ways in which they are offered, and a web that offers them."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from twisted.internet import reactor
from twisted.web.http import Request
from twisted.web.resource import Resource

from crawler.fetch.dns import Resolver


def loopback() -> tuple[str, ...]:
    """Return this machine's own addresses: some have no IPv6."""
    with socket.socket(socket.AF_INET6) as probe, contextlib.suppress(OSError):
        probe.bind(("::1", 0))
        return ("127.0.0.1", "::1")
    return ("127.0.0.1",)


LOOPBACK = loopback()
PUBLIC = "93.184.216.34"
NAMES: dict[str, list[str]] = {
    "localhost": ["127.0.0.1", "::1"],
    "a.localhost": ["127.0.0.1"],
    "loop.test": ["127.0.0.1"],
    "six.test": ["::1"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "nat64.test": ["64:ff9b::7f00:1"],
    "intranet.test": ["10.0.0.1"],
    "metadata.test": ["169.254.169.254"],
    "127.0.0.1.nip.test": ["127.0.0.1"],
    "scoped.test": ["fe80::1%lo"],
}
REBINDING = "rebinding.test"
"""Resolves to a public address the first time, to a private one from then on."""


def words(text: str) -> list[str]:
    return text.split()


SPELLINGS = words("""
127.0.0.1 127.0.0.1. 127.1 127.0.1 2130706433 017700000001 0x7f000001 0x7F.1 0177.0.0.1 0x7f.0.0.0x1 00000177.0.0.01 127.255.255.254
127.0.0.0x ①②⑦.⓪.⓪.① １２７.０.０.１ 127。0。0。1 127．0．0．1 ０ｘ７ｆ.1 %31%32%37.0.0.1 127%2e0%2e0%2e1 %EF%BC%91%EF%BC%92%EF%BC%97.0.0.1
user:secret@127.0.0.1 public.test@127.0.0.1 public.test:80@127.0.0.1 127.0.0.1@127.0.0.1 0 0.0.0.0 0x0 00.00.00.00
10.0.0.1 0xa.1 172.16.0.1 192.168.1.1 3232235777 100.64.0.1 224.0.0.1 255.255.255.255 4294967295
169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 169.254.43518 169.16689662 ①⑥⑨.②⑤④.①⑥⑨.②⑤④ 100.100.100.200 168.63.129.16
[::1] [0:0:0:0:0:0:0:1] [0000::0001] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:FFFF:7F00:0001] [::127.0.0.1] [::7f00:1]
[::ffff:0:127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:7f00:1::1]
[2606:4700::5efe:127.0.0.1] [2606:4700::200:5efe:7f00:1] [fe80::5efe:127.0.0.1] [2001:0:4136:e378:8000:63bf:80ff:fffe]
[::ffff:169.254.169.254] [::ffff:a9fe:a9fe] [64:ff9b::a9fe:a9fe] [2002:a9fe:a9fe::] [::169.254.169.254] [fd00:ec2::254]
[::ffff:10.0.0.1] [fe80::1] [fc00::1] [fec0::1] [ff02::1] [2001:db8::1]
localhost LOCALHOST localhost. LocalHost. ⓛocalhost lo%63alhost a.localhost loop.test LOOP.test. six.test mapped.test nat64.test
intranet.test metadata.test 127.0.0.1.nip.test scoped.test rebinding.test
""")
NONSENSE = words("""
127.0.0.1.1 4294967296 0x100000000 256.1 0x7g.1 127..1 [::1%25lo] [::1 [::ffff:127.0.0.256] 127.0.0.1%00 127.0.0.1%2f
""")
"""No hosts at all: these never get in."""

FOREIGN = words("""
file:///etc/passwd FILE://127.0.0.1:TRAP/ ftp://127.0.0.1:TRAP/ gopher://127.0.0.1:TRAP/_x ws://127.0.0.1:TRAP/ wss://127.0.0.1:TRAP/
data:text/html,x javascript:location='http://127.0.0.1:TRAP/' view-source:http://127.0.0.1:TRAP/ feed:http://127.0.0.1:TRAP/
jar:http://127.0.0.1:TRAP/!/x blob:http://127.0.0.1:TRAP/1 about:blank mailto:a@127.0.0.1 unix:/run/x httpx://127.0.0.1:TRAP/
""")
"""URLs that are not http or https: nor do these."""

ALL = [*SPELLINGS, *NONSENSE, *FOREIGN]
PAGES = ["link", "redirect", "refresh", "header", "canonical", "base", "entry"]
ENTRANCES = ["seed", *PAGES, "sitemap", "robots", "batch"]


class Net:
    """The reactor; it notes each connection that is tried, and lets none leave the machine. At the public address nobody listens."""

    def __init__(self, closed: int) -> None:
        self.tried: list[tuple[str, int]] = []
        self._closed = closed

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)

    def connectTCP(self, host: str, port: int, *arguments: Any, **options: Any) -> Any:
        self.tried.append((host, port))
        address = ipaddress.ip_address(host.partition("%")[0])
        own = str(getattr(address, "ipv4_mapped", None) or address) in ("127.0.0.1", "0.0.0.0", "::1", "::")
        if own and (":" not in host or len(LOOPBACK) > 1):
            return reactor.connectTCP(host, port, *arguments, **options)
        return reactor.connectTCP("127.0.0.1", self._closed if host == PUBLIC else port, *arguments, **options)


def names(net: Net) -> Resolver:
    """Resolve the test's names; numbers as the system reads them, should one get that far; nothing is remembered."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: Any) -> list[Any]:
        if host == REBINDING:
            asked.append(host)
            return [(None, None, None, "", (PUBLIC if len(asked) == 1 else "127.0.0.1", 0))]
        if host.startswith("robots-"):
            return [(None, None, None, "", ("127.0.0.1", 0))]
        if host in NAMES:
            return [(None, None, None, "", (address, 0)) for address in NAMES[host]]
        return socket.getaddrinfo(host, None, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)

    return Resolver(net, getaddrinfo=getaddrinfo, ttl=0.0, negative_ttl=0.0)


class Ports(Struct):
    """Where everything is: the pages, the seeds' other port, the trap, and nothing."""

    pages: int
    other: int
    trap: int
    closed: int

    def offered(self, entrance: str, number: int, spelling: str) -> str:
        """Return what a page offers as a URL."""
        if spelling in FOREIGN:
            return spelling.replace("TRAP", str(self.trap))
        return f"http://{spelling}:{self.trap}/{entrance}/{number}"


class Pages(Resource):
    """What leads to the trap."""

    isLeaf = True

    def __init__(self, ports: Ports) -> None:
        super().__init__()
        self._ports = ports

    def render_GET(self, request: Request) -> bytes:
        path = request.path.decode()
        host = (request.getHeader("host") or "").partition(":")[0]
        request.setHeader("content-type", "text/html; charset=utf-8")
        if path == "/robots.txt":
            return self._robots(request, host)
        if path == "/map.xml":
            request.setHeader("content-type", "application/xml")
            entries = "".join(f"<url><loc>{offer}</loc></url>" for offer in self._offers("entry"))
            return f'<?xml version="1.0" encoding="utf-8"?><urlset>{entries}</urlset>'.encode()
        if path == "/":
            return self._index() if not host.startswith("robots-") else b"<title>Guarded</title>"
        _, entrance, number = path.split("/")
        return self._page(request, entrance, self._ports.offered(entrance, int(number), ALL[int(number)]))

    def _offers(self, entrance: str) -> Iterator[str]:
        for number, spelling in enumerate(ALL):
            yield self._ports.offered(entrance, number, spelling)

    def _robots(self, request: Request, host: str) -> bytes:
        request.setHeader("content-type", "text/plain")
        if host.startswith("robots-"):
            number = int(host.removeprefix("robots-").removesuffix(".test"))
            return self._page(request, "redirect", self._ports.offered("robots", number, ALL[number]))
        named = "".join(f"Sitemap: {offer}\n" for offer in self._offers("sitemap"))
        return f"User-agent: *\nAllow: /\nSitemap: http://127.0.0.1:{self._ports.pages}/map.xml\n{named}".encode()

    def _index(self) -> bytes:
        own = [f"/{entrance}/{number}" for entrance in PAGES[1:-1] for number in range(len(ALL))]
        links = [*own, *self._offers("link"), *self._offers("seed")]
        return "".join(f'<a href="{link}">{number}</a>' for number, link in enumerate(links)).encode()

    @staticmethod
    def _page(request: Request, entrance: str, offer: str) -> bytes:
        if entrance in ("redirect", "batch"):
            request.setResponseCode(302)
            request.responseHeaders.setRawHeaders(b"Location", [offer.encode()])
            return b""
        if entrance == "header":
            request.responseHeaders.setRawHeaders(b"Refresh", [f"0; url={offer}".encode()])
        said = {
            "refresh": f'<meta http-equiv="refresh" content="0; url={offer}">',
            "canonical": f'<link rel="canonical" href="{offer}">',
            "base": f'<base href="{offer}/"><a href="../{offer.rpartition("/")[2]}">x</a>',
        }
        return f"<!doctype html><title>t</title>{said.get(entrance, '')}".encode()


class Trap(Resource):
    """Answers whoever comes; `paths` are what was asked for."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.paths: set[str] = set()

    def render_GET(self, request: Request) -> bytes:
        self.paths.add(request.path.decode())
        if request.path == b"/robots.txt":
            request.setResponseCode(404)
        return b""
