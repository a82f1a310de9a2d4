"""The frozen values that cross room borders: links, tasks, answers of the web, records.

Everything here is plain data (msgspec structs and closed enumerations). What the web does wrong is a
value of these types, never an exception.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct


class Outcome(StrEnum):
    """What became of a URL in the end; exactly one of these per URL."""

    FETCHED = "fetched"
    REDIRECTED = "redirected"
    NOT_MODIFIED = "not_modified"
    DENIED = "denied"
    FAILED = "failed"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why an outcome is not ``fetched``: a closed set, part of the record's contract."""

    ROBOTS = "robots"  # robots.txt forbids the URL (RFC 9309)
    ROBOTS_UNREACHABLE = "robots_unreachable"  # robots.txt answered 5xx: complete disallow (RFC 9309 2.3.1.4)
    ADDRESS = "address"  # the name resolves to a private, loopback, link-local or otherwise forbidden address
    DNS = "dns"
    CONNECT = "connect"
    TLS_EXPIRED = "tls_expired"  # the certificate is not valid any more, or not yet
    TLS_NAME = "tls_name"  # the certificate is not the host's, or cannot be checked against its name
    TLS_SELF_SIGNED = "tls_self_signed"  # the certificate, or the last of its chain, is its own issuer and not trusted
    TLS_UNTRUSTED = "tls_untrusted"  # the issuer is not known, or the certificate is revoked, too weak, or not for servers
    TLS_HANDSHAKE = "tls_handshake"  # no TLS came about: no version or cipher in common, an alert, closed, or no TLS at all
    TLS = "tls"  # TLS broke after its handshake; older records say it of any of these
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    TRUNCATED = "truncated"  # the connection ended before the announced length or the last chunk
    BAD_HTTP = "bad_http"  # the answer is not HTTP/1.x, or breaks its framing
    BAD_ENCODING = "bad_encoding"  # Content-Encoding is unknown, or corrupt from its start; one that expands beyond the limit is TOO_LARGE
    HTTP_ERROR = "http_error"  # a final status of 400 and above, or one that is no answer to a GET
    REDIRECT = "redirect"  # a redirect without a usable target; in batch mode also one hop too many
    CONTENT_TYPE = "content_type"  # not among the accepted media types
    PARSE = "parse"  # the page spun, outgrew or killed its parse worker twice
    BAD_URL = "bad_url"  # what stands in a list of URLs is none (`crawl batch`; elsewhere it is refused before anything begins)
    HOST_DOWN = "host_down"  # the host failed so often in a row that its other URLs were given up
    INTERNAL = "internal"  # a fault of ours, logged once with its URL


TLS_REASONS: Final = frozenset(reason for reason in Reason if reason.startswith("tls"))
"""There was a connection, and TLS over it failed: another address of the host would not help."""


class Via(StrEnum):
    """How a URL was first reached."""

    SEED = "seed"
    LINK = "link"
    REDIRECT = "redirect"
    SITEMAP = "sitemap"
    CANONICAL = "canonical"
    ROBOTS = "robots"  # a sitemap that robots.txt names
    REQUISITE = "requisite"  # a page needs it to be shown


class Kind(IntEnum):
    """What a URL is fetched as."""

    PAGE = 0
    SITEMAP = 1
    PROBE = 2  # asked for by HEAD alone: whether a link out of scope leads anywhere
    REQUISITE = 3  # what a page needs to be shown: style sheets, scripts, images, fonts


class Link(Struct, frozen=True, gc=False):
    """A URL that was found, canonical, not yet admitted."""

    url: str
    via: Via
    depth: int
    referrer: str | None = None
    hops: int = 0  # redirects in a row that led here
    kind: Kind = Kind.PAGE
    priority: int = 0  # higher ones of a host come first


class Task(Struct, frozen=True, gc=False):
    """A URL on lease: it will get exactly one outcome."""

    key: int  # the URL's key in the frontier (its fingerprint)
    url: str
    host: str  # the politeness key: host name without port
    kind: Kind
    depth: int
    via: Via
    referrer: str | None
    hops: int
    attempts: int  # fetches already made for it, without the coming one
    rank: int  # its place in the host's queue: (rank, seq), lowest first
    seq: int

    def postponed(self, attempts: int) -> Task:
        """Return the same task after `attempts` fetches."""
        return Task(self.key, self.url, self.host, self.kind, self.depth, self.via, self.referrer, self.hops, attempts, self.rank, self.seq)


