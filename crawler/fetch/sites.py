"""What requests carry besides the fields of all: headers and credentials by site, cookies, validators.

A site's settings stand under a pattern, ``[scheme://]host[:port]``; a host that begins with ``*.`` means the names below it, not itself.
What a request carries depends on its URL alone, and a redirect is a request of its own: nothing goes on to another host, port or scheme.

- **Headers** of a pattern without scheme go to any scheme of that host, and to any port unless one is written; with a scheme, to exactly
  that origin.
- **Secrets** (passwords, tokens, and the headers Authorization and Cookie) of a pattern without scheme go by https alone, to the port
  that is written or 443. Whoever wants them sent unencrypted has to write ``http://``.
- Where several patterns match, their headers add up; of the same header, the most specific pattern's is sent: an exact host precedes
  ``*.``, a longer name a shorter one, then one with a scheme, then one with a port.

Secrets are read once, here; nothing here shows one in a message or a ``repr``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler import url as urls
from crawler.config import FetchSettings, SiteSettings
from crawler.errors import InvalidConfig, UsageError
from crawler.fetch.cookies import CookieStore, read_cookies
from crawler.model import Conditional
from crawler.secret import read_secret, without_password

if TYPE_CHECKING:
    from twisted.web.http_headers import Headers

MANAGED_HEADERS: Final = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "host",
        "if-modified-since",
        "if-none-match",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Header fields, in lower case, that belong to the connection or to one URL: nobody's to set."""
SECRET_HEADERS: Final = frozenset({"authorization", "cookie"})
"""Header fields, in lower case, that are secrets of a site."""

_REMEMBERED: Final = 4096  # origins whose fields are kept composed
_PATTERN: Final = re.compile(r"(?:(https?)://)?(\*\.)?(\[[0-9a-f:.]+\]|[^/?#@\s:*\[\]]+)(?::([0-9]{1,5}))?/?", re.I)
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e\t]*")
_REFERENCE: Final = re.compile(r"(?:env|file):.+", re.S)
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")
_ETAG: Final = re.compile(r'(?:W/)?"[\x21\x23-\x7e]{0,1000}"')

Read = Callable[[str], str]
"""Gives the secret that a reference names; raises UsageError."""


