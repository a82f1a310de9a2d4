"""An HTML tree as Markdown: CommonMark with GitHub's tables.

Of a marked tree (`crawler.parse.marks`) only the texts are written whose marks are among the kept ones. Definition lists become
paragraphs, tables that hold blocks are read cell by cell; what is nested deeper than `MAX_DEPTH` elements is text without markup.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import ada_url
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from crawler.parse.escaping import BREAK, code_span, collapsed, escaped, fenced, heading, one_line, paragraph, target
from crawler.parse.marks import MARKS, Marked
from crawler.parse.tables import is_grid, table

MAX_DEPTH: Final = 100

_INLINE_NAMES: Final = (
    "a abbr acronym b bdi bdo big br cite code data del dfn em font i img ins kbd label mark math nobr output picture q ruby rb s samp "
    "small span strike strong sub sup time tt u var wbr"
)
_INLINE: Final = frozenset(_INLINE_NAMES.split())
_MAY_HOLD_BLOCKS: Final = frozenset(("a", "b", "del", "em", "font", "i", "ins", "label", "small", "span", "strong"))
_LEFT_OUT_NAMES: Final = "head script style noscript template iframe object svg select option textarea button rp -comment"
_LEFT_OUT: Final = frozenset(_LEFT_OUT_NAMES.split())
_EMPHASIS: Final = {"b": "**", "strong": "**", "em": "*", "i": "*", "del": "~~", "s": "~~", "strike": "~~"}
_CODE: Final = frozenset(("code", "kbd", "samp", "tt"))
_HEADINGS: Final = {f"h{level}": "#" * level for level in range(1, 7)}
_LANGUAGE: Final = re.compile(r"(?:^|\s)(?:language|lang|highlight-source|highlight)-([\w+#.-]{1,30})")
_NO_LANGUAGE: Final = frozenset(("default", "none", "text", "plaintext", "notranslate"))
_MARKED: Final = re.compile(f"([{MARKS}])([^{MARKS}]*)")
_SCHEMES: Final = ("http://", "https://", "mailto:", "tel:", "ftp://")
_PERMALINKS: Final = frozenset(("¶", "#", "§", "🔗"))
"""What links of headings to themselves are made of."""
_RULE: Final = "---"
_SPACES: Final = " \t\n\r\f"


def to_markdown(page: Marked, url: str, kept: frozenset[str], limit: int) -> str:
    """Return the kept texts of a marked page as Markdown; writing ends after `limit` characters or somewhat more.

    Links and images are resolved against canonical `url`, or the page's base element.
    """
    tree = LexborHTMLParser(page.html, options=LexborDocumentOptions.WO_EVENTS.value)
    body = tree.body
    if body is None:
        return ""
    base = tree.css_first("base[href]")
    resolved = None if base is None else _resolve((base.attributes.get("href") or "").strip(), url)
    blocks = _Writer(page, resolved or url, kept, limit).blocks(body, 0)
    while blocks and blocks[-1] == _RULE:
        blocks.pop()
    return "\n\n".join(blocks)


def is_permalink(reference: str, text: str) -> bool:
    """Say whether a link is a sign beside a heading that leads to the heading itself."""
    return text in _PERMALINKS and reference.startswith("#")


class _Writer:
    def __init__(self, page: Marked, base: str, kept: frozenset[str], limit: int) -> None:
        self._page = page
        self._replaced = page.replaced
        self._base = base
        self._kept = kept
        self._left = limit  # characters
        self._in_heading = False
        self._as_block: dict[str, Callable[[LexborNode, int], list[str]]] = {
            "pre": self._code_block,
            "ul": self._list,
            "ol": self._list,
            "blockquote": self._quote,
            "table": self._table,
            "dt": self._term,
            **dict.fromkeys(_HEADINGS, self._heading),
        }

    def blocks(self, node: LexborNode, depth: int) -> list[str]:
        """Return what a node holds, block by block."""
        if depth > MAX_DEPTH:
            return self._paragraph([self._deep_text(node)])
        found: list[str] = []
        run: list[str] = []
        for child in node.iter(include_text=True):
            tag = child.tag
            if child.is_text_node or (tag in _INLINE and not _holds_blocks(child, tag)):
                run.append(self._inline(child, depth + 1))
            elif tag not in _LEFT_OUT:
                found += self._paragraph(run)
                run = []
                if self._left < 0:
                    break
                if tag == "hr":
                    found += [_RULE] if found and found[-1] != _RULE else []
                else:
                    found += self._as_block.get(tag or "", self.blocks)(child, depth + 1)
        return found + self._paragraph(run)

    def _paragraph(self, run: list[str]) -> list[str]:
        text = paragraph(_joined(run))
        self._left -= len(text)
        return [text] if text else []

    def _text(self, node: LexborNode) -> str:
        """Return what is written of a text node: nothing when its mark is not among the kept, but the space around it."""
        text = node.text_content or ""
        start = text.lstrip(_SPACES)
        space = " " if len(start) < len(text) else ""
        return f"{space}{self._replaced[start[0]]}{start[1:]}" if start and start[0] in self._kept else space

    def _deep_text(self, node: LexborNode) -> str:
        return escaped(self._plain(node))

    def _plain(self, node: LexborNode) -> str:
        """Return the kept texts below a node as they stand in the page."""
        found = _MARKED.findall(node.text(deep=True))
        return "".join(self._replaced[letter] + text for letter, text in found if letter in self._kept)

    def _inline(self, node: LexborNode, depth: int) -> str:
        if node.is_text_node:
            return escaped(self._text(node))
        tag = node.tag or ""
        if tag == "br":
            return BREAK
        if tag == "img":
            return self._image(node)
        if tag in _CODE:
            return code_span(self._plain(node))
        if depth > MAX_DEPTH:
            return self._deep_text(node)
        inner = self._inlines(node, depth)
        if tag == "a":
            return self._link(node, inner)
        return _emphasised(inner, _EMPHASIS[tag]) if tag in _EMPHASIS else inner

    def _inlines(self, node: LexborNode, depth: int) -> str:
        """Return what a node holds within a line; blocks in it are set apart by spaces."""
        pieces: list[str] = []
        for child in node.iter(include_text=True):
            if child.is_text_node or child.tag in _INLINE:
                pieces.append(self._inline(child, depth + 1))
            elif child.tag not in _LEFT_OUT:
                pieces += [" ", self._inline(child, depth + 1), " "]
        return _joined(pieces)

    def _link(self, node: LexborNode, inner: str) -> str:
        text = one_line(inner)
        reference = (node.attributes.get("href") or "").strip()
        if is_permalink(reference, text):
            return ""
        if self._in_heading and reference.startswith("#"):
            return inner
        url = _resolve(reference, self._base) if reference else None
        if not text or url is None or "](" in text.partition("![")[0]:
            return inner
        return _spaced(inner, f"[{text}]({target(url)})")

    def _image(self, node: LexborNode) -> str:
        attributes = node.attributes
        alt = attributes.get("alt") or ""
        if alt[:1] not in self._kept or not alt:
            return ""
        source = (attributes.get("src") or "").strip()
        if not source or source.startswith("data:"):
            source = (attributes.get("data-src") or "").strip()
        url = _resolve(source, self._base) if source else None
        text = one_line(escaped(self._page.restored(alt)))
        return text if url is None else f"![{text}]({target(url)})"

    def _heading(self, node: LexborNode, depth: int) -> list[str]:
        self._in_heading = True
        text = heading(self._inlines(node, depth))
        self._in_heading = False
        self._left -= len(text)
        return [f"{_HEADINGS[node.tag or '']} {text}"] if text else []

    def _term(self, node: LexborNode, depth: int) -> list[str]:
        text = one_line(self._inlines(node, depth))
        return self._paragraph([text if "*" in text else _emphasised(text, "**")])

    def _code_block(self, node: LexborNode, _depth: int) -> list[str]:
        for line_end in node.css("br"):
            line_end.replace_with("\n")
        whole = node.text(deep=True)
        if not any(letter in self._kept for letter, _ in _MARKED.findall(whole)):
            return []
        lines = [line.rstrip() for line in self._page.restored(whole).expandtabs(8).split("\n")]
        text = "\n".join(lines).strip("\n")
        self._left -= len(text)
        return [fenced(text, _language(node))] if text else []

    def _quote(self, node: LexborNode, depth: int) -> list[str]:
        inner = "\n\n".join(self.blocks(node, depth))
        return ["\n".join(f"> {line}".rstrip() for line in inner.split("\n"))] if inner else []

    def _list(self, node: LexborNode, depth: int) -> list[str]:
        items = [blocks for child in node.iter() if (blocks := self._list_item(child, depth))]
        if not items:
            return []
        first = _start(node) if node.tag == "ol" else None
        tight = all(len(blocks) == 1 or (len(blocks) == 2 and _is_list(blocks[1])) for blocks in items)
        written = []
        for number, blocks in enumerate(items):
            marker = "- " if first is None else f"{first + number}. "
            text = ("\n" if tight else "\n\n").join(blocks)
            written.append(marker + text.replace("\n", "\n" + " " * len(marker)))
        return [re.sub(r"(?m)^ +$", "", ("\n" if tight else "\n\n").join(written))]

    def _list_item(self, node: LexborNode, depth: int) -> list[str]:
        if node.tag in ("ul", "ol"):  # a list that stands beside the items, as many pages have it
            return self._list(node, depth + 1)
        return self.blocks(node, depth + 1)

    def _table(self, node: LexborNode, depth: int) -> list[str]:
        if not is_grid(node):
            return self.blocks(node, depth)
        text = table(node, lambda cell: self._cell(cell, depth))
        self._left -= len(text)
        caption = node.css_first("caption")
        return [*([] if caption is None else self._paragraph([self._inlines(caption, depth)])), *([text] if text else [])]

    def _cell(self, node: LexborNode, depth: int) -> str:
        return "<br>".join(part.replace("\\\n", "<br>") for part in self.blocks(node, depth + 1))


def _joined(pieces: list[str]) -> str:
    """Join pieces of a line where they would be read together as something else: ``!`` before a link, emphasis after emphasis."""
    out = ""
    for piece in pieces:
        if piece[:1] == "[" and out[-1:] == "!":
            out = f"{out[:-1]}\\!{piece}"
        elif piece[:2] == "**" and out[-2:] == "**" and out[-3:] not in ("**", "\\**"):
            out = out[:-2] + piece[2:]
        else:
            out += piece
    return out


def _emphasised(inner: str, marker: str) -> str:
    text = one_line(inner) if BREAK in inner else collapsed(inner)
    if not text or text.startswith(marker) or text.endswith(marker):
        return inner
    return _spaced(inner, f"{marker}{text}{marker}")


def _spaced(inner: str, text: str) -> str:
    """Return a text with the white space around it that another one has: it may not stand within the markup."""
    before = " " if inner[:1].isspace() else ""
    after = " " if inner[-1:].isspace() else ""
    return f"{before}{text}{after}"


def _holds_blocks(node: LexborNode, tag: str | None) -> bool:
    if tag not in _MAY_HOLD_BLOCKS:
        return False
    return any(child.tag not in _INLINE and child.tag not in _LEFT_OUT for child in node.iter())


def _is_list(block: str) -> bool:
    return bool(re.match(r"(?:- |\d+\. )", block))


def _start(node: LexborNode) -> int:
    start = (node.attributes.get("start") or "").strip()
    return int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 1


def _language(node: LexborNode) -> str:
    """Return the language that classes name, of the code, its pre or the two around it (as highlighters write it)."""
    code = node.css_first("code")
    around: list[LexborNode | None] = [code, node, node.parent, node.parent.parent if node.parent else None]
    for place in around:
        found = _LANGUAGE.search((place.attributes.get("class") or "") if place is not None else "")
        if found and found[1] not in _NO_LANGUAGE:
            return str(found[1])
    return ""


def _resolve(reference: str, base: str) -> str | None:
    """Return the URL of a link with its fragment; None for a script, data, or nothing that can be read."""
    try:
        url: str = ada_url.join_url(base, reference)
    except (ValueError, UnicodeError):
        return None
    return url if url.startswith(_SCHEMES) else None
