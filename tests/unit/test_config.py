from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from crawler.config import DEFAULTS, SECTIONS, Settings, config_file_from, defaults, environment_name, load
from crawler.errors import Exit, InvalidConfig

DEFAULT_FILE = Path(__file__).resolve().parents[2] / "config" / "default.toml"


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "crawl.toml"
    file.write_text(text)
    return file


def mistakes(**layers: object) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        load(**layers)
    assert caught.value.exit_code is Exit.INVALID
    return str(caught.value).splitlines()


# The file of defaults


def test_default_file_says_what_the_code_says() -> None:
    document = tomllib.loads(DEFAULT_FILE.read_text())
    assert msgspec.convert(document, Settings) == DEFAULTS
    assert document == {section: {key: v for key, v in keys.items() if v is not None} for section, keys in defaults().items()}


def test_default_file_has_every_setting_once_in_order_with_one_comment() -> None:
    found, section, comment = [], "", ""
    body = DEFAULT_FILE.read_text()
    for line in body[body.index("[scope]") :].splitlines():
        header = re.fullmatch(r"\[(\w+)\]", line)
        setting = re.fullmatch(r"(# )?(\w+) = (.+)", line)
        if header:
            section = header[1]
        elif setting:
            unset = getattr(getattr(DEFAULTS, section), setting[2]) is None
            assert unset == bool(setting[1]), f"{line}: commented out if and only if it has no default"
            if unset:  # the example must be one that works
                load(flags={f"{section}.{setting[2]}": tomllib.loads(f"x = {setting[3]}")["x"]})
                assert "Unset:" in comment
            assert comment, f"{line}: no comment"
            found.append(f"{section}.{setting[2]}")
        else:
            assert not (line and comment), f"{line}: second comment"
        comment = line if line.startswith("# ") and not setting else ""
    assert found == [f"{section}.{key}" for section, keys in defaults().items() for key in keys]


def test_default_file_loads_as_a_configuration() -> None:
    assert load(file=DEFAULT_FILE).settings == DEFAULTS


# Precedence


def test_defaults_alone() -> None:
    loaded = load()
    assert loaded.settings == DEFAULTS
    assert set(loaded.origins.values()) == {"default"}
    assert len(loaded.origins) == sum(len(keys) for keys in defaults().values())


def test_the_later_layer_wins_and_is_named(tmp_path: Path) -> None:
    file = written(tmp_path, "[fetch]\nconcurrency = 1\ntimeout = 2\nretries = 3\n")
    environment = {"CRAWL_FETCH__CONCURRENCY": "4", "CRAWL_FETCH__TIMEOUT": "5.5", "PATH": "/bin", "CRAWL_CONFIG": "x"}
    loaded = load(file=file, environment=environment, flags={"fetch.concurrency": 6})
    fetch = loaded.settings.fetch
    assert (fetch.concurrency, fetch.timeout, fetch.retries, fetch.max_redirects) == (6, 5.5, 3, 10)
    origins = [loaded.origins[f"fetch.{key}"] for key in ("concurrency", "timeout", "retries", "max_redirects")]
    assert origins == ["option --concurrency", "environment CRAWL_FETCH__TIMEOUT", f"{file}: fetch.retries", "default"]


@pytest.mark.parametrize(
    ("dotted", "text", "value"),
    [
        ("scope.scope", "domain", "domain"),
        ("scope.include", '["/a", "/b"]', ["/a", "/b"]),
        ("scope.depth", "3", 3),
        ("scope.max_time", "1.5", 1.5),
        ("scope.sitemaps", "false", False),
        ("politeness.user_agent", "12", "12"),
        ("politeness.delay", "0", 0.0),
        ("fetch.headers", '{Accept-Language = "de"}', {"Accept-Language": "de"}),
    ],
)
def test_environment_values(dotted: str, text: str, value: object) -> None:
    loaded = load(environment={environment_name(dotted): text})
    section, _, key = dotted.partition(".")
    assert getattr(getattr(loaded.settings, section), key) == value


# Mistakes


def test_every_mistake_is_named_with_place_and_remedy(tmp_path: Path) -> None:
    file = written(tmp_path, "[fetch]\nconcurency = 1\ntimeout = -1\n[fetsh]\n[parse]\nworkers = 'two'\n")
    found = mistakes(file=file, environment={"CRAWL_SCOPE__DEPTHS": "1"}, flags={"fetch.concurrency": 0})
    assert [line.replace(str(file), "F") for line in found] == [
        "F: [fetsh]: unknown section; did you mean [fetch]?",
        "F: fetch.concurency: unknown setting; did you mean fetch.concurrency?",
        "F: fetch.timeout: Expected `float` > 0.0",
        "F: parse.workers: Expected `int`, got `str`",
        "environment CRAWL_SCOPE__DEPTHS: unknown setting; did you mean scope.depth?",
        "option --concurrency: Expected `int` >= 1",
    ]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"scope.scope": "hosts"}, "option --scope: "),
        ({"scope.include": ["a", 1]}, "option --include: "),
        ({"politeness.user_agent": "a\nb"}, "option --user-agent: "),
        ({"politeness.user_agent": ""}, "option --user-agent: "),
        ({"fetch.timeout": 0}, "option --timeout: "),
        ({"fetch.timeout": float("nan")}, "option --timeout: "),
        ({"fetch.timeout": float("inf")}, "option --timeout: "),
        ({"politeness.delay": float("nan")}, "option --delay: "),
        ({"scope.max_pages": 10**18}, "option --max-pages: "),
        ({"scope.max_pages": 10**30}, "option --max-pages: "),
        ({"fetch.retries": True}, "option --retries: "),
        ({"scope.depth": -1}, "option --depth: "),
    ],
)
def test_wrong_values(flags: dict[str, object], expected: str) -> None:
    (line,) = mistakes(flags=flags)
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("fetch = 1\n", "fetch: must be a section"), ("[fetch\n", "not TOML"), ("[fetch]\ntimeout = 1\ntimeout = 2\n", "not TOML")],
)
def test_wrong_files(tmp_path: Path, text: str, expected: str) -> None:
    (line,) = mistakes(file=written(tmp_path, text))
    assert expected in line


def test_unreadable_files(tmp_path: Path) -> None:
    assert "cannot be read" in mistakes(file=tmp_path / "none.toml")[0]
    assert "cannot be read" in mistakes(file=tmp_path)[0]
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b"# caf\xe9\n")
    assert "cannot be read" in mistakes(file=latin)[0]


def test_config_file_from(tmp_path: Path) -> None:
    own = tmp_path / ".config" / "crawl" / "config.toml"
    assert config_file_from({"HOME": str(tmp_path)}) is None
    own.parent.mkdir(parents=True)
    own.write_text("")
    assert config_file_from({"HOME": str(tmp_path)}) == own
    assert config_file_from({"HOME": "/nowhere", "XDG_CONFIG_HOME": str(tmp_path / ".config")}) == own
    assert config_file_from({"HOME": str(tmp_path), "CRAWL_CONFIG": "/named.toml"}) == Path("/named.toml")


def test_sections() -> None:
    assert SECTIONS == ("scope", "politeness", "fetch", "parse", "store", "service")
