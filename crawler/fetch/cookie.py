"""One cookie: what a Set-Cookie field makes of it, and which requests it goes to (RFC 6265bis).

What is left out of the standard: SameSite (nothing here is cross-site: each URL is asked for itself), HttpOnly (there are no scripts),
and partitions.
"""

from __future__ import annotations

import calendar
import re
from functools import lru_cache
from typing import Final

from publicsuffixlist import PublicSuffixList

from crawler import url as urls

MAX_COOKIE: Final = 4096
"""Bytes of a cookie's name and value together (RFC 6265bis section 5.6)."""
MAX_ATTRIBUTE: Final = 1024
"""Bytes of an attribute's value; a longer attribute counts as not there."""
MAX_AGE: Final = 400 * 86400.0
"""Seconds that a cookie is kept at most."""

UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")
"""Characters of which a cookie has none."""
_BLANKS: Final = " \t"
_KNOWN_HOSTS: Final = 4096  # whose registrable domains are remembered


class Cookie:
    """One cookie as it is kept."""

    __slots__ = ("domain", "expires", "host_only", "name", "path", "secure", "used", "value")

    def __init__(
        self, name: str, value: str, *, domain: str, host_only: bool, path: str, secure: bool, expires: float | None, used: float
    ) -> None:
        """`expires` and `used` (when it was last sent, or set) are seconds since the epoch; `expires` None: until the crawl ends."""
        self.name = name
        self.value = value
        self.domain = domain
        self.host_only = host_only
        self.path = path
        self.secure = secure
        self.expires = expires
        self.used = used

    @property
    def key(self) -> tuple[str, str, bool, str]:
        """What makes a cookie another one."""
        return self.name, self.domain, self.host_only, self.path

    def goes_to(self, host: str, path: str, *, secure: bool) -> bool:
        """Tell whether a request carries it (RFC 6265bis section 5.8.3)."""
        if self.secure and not secure:
            return False
        return (self.domain == host or (not self.host_only and domain_match(host, self.domain))) and path_match(path, self.path)

    def expired(self, now: float) -> bool:
        """Tell whether its time is over."""
        return self.expires is not None and self.expires <= now


class SuffixRules:
    """The public suffix list with its private section, asked once for each host."""

    def __init__(self) -> None:
        self._list = PublicSuffixList()
        self.site_of: Final = lru_cache(_KNOWN_HOSTS)(self._site_of)

    def _site_of(self, host: str) -> str:
        """Return the registrable domain of a host; an address, and a name that is a public suffix itself, stand for themselves."""
        if is_address(host):
            return host
        domain: str | None = self._list.privatesuffix(host)
        return domain or host

    def is_suffix(self, name: str) -> bool:
        """Tell whether others than its owner have names below `name`."""
        return not is_address(name) and self._list.privatesuffix(name) is None


def make_cookie(field: str, url: str, suffixes: SuffixRules, now: float) -> Cookie | None:
    """Return the cookie that a Set-Cookie field of an answer from canonical `url` makes, or None (RFC 6265bis sections 5.6, 5.7)."""
    if UNSENDABLE.search(field):
        return None
    pair, *attributes = field.split(";")
    name, value = _pair(pair)
    if not (name or value) or len(name.encode()) + len(value.encode()) > MAX_COOKIE:
        return None
    told = _attributes(attributes)
    host, secure = urls.host(url), "secure" in told
    if secure and not url.startswith("https:"):
        return None
    domain = _domain(told.get("domain", ""), host, suffixes)
    if domain is None or not _prefix_holds(name, value, told, host_only=not domain):
        return None
    path = told.get("path", "")
    return Cookie(
        name,
        value,
        domain=domain or host,
        host_only=not domain,
        path=path if path.startswith("/") else default_path(url),
        secure=secure,
        expires=_expires(told, now),
        used=now,
    )


