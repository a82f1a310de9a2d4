from __future__ import annotations

import pytest

from crawler.config import ScopeSettings
from crawler.model import Link, Via
from crawler.policy.admit import SESSION_RULE, Door
from crawler.policy.scope import Scope
from crawler.policy.sessions import without_session
from crawler.url import canonicalise

MD5 = "0123456789abcdef" * 2
SITE = "http://h.test"


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/a;jsessionid=1A2B3C", "/a"),
        ("/a;JSESSIONID=1A2B3C.node1?b=1", "/a?b=1"),
        ("/a;jsessionid=1/b", "/a/b"),
        (f"/a?PHPSESSID={MD5}", "/a"),
        (f"/a?b=1&PHPSESSID={MD5}&c=2", "/a?b=1&c=2"),
        (f"/a?b=1&phpsessid={MD5[:26]}", "/a?b=1"),
        (f"/viewtopic.php?t=5&sid={MD5}", "/viewtopic.php?t=5"),
        (f"/forum/?s={MD5}&f=1", "/forum/?f=1"),
        (f"/shop.php?osCsid={MD5}", "/shop.php"),
        (f"/shop.php?zenid={MD5[:26]}&p=1", "/shop.php?p=1"),
        ("/a.cfm?CFID=123&CFTOKEN=456abc", "/a.cfm"),
        ("/a.cfm?p=1&CFID=123&CFTOKEN=456abc&q=2", "/a.cfm?p=1&q=2"),
        ("/a.asp?ASPSESSIONIDQABCDRST=ABCDEFGHIJKLMNOPQRSTUVWX", "/a.asp"),
        ("/(S(lit3py55t21z5v55vlm25s55))/orders.aspx", "/orders.aspx"),
        ("/app/(A(0123456789abcdefghijklmn)S(lit3py55t21z5v55vlm25s55))/x.aspx?y=1", "/app/x.aspx?y=1"),
        (f"/a;jsessionid=1?sid={MD5}&jsessionid=2", "/a"),
    ],
)
def test_session_ids_come_off(path: str, plain: str) -> None:
    assert without_session(SITE + path) == SITE + plain
    assert canonicalise(SITE + plain) == SITE + plain


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/modules.php?name=News&sid=15",
        "/article.pl?sid=07/05/17/1234567",
        "/?s=crawler",
        "/talks?session_id=42",
        "/talks?session_id=2f1b7a34-91d0-4a6f-9f6c-3d1f0b6a7c11",
        "/a?cfid=12",
        "/wiki/Foo_(bar)",
        "/wiki/S_(S(1))",
        "/matrix;lang=de/page",
        "/a?utm=1&usid=5",
        f"/commit?id={MD5}",
        f"/file?class={MD5}",
        "/a?&b=1&",
    ],
)
def test_what_looks_like_one_stays(path: str) -> None:
    assert without_session(SITE + path) == SITE + path


def test_the_door_refuses_session_ids_of_links_and_leaves_them_to_redirects_and_seeds() -> None:
    door = Door(Scope([f"{SITE}/"], ScopeSettings()), depth=None, max_redirects=3)
    url, away = f"{SITE}/a;jsessionid=1", "http://other.test/a;jsessionid=1"
    rules = {via: door.admit(Link(url, via, 1, f"{SITE}/")) for via in (Via.LINK, Via.CANONICAL, Via.SITEMAP)}
    assert set(rules.values()) == {SESSION_RULE}
    assert door.admit(Link(url, Via.REDIRECT, 1, f"{SITE}/", hops=1)) is None
    assert door.admit(Link(url, Via.SEED, 0)) is None
    assert door.admit(Link(away, Via.LINK, 1, f"{SITE}/")) == SESSION_RULE, "asked before the scope, which judges the URL without it"
    assert door.explain(Link(url, Via.LINK, 1, f"{SITE}/")) == [(SESSION_RULE, False)]
    open_door = Door(Scope([f"{SITE}/"], ScopeSettings()), depth=None, max_redirects=3, traps=False)
    assert open_door.admit(Link(url, Via.LINK, 1, f"{SITE}/")) is None
