from hypothesis import example, given, settings
from hypothesis import strategies as st

from crawler.model import PageLink, Parsed
from crawler.parse.links import Lately, References, Reported
from crawler.url import canonicalise, fingerprint

BASE = "http://h.example/d/e/page.html"

SPELLINGS = st.lists(
    st.sampled_from(
        ["/", "http:", "https:", "//", "h.example", "../", "./", "a", "b.html", "?", "q=1", "#f", "%41", ":", "\\", "é", "\t", "\x01"]
    ),
    max_size=5,
).map("".join)
BASES = st.sampled_from(
    [
        BASE,
        "http://h.example/d/e/other.html?x=/y",
        "http://h.example/d/e/",
        "http://h.example/d/e/?q=2",
        "http://h.example/",
        "https://h.example/d/e/page.html",
        "http://h.example:81/d/e/page.html",
        "http://h.example/d//e/",
    ]
)
PAGES = st.lists(st.tuples(BASES, st.lists(st.tuples(SPELLINGS, st.booleans()), max_size=8)), max_size=8)


def references(found, limit=1000):
    kept = References(limit)
    for spelling, nofollow in found:
        kept.add(spelling, nofollow)
    return kept


def resolved(found, lately=None, base=BASE, limit=1000):
    return references(found, limit).resolve(base, lately or Lately())


def as_browsers_do(found, base):
    """What the page links to, by the URL standard alone: nofollow where each occurrence of a URL is."""
    urls: dict[str, bool] = {}
    for spelling, nofollow in found:
        url = canonicalise(spelling.strip("\t\n\f\r "), base)
        if url is not None:
            urls[url] = nofollow and urls.get(url, True)
    return {PageLink(fingerprint(url), url, nofollow) for url, nofollow in urls.items()}


@settings(max_examples=400, deadline=None)
@example([(BASE, [("", False), ("?", False)]), ("http://h.example/d/e/?q=2", [("", False), ("?", False)])])
@example([(BASE, [("\x01?q=1", False), ("http:?q", False)]), ("http://h.example/d/e/", [("\x01?q=1", False), ("http:?q", False)])])
@example([(BASE, [("a", True)]), (BASE, [("a", False)]), (BASE, [("a", True), ("./a", True)])])
@given(PAGES)
def test_what_is_remembered_from_page_to_page_changes_nothing(pages):
    for size in (0, 3, 1000):
        lately = Lately(size)
        for base, found in pages:
            links, dropped = resolved(found, lately, base)
            assert set(links) == as_browsers_do(found, base)
            assert (len(set(links)), dropped) == (len(links), 0)
            assert (links, dropped) == resolved(found, Lately(), base)


def test_the_references_of_a_folder_are_shared_by_its_pages_only():
    lately = Lately()
    resolved([("a.html", False), ("../b", False), ("/c", False), ("mailto:x", False), ("?q", False)], lately)
    assert list(lately.of_folder("http://h.example/d/e/other?q")) == ["a.html", "../b", "/c", "mailto:x"]
    assert lately.of_folder("http://h.example/d/") == {}


def test_what_is_remembered_is_bounded():
    lately = Lately(100)
    for page in range(50):
        resolved([(f"{page}-{number}", False) for number in range(80)], lately, f"http://h.example/{page % 7}/x")
        kept = sum(len(lately.of_folder(f"http://h.example/{folder}/")) for folder in range(7))
        assert kept <= 200
    resolved([(str(number), False) for number in range(1000)], lately, "http://h.example/large/x")
    assert len(lately.of_folder("http://h.example/large/")) <= 100
    resolved([("x" * 5000, False)], lately, "http://h.example/long/x")
    assert lately.of_folder("http://h.example/long/") == {}


def test_an_occurrence_without_nofollow_counts_wherever_it_stands():
    found = [("/a", True), ("/a#1", False), ("/b", False), ("/b", True), ("/c", True), (" /c", True)]
    links, _ = resolved(found)
    assert [(link.url[-1], link.nofollow) for link in links] == [("a", False), ("b", False), ("c", True)]


def test_references_beyond_the_limit_are_counted_each_time_and_remembered_ones_count_towards_it():
    found = [(str(number), False) for number in range(10)]
    lately = Lately()
    assert len(resolved(found, lately)[0]) == 10
    links, dropped = resolved(found, lately, limit=2)
    assert [link.url[-1] for link in links] == ["0", "1"]
    assert dropped == 8
    assert resolved([*found, ("9", False), ("9", False)], lately, limit=2)[1] == 10
    assert references(found).followed == {spelling for spelling, _ in found}


def test_a_link_is_reported_once_but_for_one_that_may_not_be_followed():
    reported = Reported()
    seen, shy = PageLink(1, "http://h.example/1"), PageLink(2, "http://h.example/2", nofollow=True)
    assert reported.only_new(Parsed(links=[seen, shy])).links == [seen, shy]
    assert reported.only_new(Parsed(links=[seen, shy])).links == [shy]
    other = PageLink(3, "http://h.example/3")
    assert reported.only_new(Parsed(links=[other], robots=["nofollow"])).links == [other]
    assert reported.only_new(Parsed(links=[other])).links == [other]
    assert reported.only_new(Parsed(links=[other])).links == []
