"""What the sites of shops.py hold: books, articles and offers, computed from their numbers."""

from __future__ import annotations

from typing import NamedTuple

RATINGS = ["One", "Two", "Three", "Four", "Five"]
CATEGORIES = ["Travel", "Science & Nature", "Poésie", "Mystery"]
PER_PAGE = 20


class Book(NamedTuple):
    number: int
    title: str
    category: str
    price: float
    rating: str
    stock: int
    upc: str
    description: str

    @property
    def path(self) -> str:
        return f"/catalogue/book-{self.number}/index.html"


class Article(NamedTuple):
    number: int
    headline: str
    published: str
    authors: list[str]
    section: str
    tags: list[str]
    paragraphs: list[str]

    @property
    def path(self) -> str:
        return f"/2026/{self.number:02d}/article.html"


class Offer(NamedTuple):
    number: int
    name: str
    cents: int
    cents_before: int
    available: bool


def _book(number: int) -> Book:
    title = f"The {number}th “Book” & its <Friends>, №{number * 7}"
    description = f"About {number} things; naïve, 100 % true." if number % 5 else ""
    price = 10 + number * 37 % 5000 / 100
    return Book(number, title, CATEGORIES[number % 4], round(price, 2), RATINGS[number % 5], number * 3 % 23, f"{number:016x}", description)


def _article(number: int) -> Article:
    authors = ["Ada Lovelace", "Émile Zola"][: 1 + number % 2]
    tags = [f"tag {tag}" for tag in range(number % 4)]
    sentence = "The council met on Monday and spoke at length about the bridge, its cost and the river below it."
    paragraphs = [f"Paragraph {part} of story {number}: {sentence} Nobody objected to article {number}." for part in range(1, 5)]
    return Article(
        number, f"Story {number}: “rain” & sun", f"2026-03-{number:02d}T08:30:00+01:00", authors, f"Section {number % 3}", tags, paragraphs
    )


BOOKS = [_book(number) for number in range(1, 51)]
ARTICLES = [_article(number) for number in range(1, 13)]
OFFERS = [Offer(n, f"Thing {n}", 1000 + n * 13, 1000 + n * 13 + (n % 4) * 250, n % 3 != 0) for n in range(1, 31)]
