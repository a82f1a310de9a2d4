"""The cookies of one crawl: a store of our own, by site, bounded, in memory.

Why not `http.cookiejar`: it looks through every domain for each request (39 ms at 10 000 of them), has no bounds, knows neither public
suffixes nor the prefixes of names, and its grammar is looser than browsers'. Here a request looks at the cookies of its own registrable
domain alone, at most `MAX_OF_SITE`.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from crawler import url as urls
from crawler.errors import InvalidConfig
from crawler.fetch.cookie import MAX_COOKIE, UNSENDABLE, Cookie, SuffixRules, domain_match, make_cookie, path_match, path_of

MAX_OF_ANSWER: Final = 50
"""Set-Cookie fields of one answer that are read."""
MAX_OF_SITE: Final = 50
"""Cookies kept of one registrable domain."""
MAX_COOKIES: Final = 10_000
"""Cookies kept in all; beyond, those of the site that was asked longest ago are forgotten."""
MAX_SENT: Final = 8190
"""Bytes of a Cookie field; what does not fit is not sent. curl's limit, which servers' own allow for."""
MAX_FILE: Final = 16 * 1024 * 1024
"""Bytes of a file of cookies."""


class CookieStore:
    """The cookies of one crawl. Its state is `_sites`: cookies by registrable domain, the site asked last at the end."""

    def __init__(self, *, now: Callable[[], float]) -> None:
        """`now` gives seconds since the epoch."""
        self._now = now
        self._suffixes = SuffixRules()
        self._sites: OrderedDict[str, dict[tuple[str, str, bool, str], Cookie]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def header(self, url: str) -> str:
        """Return the value of Cookie for a request to canonical `url`, or nothing: longest paths first, then the oldest."""
        site = self._suffixes.site_of(urls.host(url))
        cookies = self._sites.get(site)
        if cookies is None:
            return ""
        self._sites.move_to_end(site)
        now = self._now()
        host, path, secure = urls.host(url), path_of(url), url.startswith("https:")
        chosen = [cookie for cookie in cookies.values() if cookie.goes_to(host, path, secure=secure) and not cookie.expired(now)]
        chosen.sort(key=lambda cookie: -len(cookie.path))
        return _joined(chosen, now)

    def learn(self, url: str, fields: Sequence[str]) -> None:
        """Take in the Set-Cookie fields of an answer from canonical `url`; one that makes no sense or goes too far is left out."""
        now = self._now()
        for field in fields[:MAX_OF_ANSWER]:
            cookie = make_cookie(field, url, self._suffixes, now)
            if cookie is not None and not (url.startswith("http:") and self._hides_secure(cookie)):
                self.put(cookie)

    def put(self, cookie: Cookie) -> None:
        """Keep a cookie in place of the one it replaces; one that has expired only removes that."""
        site = self._suffixes.site_of(cookie.domain)
        cookies = self._sites.setdefault(site, {})
        if cookie.expired(self._now()):
            self._count -= cookies.pop(cookie.key, None) is not None
        elif cookie.key in cookies:
            cookies[cookie.key] = cookie  # in the place of the old one: the order is that of their creation
        else:
            self._make_room(cookies)
            cookies[cookie.key] = cookie
            self._count += 1
        self._sites.move_to_end(site)
        if not cookies:
            del self._sites[site]
        while self._count > MAX_COOKIES:
            _, dropped = self._sites.popitem(last=False)
            self._count -= len(dropped)

    def _make_room(self, cookies: dict[tuple[str, str, bool, str], Cookie]) -> None:
        """Of a site with too many: what has expired goes first, then what is not Secure, then what was not sent for longest."""
        if len(cookies) < MAX_OF_SITE:
            return
        now = self._now()
        del cookies[min(cookies.values(), key=lambda cookie: (not cookie.expired(now), cookie.secure, cookie.used)).key]
        self._count -= 1

    def _hides_secure(self, new: Cookie) -> bool:
        """Tell whether a cookie set over plain HTTP would stand in for a Secure one (RFC 6265bis section 5.7, step 16)."""
        cookies = self._sites.get(self._suffixes.site_of(new.domain), {})
        return any(
            old.secure
            and old.name == new.name
            and (domain_match(old.domain, new.domain) or domain_match(new.domain, old.domain))
            and path_match(new.path, old.path)
            for old in cookies.values()
        )


def _joined(cookies: list[Cookie], now: float) -> str:
    parts: list[str] = []
    room = MAX_SENT
    for cookie in cookies:
        part = f"{cookie.name}={cookie.value}" if cookie.name else cookie.value
        room -= len(part.encode()) + 2
        if room < 0:
            break
        parts.append(part)
        cookie.used = now
    return "; ".join(parts)


# -- a file of cookies ------------------------------------------------------------------------------------------


def read_cookies(file: Path, now: float) -> list[Cookie]:
    """Return the cookies of a file in the format of Netscape and curl; those that have expired are left out.

    Seven fields a line, parted by tabs: domain, whether subdomains count (TRUE, FALSE), path, whether HTTPS alone counts, expiry
    (seconds since the epoch; 0: none), name, value. Raises InvalidConfig naming the file, and the line that is none.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(MAX_FILE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InvalidConfig(f"cookie file {file}: cannot be read: {reason}") from error
    if len(content) > MAX_FILE:
        raise InvalidConfig(f"cookie file {file}: has more than {MAX_FILE} bytes")
    found: list[Cookie] = []
    for number, line in enumerate(text.split("\n"), 1):
        plain = line.removesuffix("\r").removeprefix("#HttpOnly_")
        if plain.strip() and not plain.startswith("#"):
            try:
                found.append(_cookie_of_line(plain, now))
            except ValueError as error:
                raise InvalidConfig(f"cookie file {file}, line {number}: {error}") from error
    return [cookie for cookie in found if not cookie.expired(now)]


def _cookie_of_line(line: str, now: float) -> Cookie:
    """Return the cookie of one line; raises ValueError. No message tells its value."""
    fields = line.split("\t")
    if len(fields) == 6:  # curl's, of a cookie without value
        fields.append("")
    if len(fields) != 7:
        raise ValueError(
            f"{len(fields)} fields where 7 belong, parted by tabs: domain, TRUE or FALSE, path, TRUE or FALSE, expiry, name, value"
        )
    domain, below, path, secure, expires, name, value = fields
    for flag, place in ((below, 2), (secure, 4)):
        if flag.upper() not in ("TRUE", "FALSE"):
            raise ValueError(f"field {place} must be TRUE or FALSE")
    if not path.startswith("/"):
        raise ValueError("field 3, the path, must begin with /")
    if not re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]*)?", expires):
        raise ValueError("field 5, the expiry, must be seconds since the epoch, or 0")
    if UNSENDABLE.search(name + value + path) or ";" in name + value or len(name.encode()) + len(value.encode()) > MAX_COOKIE:
        raise ValueError(f"the cookie has control characters or a semicolon, or more than {MAX_COOKIE} bytes")
    canonical = urls.canonicalise(f"https://{domain.removeprefix('.')}/")
    if canonical is None or urls.path(canonical) != "/" or urls.port(canonical) != 443 or "@" in domain:
        raise ValueError("field 1 must be a host name")
    at = float(expires)
    return Cookie(
        name,
        value,
        domain=urls.host(canonical),
        host_only=below.upper() == "FALSE",
        path=path,
        secure=secure.upper() == "TRUE",
        expires=at if at > 0 else None,
        used=now,
    )
