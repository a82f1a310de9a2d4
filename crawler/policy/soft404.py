"""Sites that answer every URL with one and the same page: an application that shows its start page for any path, a soft 404.

As long as the page's links are absolute, nothing comes of it. Relative ones lead deeper each time: the page at `/docs/` has a link to
`docs/`, and is served at `/docs/docs/`, too. So a page is *grown* when its folder is below that of the page which led to it; and when a
grown page has, to the byte, the content of `ENOUGH` grown pages before it, the links that lead below its own folder are not followed.
Nothing is lost with them: the page is the same everywhere, so what its links mean was followed from the first.

The records stay as they are: fetched, each with its digest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from typing import Final

from crawler.model import Task

ENOUGH: Final = 10
CONTENTS: Final = 4096
"""Remembered, those seen last."""


class SameContent:
    """Remembers how many grown pages of a site had the same content."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._sites: set[str] = set()

    def suspects(self, task: Task) -> bool:
        """Return whether links of the page may have to be withheld."""
        return bool(self._sites) and _site(task.url) in self._sites and _is_grown(task)

    def withholds(self, task: Task, digest: str, found: Collection[str], *, suspected: bool) -> bool:
        """Take note of a page; return whether the new URLs `found` on it are not to be followed."""
        if not digest or not _is_grown(task):
            return False
        site = _site(task.url)
        count = self._counts.pop((site, digest), 0)
        self._counts[site, digest] = count + 1
        if len(self._counts) > CONTENTS:
            self._counts.popitem(last=False)
        if count < ENOUGH:
            return False
        if len(self._sites) < CONTENTS:
            self._sites.add(site)
        folder = _folder(task.url)
        return suspected and bool(found) and all(url.startswith(folder) for url in found)


def _is_grown(task: Task) -> bool:
    if task.referrer is None:
        return False
    above, own = _folder(task.referrer), _folder(task.url)
    return len(own) > len(above) and own.startswith(above)


def _folder(url: str) -> str:
    path = url.partition("?")[0]
    return path[: path.rindex("/") + 1]


def _site(url: str) -> str:
    return url[: url.find("/", 8)]