def _pair(text: str) -> tuple[str, str]:
    """Split a name and a value; without an equals sign all of it is the value."""
    name, equals, value = text.partition("=")
    return (name.strip(_BLANKS), value.strip(_BLANKS)) if equals else ("", text.strip(_BLANKS))


def _attributes(texts: list[str]) -> dict[str, str]:
    """Return attributes by lower-case name: the last of each counts."""
    told: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        value = value.strip(_BLANKS)
        if len(value.encode()) <= MAX_ATTRIBUTE:
            told[name.strip(_BLANKS).lower()] = value
    return told


def _domain(told: str, host: str, suffixes: SuffixRules) -> str | None:
    """Return the domain a cookie is for, "" when it is for `host` alone, None when it is not this host's to set."""
    domain = told.removeprefix(".").lower()
    if not domain:
        return ""
    if not domain.isascii() or not domain_match(host, domain):
        return None
    if is_address(host):
        return ""
    if suffixes.is_suffix(domain):
        return "" if domain == host else None
    return domain


def _prefix_holds(name: str, value: str, told: dict[str, str], *, host_only: bool) -> bool:
    """Tell whether a cookie keeps what the prefix of its name promises (RFC 6265bis section 4.1.3)."""
    promise = name.lower() if name else value.lower()
    if not promise.startswith(("__secure-", "__host-")):
        return True
    if not name or "secure" not in told:
        return False
    return promise.startswith("__secure-") or (host_only and told.get("path") == "/")


def _expires(told: dict[str, str], now: float) -> float | None:
    """Return when a cookie's time is over; Max-Age precedes Expires, and what cannot be read counts as not there."""
    age = told.get("max-age", "")
    if re.fullmatch(r"-?[0-9]+", age):
        return now + min(float(age), MAX_AGE) if len(age) < 16 else (0.0 if age.startswith("-") else now + MAX_AGE)
    at = parse_date(told["expires"]) if "expires" in told else None
    return None if at is None else min(at, now + MAX_AGE)


_DATE_TOKEN: Final = re.compile(r"[^\x09\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?:[^0-9].*)?", re.S)
_DAY: Final = re.compile(r"([0-9]{1,2})(?:[^0-9].*)?", re.S)
_YEAR: Final = re.compile(r"([0-9]{2,4})(?:[^0-9].*)?", re.S)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def parse_date(text: str) -> float | None:
    """Return a cookie's date as seconds since the epoch, read as leniently as RFC 6265bis section 5.1.1 says; None: it is none."""
    clock = day = month = year = None
    for token in _DATE_TOKEN.findall(text):
        if clock is None and (found := _TIME.fullmatch(token)):
            clock = (int(found[1]), int(found[2]), int(found[3]))
        elif day is None and (found := _DAY.fullmatch(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.fullmatch(token)):
            year = int(found[1])
    if clock is None or day is None or month is None or year is None:
        return None
    year += (1900 if year >= 70 else 2000) if year <= 99 else 0
    if year < 1601 or clock[0] > 23 or clock[1] > 59 or clock[2] > 59 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return float(calendar.timegm((year, month, day, *clock)))


def is_address(host: str) -> bool:
    """Tell whether the host of a canonical URL is an IP address."""
    return host.startswith("[") or host.rpartition(".")[2].isdecimal()


def domain_match(host: str, domain: str) -> bool:
    """Tell whether `host` is `domain` or below it (RFC 6265bis section 5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not is_address(host))


def path_match(path: str, cookie_path: str) -> bool:
    """Tell whether `path` is `cookie_path` or below it (RFC 6265bis section 5.1.4)."""
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"


def path_of(url: str) -> str:
    """Return the path of a canonical URL, without its query."""
    return urls.path(url).partition("?")[0]


def default_path(url: str) -> str:
    """Return the path of a cookie that names none: the folder of the URL that set it (RFC 6265bis section 5.1.4)."""
    return path_of(url).rpartition("/")[0] or "/"
