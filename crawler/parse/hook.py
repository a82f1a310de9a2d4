"""Python hooks: a module of the user's with ``parse(page)``, called for each HTML page, in the parse workers.

What a hook raises or yields by mistake is a fault of that page, and costs it nothing else; one that spins or grows is ended by the
rules for pages (``parse.page_time``, ``parse.page_memory``). A hook runs with the user's rights: it is a program, not data.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from msgspec import Struct
from parsel import SelectorList

from crawler.extract.rules import MAX_PRIORITY
from crawler.model import PageLink
from crawler.parse.document import Document, text_of

MODULE: Final = "crawl_hook"
"""The name under which the hook's module is loaded."""


class HookError(Exception):
    """The hook cannot be loaded; the message names file and line."""


class HookItem(Struct, frozen=True):
    """An item that a hook made."""

    type: str
    fields: dict[str, Any]


class HookLink(Struct, frozen=True):
    """A link that a hook asks to follow."""

    url: str
    priority: int


class Page:
    """A page, as ``parse(page)`` gets it. Items and links count once they are made, whether they are yielded or not."""

    def __init__(self, document: Document, links: list[PageLink]) -> None:
        self._document = document
        self._links = links
        self.made: list[HookItem | HookLink] = []
        """What `item` and `link` made, in order."""

    def __repr__(self) -> str:
        return f"<page {self.url}>"

    @property
    def url(self) -> str:
        """The page's canonical URL."""
        return self._document.url

    @property
    def html(self) -> str:
        """The HTML as text."""
        return self._document.source

    @property
    def text(self) -> str:
        """The text of the body, white space collapsed, without scripts and styles; with navigation and all."""
        body = self._document.root.find(".//body")
        return text_of(self._document.root if body is None else body)

    @property
    def jsonld(self) -> list[dict[str, Any]]:
        """The objects of the page's JSON-LD."""
        return self._document.linked_data.nodes

    @property
    def opengraph(self) -> dict[str, str]:
        """The page's ``og:`` properties, the first of each."""
        return {name: values[0] for name, values in self._document.properties.items() if name.startswith("og:")}

    @property
    def meta(self) -> dict[str, str]:
        """The contents of all its meta elements by lower-cased name, the first of each."""
        return {name: values[0] for name, values in self._document.properties.items()}

    def css(self, selector: str) -> SelectorList[Any]:
        """Return what CSS selects, as parsel does: ``page.css("h1::text").get()``."""
        return self._document.selector.css(selector)

    def xpath(self, path: str) -> SelectorList[Any]:
        """Return what XPath selects, as parsel does: ``page.xpath("//h1/text()").getall()``."""
        return self._document.selector.xpath(path)

    def links(self) -> list[str]:
        """Return the page's links, canonical, each once."""
        return [link.url for link in self._links]

    def urljoin(self, reference: str) -> str:
        """Return a reference of this page as a canonical URL; raises ValueError when it is no http or https URL."""
        url = self._document.resolve(reference)
        if url is None:
            raise ValueError(f"not a web address: {reference!r}")
        return url

    def item(self, type: str, fields: Mapping[str, Any] | None = None, /, **more: Any) -> HookItem:
        """Make an item of a type from a mapping, keyword arguments, or both."""
        made = HookItem(type, {**(fields or {}), **more})
        self.made.append(made)
        return made

    def link(self, url: str, priority: int = 0) -> HookLink:
        """Ask for a link to be followed, within the crawl's scope: from -100 to 100, higher first; raises ValueError for no URL."""
        if not -MAX_PRIORITY <= priority <= MAX_PRIORITY:
            raise ValueError(f"priority {priority}: give a number from -{MAX_PRIORITY} to {MAX_PRIORITY}")
        made = HookLink(self.urljoin(url), int(priority))
        self.made.append(made)
        return made


class Hook:
    """A hook, loaded."""

    def __init__(self, path: str) -> None:
        """Raises HookError when it cannot be loaded, or has no ``parse``."""
        self._path = path
        self._parse = _parse_function(path)

    def run(self, page: Page, fault: Callable[[str], None]) -> None:
        """Call ``parse(page)``; what it makes is in `page.made` afterwards. Raises nothing but MemoryError."""
        worker = os.getpid()
        try:
            with contextlib.redirect_stdout(sys.stderr):  # standard output is not the hook's
                self._take(self._parse(page), page, fault)
        except MemoryError:
            raise
        except BaseException as error:  # SystemExit, too: a hook must not end a worker
            fault(_told(error, self._path))
        finally:
            if os.getpid() != worker:  # a child that the hook forked ends here: two would answer for one worker
                os._exit(0)

    def _take(self, results: Any, page: Page, fault: Callable[[str], None]) -> None:
        if results is None:
            return
        if isinstance(results, str | bytes | Mapping) or not isinstance(results, Iterable):
            fault(f"parse() returned {type(results).__name__}; it must yield items and links, or return a list of them")
            return
        for result in results:
            if isinstance(result, HookItem | HookLink):
                continue  # noted when it was made
            if isinstance(result, Mapping):
                fields = dict(result)
                page.made.append(HookItem(str(fields.pop("type", "item")), fields))
            else:
                fault(f"parse() yielded {type(result).__name__}; yield dicts, page.item(…) or page.link(…)")


def _parse_function(path: str) -> Callable[[Page], Any]:
    parse = getattr(_load(path), "parse", None)
    if not callable(parse):
        raise HookError(f"{path}: has no function parse(page); write one that yields items and links")
    function: Callable[[Page], Any] = parse
    return function


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise HookError(f"{path}: not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    folder = str(Path(path).parent)
    if folder not in sys.path:
        sys.path.append(folder)  # modules beside it can be imported, but stand in front of nothing
    sys.modules[MODULE] = module
    try:
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except FileNotFoundError as error:
        missing = error.filename == path
        raise HookError(f"{path}: no such file; the path counts from the job file's folder" if missing else _told(error, path)) from error
    except SyntaxError as error:
        raise HookError(f"{error.filename or path}, line {error.lineno}: {type(error).__name__}: {error.msg}") from error
    except BaseException as error:
        raise HookError(f"{path}: {_told(error, path)}") from error
    return module


def _told(error: BaseException, path: str) -> str:
    """Return an error of a hook in one line, with the line of the hook's own file that it came through last."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    where = f" (line {lines[-1]})" if lines else ""
    try:
        what = " ".join(str(error).split())[:150]
    except Exception:  # an error of the hook's own making need not know how to tell itself
        what = "it cannot tell what"
    return f"{type(error).__name__}: {what}{where}"
