"""Read one robots.txt (RFC 9309) as far as it concerns us: our group's rules, its delay, the sitemaps.

Protego matches the rules (longest match, ``*``, ``$``, percent-encoding); it is given our group alone. Groups are chosen here,
because RFC 9309 section 2.2.1 wants the product token compared whole (Protego lets a group ``cra`` speak to ``Crawl``), and because a
file with a thousand other robots' groups need not be compiled.

Tolerated as the large crawlers do: any line ending, byte order marks (also UTF-16's: the will of the site is plain), bytes that are not
UTF-8, NULs, a missing colon, common misspellings. HTML instead of robots.txt has no rules.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, Final

from msgspec import Struct
from protego import Protego

from crawler import url as urls

MAX_ROBOTS_BYTES: Final = 500 * 1024
"""What is read of a robots.txt (RFC 9309 section 2.5). Ask the fetcher for `MAX_ROBOTS_FETCH`: beyond that there is no answer."""
MAX_ROBOTS_FETCH: Final = 10 * MAX_ROBOTS_BYTES
MAX_SITEMAPS: Final = 1_000
MAX_RULES: Final = 5_000
MAX_WILDCARDS: Final = 5_000
MAX_ESCAPES: Final = 20_000
"""Rules of our group, ``*`` and ``%`` in all of them, so that the worst of files costs less than 100 ms once and some 20 ms a URL. A file
with more is read so that nothing becomes allowed that was not: no Allow counts, the Disallows beyond are cut before their first such
character, and those beyond `MAX_RULES` to the first character of their path."""

_FIELDS: Final = {
    **dict.fromkeys(("user-agent", "useragent", "user agent"), "agent"),
    **dict.fromkeys(("disallow", "dissallow", "dissalow", "disalow", "diasllow", "disallaw"), "disallow"),
    "allow": "allow",
    **dict.fromkeys(("crawl-delay", "crawldelay", "crawl delay"), "delay"),
    **dict.fromkeys(("request-rate", "request rate"), "rate"),
    **dict.fromkeys(("sitemap", "sitemaps", "site-map"), "sitemap"),
}
_COMMENT: Final = re.compile(rb"#[^\r\n]*")
_ESCAPED: Final = [chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in range(256)]
_CONTROLS_TO_SPACES: Final = bytes.maketrans(bytes(range(32)) + b"\x7f", b" " * 9 + b"\t\n  \r" + b" " * 19)
_HTML: Final = re.compile(r"\s*<(?:!doctype|html|head|body|\?xml|script)\b", re.I)
_ANCHOR: Final = 3  # rules that a ``$`` costs as much as
_COSTLY: Final = re.compile(r"[*%$]")
_TOKEN: Final = re.compile(r"[^\s/;,()]+")
_LITERAL: Final = re.compile(r"[A-Za-z0-9/._~-]*")  # what no escape stands for in a canonical URL
_COMPATIBLE: Final = re.compile(r"Mozilla/[^(]*\(compatible;\s*([^\s/;,()]+)", re.I)
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+", re.ASCII)
_RATE: Final = re.compile(r"([0-9]{1,9})\s*/\s*([0-9]{1,9})([smhd]?)\b", re.ASCII | re.I)
_LONGEST_DELAY: Final = 86400.0  # seconds; what is beyond is clamped, `RobotsCache` clamps further
_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Rules(Struct, frozen=True):
    """What one robots.txt says to us. `delay` is in seconds, `sitemaps` are canonical.

    `text` is all of it as a short robots.txt: reading that gives the same rules.
    """

    delay: float | None = None
    sitemaps: tuple[str, ...] = ()
    text: str = ""
    matcher: Any = None  # Protego; None when nothing is disallowed
    starts: tuple[str, ...] | None = None  # one of these begins every path that is disallowed; None: any may

    def allows(self, url: str) -> bool:
        """Say whether canonical `url` may be fetched."""
        if self.matcher is None or (self.starts is not None and not urls.path(url).startswith(self.starts)):
            return True
        return bool(self.matcher.can_fetch(url, "*"))


class _Group:
    """The mutable state while one kind of group (ours, or everybody's) is read and merged."""

    def __init__(self) -> None:
        self.seen = False
        self.rules: list[tuple[bool, str]] = []  # (allow?, pattern)
        self.delay: float | None = None
        self.rate: float | None = None

    def add(self, field: str, value: str) -> None:
        if field in ("allow", "disallow"):
            if value:
                self.rules.append((field == "allow", value))
        elif field == "delay":
            self.delay = _greater(self.delay, min(float(value), _LONGEST_DELAY) if _NUMBER.fullmatch(value) else None)
        else:
            self.rate = _greater(self.rate, _seconds_per_request(value))


def product_token(user_agent: str) -> str:
    """Return the name that robots.txt groups address: ``Crawl`` of ``Crawl/0.1 (+https://…)``.

    Of ``Mozilla/5.0 (compatible; Crawl/0.1; …)`` it is ``Crawl`` as well.
    """
    found = _COMPATIBLE.match(user_agent)
    if found:
        return found[1]
    token = _TOKEN.match(user_agent.strip())
    return token[0] if token else "Crawl"


def robots_text(body: bytes) -> str:
    """Return the part of a robots.txt that counts, as ASCII: first 500 KiB to the last whole line, without comments.

    Bytes beyond ASCII become percent-encoded, as rules are compared (RFC 9309 section 2.2.2), whatever charset they were meant in.
    """
    if len(body) > MAX_ROBOTS_BYTES:
        body = body[:MAX_ROBOTS_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
    if body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        body = body.decode("utf-16", "replace").encode("utf-8", "replace")
    body = _COMMENT.sub(b"", body.removeprefix(codecs.BOM_UTF8))
    body = body.replace(b"\0", b"").translate(_CONTROLS_TO_SPACES)
    text = body.decode("ascii") if body.isascii() else "".join([_ESCAPED[byte] for byte in body])
    return "" if _HTML.match(text) else text


def read_rules(text: str, token: str, origin: str) -> Rules:
    """Return what the `robots_text` of `origin` says to product token `token`.

    Groups that name us are merged and decide alone; without one, those for ``*`` do. Of several delays the longest counts.
    """
    ours, everybody = _Group(), _Group()
    current: list[_Group] = []
    sitemaps: dict[str, None] = {}
    in_rules = False
    for field, value in _lines(text):
        if field == "sitemap":
            target = urls.canonicalise(value, f"{origin}/robots.txt") if value and len(sitemaps) < MAX_SITEMAPS else None
            if target is not None:
                sitemaps[target] = None
        elif field == "agent":
            current = [] if in_rules else current
            in_rules = False
            group = everybody if value.startswith("*") else ours if _addresses(value, token) else None
            if group is not None:
                group.seen = True
                current.append(group)
        else:
            in_rules = True
            for group in current:
                group.add(field, value)
    return _compile(ours if ours.seen else everybody, tuple(sitemaps))


def _lines(text: str) -> list[tuple[str, str]]:
    """Return the lines that mean something, as (field, value); unknown fields must not disturb (RFC 9309 section 2.2.4)."""
    found = []
    for line in text.replace("\r", "\n").split("\n"):
        if not line:
            continue
        name, colon, value = line.partition(":")
        field = _FIELDS.get(name.strip().lower()) if colon else None
        if field is None:
            words = line.split(None, 1)
            field = _FIELDS.get(words[0].lower()) if words else None
            value = words[1] if len(words) > 1 else ""
        if field is not None:
            found.append((field, value.strip()))
    return found


def _addresses(value: str, token: str) -> bool:
    named = _TOKEN.match(value)
    return named is not None and named[0].rstrip("*").lower() == token.lower()


def _compile(group: _Group, sitemaps: tuple[str, ...]) -> Rules:
    delay = group.delay if group.delay is not None else group.rate
    rules = _bounded(group.rules)
    lines = ["User-agent: *", *rules]
    if delay is not None:
        lines.append(f"Crawl-delay: {delay:.3f}")
    lines += [f"Sitemap: {sitemap}" for sitemap in sitemaps]
    text = "\n".join(lines)
    return Rules(delay=delay, sitemaps=sitemaps, text=text, matcher=Protego.parse(text) if rules else None, starts=_starts(rules))


def _starts(rules: list[str]) -> tuple[str, ...] | None:
    """Return what begins the paths that are disallowed, as far as it is written in one way only; None if one may begin anyhow."""
    starts = {_LITERAL.match(rule.removeprefix("Disallow: "))[0] for rule in rules if rule.startswith("Disallow: ")}  # type: ignore[index]
    return tuple(starts) if all(start.startswith("/") for start in starts) and "/" not in starts else None


def _bounded(rules: list[tuple[bool, str]]) -> list[str]:
    """Return the rules as lines, each once, within the limits on rules, wildcards and escapes; none when nothing is disallowed."""
    if all(allow for allow, _ in rules):
        return []
    distinct = list(dict.fromkeys(rules))
    written = "".join(pattern for _, pattern in distinct)
    if (
        len(distinct) + _ANCHOR * written.count("$") <= MAX_RULES
        and written.count("*") <= MAX_WILDCARDS
        and written.count("%") <= MAX_ESCAPES
    ):
        return [f"{'Allow' if allow else 'Disallow'}: {pattern}" for allow, pattern in distinct]
    lines = []
    weight = wildcards = escapes = 0
    for pattern in (pattern for allow, pattern in distinct if not allow):
        weight += 1 + _ANCHOR * pattern.count("$")
        wildcards += pattern.count("*")
        escapes += pattern.count("%")
        kept = pattern
        if weight > MAX_RULES or wildcards > MAX_WILDCARDS or escapes > MAX_ESCAPES:
            kept = _COSTLY.split(pattern, maxsplit=1)[0][: 2 if weight > MAX_RULES else None] or "/"
        lines.append(f"Disallow: {kept}")
    return list(dict.fromkeys(lines))


def _seconds_per_request(value: str) -> float | None:
    found = _RATE.match(value)
    if not found or int(found[1]) == 0:
        return None
    return min(int(found[2]) * _UNITS[found[3].lower()] / int(found[1]), _LONGEST_DELAY)


def _greater(old: float | None, new: float | None) -> float | None:
    if old is None or new is None:
        return new if old is None else old
    return max(old, new)
