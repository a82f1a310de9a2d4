from __future__ import annotations

import msgspec
import pytest

from crawler.config import ScopeSettings, Settings, load
from crawler.errors import Exit, UsageError
from crawler.job import SAME_JOB, Job, canonical_seed, differences, make_job


@pytest.mark.parametrize(
    ("seed", "canonical"),
    [
        ("https://example.com/", "https://example.com/"),
        ("http://example.com", "http://example.com/"),
        ("HTTP://Example.COM:80/a#b", "http://example.com/a"),
        ("  https://example.com/ \n", "https://example.com/"),
        ("example.com", "https://example.com/"),
        ("example.com/docs/", "https://example.com/docs/"),
        ("example.com:8080", "https://example.com:8080/"),
        ("localhost:8000/a?b", "https://localhost:8000/a?b"),
        ("127.0.0.1:8000?q", "https://127.0.0.1:8000/?q"),
        ("//example.com/a", "https://example.com/a"),
        ("[::1]:8000/", "https://[::1]:8000/"),
        ("bücher.example", "https://xn--bcher-kva.example/"),
        ("https://user:secret@example.com/", "https://example.com/"),
        ("user@example.com", "https://example.com/"),
        ("example.com/a:b", "https://example.com/a:b"),
    ],
)
def test_canonical_seed(seed: str, canonical: str) -> None:
    assert canonical_seed(seed) == canonical


@pytest.mark.parametrize(
    "seed", ["", "  ", "https://", "http://[::1", "https://a b/", "http://h:99999/", "https:///", "/etc/passwd", "///a/b", "./a", "../a"]
)
def test_no_url(seed: str) -> None:
    with pytest.raises(UsageError, match="not a URL; write it like https://") as caught:
        canonical_seed(seed)
    assert caught.value.exit_code is Exit.USAGE


@pytest.mark.parametrize(
    "seed", ["ftp://example.com/", "file:///etc/passwd", "javascript:alert(1)", "mailto:a@example.com", "data:text/html,x"]
)
def test_other_schemes(seed: str) -> None:
    with pytest.raises(UsageError, match="cannot be crawled; URLs begin with http"):
        canonical_seed(seed)


@pytest.mark.parametrize(
    "seed", ["https://user:secret@[bad/", "https://user:secret/x@h/", "ftp://user:secret@h/", "user:secret@example.com"]
)
def test_messages_never_show_a_password(seed: str) -> None:
    with pytest.raises(UsageError) as caught:
        canonical_seed(seed)
    assert "secret" not in str(caught.value)
    assert "user" in str(caught.value)


def test_seeds_are_kept_in_order_each_once() -> None:
    job = make_job(["b.test", "http://a.test", "https://b.test/#x"], Settings())
    assert job.seeds == ["https://b.test/", "http://a.test/"]


def test_no_seeds() -> None:
    with pytest.raises(UsageError, match="no URL given"):
        make_job([], Settings())


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_patterns_must_compile(option: str) -> None:
    settings = Settings(scope=ScopeSettings(**{option: ["fine", "(open"]}))
    with pytest.raises(UsageError, match=rf"--{option} '\(open': not a regular expression: missing \), .* at position 0"):
        make_job(["http://h.test/"], settings)


def test_a_job_survives_storage() -> None:
    job = make_job(["http://h.test/"], load(flags={"scope.depth": 3, "fetch.headers": {"A": "b"}}).settings)
    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job


CHANGED = {
    "scope.scope": "any",
    "scope.include": ["/a"],
    "scope.exclude": ["/a"],
    "scope.depth": 3,
    "scope.sitemaps": False,
    "scope.traps": False,
    "scope.requisites": True,
    "scope.probe_external": True,
    "scope.near_duplicates": "skip",
    "politeness.robots": False,
    "politeness.nofollow": False,
    "store.text": "markdown",
    "store.archive": True,
}


@pytest.mark.parametrize("dotted", SAME_JOB)
def test_differences_name_the_setting(dotted: str) -> None:
    before, now = make_job(["http://h.test/"], Settings()), make_job(["http://h.test/"], load(flags={dotted: CHANGED[dotted]}).settings)
    (difference,) = differences(before, now)
    assert difference.startswith(f"{dotted.partition('.')[2]}: ")
    assert difference.endswith(f"{CHANGED[dotted]!r} now")


def test_differences() -> None:
    before = make_job(["http://h.test/"], Settings())
    assert differences(before, before) == []
    assert differences(before, make_job(["http://h.test/"], load(flags={"fetch.concurrency": 1}).settings)) == []
    assert differences(before, make_job(["http://i.test/"], Settings())) == ["seeds: http://h.test/ then, http://i.test/ now"]
