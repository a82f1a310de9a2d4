"""What a batch answers for one URL: a `Page`, and the record it is written as."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from crawler import url as urls
from crawler.fetch.sites import conditional_fields
from crawler.model import Conditional, Outcome, Reason, Record, Via, joined_headers, timestamp
from crawler.parse import charset as charsets
from crawler.secret import without_password


class Wanted(Struct, frozen=True, forbid_unknown_fields=True):
    """A URL to be fetched, and what an earlier answer of this very URL said of itself: if that still holds, it comes without body.

    As a line of a list: ``{"url": "https://example.com/", "etag": "\\"33a6\\"", "last_modified": "Wed, 21 Oct 2015 07:28:00 GMT"}``.
    """

    url: str
    etag: str | None = None  # as in the ETag field, with its quotes
    last_modified: str | None = None  # as in the Last-Modified field

    @property
    def conditional(self) -> Conditional | None:
        """The validators; None when there are none."""
        return Conditional(self.etag, self.last_modified) if self.etag is not None or self.last_modified is not None else None


def wanted_of(given: str | Wanted) -> Wanted:
    """Return what one line of a list asks for: a URL, or a `Wanted` as JSON. Raises ValueError saying what is wrong."""
    if isinstance(given, Wanted) or not given.lstrip().startswith("{"):
        wanted = given if isinstance(given, Wanted) else Wanted(given)
    else:
        try:
            wanted = msgspec.json.decode(given.encode("utf-8", "backslashreplace"), type=Wanted)
        except msgspec.DecodeError as error:
            raise ValueError(f"not a request: {error}; its fields are url, etag and last_modified") from error
    if wanted.conditional is not None:
        conditional_fields(wanted.conditional)
    return wanted


class Hop(Struct, frozen=True):
    """A redirect that was followed: the URL that was asked, and the status it answered with."""

    url: str
    status: int


class Page(Struct, frozen=True):
    """The answer for one URL, whatever became of it: `outcome` says what, `reason` and `detail` why it is not ``fetched``,

    or what was put up with.
    """

    url: str  # as asked, canonical; one that is no URL stays as it was given
    final_url: str  # the last one asked; differs from `url` after redirects
    outcome: Outcome
    reason: Reason | None = None
    detail: str | None = None
    status: int | None = None  # of the last answer
    headers: list[tuple[str, str]] = []  # of the last answer, names lower-cased, in order
    content_type: str | None = None  # the media type alone, lower-cased
    charset: str | None = None  # WHATWG name
    body: bytes = b""  # without content encoding; empty unless fetched, and when no bodies were asked for
    size: int | None = None  # bytes of the decoded body
    digest: str | None = None  # sha256 of the decoded body, hex
    title: str | None = None
    description: str | None = None
    language: str | None = None
    canonical: str | None = None
    robots: list[str] = []  # directives of X-Robots-Tag and meta robots that apply to us
    links: list[str] = []  # canonical, each once, in the order of the page
    redirects: list[Hop] = []
    attempts: int = 0  # requests made for it, redirects and retries among them, robots.txt not
    ip: str | None = None
    started_at: float | None = None  # of the last request; seconds since the epoch
    elapsed: float | None = None  # of the last request; seconds

    @property
    def ok(self) -> bool:
        """Whether the page is there."""
        return self.outcome is Outcome.FETCHED

    @property
    def text(self) -> str:
        """The body as text, decoded anew at each call; what makes no sense in its charset becomes U+FFFD. Never raises."""
        name = self.charset or charsets.determine(self.body, None)[0]
        return charsets.to_utf8(self.body, name)[0].decode()

    def header(self, name: str) -> str | None:
        """Return the first value of header `name`, or None."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key == wanted), None)


def bad_url(given: str, problem: str) -> Page:
    """Return the answer for something that is no URL of ours."""
    shown = without_password(given.strip())[: urls.MAX_URL_LENGTH].encode("utf-8", "backslashreplace").decode()
    return Page(shown, shown, Outcome.FAILED, Reason.BAD_URL, problem[:300].encode("utf-8", "backslashreplace").decode())


def record_of(page: Page, *, headers: bool = False, links: bool = False) -> Record:
    """Return the record of a page, with its response headers and links if asked for.

    `redirect_to` is the last URL asked, when redirects led away from `url`; everything else is told of that one.
    """
    started = page.started_at
    return Record(
        url=page.url,
        outcome=page.outcome,
        reason=page.reason,
        detail=page.detail,
        status=page.status,
        fetched_at=None if started is None else timestamp(started),
        elapsed_ms=None if page.elapsed is None else round(page.elapsed * 1000),
        depth=0,
        via=Via.SEED,
        referrer=None,
        redirect_to=page.final_url if page.redirects else None,
        ip=page.ip,
        content_type=page.content_type,
        charset=page.charset,
        bytes=page.size,
        digest=page.digest,
        title=page.title,
        description=page.description,
        language=page.language,
        canonical=page.canonical,
        robots=page.robots,
        attempts=page.attempts,
        headers=joined_headers(page.headers) if headers and page.status is not None else None,
        links=page.links if links and page.ok else None,
    )
