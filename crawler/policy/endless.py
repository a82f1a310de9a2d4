"""Endless sites: what is told by many pages, where one URL tells nothing. Calendars, pages that are made up for whatever is asked for.

What gives them away is that nothing comes of them: hundreds of pages, reached from one another, that look alike and lead to nothing but
more of the same. So does a small archive, and a site of numbered pages; therefore only URLs of three makes are under suspicion at all:

- *calendar*: there is a word of calendars in it, and a digit. Its pages' titles are compared without digits.
- *opaque*: letters and digits are mixed in its path, as in a hash or a random name.
- *query*: it has a query.

A *neighbourhood* is the URLs of one make below one folder of a site's root, or of one script there, or its other root files. A *run* is
the pages of a neighbourhood, each reached from another of it, since one led to a new URL elsewhere. It is judged endless when so many new
URLs of the neighbourhood were found as `FOUND` says, on `PAGES` pages or more, and its titles and its body sizes (to 16 bytes) are at most
a quarter as many as its pages: pages that people wrote differ. From then on the links that a page *like those of the run* brings to its
own neighbourhood are withheld. All else is followed: pages of another title or size, links to anywhere else, and the same links when
another page has them, too.

What was queued before is still fetched: pages with ten such links each cost ten for each of the run. Where pages differ as if people had
written them, where URLs are of no make, and where each lies in a folder of its own, a budget (`max_pages_per_host`) is the only end.
A gallery by hash names without titles of its own, whose pages lead to the next and nowhere else, looks the same and is cut: its records
say so, and ``--no-traps`` lifts it.

What is withheld depends on the order in which pages came. The memory begins anew with each run of the program, and is bounded.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Collection
from functools import lru_cache
from typing import Final

from crawler.model import Parsed, Task, Via
from crawler.policy.soft404 import SameContent
from crawler.policy.traps import speaks_of_a_calendar

ENDLESS_RULE: Final = "trap:endless"
SAME_CONTENT_RULE: Final = "trap:same_content"
"""Both are about a link, not about its URL: another page may bring the same URL in."""

PAGES: Final = 30
FOUND: Final = {"calendar": 300, "opaque": 300, "query": 1000}
NEIGHBOURHOODS: Final = 1024
"""Kept, those used last; at most some 30 kB each."""

_SIZE_STEP: Final = 16  # bytes: months and counters differ in length
_DIGITS: Final = re.compile(r"\d+")
_OPAQUE: Final = re.compile(r"[a-z]\d+[a-z]+\d|\d[a-z]+\d+[a-z]")
_FOUND_BY_PAGES: Final = frozenset((Via.LINK, Via.REDIRECT, Via.CANONICAL))


class Run:
    """Pages of one neighbourhood, one after the other, that led to nothing but each other."""

    __slots__ = ("_enough", "endless", "found", "largest", "pages", "sizes", "smallest", "titles")

    def __init__(self, enough: int) -> None:
        """Judge when `enough` URLs were found."""
        self._enough = enough
        self.endless = False
        self.begin()

    def begin(self) -> None:
        """Forget the pages so far: the last one led elsewhere, or they differ."""
        self.pages = 0
        self.found = 0
        self.titles: set[str | None] = set()
        self.sizes: set[int] = set()
        self.smallest, self.largest = 1 << 62, 0

    def add(self, title: str | None, size: int, found: int) -> None:
        """Count a page that led to `found` new URLs of the neighbourhood and to no other."""
        self.pages += 1
        self.found += found
        self.titles.add(title)
        self.sizes.add(size // _SIZE_STEP)
        self.smallest, self.largest = min(self.smallest, size), max(self.largest, size)
        unlike = max(len(self.titles), len(self.sizes))
        if unlike > self._enough // 4:
            self.begin()
        elif self.pages >= PAGES and self.found >= self._enough:
            self.endless = 4 * unlike <= self.pages

    def is_like(self, title: str | None, size: int) -> bool:
        """Return whether a page looks like those of the run."""
        return self.smallest <= size <= self.largest and title in self.titles


class Endless:
    """Remembers the runs of all hosts, and which pages had the same content."""

    def __init__(self, *, watching: bool = True) -> None:
        """Without `watching` nothing is noted and nothing withheld."""
        self._watching = watching
        self._runs: OrderedDict[tuple[str, str], Run] = OrderedDict()
        self._any_endless = False  # as a rule none is, and nothing has to be looked up
        self._same = SameContent()

    def suspects(self, task: Task) -> bool:
        """Return whether links of the page may have to be withheld: then its worker must not take them for told."""
        run = self._runs.get(neighbourhood(task.url)) if self._any_endless else None
        return (run is not None and run.endless) or self._same.suspects(task)

    def refusal(self, task: Task, page: Parsed, found: Collection[str], *, suspected: bool) -> str | None:
        """Take note of a page that was read, with the new URLs that it leads to; return the rule by which they are not followed, if any.

        `suspected` is what `suspects` said before the page was read; without it, nothing is withheld.
        """
        if not self._watching or task.referrer is None or task.via not in _FOUND_BY_PAGES:
            return None
        if self._same.withholds(task, page.digest, found, suspected=suspected):
            return SAME_CONTENT_RULE
        return ENDLESS_RULE if self._goes_on(task, page, found) and suspected else None

    def _goes_on(self, task: Task, page: Parsed, found: Collection[str]) -> bool:
        """Return whether a page only leads further into an endless neighbourhood."""
        own = neighbourhood(task.referrer or "")  # many pages have the same: asked first, it is remembered
        make, _ = own
        if not make or neighbourhood(task.url) != own:
            return False
        run = self._run(own)
        title = _DIGITS.sub("0", page.title) if page.title and make == "calendar" else page.title
        only_near = all(neighbourhood(url) == own for url in found)
        if run.endless:
            return bool(found) and only_near and run.is_like(title, page.bytes)
        if only_near:
            run.add(title, page.bytes, len(found))
            self._any_endless |= run.endless
        else:
            run.begin()
        return False

    def _run(self, own: tuple[str, str]) -> Run:
        run = self._runs.pop(own, None) or Run(FOUND[own[0]])
        self._runs[own] = run
        if len(self._runs) > NEIGHBOURHOODS:
            self._runs.popitem(last=False)
        return run


@lru_cache(8192)  # a page is asked for as what was found, as what was read, and as what led further
def neighbourhood(url: str) -> tuple[str, str]:
    """Return the make of canonical `url` (empty: of none), and the part of its site that it is in.

    That is, for example, ``http://h/shop/``, ``http://h/calendar?`` or ``http://h/``; folders that differ in digits are one:
    ``/2031/04`` and ``/2032/04`` are in ``/0/``.
    """
    root = url.find("/", 8) + 1
    path, mark, _ = url[root:].partition("?")
    make = _make(url, path, mark)
    if not make:
        return "", ""
    first, _, rest = path.partition("/")
    if rest:
        return make, f"{url[:root]}{_DIGITS.sub('0', first)}/"
    return make, f"{url[:root]}{first}?" if mark else url[:root]


def _make(url: str, path: str, mark: str) -> str:
    if _DIGITS.search(url, url.find("/", 8)):
        if speaks_of_a_calendar(url):
            return "calendar"
        if _OPAQUE.search(path.lower()):
            return "opaque"
    return "query" if mark else ""
