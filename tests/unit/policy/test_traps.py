from __future__ import annotations

from pathlib import Path

import pytest

from crawler.policy.traps import refusal

REPEATED, DEPTH, QUERY = "trap:repeated_segments", "trap:path_depth", "trap:query_parameters"


@pytest.mark.parametrize(
    ("path", "trap"),
    [
        ("/", None),
        ("/a/a/a", None),
        ("/a/a/a/a", REPEATED),
        ("/a/a/a/a/", REPEATED),
        ("/x/y/a/a/a/a/index.html", REPEATED),
        ("/a/b/a/b", None),
        ("/a/b/a/b/a/b", REPEATED),
        ("/start/a/b/a/b/a/b/end", REPEATED),
        ("/a/b/c/a/b/c", None),
        ("/a/b/c/a/b/c/a/b/c", REPEATED),
        ("/a/1/a/2/a/3/a/4", REPEATED),  # a counter between the repeats
        ("/a/x/a/y/a/z/a/v/a", None),
        ("/a/x/a/y/a/z/a/v/a/w/a", REPEATED),  # six in all
        ("/0/0/0/0/0/0", None),  # tiles, sharded numbers
        ("/000/000/000/000/012/scan.png", None),
        ("/2024/01/01/01/a", None),
        ("/a//b//c//d", None),
        ("/" + "/".join(f"d{n}" for n in range(30)), None),
        ("/" + "/".join(f"d{n}" for n in range(31)), DEPTH),
        ("/" + "/".join("1" * 31), DEPTH),
        ("/p?" + "&".join(f"a{n}=1" for n in range(50)), None),
        ("/p?" + "&".join(f"a{n}=1" for n in range(51)), QUERY),
        ("/p" + "&" * 60, None),  # not in the query
        ("/p?next=/a/a/a/a/a", None),  # slashes in the query are no path
    ],
)
def test_shapes(path: str, trap: str | None) -> None:
    assert refusal(f"http://h.test{path}") == trap


@pytest.mark.parametrize(
    "path",
    [
        "/usr/share/doc/rust-doc/html/core/core_arch/x86_64/fn._mm_add_epi8.html",
        "/rust/std/src/core/str/pattern.rs.html",
        "/src/core/core/core_arch/core.rs.html",
        "/library/test/test/support/test/data.html",
        "/docs/en/docs/api/v1/docs",
        "/2024/11/22/2024-11-22",
        "/a/tree/main/src/main/java/org/example/main/java",
    ],
)
def test_real_paths_pass(path: str) -> None:
    assert refusal(f"http://h.test{path}") is None


def test_a_url_of_the_greatest_length_is_cheap() -> None:
    assert refusal("http://h.test" + "/a/b" * 500) == DEPTH


@pytest.mark.real_site
@pytest.mark.parametrize("package", ["rust-doc", "python3.11-doc", "postgresql-doc-15"])
def test_no_path_of_real_documentation_is_a_trap(package: str) -> None:
    listing = Path(f"/var/lib/dpkg/info/{package}.list")
    if not listing.exists():
        pytest.skip(f"{package} is not installed")
    paths = listing.read_text().splitlines()
    assert len(paths) > 500
    assert [path for path in paths if refusal(f"http://h.test{path}")] == []