class Conditional(Struct, frozen=True):
    """What an earlier answer of the same URL said of itself: a server that finds it still true answers 304, without a body.

    Validators belong to one URL: they say nothing about another, not even one that the URL redirects to.
    """

    etag: str | None = None  # entity tag with its quotes, as in the ETag field (RFC 9110 section 8.8.3)
    last_modified: str | None = None  # a date, as in the Last-Modified field


class Exchanged(Struct, frozen=True, array_like=True):
    """The heads of an exchange as they were sent, for an archive; without credentials."""

    request: bytes  # request line and fields, with the empty line; no Authorization, Proxy-Authorization or Cookie
    response: bytes  # status line and fields, with the empty line


class Fetched(Struct, frozen=True):
    """A complete HTTP answer; the body is as it came off the wire (still content-encoded)."""

    url: str
    status: int
    headers: list[tuple[str, str]]  # names lower-cased, order kept, values without control characters
    body: bytes
    ip: str | None
    started_at: float  # seconds since the epoch, UTC
    elapsed: float  # seconds, from the request's start to the body's end
    exchange: Exchanged | None = None  # kept where an archive is written

    def header(self, name: str) -> str | None:
        """Return the first value of header `name` (given in lower case), or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def headers_named(self, name: str) -> list[str]:
        """Return every value of header `name` (given in lower case), in order."""
        return [value for key, value in self.headers if key == name]


class FetchFailed(Struct, frozen=True):
    """No complete answer: the reason is one of the closed set, the detail is for people."""

    url: str
    reason: Reason
    detail: str
    ip: str | None
    started_at: float
    elapsed: float
    status: int | None = None  # known when the head arrived before the failure
    headers: list[tuple[str, str]] = []
    exchange: Exchanged | None = None  # kept where an archive is written, once the head has arrived
    body: bytes = b""  # likewise: what came of it


Octets = bytes
"""The type under another name: structs here have a field called ``bytes``."""


class PageLink(Struct, frozen=True, array_like=True, gc=False):
    """A link as a parse worker reports it: canonical and deduplicated within the page."""

    key: int  # fingerprint(url)
    url: str
    nofollow: bool = False


class Item(Struct, frozen=True, array_like=True):
    """A thing that extraction rules or a hook took from a page."""

    type: str
    data: Octets  # a JSON object


class Archived(Struct, frozen=True, array_like=True):
    """The WARC records of one exchange, made by a parse worker (see `crawler.archive`)."""

    response: Octets  # one gzip member
    request: Octets  # one gzip member
    payload: str  # digest of the payload as a WARC names it: "sha1:" and base32
    date: str  # WARC-Date
    id: str  # WARC-Record-ID of the response


class Extras(Struct, frozen=True, array_like=True):
    """What a parse worker found beyond links and metadata, where it was asked for."""

    items: list[Item] = []
    faults: list[tuple[str, str]] = []  # (rule, what was wrong), as ("book.price", "not a number: 'free'")
    priorities: list[tuple[int, int]] = []  # (key of a link, its priority) of those that are not of priority 0
    text: str | None = None  # the main content, as plain text or Markdown
    simhash: int | None = None  # 64 bits
    anchors: list[str] | None = None  # what fragments may name: ids, and names of ``a`` elements
    fragments: list[str] = []  # links that have a fragment, with it
    requisites: list[PageLink] = []  # what it needs to be shown
    archived: Archived | None = None


class Parsed(Struct, frozen=True, array_like=True):
    """What a parse worker found in one body. `reason` is set when the body could not be used."""

    bytes: int = 0  # length of the decoded body
    digest: str = ""  # sha256 of the decoded body, hex
    charset: str | None = None  # WHATWG name of the encoding used
    title: str | None = None
    description: str | None = None
    language: str | None = None
    canonical: str | None = None  # canonicalised; a hint only
    robots: list[str] = []  # directives of meta robots that apply to us, lower-cased ("noindex", "nofollow", …)
    refresh: str | None = None  # target of a meta refresh, canonicalised
    links: list[PageLink] = []  # also the entries of a sitemap
    sitemaps: list[PageLink] = []  # entries of a sitemap index
    dropped_links: int = 0  # links beyond the limit per page, counted and left out; told in the record's detail
    reason: Reason | None = None
    detail: str = ""
    notes: list[str] = []  # deviations that were tolerated: "gzip without trailer", "charset from content", …; likewise
    body: Octets = b""  # decoded, when it was asked for
    extras: Extras | None = None

    def remarks(self) -> str | None:
        """Return what was put up with, and left out, in a line for people; None when there was nothing of that."""
        left_out = [f"{self.dropped_links} links beyond the limit"] if self.dropped_links else []
        return "; ".join([*self.notes, *left_out]) or None


class Record(Struct, frozen=True, omit_defaults=False):
    """One line of the output: the names are a contract (README, "The record")."""

    url: str
    outcome: Outcome
    reason: Reason | None
    detail: str | None
    status: int | None
    fetched_at: str | None
    elapsed_ms: int | None
    depth: int
    via: Via
    referrer: str | None
    redirect_to: str | None
    ip: str | None
    content_type: str | None
    charset: str | None
    bytes: int | None
    digest: str | None
    title: str | None
    description: str | None
    language: str | None
    canonical: str | None
    robots: list[str]
    attempts: int
    headers: dict[str, Any] | None = None
    links: list[str] | None = None
    text: str | None = None
    simhash: str | None = None
    anchors: list[str] | None = None
    fragments: list[str] | None = None


def timestamp(seconds: float) -> str:
    """Return seconds since the epoch as a record tells them: UTC, ISO 8601, milliseconds."""
    whole, thousandths = divmod(int(seconds * 1000), 1000)
    return f"{_timestamp(whole)}.{thousandths:03d}Z"


@lru_cache(16)  # many come in the same second
def _timestamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


HTML_TYPES: Final = frozenset(("text/html", "application/xhtml+xml"))
"""The media types of documents that are read as HTML."""


def media_type(headers: Iterable[tuple[str, str]]) -> str | None:
    """Return the media type that a Content-Type names, lower-cased, without parameters; None when there is none."""
    for name, value in headers:
        if name == "content-type":
            return bare_type(value)[:100] or None
    return None


def bare_type(content_type: str | None) -> str:
    """Return the media type in a Content-Type, lower-cased, without parameters; nothing where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def joined_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers by name, the values of one name joined with commas (RFC 9110 section 5.3)."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


