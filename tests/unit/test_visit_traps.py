"""What a visit does about traps: session ids are replaced, links of endless sites withheld, and nothing is lost by it."""

from __future__ import annotations

from visits import Room, link, rules_of, urls_of

from crawler.model import Kind, Parsed, Task, Via
from crawler.policy.endless import FOUND
from crawler.store.operations import Completion
from crawler.url import fingerprint


def month(number: int, referrer: str | None = None) -> Task:
    url = f"http://a/calendar/{number}"
    return Task(fingerprint(url), url, "a", Kind.PAGE, 2, Via.LINK, referrer or f"http://a/calendar/{number - 1}", 0, 0, 2, 7)


def page_of(*urls: str, title: str = "A month") -> Parsed:
    return Parsed(500, "", "utf-8", title, links=[link(url) for url in urls])


async def visited(room: Room, task: Task, *urls: str, title: str = "A month") -> Completion:
    room.parsed = page_of(*urls, title=title)
    room.stored.clear()
    return await room.completion(task)


async def endless_room() -> Room:
    """A room whose calendar is known to be endless."""
    room = Room()
    for number in range(1, FOUND["calendar"] + 1):
        completion = await visited(room, month(number), f"http://a/calendar/{number + 1}")
        assert urls_of(completion) == [f"http://a/calendar/{number + 1}"]
    return room


async def test_links_of_an_endless_site_are_withheld_and_told() -> None:
    room = await endless_room()
    completion = await visited(room, month(900), "http://a/calendar/901", "http://a/calendar/902")
    assert urls_of(completion) == []
    assert set(rules_of(completion).values()) == {"trap:endless"}
    assert completion.record.detail == "2 links withheld: an endless site"
    assert completion.record.outcome == "fetched"
    assert not room.pages[-1].only_new_links, "its worker must tell the links again when another page has them"
    assert room.pages[0].only_new_links


async def test_a_withheld_link_passes_from_another_page() -> None:
    room = await endless_room()
    await visited(room, month(900), "http://a/calendar/901")
    assert urls_of(await visited(room, month(5, "http://a/"), "http://a/calendar/901", title="Home")) == ["http://a/calendar/901"]
    assert urls_of(await visited(room, month(6, "http://a/"), "http://a/calendar/901", title="Home")) == [], "handed over already"


async def test_with_no_traps_nothing_is_withheld() -> None:
    room = Room(scope__traps=False)
    for number in range(1, FOUND["calendar"] + 50):
        completion = await visited(room, month(number), f"http://a/calendar/{number + 1}")
        assert urls_of(completion) == [f"http://a/calendar/{number + 1}"]


async def test_a_session_id_is_refused_and_the_url_without_it_brought_in_once() -> None:
    room = Room(parsed=page_of("http://a/x;jsessionid=1", "http://a/x;jsessionid=2", "http://b/;jsessionid=3"))
    completion = await room.completion()
    assert set(urls_of(completion)) == {"http://a/x"}
    assert rules_of(completion) == {
        "http://a/x;jsessionid=1": "trap:session_id",
        "http://a/x;jsessionid=2": "trap:session_id",
        "http://b/;jsessionid=3": "trap:session_id",
        "http://b/": "scope:host",
    }
    again = await visited(room, month(1), "http://a/x;jsessionid=4")
    assert urls_of(again) == []
    assert rules_of(again) == {"http://a/x;jsessionid=4": "trap:session_id"}


async def test_a_nofollow_link_with_a_session_id_brings_nothing_in() -> None:
    room = Room(parsed=Parsed(10, "d", links=[link("http://a/x;jsessionid=1", nofollow=True)]))
    completion = await room.completion()
    assert urls_of(completion) == []
    assert rules_of(completion) == {"http://a/x;jsessionid=1": "nofollow"}
