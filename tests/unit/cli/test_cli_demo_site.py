from __future__ import annotations

from crawler.cli.demo_site import answers, expected


def test_every_answer_of_the_site_has_an_expected_end() -> None:
    assert set(answers("http://127.0.0.1:1")) - set(expected()) == {"/robots.txt"}


def test_the_site_has_what_it_is_for() -> None:
    ends = set(expected().values())
    for end in (("fetched", None), ("redirected", None), ("denied", "robots"), ("failed", "http_error"), ("refused", "nofollow")):
        assert end in ends
    assert 60 <= sum(end == ("fetched", None) for end in expected().values()) <= 90


def test_the_sitemap_and_robots_name_the_site_where_it_is_served() -> None:
    site = answers("http://127.0.0.1:8000")
    assert b"Sitemap: http://127.0.0.1:8000/sitemap.xml" in site["/robots.txt"].body
    assert b"<loc>http://127.0.0.1:8000/hidden/1.html</loc>" in site["/sitemap.xml"].body
