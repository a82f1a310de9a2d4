"""The example jobs of config/, each run against a site whose contents are known: every field of every item is looked at."""

from __future__ import annotations

import csv
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Crawl, Documentation, Finished, NginxSite, Read, Site
from selectolax.lexbor import LexborHTMLParser
from sites.shop_goods import ARTICLES, BOOKS, OFFERS

CONFIG = Path(__file__).resolve().parents[2] / "config"
QUICKLY = ("--delay", "0", "--per-host", "16", "--workers", "1")

RunExample = Callable[..., Finished]


@pytest.fixture
def example(crawl: Crawl, tmp_path: Path) -> RunExample:
    """Return a function that runs a copy of an example, its site's address replaced."""

    def run(name: str, address: str, url: str, *options: object) -> Finished:
        text = (CONFIG / name).read_text()
        assert text.count(address) >= 1
        (tmp_path / name).write_text(text.replace(address, url))
        for hook in CONFIG.glob("*.py"):
            shutil.copy(hook, tmp_path)
        done = crawl("run", "--job", name, *QUICKLY, *options)
        assert done.code == 0, done
        return done

    return run


def items_of(tmp_path: Path, job: str) -> list[dict[str, Any]]:
    lines = (tmp_path / f"{job}.crawl" / "items.jsonl").read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def by(key: str, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=lambda item: item[key])


def test_books(example: RunExample, site: Site, tmp_path: Path, read_records: Read) -> None:
    import pyarrow.parquet

    url = site("shops", "--site", "books").url
    example("books.toml", "https://books.toscrape.com/", url)
    expected = [
        {
            "type": "book",
            "url": f"{url}{book.path[1:]}",
            "title": book.title,
            "category": book.category,
            "price": book.price,
            "stock": book.stock,
            "rating": book.rating,
            "image": f"{url}media/{book.number}.jpg",
            "description": book.description or None,
            "information": {"upc": book.upc, "reviews": book.number % 3},
        }
        for book in BOOKS
    ]
    assert by("url", items_of(tmp_path, "books")) == by("url", expected)
    fetched = {record["url"] for record in read_records(tmp_path / "books.crawl" / "records.jsonl")}
    assert f"{url}catalogue/page-3.html" in fetched
    assert f"{url}basket.html" not in fetched, "nothing else on a list is followed"
    with (tmp_path / "books.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert by("url", [{"url": row["url"], "title": row["title"], "price": float(row["price"])} for row in rows]) == by(
        "url", [{key: book[key] for key in ("url", "title", "price")} for book in expected]
    )
    table = pyarrow.parquet.read_table(tmp_path / "books.parquet")
    kept = [name for name in expected[0] if name not in ("type", "information")]
    assert by("url", table.select(kept).to_pylist()) == by("url", [{key: book[key] for key in kept} for book in expected])


def test_news(example: RunExample, site: Site, tmp_path: Path, read_records: Read) -> None:
    url = site("shops", "--site", "news").url
    example("news.toml", "https://news.example.org/", url)
    expected = [
        {
            "type": "article",
            "url": f"{url}{article.path[1:]}",
            "headline": article.headline,
            "published": article.published,
            "authors": article.authors,
            "image": f"{url}images/{article.number}.png",
            "section": article.section,
            "tags": article.tags,
        }
        for article in ARTICLES
    ]
    assert by("url", read_records(tmp_path / "articles.jsonl")) == by("url", expected)
    texts = {record["url"]: record["text"] for record in read_records(tmp_path / "pages.jsonl")}
    for article in ARTICLES:
        text = texts[f"{url}{article.path[1:]}"]
        assert all(paragraph in text for paragraph in article.paragraphs), text
        assert "Imprint" not in text
    assert f"{url}tag" not in texts


