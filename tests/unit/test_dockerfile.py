"""The image's promises, read from the Dockerfile's statements."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def stages() -> list[list[tuple[str, str]]]:
    """Return the instructions of each stage, continued lines joined."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    found: list[list[tuple[str, str]]] = []
    for line in filter(str.strip, lines):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        found[-1].append((word, " ".join(rest.split())))
    return found


def values(stage: list[tuple[str, str]], word: str) -> list[str]:
    return [rest for found, rest in stage if found == word]


def test_the_last_stage_only_copies_what_the_first_built() -> None:
    builder, runtime = stages()
    assert values(builder, "FROM") == ["python:3.13-slim-bookworm AS builder"]
    assert values(runtime, "FROM") == ["python:3.13-slim-bookworm"]
    assert all(copied.startswith("--from=builder ") for copied in values(runtime, "COPY"))
    assert not any("pip" in command for command in values(runtime, "RUN"))


def test_it_runs_as_a_numeric_user_that_is_not_root() -> None:
    words = [word for word, _ in stages()[-1]]
    (user,) = values(stages()[-1], "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert words.index("USER") > max(index for index, word in enumerate(words) if word == "RUN")


def test_data_entry_point_and_signal() -> None:
    runtime = stages()[-1]
    assert values(runtime, "VOLUME") == ["/data"]
    assert values(runtime, "WORKDIR") == ["/data"]
    assert values(runtime, "STOPSIGNAL") == ["SIGTERM"]
    assert json.loads(values(runtime, "ENTRYPOINT")[0]) == ["crawl"]
    assert "org.opencontainers.image.licenses" in values(runtime, "LABEL")[0]


def test_everything_copied_exists_and_is_let_through() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [source for copy in values(stages()[0], "COPY") for source in copy.split()[:-1]]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert source in allowed