class Snapshot(Struct, frozen=True):
    """How a running crawl stands at one moment, for the live view and the progress lines."""

    elapsed: float  # seconds of this run
    state: str  # "running", "draining", "stopped", "finished"
    queued: int  # URLs without outcome, those in work included
    in_flight: int  # requests
    parsing: int  # pages at or before the parse workers
    storing: int  # pages whose transaction is not durable yet
    done: int  # URLs with an outcome, over all runs
    outcomes: dict[str, int]
    reasons: dict[str, int]
    refused: dict[str, int]  # links refused at the door, by rule
    bytes: int  # decoded, over all runs
    pages_per_second: float  # over the last seconds
    hosts: int  # with queued URLs
    waiting_hosts: list[
        tuple[str, float, int]
    ]  # (name, seconds until it may be asked again, requests in flight), slowest first, at most 10
    workers: int
    worker_restarts: int
    lag: float  # longest reactor lag of the last seconds, in seconds
    lag_p99: float = 0.0  # the lag that 99 of 100 heartbeats of this run did not exceed, in seconds
    items: dict[str, int] = {}  # taken from pages, by type, over all runs
    faults: dict[str, int] = {}  # of extraction rules, by rule, over all runs


class Result(Struct, frozen=True):
    """How a run ended."""

    state: str  # "finished" or "stopped"
    why: str  # "done", "max_pages", "max_time", "signal", "error"
    snapshot: Snapshot
    fetched: int
    failed: int
