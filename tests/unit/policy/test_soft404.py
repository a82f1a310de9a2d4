from __future__ import annotations

from crawler.model import Kind, Task, Via
from crawler.policy.soft404 import ENOUGH, SameContent

SITE = "http://h.test"


def task(path: str, referrer: str | None) -> Task:
    above = None if referrer is None else SITE + referrer
    return Task(0, SITE + path, "h.test", Kind.PAGE, 1, Via.LINK, above, 0, 0, 1, 0)


def shown(memory: SameContent, count: int, digest: str = "shell") -> None:
    """`count` grown pages of one content."""
    for number in range(count):
        grown = task(f"/{number}/docs/", f"/{number}/")
        memory.withholds(grown, digest, [f"{SITE}/{number}/docs/docs/"], suspected=memory.suspects(grown))


def test_after_enough_grown_pages_links_below_are_withheld() -> None:
    memory = SameContent()
    grown, deeper = task("/a/b/", "/a/"), [f"{SITE}/a/b/c"]
    shown(memory, ENOUGH)
    assert not memory.suspects(grown)
    assert not memory.withholds(grown, "shell", deeper, suspected=False)
    assert memory.suspects(grown), "now there were more than enough"
    assert memory.withholds(grown, "shell", deeper, suspected=True)
    assert not memory.withholds(grown, "shell", deeper, suspected=False), "its worker took the links for told"
    assert not memory.withholds(grown, "shell", [], suspected=True), "nothing to withhold"


def test_links_that_lead_elsewhere_and_other_contents_pass() -> None:
    memory = SameContent()
    shown(memory, ENOUGH + 1)
    grown = task("/a/b/", "/a/")
    assert not memory.withholds(grown, "shell", [f"{SITE}/a/b/c", f"{SITE}/other"], suspected=True)
    assert not memory.withholds(grown, "another", [f"{SITE}/a/b/c"], suspected=True)
    assert not memory.withholds(grown, "", [f"{SITE}/a/b/c"], suspected=True)


def test_only_pages_below_the_one_that_led_there_count() -> None:
    memory = SameContent()
    for number in range(3 * ENOUGH):
        memory.withholds(task(f"/{number}", "/"), "shell", [f"{SITE}/x"], suspected=False)  # in the same folder
        memory.withholds(task(f"/{number}/", f"/other/{number}"), "shell", [f"{SITE}/x"], suspected=False)  # in one beside
        memory.withholds(task(f"/{number}/", None), "shell", [f"{SITE}/x"], suspected=False)  # a seed
    assert not memory.suspects(task("/a/b/", "/a/"))


def test_sites_do_not_share_what_is_remembered() -> None:
    memory = SameContent()
    shown(memory, ENOUGH + 1)
    other = Task(0, "http://i.test/a/b/", "i.test", Kind.PAGE, 1, Via.LINK, "http://i.test/a/", 0, 0, 1, 0)
    assert not memory.suspects(other)
    assert not memory.withholds(other, "shell", ["http://i.test/a/b/c"], suspected=True)
