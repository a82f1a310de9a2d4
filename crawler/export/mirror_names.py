"""Where a URL's file lies in a mirror: a name that every file system takes and a browser reads as what it is.

``https://example.org:8443/a/b?c=d`` of type text/html becomes ``example.org_8443/a/b~1f0e5a3c.html``: the host, the path's segments
without escapes where that is safe, a hash for the query, and the extension by which a browser that opens a file knows its type.
Names are unique without regard to case, and none is a folder's.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

import xxhash

from crawler import url as urls

MAX_NAME: Final = 200
"""Bytes of a file's or a folder's name; file systems take 255."""
MAX_PATH: Final = 1000
"""Bytes of a path within the mirror; beyond, a file lies in its host's folder under a hash. Kernels take 4 095 in all."""
ROOT: Final = "index.html"
"""The page at the mirror's root."""

_TEXT: Final = "text/plain"
_EXTENSIONS: Final[dict[str, tuple[str, ...]]] = {
    "text/html": (".html", ".htm", ".xhtml"),
    "application/xhtml+xml": (".html", ".htm", ".xhtml"),
    "text/css": (".css",),
    "text/javascript": (".js", ".mjs"),
    "application/javascript": (".js", ".mjs"),
    "application/x-javascript": (".js", ".mjs"),
    "image/svg+xml": (".svg",),
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/gif": (".gif",),
    "image/webp": (".webp",),
    "image/avif": (".avif",),
    "font/woff2": (".woff2",),
    "font/woff": (".woff",),
    "application/pdf": (".pdf",),
    "application/json": (".json",),
    _TEXT: (".txt",),
}
"""Extensions that stand for a type; the first is added where none of them is there."""
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f<>:\"/\\|?*\ufffd\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
_RESERVED: Final = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?\Z", re.I)  # devices, on Windows


def folders_of(url: str) -> list[str]:
    """Return the names of the folders, from the mirror's root, in which canonical `url` has its file: its host's first."""
    segments = urls.path(url).partition("?")[0].split("/")[1:-1]
    names = [_host(url), *(_safe(segment) for segment in segments)]
    return names if len("/".join(names).encode()) <= MAX_PATH - MAX_NAME else names[:1]


def file_of(url: str, media_type: str | None, attempt: int = 0) -> str:
    """Return the name of the file of canonical `url`; further attempts, after 0, give other names."""
    path, _, query = urls.path(url).partition("?")
    name = _safe(path.rpartition("/")[2]) if not path.endswith("/") else "index"
    known = _EXTENSIONS.get(media_type or "", ())
    stem, extension = _split(name)
    if known and extension.lower() not in known and not (extension and media_type == _TEXT):  # servers say that of all they do not know
        stem, extension = name, known[0]
    far = len(folders_of(url)) < path.count("/")
    mark = f"~{_hash(url + ' ' * attempt)}" if query or attempt or far else ""
    return _shortened(stem, f"{mark}{extension}", url)


def folded(path: str) -> str:
    """Return what two paths have in common that are one to some file systems: those know no case, or spell accents in one way."""
    return unicodedata.normalize("NFC", path).casefold()


def _host(url: str) -> str:
    name = _safe(urls.netloc(url))
    return f"{name}_" if folded(name) == ROOT else name


def _safe(segment: str) -> str:
    """Return a path segment as a name, one that no system takes for anything else."""
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        text = segment
    name = _UNSAFE.sub("_", text)
    if not name or name[-1] in ". ":
        name = f"{name.rstrip('. ')}_"
    if _RESERVED.match(name) or name.startswith("."):  # hidden, or a mark of ours
        name = f"_{name}"
    return _shortened(name, "", segment)


def _shortened(stem: str, end: str, whole: str) -> str:
    room = MAX_NAME - len(end.encode())
    if len(stem.encode()) <= room:
        return stem + end
    return f"{stem.encode()[: room - 9].decode('utf-8', 'ignore')}~{_hash(whole)}{end}"


def _split(name: str) -> tuple[str, str]:
    dot = name.rfind(".")
    return (name[:dot], name[dot:]) if dot > 0 and len(name) - dot <= 8 else (name, "")


def _hash(text: str) -> str:
    return f"{xxhash.xxh3_64_intdigest(text.encode()) & 0xFFFFFFFF:08x}"
