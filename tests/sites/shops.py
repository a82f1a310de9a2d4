"""Three sites whose contents are known in full, for the example jobs: a book shop, a newspaper, a shop with offers.

    python tests/sites/shops.py --port 0 --site books

What the pages hold is in shop_goods.py.
"""

from __future__ import annotations

import argparse
import html
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from loopback import Answer, Server, answer
from shop_goods import ARTICLES, BOOKS, OFFERS, PER_PAGE, Article, Book


def _document(title: str, body: str, head: str = "") -> bytes:
    top = f'<meta charset="utf-8"><title>{html.escape(title)}</title>{head}'
    return f'<!doctype html><html lang="en"><head>{top}</head><body>{body}</body></html>'.encode()


def _next(number: int, pages: int, form: str) -> str:
    return f'<ul class="pager"><li class="next"><a href="{form.format(number + 1)}">next</a></li></ul>' if number < pages else ""


def books_page(path: str) -> bytes | None:
    """The catalogue as books.toscrape.com has it: lists of 20, each book with a page of its own; and pages that no job asks for."""
    if path == "/":
        return _books_list(1, "catalogue/")
    for number in range(1, -(-len(BOOKS) // PER_PAGE) + 1):
        if path == f"/catalogue/page-{number}.html":
            return _books_list(number, "")
    found = next((book for book in BOOKS if book.path == path), None)
    if found is not None:
        return _book_page(found)
    return _document("Basket", "<h1>Nothing here</h1>") if path in ("/basket.html", "/catalogue/about.html") else None


def _books_list(number: int, folder: str) -> bytes:
    shown = BOOKS[(number - 1) * PER_PAGE : number * PER_PAGE]
    rows = "".join(
        f'<article class="product_pod"><h3><a href="{folder}book-{book.number}/index.html" title="{html.escape(book.title)}">…</a></h3>'
        f'<p class="price_color">£{book.price:.2f}</p></article>'
        for book in shown
    )
    pages = -(-len(BOOKS) // PER_PAGE)
    return _document("Books", f'<a href="/basket.html">Basket</a><ol>{rows}</ol>{_next(number, pages, folder + "page-{}.html")}')


def _book_page(book: Book) -> bytes:
    description = (
        f'<div id="product_description"><h2>Description</h2></div><p>{html.escape(book.description)}</p>' if book.description else ""
    )
    category = html.escape(book.category)
    return _document(
        book.title,
        f'<ul class="breadcrumb"><li><a href="/">Home</a></li><li><a href="/catalogue/about.html">Books</a></li>'
        f'<li><a href="/catalogue/about.html">{category}</a></li><li class="active">x</li></ul>'
        f'<div class="item active"><img src="../../media/{book.number}.jpg" alt=""></div>'
        f'<div class="product_main"><h1>{html.escape(book.title)}</h1><p class="price_color">£{book.price:.2f}</p>'
        f'<p class="instock availability">\n  In stock ({book.stock} available)\n</p><p class="star-rating {book.rating}"></p></div>'
        f"{description}"
        f'<table class="table"><tr><th>UPC</th><td>{book.upc}</td></tr><tr><th>Reviews</th><td>{book.number % 3}</td></tr></table>',
    )


def news_page(path: str) -> bytes | None:
    """A newspaper whose articles say what they are in JSON-LD; one of its blocks is broken on each page."""
    if path == "/":
        return _document("News", "".join(f'<p><a href="{article.path}">{html.escape(article.headline)}</a></p>' for article in ARTICLES))
    found = next((article for article in ARTICLES if article.path == path), None)
    return None if found is None else _article_page(found)


def _article_page(article: Article) -> bytes:
    data: dict[str, Any] = {
        "@context": "https://schema.org",
        "@graph": [
            {"@type": "WebSite", "name": "The Paper"},
            {
                "@type": "NewsArticle",
                "headline": article.headline,
                "datePublished": article.published,
                "author": [{"@type": "Person", "name": name} for name in article.authors],
                "image": {"@type": "ImageObject", "url": f"/images/{article.number}.png"},
            },
        ],
    }
    head = (
        '<script type="application/ld+json">{"@type": "NewsArticle", broken</script>'
        f'<script type="application/ld+json">{json.dumps(data)}</script>'
        f'<meta property="article:section" content="{article.section}"><meta property="og:title" content="x">'
    )
    tags = "".join(f'<a rel="tag" href="/tag">{tag}</a>' for tag in article.tags)
    text = "".join(f"<p>{html.escape(paragraph)}</p>" for paragraph in article.paragraphs)
    body = (
        f'<nav><a href="/">Front page</a></nav><main><article><h1>{html.escape(article.headline)}</h1>{text}<p>{tags}</p></article></main>'
    )
    return _document(article.headline, body + "<footer>Imprint</footer>", head)


def offers_page(path: str) -> bytes | None:
    """A shop that gives prices in cents, in attributes, ten offers a page, the next page named in an attribute as well."""
    for page in range(3):
        if path == ("/" if page == 0 else f"/offers/{page + 1}"):
            rows = "".join(
                f'<li class="offer" data-cents="{offer.cents}" data-before="{offer.cents_before}" data-id="{offer.number}">'
                f"{offer.name}{'' if offer.available else ' <em>sold out</em>'}</li>"
                for offer in OFFERS[page * 10 : page * 10 + 10]
            )
            more = f'<button data-next="/offers/{page + 2}">More</button>' if page < 2 else ""
            return _document("Offers", f'<link rel="stylesheet" href="/style.css"><ul>{rows}</ul>{more}')
    return None


STYLE = b"body { background: url(dot.png) }"
IMAGE = b"\x89PNG\r\n\x1a\nnot a picture, but always the same bytes"
SITES: dict[str, Callable[[str], bytes | None]] = {"books": books_page, "news": news_page, "offers": offers_page}


def respond(site: str, path: str) -> Answer:
    """Return the answer of a site to a path."""
    if path.endswith((".jpg", ".png")):
        return answer(200, IMAGE, "image/png")
    if path == "/style.css":
        return answer(200, STYLE, "text/css")
    body = SITES[site](path)
    return answer(404, b"<title>Not here</title>") if body is None else answer(200, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    parser.add_argument("--site", choices=SITES, required=True)
    parser.add_argument("--hosts", type=int, default=1, help="addresses 127.0.0.1 to 127.0.0.N")
    options = parser.parse_args()
    addresses = [f"127.0.0.{number}" for number in range(1, options.hosts + 1)]
    server = Server(addresses, options.port, lambda _address, path: respond(options.site, path), options.log)
    print(server.port, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
