"""A fingerprint of a text's words, of which texts that say nearly the same share nearly all bits (Charikar's SimHash, 64 bits).

Features are runs of three words, hashed by xxh3. Each bit is the majority of that bit over all features. The bits are counted by column:
the first bytes of all hashes make one large integer, of which a mask and `int.bit_count` count a bit for every feature at once.
"""

from __future__ import annotations

import re
from typing import Final

import xxhash
from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser

MIN_WORDS: Final = 20
"""Words below which a text has no fingerprint: short texts that differ share too many bits."""

_WORDS: Final = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
"""A word; where a script has no spaces between words, a character."""
_TARGET: Final = re.compile(r"\]\(<?[^()<>\s]*(?:>|(?=\)))")
"""Where a Markdown link leads: two sites with the same pages link to different URLs."""
_UNSEEN: Final = ["head", "script", "style", "noscript", "template", "iframe", "object", "svg", "nav", "header", "footer", "aside"]
_MAX_TEXT: Final = 1024 * 1024  # characters
_MAX_WORDS: Final = 100_000
_BYTES: Final = 8


def simhash(text: str) -> int | None:
    """Return the 64-bit SimHash of a text, None when it has fewer than `MIN_WORDS` words.

    Case, punctuation and white space don't count, nor where Markdown links lead.
    """
    words = _WORDS.findall(_TARGET.sub("]", text).lower())[:_MAX_WORDS]
    if len(words) < MIN_WORDS:
        return None
    hashed = xxhash.xxh3_64_digest
    features = zip(words, words[1:], words[2:], strict=False)
    digests = b"".join([hashed(" ".join(feature).encode("utf-8", "replace")) for feature in features])
    return _majority(digests, len(digests) // _BYTES)


def visible_text(html: bytes) -> str:
    """Return the text of a page (UTF-8) without what is in navigation, headers and footers: cheap, for fingerprints."""
    tree = LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS.value)
    tree.strip_tags(_UNSEEN)
    body = tree.body
    return "" if body is None else body.text(deep=True, separator=" ")[:_MAX_TEXT]


def _majority(digests: bytes, count: int) -> int:
    """Return the 64 bits that more than half of `count` digests of eight bytes have."""
    lowest = int.from_bytes(b"\x01" * count)
    value = 0
    for place in range(_BYTES):
        column = int.from_bytes(digests[place::_BYTES])
        for bit in range(8):
            ones = (column >> bit & lowest).bit_count()
            value |= (2 * ones > count) << (8 * (_BYTES - 1 - place) + bit)
    return value
