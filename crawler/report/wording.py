"""Numbers, sizes and times as a report tells them, and its own words for reasons and rules."""

from __future__ import annotations

from typing import Final

from crawler.model import Outcome, Reason
from crawler.report.model import BrokenLink

_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")

REASONS: Final[dict[str, str]] = {
    Reason.ROBOTS: "robots.txt forbids it",
    Reason.ROBOTS_UNREACHABLE: "robots.txt could not be had, so nothing is allowed",
    Reason.ADDRESS: "leads to an address that is not public",
    Reason.DNS: "the host name could not be resolved",
    Reason.CONNECT: "no connection to the host",
    Reason.TLS_EXPIRED: "the certificate has expired, or is not valid yet",
    Reason.TLS_NAME: "the certificate is another host's",
    Reason.TLS_SELF_SIGNED: "the certificate is self-signed",
    Reason.TLS_UNTRUSTED: "the certificate is not trusted",
    Reason.TLS_HANDSHAKE: "no encrypted connection came about",
    Reason.TLS: "the encrypted connection broke",
    Reason.TIMEOUT: "no answer in time",
    Reason.TOO_LARGE: "larger than the limit",
    Reason.TRUNCATED: "the answer broke off",
    Reason.BAD_HTTP: "the answer is not HTTP",
    Reason.BAD_ENCODING: "the content's encoding is unknown or broken",
    Reason.HTTP_ERROR: "the server answered with an error",
    Reason.REDIRECT: "a redirect that leads nowhere",
    Reason.CONTENT_TYPE: "not of a wanted type",
    Reason.PARSE: "the page could not be parsed within the limits",
    Reason.BAD_URL: "not a URL",
    Reason.HOST_DOWN: "its host was given up after many failures",
    Reason.INTERNAL: "a fault of the crawler",
    "fragment": "the part of the page that the link names is not there",
    "redirect_loop": "its redirects never end",
}
"""Every reason of a record and of a broken link, in words."""

OUTCOMES: Final[dict[str, str]] = {
    Outcome.FETCHED: "fetched",
    Outcome.REDIRECTED: "redirected",
    Outcome.NOT_MODIFIED: "not modified",
    Outcome.DENIED: "not asked for",
    Outcome.FAILED: "failed",
    Outcome.SKIPPED: "not wanted",
}


def count(value: int) -> str:
    """Return a number with its thousands set apart."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def plural(value: int, noun: str, nouns: str | None = None) -> str:
    """Return ``1 page``, ``2 pages``."""
    return f"{count(value)} {noun if value == 1 else nouns or noun + 's'}"


def size(value: int | None) -> str:
    """Return a number of bytes, in powers of 1024."""
    if value is None:
        return ""
    amount = float(value)
    for unit in _SIZES:
        if amount < 1024 or unit == _SIZES[-1]:
            break
        amount /= 1024
    return f"{value} B" if unit == "B" else f"{amount:.0f} {unit}" if amount >= 10 or amount == int(amount) else f"{amount:.1f} {unit}"


def milliseconds(value: int | None) -> str:
    """Return a time: milliseconds up to ten seconds."""
    if value is None:
        return ""
    return f"{count(value)} ms" if value < 10_000 else seconds(value / 1000)


def seconds(value: float) -> str:
    """Return a time in hours, minutes and seconds."""
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def why(link: BrokenLink) -> str:
    """Return in one line why a link is broken."""
    said = link.detail or REASONS.get(link.reason, link.reason)
    if link.detail and link.reason not in ("http_error", "fragment", "redirect_loop"):
        said = f"{REASONS.get(link.reason, link.reason)}: {link.detail}"
    return f"redirects to {link.redirects_to}: {said}" if link.redirects_to else said
