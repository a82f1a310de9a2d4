"""One body in, one `Parsed` out: the whole work of a worker as a pure function."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from msgspec.structs import replace

from crawler.model import HTML_TYPES, Kind, Parsed, bare_type
from crawler.parse import charset, html
from crawler.parse.decode import decode
from crawler.parse.extras import Gatherer
from crawler.parse.frames import MAX_ANSWER_BODY, Setup, ToParse
from crawler.parse.links import Lately
from crawler.parse.sitemap import read_sitemap

_HTML_START: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]{0,1024}<"
    rb"(?:!--|(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p)[ >])",
    re.I,
)  # https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type


def parse_page(page: ToParse, setup: Setup, lately: Lately | None = None, gatherer: Gatherer | None = None) -> Parsed:
    """Decode a body and read its links and metadata, if it is of a type that has any; `lately` saves work from one page to the next.

    `gatherer` takes what is wanted beyond that.
    Raises nothing for what the page contains; MemoryError, RecursionError and selectolax's error when it is too much.
    """
    parsed = Parsed() if page.archive_only else _read(page, setup, lately, gatherer)
    return parsed if gatherer is None else gatherer.archived(parsed, page)


def _read(page: ToParse, setup: Setup, lately: Lately | None, gatherer: Gatherer | None) -> Parsed:
    media_type = bare_type(page.content_type)
    is_html = media_type in HTML_TYPES
    expect_text = page.kind is Kind.SITEMAP or is_html or not media_type
    limit = min(setup.max_decoded, MAX_ANSWER_BODY) if page.want_body else setup.max_decoded
    decoded = decode(page.body, page.encodings, limit, expect_text=expect_text)
    if decoded.reason is not None:
        return Parsed(reason=decoded.reason, detail=decoded.detail, notes=decoded.notes)
    body = decoded.body
    digest = hashlib.sha256(body).hexdigest()
    if page.kind is Kind.SITEMAP:
        parsed = _sitemap(body, digest, page, decoded.notes)
    elif is_html or (not media_type and _HTML_START.match(body)):
        parsed = _document(body, digest, page, setup, decoded.notes, lately=lately, gatherer=gatherer)
    else:
        parsed = Parsed(bytes=len(body), digest=digest, charset=charset.from_content_type(page.content_type), notes=decoded.notes)
        parsed = parsed if gatherer is None else gatherer.from_other(parsed, body, page)
    return replace(parsed, body=body) if page.want_body else parsed


def _document(
    body: bytes, digest: str, page: ToParse, setup: Setup, notes: list[str], *, lately: Lately | None, gatherer: Gatherer | None
) -> Parsed:
    name, source = charset.determine(body, page.content_type)
    text, clean = charset.to_utf8(body, name)
    if source in ("content", "default") and not body.isascii():
        notes = [*notes, f"charset from {source}"]
    if not clean:
        notes = [*notes, f"bytes that are not {name}"]
    document = html.extract(
        text, page.url, agent_token=setup.agent_token, max_links=setup.max_links, want_links=page.want_links, lately=lately
    )
    parsed = Parsed(
        bytes=len(body),
        digest=digest,
        charset=name,
        title=document.title,
        description=document.description,
        language=document.language,
        canonical=document.canonical,
        robots=document.robots,
        refresh=document.refresh,
        links=document.links,
        dropped_links=document.dropped_links,
        notes=notes,
    )
    return parsed if gatherer is None else gatherer.from_document(parsed, text, page, document.base)


def _sitemap(body: bytes, digest: str, page: ToParse, notes: list[str]) -> Parsed:
    sitemap = read_sitemap(body, page.url)
    return Parsed(
        bytes=len(body),
        digest=digest,
        links=sitemap.links,
        sitemaps=sitemap.sitemaps,
        dropped_links=sitemap.dropped,
        notes=[*notes, *sitemap.notes],
    )
