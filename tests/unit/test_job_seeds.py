"""What is said of a crawl that is asked for other seeds."""

from __future__ import annotations

import pytest

from crawler.config import Settings
from crawler.job import differences, make_job


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (["a"], ["b"], "seeds: http://a/ then, http://b/ now"),
        (list("abcd"), list("abcde"), "seeds: 4 then, 5 now, http://e/ is new"),
        (list("abcd"), list("abc"), "seeds: 4 then, 3 now, http://d/ is missing"),
        (list("abcd"), list("abce"), "seeds: 4 then, 4 now, http://e/ is new and http://d/ is missing"),
        (list("abcd"), list("abdc"), "seeds: 4 then, 4 now, in another order"),
        (list("abcd"), list("abcd"), None),
    ],
)
def test_the_seeds_that_differ_are_named(before: list[str], now: list[str], said: str | None) -> None:
    jobs = [make_job([f"http://{name}/" for name in names], Settings()) for names in (before, now)]
    assert differences(*jobs) == ([said] if said else [])
