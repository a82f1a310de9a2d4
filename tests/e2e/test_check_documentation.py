"""``crawl check`` on Python's documentation: what is broken there, found by lxml in the files without asking any server."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from conftest import Crawl, Documentation, NginxSite
from lxml import html

pytestmark = pytest.mark.real_site

REFERENCES = "//a/@href | //area/@href | //img/@src | //script/@src | //link[@rel='stylesheet' or contains(@rel, 'icon')]/@href"


class Files:
    """The pages below a folder, reached from its index, with what they refer to."""

    def __init__(self, root: Path, site: str) -> None:
        self._root, self._site = root, site
        self.references: dict[str, set[str]] = {}  # absolute, with fragments, by page
        self._anchors: dict[str, set[str]] = {}
        todo = [f"{site}index.html"]
        while todo:
            page = todo.pop()
            if page not in self.references:
                self._read(page)
                targets = {link.partition("#")[0] for link in self.references[page]}
                todo += [target for target in targets if target.endswith(".html") and self.is_there(target)]

    def _read(self, page: str) -> None:
        tree = html.parse(self._file(page), html.HTMLParser(encoding="utf-8", huge_tree=True))
        self.references[page] = {
            link for link in (urljoin(page, found.strip()) for found in tree.xpath(REFERENCES)) if link.startswith(self._site)
        }
        self._anchors[page] = {*tree.xpath("//@id"), *tree.xpath("//a/@name")}

    def _file(self, url: str) -> Path:
        return self._root / unquote(urlsplit(url).path.lstrip("/"))

    def is_there(self, url: str) -> bool:
        file = self._file(url)
        return file.is_file() or (file / "index.html").is_file()

    def broken(self) -> dict[str, set[str]]:
        """Return what leads nowhere, with the pages that refer to it: URLs, and URLs with a fragment where only that is missing."""
        found: dict[str, set[str]] = {}
        for page, links in self.references.items():
            for link in links:
                target, _, fragment = link.partition("#")
                if not self.is_there(target):
                    found.setdefault(target, set()).add(page)
                elif fragment and target in self._anchors and unquote(fragment) not in self._anchors[target]:
                    found.setdefault(link, set()).add(page)
        return found


@pytest.mark.slow
def test_broken_links_of_pythons_documentation(crawl: Crawl, nginx_site: NginxSite, documentation: Documentation) -> None:
    root = documentation("python3.11/html", "python3.11-doc")
    nginx = nginx_site(root)
    done = crawl("check", f"{nginx.url}index.html", "--no-external", "--json", "--delay", "0", "--per-host", "16")
    assert done.code == 12, done
    found = json.loads(done.stdout)
    assert {link["url"]: set(link["pages"]) for link in found["links"]["broken"]} == Files(root, nginx.url).broken()
    assert found["urls"] > 500
