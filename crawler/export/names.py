"""Names of files that are made of pages: as a mirror has them (`crawler.export.mirror_names`), with another extension."""

from __future__ import annotations

import re
from itertools import count
from typing import Final

import xxhash

from crawler.export.mirror_names import file_of, folded, folders_of

_HTML: Final = "text/html"
_EXTENSION: Final = re.compile(r"\.x?html?\Z", re.I)


class Names:
    """Gives each URL a path of its own: host, folders, file; a digest for a query, and where two would share a name."""

    def __init__(self, extension: str, *reserved: str) -> None:
        """`extension` of every file, as ``.md``; `reserved` paths are given to none."""
        self._extension = extension
        self._taken = {_key(path) for path in reserved}

    def path(self, url: str) -> str:
        """Return the path of a new file for canonical `url`, relative and with slashes; not one that was given before."""
        folders = [self._folder(name) for name in folders_of(url)]
        for attempt in count():
            name = _EXTENSION.sub("", file_of(url, _HTML, attempt)) + self._extension
            path = "/".join([*folders, name])
            if (key := _key(path)) not in self._taken:
                break
        self._taken.add(key)
        return path

    def _folder(self, name: str) -> str:
        """A folder never has a name that a file may have: not our extension at its end, nor the index's."""
        return f"{name}_" if name.lower().endswith((self._extension, ".jsonl")) else name


def _key(path: str) -> int:
    """Return a hash of a path, since many are remembered."""
    value: int = xxhash.xxh3_64_intdigest(folded(path).encode())
    return value
