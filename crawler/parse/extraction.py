"""Extraction in a worker: a page's items, and its links as the rules want them. Pure; the rules are compiled once for each worker."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct

from crawler.extract.rules import NAME, Extraction
from crawler.model import Item, PageLink
from crawler.parse.document import Document
from crawler.parse.fields import CompiledItem, Trace, Work
from crawler.parse.follow import MAX_ADDED, CompiledFollow, Followed
from crawler.parse.hook import Hook, HookError, HookItem, Page
from crawler.url import fingerprint

MAX_ITEMS: Final = 10_000
"""Items a page."""
MAX_ITEM: Final = 1024 * 1024
"""Bytes an item, as JSON."""
MAX_PAGE_ITEMS: Final = 16 * 1024 * 1024
"""Bytes of all items of a page."""


class Extracted(Struct, frozen=True):
    """What rules and hook made of one page."""

    items: list[Item] = []  # `data` is a whole line of items.jsonl: {"type": …, "url": …, …}
    faults: list[tuple[str, str]] = []  # (rule, what was wrong)
    links: list[PageLink] = []  # to be followed instead of those given
    priorities: list[tuple[int, int]] = []  # (key of a link, its priority) of those that are not of priority 0


class Extractor:
    """The extraction rules of a job, compiled."""

    def __init__(self, extraction: bytes) -> None:
        """`extraction`: JSON of `extract.rules.Extraction`, checked before. Nothing is raised for what cannot be compiled after all.

        Such a rule, or a hook that cannot be loaded any more, is a fault of each page that it is for.
        """
        rules = msgspec.json.decode(extraction, type=Extraction)
        self._broken: list[tuple[str, str]] = []
        self._items = [item for name, rule in rules.items.items() if (item := self._compile(CompiledItem, name, rule, name))]
        numbered = enumerate(rules.follow)
        self._follow = [rule for number, given in numbered if (rule := self._compile(CompiledFollow, number, given, f"follow[{number}]"))]
        self._hook: Hook | None = None
        if rules.hook is not None:
            try:
                self._hook = Hook(rules.hook)
            except HookError as error:
                self._broken.append(("hook", f"cannot be loaded: {error}"))

    def _compile(self, kind: Any, key: Any, rule: Any, name: str) -> Any:
        try:
            return kind(key, rule)
        except (ValueError, RecursionError) as error:
            self._broken.append((name, str(error)[:200]))
            return None

    def extract(self, html: bytes, url: str, links: list[PageLink], trace: Trace | None = None) -> Extracted:
        """Apply the rules to one page: HTML in UTF-8 that came from canonical `url`, with the links it is known to have.

        The page is parsed only when a rule is for its URL, or there is a hook. Raises MemoryError, RecursionError.
        """
        items = [rule for rule in self._items if rule.applies(url)]
        follow = [rule for rule in self._follow if rule.applies(url)]
        if not items and not follow and self._hook is None:
            return Extracted(links=links, faults=list(self._broken))
        work = Work(Document(html, url), trace)
        work.faults += self._broken
        made = _Made(work)
        followed = Followed()
        for item in items:
            for fields in item.items(work, MAX_ITEMS):
                made.add(item.name, fields)
        for rule in follow:
            for link in rule.links(work, links):
                followed.add(link, rule.priority)
        if self._hook is not None:
            _run_hook(self._hook, work, links, made, followed)
        kept = _merged(links, followed, only=any(rule.only for rule in follow))
        priorities = [(link.key, priority) for link, priority in followed.links.values() if priority]
        return Extracted(made.items, work.faults, kept, priorities)


class _Made:
    """The items of one page, within the limits."""

    def __init__(self, work: Work) -> None:
        self.items: list[Item] = []
        self._work = work
        self._bytes = 0
        self._left_out = False

    def add(self, name: str, fields: dict[str, Any]) -> None:
        if not NAME.fullmatch(name):
            self._work.fault("hook", f"{name[:60]!r} is not a name of an item type; use letters, digits, _ and -, beginning with a letter")
            return
        try:
            data = msgspec.json.encode({"type": name, "url": self._work.document.url} | fields | {"type": name})
        except (TypeError, ValueError, RecursionError) as error:
            self._work.fault(name, f"cannot be written as JSON: {error}")
            return
        if len(data) > MAX_ITEM:
            self._work.fault(name, f"an item of {len(data)} bytes, more than {MAX_ITEM}; it is left out")
        elif len(self.items) >= MAX_ITEMS or self._bytes + len(data) > MAX_PAGE_ITEMS:
            if not self._left_out:
                self._left_out = True
                self._work.fault(name, f"more than {MAX_ITEMS} items or {MAX_PAGE_ITEMS >> 20} MiB of them in a page; the rest is left out")
        else:
            self._bytes += len(data)
            self.items.append(Item(name, data))


def _run_hook(hook: Hook, work: Work, links: list[PageLink], made: _Made, followed: Followed) -> None:
    page = Page(work.document, links)
    hook.run(page, lambda what: work.fault("hook", what))
    known = {link.url: link for link in links}
    for result in page.made:
        if isinstance(result, HookItem):
            made.add(result.type, result.fields)
        else:
            followed.add(known.get(result.url) or PageLink(fingerprint(result.url), result.url), result.priority)
    work.matched("hook", len(page.made))


def _merged(links: list[PageLink], followed: Followed, *, only: bool) -> list[PageLink]:
    """Return the page's links in their order, then those that rules and hook added."""
    before = {link.url for link in links}
    kept = [link for link in links if link.url in followed.links] if only else list(links)
    added = [link for url, (link, _) in followed.links.items() if url not in before]
    return kept + added[:MAX_ADDED]
