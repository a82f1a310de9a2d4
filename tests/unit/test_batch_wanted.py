"""What a line of a list asks for: a URL, or a URL with validators."""

from __future__ import annotations

import pytest

from crawler.batch import Wanted
from crawler.batch.page import wanted_of
from crawler.model import Conditional

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("https://a.org/", Wanted("https://a.org/")),
        (Wanted("a.org", '"x"'), Wanted("a.org", '"x"')),
        ('{"url": "https://a.org/"}', Wanted("https://a.org/")),
        ('  {"url": "a.org", "etag": "W/\\"x\\"", "last_modified": null}', Wanted("a.org", 'W/"x"')),
        (f'{{"url": "a.org", "last_modified": "{DATE}"}}', Wanted("a.org", None, DATE)),
    ],
)
def test_lines(given: str | Wanted, wanted: Wanted) -> None:
    assert wanted_of(given) == wanted


def test_a_request_without_validators_is_unconditional() -> None:
    assert Wanted("a.org").conditional is None
    assert Wanted("a.org", '"x"').conditional == Conditional('"x"', None)
    assert Wanted("a.org", None, DATE).conditional == Conditional(None, DATE)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("{", "not a request: "),
        ("{}", "missing required field `url`"),
        ('{"url": 1}', "Expected `str`"),
        ('{"url": "a.org", "Etag": "x"}', "unknown field `Etag`; its fields are url, etag and last_modified"),
        ('{"url": "a.org", "etag": "x"}', "etag: not an entity tag"),
        ('{"url": "a.org", "last_modified": "then"}', "last_modified: not a date"),
        ('{"url": "\udcff"}', "not a request: "),
        (Wanted("a.org", 'x"\r\nX: y'), "etag: not an entity tag"),
    ],
)
def test_what_is_no_request_says_why(given: str | Wanted, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        wanted_of(given)
    assert complaint in str(caught.value)