def sections_of(file: Path, url: str) -> list[dict[str, Any]]:
    """Read the sections of a page by another parser than the crawler's."""
    found = []
    for section in LexborHTMLParser(file.read_bytes()).css("section[id]"):
        inner = list(section.iter())
        heading = next(node for node in inner if node.tag in ("h1", "h2", "h3", "h4", "h5", "h6"))
        paragraph = next((node for node in inner if node.tag == "p"), None)
        samples = [node for node in inner if node.tag == "div" and "highlight" in (node.attributes.get("class") or "")]
        found.append(
            {
                "type": "section",
                "url": url,
                "id": section.attributes["id"],
                "title": squeezed(heading.text()).removesuffix("¶").rstrip(),
                "level": int(heading.tag[1]),
                "opening": squeezed(paragraph.text()) if paragraph is not None else None,
                "code_samples": len(samples),
            }
        )
    return found


def squeezed(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.real_site
def test_docs_index(example: RunExample, documentation: Documentation, nginx_site: NginxSite, tmp_path: Path, read_records: Read) -> None:
    root = documentation("python3.11/html", "python3.11-doc")
    url = nginx_site(root).url
    example("docs-index.toml", "https://docs.python.org/3/howto/", f"{url}howto/index.html")
    files = sorted((root / "howto").glob("*.html"))
    expected = [item for file in files for item in sections_of(file, f"{url}howto/{file.name}")]
    assert len(expected) > 200
    found = [{**item, "opening": squeezed(item["opening"]) if item["opening"] else None} for item in items_of(tmp_path, "docs-index")]
    assert sorted(found, key=lambda item: (item["url"], item["id"])) == sorted(expected, key=lambda item: (item["url"], item["id"]))
    with sqlite3.connect(tmp_path / "sections.sqlite") as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        (count,) = database.execute("SELECT count(*) FROM section").fetchone()
    database.close()
    assert "section" in tables
    assert count == len(expected)
    texts = {record["url"]: record["text"] for record in read_records(tmp_path / "pages.jsonl")}
    assert "Python lists have a built-in" in squeezed(texts[f"{url}howto/sorting.html"])


def test_check_prices(example: RunExample, site: Site, tmp_path: Path) -> None:
    url = site("shops", "--site", "offers").url
    example("check-prices.toml", "https://shop.example.org/", url)
    expected = [
        {
            "type": "offer",
            "url": url if offer.number <= 10 else f"{url}offers/{(offer.number - 1) // 10 + 1}",
            "id": offer.number,
            "name": offer.name,
            "price": offer.cents / 100,
            "discount": round(100 * (offer.cents_before - offer.cents) / offer.cents_before),
            "available": offer.available,
        }
        for offer in OFFERS
    ]
    assert by("id", items_of(tmp_path, "check-prices")) == expected
    with sqlite3.connect(tmp_path / "offers.sqlite") as database:
        rows = database.execute("SELECT id, name, price, discount, available FROM offer ORDER BY id").fetchall()
    database.close()
    assert rows == [tuple(offer[key] for key in ("id", "name", "price", "discount", "available")) for offer in expected]


def test_archive_site(example: RunExample, site: Site, tmp_path: Path) -> None:
    from warcio.archiveiterator import ArchiveIterator

    server = site("shops", "--site", "offers")
    example("archive-site.toml", "https://example.org/", server.url)
    with (tmp_path / "site.warc.gz").open("rb") as stream:
        responses = {
            record.rec_headers.get_header("WARC-Target-URI"): record.content_stream().read()
            for record in ArchiveIterator(stream)
            if record.rec_type == "response"
        }
    style = f"{server.url}style.css"
    assert responses[style] == b"body { background: url(dot.png) }"
    assert b"Thing 10" in responses[server.url]
    assert f"{server.url}dot.png" in responses, "what a style sheet needs"
    assert {hit.path for hit in server.wait_for_hits(4)} >= {"/robots.txt", "/", "/style.css", "/dot.png"}
    assert (tmp_path / "site.wacz").stat().st_size > 1000
    assert any(path.suffix == ".css" for path in (tmp_path / "site.mirror").rglob("*"))
