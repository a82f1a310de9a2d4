"""The chain of one URL with small fakes for fetch, parse and store: every end it can come to."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from visits import NOW, TASK, URL, Room, Turn, answered, link, rules_of, urls_of

from crawler.model import Fetched, FetchFailed, Kind, Outcome, Parsed, Reason, Task, Via
from crawler.store.operations import Completion, Postponement
from crawler.url import fingerprint
from crawler.visit import LINKS_AT_ONCE


def failed(reason: Reason, detail: str = "it broke") -> FetchFailed:
    return FetchFailed(URL, reason, detail, None, NOW - 1, 0.5)


# -- ends ------------------------------------------------------------------------------------------------------------


async def test_a_page_is_fetched_parsed_and_stored_with_its_links() -> None:
    room, turn = Room(), Turn()
    done = await room.completion(turn=turn)
    record = done.record
    assert (record.outcome, record.reason, record.status, record.attempts) == (Outcome.FETCHED, None, 200, 1)
    assert (record.title, record.description, record.language, record.charset, record.bytes, record.digest) == (
        "Title",
        "About",
        "en",
        "utf-8",
        10,
        "d1",
    )
    assert (record.fetched_at, record.elapsed_ms, record.ip) == ("1970-01-12T13:46:39.000Z", 250, "192.0.2.1")
    assert (record.content_type, record.referrer, record.headers, record.links) == ("text/html", "http://a/", None, None)
    assert [(c.url, c.depth, c.via, c.referrer, c.hops, c.host) for c in done.candidates] == [
        (url, 3, Via.LINK, URL, 0, "a") for url in ("http://a/one", "http://a/two")
    ]
    assert turn.heard == ["begin", ("sent", 5.0), "over", "storing"]
    assert room.pages[0].body == b"<p>"


async def test_what_was_put_up_with_is_told_in_the_detail() -> None:
    done = await Room(parsed=Parsed(10, "d1", notes=["gzip truncated", "bytes that are not UTF-8"], dropped_links=3)).completion()
    assert (done.record.outcome, done.record.reason) == (Outcome.FETCHED, None)
    assert done.record.detail == "gzip truncated; bytes that are not UTF-8; 3 links beyond the limit"
    assert (await Room().completion()).record.detail is None


ENDS = [
    (answered(404), Outcome.FAILED, Reason.HTTP_ERROR, 404),
    (answered(304), Outcome.FAILED, Reason.HTTP_ERROR, 304),
    (answered(301), Outcome.FAILED, Reason.REDIRECT, 301),
    (failed(Reason.TLS_EXPIRED), Outcome.FAILED, Reason.TLS_EXPIRED, None),
    (failed(Reason.BAD_HTTP), Outcome.FAILED, Reason.BAD_HTTP, None),
    (failed(Reason.TOO_LARGE), Outcome.FAILED, Reason.TOO_LARGE, None),
    (failed(Reason.ADDRESS), Outcome.DENIED, Reason.ADDRESS, None),
    (failed(Reason.CONTENT_TYPE), Outcome.SKIPPED, Reason.CONTENT_TYPE, None),
]


@pytest.mark.parametrize(("answer", "outcome", "reason", "status"), ENDS, ids=[str(end[2]) + str(end[3]) for end in ENDS])
async def test_what_is_not_a_page_ends_without_parsing(
    answer: Fetched | FetchFailed, outcome: Outcome, reason: Reason, status: int | None
) -> None:
    room = Room(answer)
    done = await room.completion()
    assert (done.record.outcome, done.record.reason, done.record.status, done.record.attempts) == (outcome, reason, status, 1)
    assert (done.record.bytes, done.record.title, done.candidates, done.refused, room.pages) == (None, None, [], [], [])


async def test_a_body_that_cannot_be_used_has_the_parsers_reason() -> None:
    room = Room(parsed=Parsed(reason=Reason.BAD_ENCODING, detail="corrupt gzip", links=[link("http://a/x")]))
    done = await room.completion()
    assert (done.record.outcome, done.record.reason, done.record.detail) == (Outcome.FAILED, Reason.BAD_ENCODING, "corrupt gzip")
    assert (done.record.status, done.record.bytes, done.candidates) == (200, None, [])


async def test_robots_txt_denies_without_a_request() -> None:
    room, turn = Room(robots="User-agent: *\nDisallow: /page"), Turn()
    done = await room.completion(turn=turn)
    assert (done.record.outcome, done.record.reason, done.record.attempts) == (Outcome.DENIED, Reason.ROBOTS, 0)
    assert (done.record.status, done.record.elapsed_ms, room.asked, turn.heard) == (None, None, [], ["storing"])


async def test_a_host_that_is_down_is_not_asked() -> None:
    room = Room()
    done = await room.completion(turn=Turn((Reason.HOST_DOWN, "ten in a row")))
    assert (done.record.outcome, done.record.reason, done.record.detail) == (Outcome.FAILED, Reason.HOST_DOWN, "ten in a row")
    assert room.asked == []


# -- another attempt -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [answered(503), failed(Reason.TIMEOUT), failed(Reason.CONNECT), failed(Reason.TRUNCATED)])
async def test_what_may_pass_is_tried_again_later(answer: Fetched | FetchFailed) -> None:
    room, turn = Room(answer), Turn()
    operation = await room.visit(turn=turn)
    assert operation == Postponement(TASK, 1, NOW + 1.0)
    assert turn.heard == ["begin", ("sent", 5.0), "over", "storing"]


async def test_the_last_attempt_is_final() -> None:
    room = Room(answered(503))
    assert await room.visit(TASK.postponed(1)) == Postponement(TASK.postponed(1), 2, NOW + 2.0)
    done = await Room(answered(503)).completion(TASK.postponed(2))
    assert (done.record.outcome, done.record.reason, done.record.attempts) == (Outcome.FAILED, Reason.HTTP_ERROR, 3)


async def test_retry_after_pauses_the_host_also_when_the_page_is_out_of_attempts() -> None:
    for attempts in (0, 2):
        room, turn = Room(answered(429, {"retry-after": "30"})), Turn()
        operation = await room.visit(TASK.postponed(attempts), turn)
        assert ("pause", 30.0) in turn.heard
        assert isinstance(operation, Postponement if attempts == 0 else Completion)


# -- where it leads --------------------------------------------------------------------------------------------------


async def test_a_redirect_leads_to_its_target_alone() -> None:
    done = await Room(answered(302, {"location": "/new"})).completion()
    assert (done.record.outcome, done.record.redirect_to, done.record.status) == (Outcome.REDIRECTED, "http://a/new", 302)
    assert [(c.url, c.depth, c.via, c.hops, c.referrer) for c in done.candidates] == [("http://a/new", 2, Via.REDIRECT, 1, URL)]


async def test_redirects_pass_the_door_like_links() -> None:
    done = await Room(answered(302, {"location": "http://elsewhere/"})).completion()
    assert (done.record.outcome, done.candidates, rules_of(done)) == (Outcome.REDIRECTED, [], {"http://elsewhere/": "scope:host"})
    hopped = Task(TASK.key, URL, "a", Kind.PAGE, 2, Via.REDIRECT, None, 3, 0, 2, 7)
    done = await Room(answered(302, {"location": "/new"})).completion(hopped)
    assert (done.candidates, list(rules_of(done))) == ([], ["http://a/new"])


async def test_refresh_and_canonical_are_as_near_as_the_page() -> None:
    parsed = Parsed(refresh="http://a/fresh", canonical="http://a/true", links=[link("http://a/one")])
    done = await Room(parsed=parsed).completion()
    assert [(c.url, c.depth, c.via, c.hops) for c in done.candidates] == [
        ("http://a/fresh", 2, Via.REDIRECT, 1),
        ("http://a/true", 2, Via.CANONICAL, 0),
        ("http://a/one", 3, Via.LINK, 0),
    ]
    assert done.record.canonical == "http://a/true"
    same = await Room(parsed=Parsed(refresh=URL, canonical=URL)).completion()
    assert same.candidates == []


async def test_links_out_of_scope_are_refused_by_name() -> None:
    parsed = Parsed(links=[link("http://b/"), link("http://a/x/x/x/x/x/x"), link("http://a/no"), link("http://a/yes")])
    done = await Room(parsed=parsed, scope__exclude=["/no$"]).completion()
    assert urls_of(done) == ["http://a/yes"]
    rules = rules_of(done)
    assert (rules["http://b/"], rules["http://a/no"]) == ("scope:host", "exclude:/no$")
    assert rules["http://a/x/x/x/x/x/x"].startswith("trap:")
    assert {refusal.referrer for refusal in done.refused} == {URL}


@pytest.mark.parametrize(
    ("headers", "meta", "stopped"),
    [
        ({"x-robots-tag": "nofollow"}, [], True),
        ({"x-robots-tag": "otherbot: nofollow"}, [], False),
        ({}, ["noindex", "nofollow"], True),
        ({}, ["none"], True),
        ({"x-robots-tag": "noindex"}, ["noarchive"], False),
    ],
)
async def test_a_page_may_ask_that_its_links_are_not_followed(headers: dict[str, str], meta: list[str], stopped: bool) -> None:
    parsed = Parsed(links=[link("http://a/one")], robots=meta)
    done = await Room(answered(headers=headers), parsed).completion()
    assert urls_of(done) == ([] if stopped else ["http://a/one"])
    assert rules_of(done) == ({"http://a/one": "nofollow"} if stopped else {})
    assert done.record.outcome is Outcome.FETCHED
    ignoring = await Room(answered(headers=headers), parsed, politeness__nofollow=False).completion()
    assert urls_of(ignoring) == ["http://a/one"]


async def test_a_single_link_may_be_marked_and_is_found_again_elsewhere() -> None:
    room = Room(parsed=Parsed(links=[link("http://a/one", nofollow=True), link("http://a/two")]))
    done = await room.completion()
    assert (urls_of(done), rules_of(done)) == (["http://a/two"], {"http://a/one": "nofollow"})
    room.parsed = Parsed(links=[link("http://a/one"), link("http://a/two")])
    room.stored.clear()
    assert urls_of(await room.completion()) == ["http://a/one"]  # the other one is remembered


async def test_under_a_depth_limit_every_link_is_handed_over_each_time() -> None:
    room = Room(remember=False, scope__depth=2)
    for _ in range(2):
        room.stored.clear()
        assert urls_of(await room.completion()) == ["http://a/one", "http://a/two"]  # too deep by this path; the frontier decides


async def test_many_links_give_way_between_slices_and_all_pass_the_door() -> None:
    links = [link(f"http://a/{number}") for number in range(2 * LINKS_AT_ONCE + 1)]
    room = Room(parsed=Parsed(links=links[:LINKS_AT_ONCE]))
    assert len((await room.completion()).candidates) == LINKS_AT_ONCE
    assert room.pauses == 0
    room = Room(parsed=Parsed(links=[*links, link("http://b/")]))
    done = await room.completion()
    assert urls_of(done) == [page_link.url for page_link in links]
    assert rules_of(done) == {"http://b/": "scope:host"}
    assert room.pauses == 3


async def test_a_visit_called_off_between_slices_has_handed_nothing_over() -> None:
    room = Room(parsed=Parsed(links=[link(f"http://a/{number}") for number in range(2 * LINKS_AT_ONCE)]))
    room.pause_result = Deferred
    visit = room.visitor.visit(TASK, Turn())
    visit.cancel()
    with pytest.raises(CancelledError):
        await visit
    assert room.stored == []
    room.pause_result = lambda: succeed(None)
    assert len((await room.completion()).candidates) == 2 * LINKS_AT_ONCE  # none is taken for known


async def test_sitemaps_lead_to_pages_of_depth_one_and_further_sitemaps() -> None:
    url = "http://a/sitemap.xml"
    task = Task(fingerprint(url), url, "a", Kind.SITEMAP, 0, Via.ROBOTS, "http://a/robots.txt", 0, 0, 0, 1)
    room = Room(parsed=Parsed(links=[link("http://a/one")], sitemaps=[link("http://a/more.xml")]), fetch__accept=["text/html"])
    done = await room.completion(task)
    assert [(c.url, c.kind, c.depth, c.via) for c in done.candidates] == [
        ("http://a/one", Kind.PAGE, 1, Via.SITEMAP),
        ("http://a/more.xml", Kind.SITEMAP, 1, Via.SITEMAP),
    ]
    assert room.pages[0].kind is Kind.SITEMAP
    assert room.asked[0]["max_body"] == room.settings.parse.max_decoded


async def test_headers_and_links_are_recorded_on_request() -> None:
    answer = Fetched(URL, 200, [("a", "1"), ("b", "2"), ("a", "3")], b"", None, NOW, 0.1)
    done = await Room(answer, store__record_headers=True, store__record_links=True).completion()
    assert done.record.headers == {"a": "1, 3", "b": "2"}
    assert done.record.links == ["http://a/one", "http://a/two"]
