from __future__ import annotations

import pytest

from crawler.config import ScopeSettings, Settings
from crawler.model import Kind, Link, Via
from crawler.policy.admit import DEPTH_RULE, Door, make_door
from crawler.policy.scope import Scope

SEED = "http://h.test/"


def door(*, depth: int | None = 2, max_redirects: int = 3, traps: bool = True, seed: str = SEED, **settings: object) -> Door:
    return Door(Scope([seed], ScopeSettings(**settings)), depth=depth, max_redirects=max_redirects, traps=traps)


def link(url: str, via: Via = Via.LINK, depth: int = 1, referrer: str | None = SEED, hops: int = 0, kind: Kind = Kind.PAGE) -> Link:
    return Link(url, via, depth, referrer, hops, kind)


TRAP = "http://h.test/a/a/a/a"


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (link("http://h.test/a"), None),
        (link("http://other.test/a"), "scope:host"),
        (link(TRAP), "trap:repeated_segments"),
        (link(TRAP, Via.SEED, 0, None), None),
        (link("http://h.test/a", depth=2), None),
        (link("http://h.test/a", depth=3), DEPTH_RULE),
        (link("http://other.test/a", depth=3), "scope:host"),  # depth is asked last
        (link(TRAP, depth=3), "trap:repeated_segments"),
        (link("http://h.test/a", Via.REDIRECT, 1, "http://h.test/b", hops=3), None),
        (link("http://h.test/a", Via.REDIRECT, 1, "http://h.test/b", hops=4), "redirects"),
        (link("http://h.test/a", Via.REDIRECT, 3, "http://h.test/b", hops=4), "redirects"),
        (link("http://other.test/a", Via.REDIRECT, 1, "http://h.test/b", hops=1), "scope:host"),
        (link("http://other.test/a", Via.REDIRECT, 0, "http://h.test/not-a-seed", hops=1), "scope:host"),
        (link("http://other.test/a", Via.LINK, 0, SEED), "scope:host"),
        (link("http://other.test/s.xml", Via.ROBOTS, 0, "http://h.test/robots.txt", kind=Kind.SITEMAP), None),
        (link("http://other.test/t.xml", Via.SITEMAP, 1, "http://other.test/s.xml", kind=Kind.SITEMAP), None),
        (link("http://third.test/t.xml", Via.SITEMAP, 1, "http://other.test/s.xml", kind=Kind.SITEMAP), "scope:host"),
        (link("http://other.test/page", Via.SITEMAP, 1, "http://other.test/s.xml"), "scope:host"),
        (link("http://h.test/page", Via.SITEMAP, 1, "http://other.test/s.xml"), None),
        (link("http://h.test/t.xml", Via.SITEMAP, 5, "http://h.test/s.xml", kind=Kind.SITEMAP), None),  # deeper than pages may be
        (link("http://h.test/t.xml", Via.SITEMAP, 6, "http://h.test/s.xml", kind=Kind.SITEMAP), "trap:sitemap_nesting"),
    ],
)
def test_admit(found: Link, refused: str | None) -> None:
    assert door().admit(found) == refused


def test_no_depth_limit_and_no_traps() -> None:
    assert door(depth=None).admit(link("http://h.test/a", depth=1_000)) is None
    assert door(traps=False).admit(link(TRAP)) is None


def test_depth_zero_is_the_seeds_alone() -> None:
    assert door(depth=0).admit(link(SEED, Via.SEED, 0, None)) is None
    assert door(depth=0).admit(link("http://h.test/a")) == DEPTH_RULE


def test_a_redirected_seed_takes_the_scope_along_hop_by_hop() -> None:
    entrance = door()
    assert entrance.admit(link("https://www.h.test/", Via.REDIRECT, 0, SEED, hops=1)) is None
    assert entrance.admit(link("https://en.h.test/x", Via.REDIRECT, 0, "https://www.h.test/", hops=2)) is None
    assert entrance.admit(link("https://en.h.test/y", referrer="https://en.h.test/x")) is None
    assert entrance.admit(link("https://www.h.test/y", referrer="https://en.h.test/x")) is None
    assert entrance.admit(link("https://de.h.test/y", referrer="https://en.h.test/x")) == "scope:host"


