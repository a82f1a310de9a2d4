from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from crawler.model import Kind, Parsed, Task, Via
from crawler.policy.endless import ENDLESS_RULE, FOUND, PAGES, SAME_CONTENT_RULE, Endless, neighbourhood
from crawler.policy.soft404 import ENOUGH

SITE = "http://h.test"
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]


def task(path: str, referrer: str | None, via: Via = Via.LINK) -> Task:
    above = None if referrer is None else SITE + referrer
    return Task(0, SITE + path, "h.test", Kind.PAGE, 1, via, above, 0, 0, 1, 0)


def page(title: str | None, size: int = 1000) -> Parsed:
    return Parsed(bytes=size, digest="", title=title)


Title = Callable[[int], str | None]


def chain(memory: Endless, folder: str, count: int, *, title: Title, size: Callable[[int], int] = lambda _: 1000) -> int | None:
    """Read `count` pages, each of which leads to the next; return the number of the first whose link is withheld."""
    for number in range(1, count):
        current = task(f"{folder}{number}", f"{folder}{number - 1}")
        found = [f"{SITE}{folder}{number + 1}"]
        rule = memory.refusal(current, page(title(number), size(number)), found, suspected=memory.suspects(current))
        if rule is not None:
            assert rule == ENDLESS_RULE
            return number
    return None


def test_a_calendar_ends() -> None:
    memory = Endless()
    ended = chain(memory, "/calendar/", 1000, title=lambda n: f"{MONTHS[n % 12]} {2000 + n // 12}", size=lambda n: 2000 + n % 12)
    assert ended == FOUND["calendar"] + 1


def test_what_a_run_proves_holds_for_pages_like_it_alone() -> None:
    memory = Endless()
    assert chain(memory, "/calendar/", 1000, title=lambda _: "A month")
    later = task("/calendar/9000", "/calendar/8999")
    near, other = f"{SITE}/calendar/9001", f"{SITE}/event"
    assert memory.suspects(later)
    refusals = {
        "alike": memory.refusal(later, page("A month"), [near], suspected=True),
        "title": memory.refusal(later, page("The great event"), [near], suspected=True),
        "size": memory.refusal(later, page("A month", 5000), [near], suspected=True),
        "leads elsewhere": memory.refusal(later, page("A month"), [near, other], suspected=True),
        "no links": memory.refusal(later, page("A month"), [], suspected=True),
        "told by its worker": memory.refusal(later, page("A month"), [near], suspected=False),
        "from elsewhere": memory.refusal(task("/calendar/9000", "/"), page("A month"), [near], suspected=True),
        "a seed": memory.refusal(task("/calendar/9000", None, Via.SEED), page("A month"), [near], suspected=True),
        "of a sitemap": memory.refusal(task("/calendar/9000", "/calendar/1", Via.SITEMAP), page("A month"), [near], suspected=True),
    }
    assert refusals == dict.fromkeys(refusals) | {"alike": ENDLESS_RULE}


def test_random_names_end() -> None:
    memory = Endless()
    assert chain(memory, "/r/a1b2c3", 1000, title=lambda _: "Not found") == FOUND["opaque"] + 1


def test_queries_that_lead_to_each_other_end_later() -> None:
    memory = Endless()
    assert chain(memory, "/list?page=", 2000, title=lambda _: "Archive") == FOUND["query"] + 1


@pytest.mark.parametrize(
    ("folder", "title", "size"),
    [
        ("/page/", lambda _: "Test", lambda _: 1000),  # numbered pages: no make
        ("/page/", lambda _: None, lambda _: 1000),
        ("/blog/", lambda n: f"Post {n}", lambda n: 1000 + n),
        ("/r/a1b2c3", lambda n: f"Commit {n}", lambda _: 1000),  # titles differ
        ("/r/a1b2c3", lambda _: "A commit", lambda n: 1000 + 40 * n),  # sizes differ
        ("/index.php?id=", lambda n: f"Thing {n}", lambda _: 1000),
        ("/index.php?id=", lambda _: "My site", lambda n: 3000 + n * 7919 % 4000),
        ("/calendar/", lambda _: "Our events", lambda n: 3000 + n * 7919 % 8000),  # a calendar with something in it
    ],
)
def test_sites_that_people_made_go_on(folder: str, title: Title, size: Callable[[int], int]) -> None:
    assert chain(Endless(), folder, 3000, title=title, size=size) is None


def test_a_page_that_leads_elsewhere_begins_the_run_anew() -> None:
    memory = Endless()
    for _ in range(5):
        assert chain(memory, "/calendar/", FOUND["calendar"], title=lambda _: "A month") is None
        memory.refusal(task("/calendar/7", "/calendar/6"), page("A month"), [f"{SITE}/event"], suspected=False)


def test_many_links_of_few_pages_prove_nothing() -> None:
    memory = Endless()
    current = task("/r/a1b2c3", "/r/b1c2d3")
    found = [f"{SITE}/r/{number:04}a1b2c3" for number in range(100)]
    for _ in range(PAGES - 1):
        assert memory.refusal(current, page("Index"), found, suspected=memory.suspects(current)) is None
    assert not memory.suspects(current)
    memory.refusal(current, page("Index"), found, suspected=False)
    assert memory.suspects(current)


def test_the_same_page_everywhere() -> None:
    memory = Endless()

    def rules() -> Iterator[str | None]:
        for number in range(ENOUGH + 3):
            grown = task(f"/{number}/docs/", f"/{number}/")
            shell = Parsed(bytes=10, digest="shell")
            yield memory.refusal(grown, shell, [f"{SITE}/{number}/docs/docs/"], suspected=memory.suspects(grown))

    assert list(rules()) == [None] * (ENOUGH + 1) + [SAME_CONTENT_RULE] * 2


def test_switched_off_it_notes_nothing() -> None:
    assert chain(Endless(watching=False), "/calendar/", 1000, title=lambda _: "A month") is None


def test_hosts_do_not_share_runs_and_the_oldest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawler.policy.endless.NEIGHBOURHOODS", 2)
    memory = Endless()
    assert chain(memory, "/calendar/", 1000, title=lambda _: "A month")
    assert not memory.suspects(Task(0, "http://i.test/calendar/5", "i.test", Kind.PAGE, 1, Via.LINK, None, 0, 0, 1, 0))
    for folder in ("/event/", "/agenda/"):
        chain(memory, folder, 5, title=lambda _: "A day")
    assert not memory.suspects(task("/calendar/5", "/calendar/4"))


@pytest.mark.parametrize(
    ("path", "make", "part"),
    [
        ("/", "", ""),
        ("/docs/index.html", "", ""),
        ("/2024/05/17/a-post", "", ""),
        ("/calendar/2031-04", "calendar", "/calendar/"),
        ("/calendar", "", ""),
        ("/2031/month", "calendar", "/0/"),
        ("/x/2f1b7a3491d04a6f", "opaque", "/x/"),
        ("/2f1b7a3491d04a6f", "opaque", "/"),
        ("/python3.11/library/x86_64.html", "", ""),
        ("/list?page=4", "query", "/list?"),
        ("/shop/list?page=4", "query", "/shop/"),
        ("/?p=4", "query", "/?"),
    ],
)
def test_neighbourhoods(path: str, make: str, part: str) -> None:
    assert neighbourhood(SITE + path) == (make, SITE + part if part else "")