class BadSite(ValueError):
    """The settings of one site cannot be used: `key` says which ("" is the pattern), the message why and what to write."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class SiteRule:
    """What requests to the sites of one pattern carry."""

    __slots__ = ("below", "fields", "host", "pattern", "port", "scheme", "secrets")

    def __init__(self, pattern: str, site: SiteSettings, read: Read) -> None:
        """Read the secrets, too. Raises BadSite."""
        self.pattern = pattern
        self.scheme, self.below, self.host, self.port = parse_pattern(pattern)
        self.fields: dict[str, tuple[str, str]] = {}  # by lower-case name: name and value
        self.secrets: dict[str, tuple[str, str]] = {}
        for name, value in site.headers.items():
            self._add_header(name, value, read)
        credential = _credential(site, read)
        if credential is not None:
            if "authorization" in self.secrets:
                raise BadSite("headers.Authorization", "is set by user or bearer, too; keep one of them")
            self.secrets["authorization"] = ("Authorization", credential)

    def _add_header(self, name: str, value: str, read: Read) -> None:
        key, lower = f"headers.{name}", name.lower()
        if lower in self.fields or lower in self.secrets:
            raise BadSite(key, "is given twice; join the values with commas")
        if lower in SECRET_HEADERS:
            value = _secret(key, value, read)
        problem = field_problem(name, value)
        if problem is not None:
            raise BadSite(key, problem)
        (self.secrets if lower in SECRET_HEADERS else self.fields)[lower] = (name, value.strip(" \t"))

    @property
    def rank(self) -> tuple[bool, int, bool, bool]:
        """How specific the pattern is; the highest wins."""
        return not self.below, len(self.host), self.scheme is not None, self.port is not None

    def takes(self, scheme: str, port: int) -> bool:
        """Tell whether headers go to this scheme and port."""
        return self.scheme in (None, scheme) and self.port in (None, port)

    def trusts(self, scheme: str, port: int) -> bool:
        """Tell whether secrets go to this scheme and port."""
        return self.takes(scheme, port) if self.scheme is not None else scheme == "https" and port == (self.port or 443)


class Session:
    """What requests carry by their URL, and the cookies that answers leave. One crawl's, in memory."""

    def __init__(self, settings: FetchSettings, *, now: Callable[[], float], read: Read = read_secret) -> None:
        """Read secrets and cookie file. `now` gives seconds since the epoch.

        Raises InvalidConfig naming the setting that cannot be used, and what to write.
        """
        rules = [site_rule(pattern, site, read) for pattern, site in settings.sites.items()]
        self._rules = sorted(rules, key=lambda rule: rule.rank)
        self._hosts: dict[str, list[SiteRule]] = {}
        for rule in self._rules:
            self._hosts.setdefault(f"*.{rule.host}" if rule.below else rule.host, []).append(rule)
        self._elsewhere: dict[str, tuple[str, str]] = {}  # fields of all requests that some site has otherwise
        self._fixed = lru_cache(_REMEMBERED)(self._compose)
        self._cookies: CookieStore | None = None
        if settings.cookies or settings.cookie_file is not None:
            self._cookies = CookieStore(now=now)
            for cookie in read_cookies(Path(settings.cookie_file).expanduser(), now()) if settings.cookie_file is not None else []:
                self._cookies.put(cookie)

    def take_over(self, headers: Headers) -> None:
        """Take out of `headers`, sent with every request, those that a site has otherwise: `fields` gives them from now on."""
        for name in {name for rule in self._rules for name in rule.fields}:
            values = headers.getRawHeaders(name)
            if values is not None:
                self._elsewhere[name] = (name.title(), ", ".join(values))
                headers.removeHeader(name)
        self._fixed.cache_clear()

    def fields(self, url: str) -> bytes:
        """Return the header lines, each with its CRLF, that a request to canonical `url` carries besides those of every request."""
        lines, cookie = self._fixed(urls.origin(url))
        if self._cookies is not None:
            cookie = "; ".join(filter(None, (cookie, self._cookies.header(url))))
        return lines + f"Cookie: {cookie}\r\n".encode() if cookie else lines

    def learn(self, url: str, headers: list[tuple[str, str]]) -> None:
        """Take in the cookies of an answer from canonical `url`; names of `headers` are in lower case."""
        if self._cookies is not None and (found := [value for name, value in headers if name == "set-cookie"]):
            self._cookies.learn(url, found)

    def withheld(self, url: str) -> str | None:
        """Say that a secret meant for the host of `url` would not be sent to it, and what to write; None: all is as it seems."""
        scheme, host, port = url.partition(":")[0], urls.host(url), urls.port(url)
        sent = {name for rule in self._matching(host) if rule.trusts(scheme, port) for name in rule.secrets}
        for rule in self._matching(host):
            if rule.scheme is None and not rule.secrets.keys() <= sent:
                origin, unencrypted = urls.origin(url), " if they may go unencrypted" if scheme == "http" else ""
                return (
                    f"{origin}/ would be asked without the credentials of {rule.pattern!r}: a pattern without scheme sends them "
                    f"by https to port {rule.port or 443} alone; give that URL, or write the pattern {origin!r}{unencrypted}"
                )
        return None

    def _matching(self, host: str) -> list[SiteRule]:
        """Return the rules for a host, the most specific last."""
        found = self._hosts.get(host, [])
        dot = host.find(".")
        while dot >= 0:
            found = [*self._hosts.get(f"*{host[dot:]}", []), *found]
            dot = host.find(".", dot + 1)
        return found

    def _compose(self, origin: str) -> tuple[bytes, str]:
        """Return the lines for an origin, and the cookies that were given for it."""
        scheme, host, port = origin.partition(":")[0], urls.host(origin), urls.port(origin)
        chosen = dict(self._elsewhere)
        for rule in self._matching(host):
            chosen |= rule.fields if rule.takes(scheme, port) else {}
            chosen |= rule.secrets if rule.trusts(scheme, port) else {}
        _, cookie = chosen.pop("cookie", ("", ""))
        return "".join(f"{name}: {value}\r\n" for name, value in chosen.values()).encode("latin-1"), cookie


def make_session(settings: FetchSettings, *, now: Callable[[], float], read: Read = read_secret) -> Session | None:
    """Return the session that `settings` ask for; None when all requests are alike. Raises InvalidConfig."""
    wanted = settings.sites or settings.cookies or settings.cookie_file is not None
    return Session(settings, now=now, read=read) if wanted else None