def test_excluded_redirects_of_seeds_stay_out_and_extend_nothing() -> None:
    entrance = door(exclude=["login"])
    assert entrance.admit(link("http://login.test/", Via.REDIRECT, 0, SEED, hops=1)) == "exclude:login"
    assert entrance.admit(link("http://login.test/x")) == "scope:host"


def test_seeds_and_their_redirects_need_no_include() -> None:
    entrance = door(include=["/docs/"])
    assert entrance.admit(link(SEED, Via.SEED, 0, None)) is None
    assert entrance.admit(link("http://h.test/home", Via.REDIRECT, 0, SEED, hops=1)) is None
    assert entrance.admit(link("http://h.test/about")) == "include"


def test_an_endless_redirect_of_a_seed_ends() -> None:
    entrance = door(max_redirects=2)
    assert entrance.admit(link("http://h.test/3", Via.REDIRECT, 0, SEED, hops=3)) == "redirects"


def test_explain_lists_the_rules_in_order_and_changes_nothing() -> None:
    entrance = door(exclude=["x$"], include=["/d"])
    asked = link("http://h.test/d/1", Via.LINK, 3)
    assert entrance.explain(asked) == [("scope:host", True), ("exclude:x$", True), ("include", True), ("trap", True), (DEPTH_RULE, False)]
    assert entrance.explain(link("http://h.test/x")) == [("scope:host", True), ("exclude:x$", False)]
    entrance.explain(link("http://www.h.test/", Via.REDIRECT, 0, SEED, hops=1))
    assert entrance.admit(link("http://www.h.test/d")) == "scope:host"


def requisite(url: str, via: Via = Via.REQUISITE, **known: int) -> Link:
    return link(url, via, kind=Kind.REQUISITE, **known)


@pytest.mark.parametrize(
    ("found", "refused"),
    [
        (requisite("http://h.test/a.css"), None),
        (requisite("http://other.test/a.css"), None),  # from any host
        (requisite("http://other.test/a.css", depth=9), None),  # at any depth
        (requisite(TRAP), None),
        (requisite("http://other.test/no/a.css"), "exclude:/no/"),
        (requisite("http://third.test/a.css", Via.REDIRECT, hops=3), None),
        (requisite("http://third.test/a.css", Via.REDIRECT, hops=4), "redirects"),
        (requisite("http://h.test/3.css", hops=3), None),  # imported by a sheet that a sheet imports
        (requisite("http://h.test/4.css", hops=4), "trap:imports"),
        (link("http://other.test/page"), "scope:host"),  # pages are judged as ever
    ],
)
def test_what_a_page_needs_to_be_shown(found: Link, refused: str | None) -> None:
    settings = ScopeSettings(exclude=["/no/"])
    admitting = Door(Scope([SEED], settings), depth=2, max_redirects=3, requisites=True)
    assert admitting.admit(found) == refused
    assert admitting.explain(found)[0][0] == ("requisites" if found.kind is Kind.REQUISITE else "scope:host")


def test_requisites_are_refused_unless_wanted() -> None:
    assert door().admit(requisite("http://h.test/a.css")) == "requisites"


def test_a_requisite_that_redirects_never_extends_the_scope() -> None:
    admitting = Door(Scope([SEED], ScopeSettings()), depth=2, max_redirects=3, requisites=True)
    assert admitting.admit(Link("http://cdn.test/a.css", Via.REDIRECT, 0, SEED, 1, Kind.REQUISITE)) is None
    assert admitting.extensions == 0
    assert admitting.admit(link("http://cdn.test/page")) == "scope:host"


def test_the_setting_reaches_the_door() -> None:
    settings = Settings(scope=ScopeSettings(requisites=True))
    assert make_door([SEED], settings).admit(requisite("http://cdn.test/a.css")) is None
