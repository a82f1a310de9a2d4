"""A page for a mirror: its links and what it needs to be shown lead to the mirror's files; what would keep it from opening is taken out."""

from __future__ import annotations

import re
from typing import Final

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from crawler.offline.links import PageLinks
from crawler.parse import css, srcset
from crawler.parse.refresh import refresh_target
from crawler.parse.requisites import ATTRIBUTES, SRCSETS, base_of

_LINKS: Final[dict[str, tuple[str, ...]]] = {
    "a": ("href", "xlink:href"),
    "area": ("href",),
    "button": ("formaction",),
    "form": ("action",),
    "frame": ("src",),
    "iframe": ("src",),
    "input": ("formaction",),
    "link": ("href",),
}
_ALL: Final = {tag: (*ATTRIBUTES.get(tag, ()), *_LINKS.get(tag, ())) for tag in {**ATTRIBUTES, **_LINKS}}
_SELECTOR: Final = ", ".join((*_ALL, "style", "meta", "base", '[style*="("]'))

_CHECKED: Final = ("integrity", "crossorigin", "nonce", "ping")
"""Attributes that hold for the file that was served, or ask for a server: files have none, and browsers refuse what they cannot check."""
_NEEDLESS: Final = frozenset(("preload", "modulepreload", "prefetch", "prerender", "preconnect", "dns-prefetch", "manifest"))
"""Relations of link elements that hasten what is at hand, or that browsers refuse for files."""
_POLICIES: Final = ("content-type", "content-security-policy", "x-frame-options")
_DOCTYPE: Final = re.compile(rb"\s*+(?:(?:<!--.*?-->|<\?[^>]*+>)\s*+)*+(<!doctype[^>]{0,1024}+>)", re.I | re.S)


def rewritten_page(html: bytes, page: PageLinks) -> bytes:
    """Return an HTML document, UTF-8 in and out, for a mirror. Raises selectolax's error or MemoryError when memory ends."""
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS.value)
    page.base = base_of(tree, page.url)
    nodes = [*tree.css(_SELECTOR), *(node for fragment in tree.template_fragments() for node in fragment.css(_SELECTOR))]
    for node in nodes:
        _rewrite(node, page)
    _declare_utf8(tree)
    return _with_doctype(tree.html or "", html).encode("utf-8", "replace")


def _rewrite(node: LexborNode, page: PageLinks) -> None:
    tag = node.tag or ""
    attributes = node.attributes
    if tag == "meta":
        _rewrite_meta(node, attributes, page)
    elif tag == "style":
        _rewrite_sheet(node, page)
    elif tag == "base":
        if "href" in attributes:
            del node.attrs["href"]
    elif tag == "link" and not _NEEDLESS.isdisjoint((attributes.get("rel") or "").lower().split()):
        node.decompose()
    else:
        _rewrite_attributes(node, tag, attributes, page)


def _rewrite_attributes(node: LexborNode, tag: str, attributes: dict[str, str | None], page: PageLinks) -> None:
    lead = page.absolute if "canonical" in (attributes.get("rel") or "").lower() else page.link
    for name in _ALL.get(tag, ()):
        value = attributes.get(name)
        new = lead(value) if value else None
        if new is not None:
            node.attrs[name] = new
    if tag in SRCSETS and (value := attributes.get(SRCSETS[tag])):
        node.attrs[SRCSETS[tag]] = srcset.rewritten(value, page.link)
    if style := attributes.get("style"):
        node.attrs["style"] = css.rewritten(style, page.link)
    for name in _CHECKED:
        if name in attributes:
            del node.attrs[name]


def _rewrite_meta(node: LexborNode, attributes: dict[str, str | None], page: PageLinks) -> None:
    names = (attributes.get("http-equiv") or "").strip().lower()
    content = attributes.get("content") or ""
    if "charset" in attributes or names in _POLICIES:
        node.decompose()
    elif names == "refresh" and (target := refresh_target(content)) is not None:
        delay = re.match(r"[\s\d.]*", content)
        node.attrs["content"] = f"{delay[0].strip() if delay else 0}; url={page.link(target) or target}"


def _rewrite_sheet(node: LexborNode, page: PageLinks) -> None:
    """Rewrite a style element, if it holds one piece of text, as all do that a browser reads."""
    child = node.child
    text = child.text() if child is not None and child.next is None and child.is_text_node else None
    if child is None or not text:
        return
    new = css.rewritten(text, page.link)
    if new != text:
        child.replace_with(new)


def _declare_utf8(tree: LexborHTMLParser) -> None:
    head = tree.head
    if head is None:
        return
    meta = tree.create_node("meta")
    meta.attrs["charset"] = "utf-8"
    first = head.first_child
    if first is None:
        head.insert_child(meta)
    else:
        first.insert_before(meta)


def _with_doctype(html: str, original: bytes) -> str:
    """Put the document's own doctype in place of the parser's short one: some of them make browsers lay out pages in another way."""
    found = _DOCTYPE.match(original)
    if found is None:
        return html
    return html.replace("<!DOCTYPE html>", found[1].decode("utf-8", "replace"), 1)