def site_rule(pattern: str, site: SiteSettings, read: Read = read_secret) -> SiteRule:
    """Return the rule of one pattern of ``fetch.sites``. Raises InvalidConfig naming the key."""
    try:
        return SiteRule(pattern, site, read)
    except BadSite as error:
        key = f".{error.key}" if error.key else ""
        raise InvalidConfig(f'fetch.sites."{without_password(pattern)}"{key}: {error}') from error


def parse_pattern(pattern: str) -> tuple[str | None, bool, str, int | None]:
    """Return scheme, whether the names below are meant, host and port of a pattern; with a scheme the port is always known.

    Raises BadSite.
    """
    found = _PATTERN.fullmatch(pattern.strip())
    if found is None:
        raise BadSite("", 'not a site: write it like "example.org", "*.example.org" or "https://example.org:8443"')
    scheme = found[1].lower() if found[1] else None
    canonical = urls.canonicalise(f"https://{found[3]}/")
    if canonical is None:
        raise BadSite("", f"{found[3]!r} is not a host name")
    host = urls.host(canonical)
    if found[2] and (host.startswith("[") or host.rpartition(".")[2].isdecimal()):
        raise BadSite("", "an address has no names below it; write it without *.")
    port = int(found[4]) if found[4] else {"http": 80, "https": 443}.get(scheme or "")
    if port is not None and not 1 <= port <= 65535:
        raise BadSite("", f"{port} is not a port")
    return scheme, bool(found[2]), host, port


def field_problem(name: str, value: str) -> str | None:
    """Say why a header field cannot be sent for a user (RFC 9110 section 5), or return None. The value is not shown."""
    if not _NAME.fullmatch(name):
        return "is not a header's name"
    if name.lower() == "user-agent":
        return "use --user-agent (politeness.user_agent), which robots.txt is read with, too"
    if name.lower() in ("if-none-match", "if-modified-since"):
        return "belongs to one URL: 'crawl batch' takes etag and last_modified with each"
    if name.lower() in MANAGED_HEADERS:
        return "is set by the crawler itself and cannot be given"
    return None if _VALUE.fullmatch(value) else "the value has characters that are not ASCII, or control characters"


def _credential(site: SiteSettings, read: Read) -> str | None:
    """Return the value of Authorization that the settings ask for (RFC 7617 with UTF-8, RFC 6750). Raises BadSite."""
    if site.bearer is not None:
        if site.user is not None or site.password is not None:
            raise BadSite("bearer", "stands beside user and password; keep one kind of credential")
        token = _secret("bearer", site.bearer, read)
        if not _TOKEN.fullmatch(token):
            raise BadSite("bearer", "the token has blanks, or characters that are not ASCII")
        return f"Bearer {token}"
    if site.user is None and site.password is None:
        return None
    if site.user is None or site.password is None:
        given, missing = ("password", "user") if site.user is None else ("user", "password")
        raise BadSite(given, f"needs {missing}, too")
    if ":" in site.user or not site.user.isprintable():
        raise BadSite("user", "a user name has no colon and no control characters (RFC 7617); the password is a setting of its own")
    pair = f"{site.user}:{_secret('password', site.password, read)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _secret(key: str, reference: str, read: Read) -> str:
    if not _REFERENCE.fullmatch(reference):
        raise BadSite(key, "a secret is named, not written: give env:NAME, an environment variable, or file:PATH, a file that holds it")
    try:
        return read(reference)
    except UsageError as error:
        raise BadSite(key, str(error)) from error


def conditional_fields(conditional: Conditional) -> bytes:
    """Return If-None-Match and If-Modified-Since as lines with CRLF (RFC 9110 section 13.1).

    Raises ValueError for an entity tag or a date that is none.
    """
    lines = []
    if conditional.etag is not None:
        if not _ETAG.fullmatch(conditional.etag):
            raise ValueError('etag: not an entity tag; it stands in double quotes, as in "33a64df5" or W/"33a64df5"')
        lines.append(f"If-None-Match: {conditional.etag}\r\n")
    if conditional.last_modified is not None:
        lines.append(f"If-Modified-Since: {_date(conditional.last_modified)}\r\n")
    return "".join(lines).encode("ascii")


def _date(text: str) -> str:
    try:
        if text.isascii() and text.isprintable() and len(text) <= 100:
            parsedate_to_datetime(text)
            return text
    except (ValueError, TypeError, OverflowError):
        pass
    raise ValueError("last_modified: not a date; it is written like Wed, 21 Oct 2015 07:28:00 GMT")
