"""Which proxy a URL goes through, and what settings are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from crawler.config import FetchSettings
from crawler.errors import UsageError
from crawler.fetch.endpoint import target_of
from crawler.fetch.proxy import DirectHosts, Proxies, Proxy, parse_proxy, read_proxies

HTTP = Proxy("http", "proxy.example", 3128)
SOCKS = Proxy("socks5", "127.0.0.1", 1080)


def read(environment: dict[str, str] | None = None, **settings: Any) -> Proxies:
    return read_proxies(FetchSettings(**settings), environment or {})


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example:3128", HTTP),
        ("http://Proxy.Example:3128/", HTTP),
        ("socks5://127.0.0.1", SOCKS),
        ("socks5h://127.0.0.1:1080", SOCKS),
        ("HTTP://[::1]:8080", Proxy("http", "[::1]", 8080)),
        ("http://ann@b_c.example:1", Proxy("http", "b_c.example", 1, "ann")),
        ("http://a%40b:p%3Aw@h.example:80", Proxy("http", "h.example", 80, "a@b", "p:w")),
        ("http://bücher.example:80", Proxy("http", "xn--bcher-kva.example", 80)),
    ],
)
def test_proxies_are_read(text: str, proxy: Proxy) -> None:
    assert parse_proxy(text, "here") == proxy


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "kind"),
        ("proxy.example:3128", "kind"),
        ("https://proxy.example:3128", "kind"),
        ("socks4://proxy.example:1080", "kind"),
        ("http://proxy.example", "port is missing"),
        ("http://proxy.example:0", "port is missing"),
        ("http://proxy.example:70000", "no such port"),
        ("http://proxy.example:x", "no such port"),
        ("http://:3128", "a host and a port"),
        ("http://pro xy:3128", "a host and a port"),
        ("http://proxy.example:3128/path", "nothing else"),
        ("http://proxy.example:3128?x", "nothing else"),
    ],
)
def test_what_is_no_proxy(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as error:
        read(proxies={"all": text})
    assert str(error.value).startswith("fetch.proxies (--proxy): ")
    assert "write it like" in str(error.value)


def test_each_scheme_has_its_proxy_and_all_stands_for_the_rest() -> None:
    assert not read()
    only = read(proxies={"https": "http://proxy.example:3128"})
    assert [only.for_url(url) for url in ("http://a.test/", "https://a.test/")] == [None, HTTP]
    both = read(proxies={"http": "http://proxy.example:3128", "all": "socks5://127.0.0.1:1080"})
    assert [both.for_url(url) for url in ("http://a.test/", "https://a.test/")] == [HTTP, SOCKS]


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(UsageError, match="'ftp' is no scheme"):
        read(proxies={"ftp": "http://proxy.example:3128"})


# The password


def test_a_written_password_is_refused_and_not_told() -> None:
    for text in ("http://ann:hunter2@proxy.example:3128", "http://ann:hunter2/x@proxy.example:3128", "ann:hunter2@proxy.example:3128"):
        with pytest.raises(UsageError, match="proxies") as error:
            read(proxies={"all": text})
        assert "hunter2" not in str(error.value)
    with pytest.raises(UsageError, match=r"env:NAME or file:PATH"):
        read(proxies={"all": "http://ann:hunter2@proxy.example:3128"})


def test_the_password_is_that_of_every_user(tmp_path: Path) -> None:
    (tmp_path / "word").write_text("hunter2\n", encoding="utf-8")
    proxies = {"http": "http://ann@proxy.example:3128", "https": "socks5://127.0.0.1:1080"}
    for reference in ("env:WORD", f"file:{tmp_path / 'word'}"):
        found = read({"WORD": "hunter2"}, proxies=proxies, proxy_password=reference)
        assert found.for_url("http://a.test/") == Proxy("http", "proxy.example", 3128, "ann", "hunter2")
        assert found.for_url("https://a.test/") == SOCKS
    assert not read(proxy_password="env:NOT_EVEN_SET")


@pytest.mark.parametrize(
    ("proxy", "reference", "complaint"),
    [
        ("http://proxy.example:3128", "env:WORD", "no proxy has a user"),
        ("http://ann@proxy.example:3128", "env:NONE", "variable NONE is not set"),
        ("http://ann@proxy.example:3128", "hunter2", "named, not written"),
        ("http://a%3Ab@proxy.example:3128", "env:WORD", "no colon"),
        ("http://a%0Ab@proxy.example:3128", "env:WORD", "no control characters"),
        ("socks5://ann@proxy.example:3128", None, "needs a password"),
        ("socks5://" + "n" * 256 + "@proxy.example:3128", "env:WORD", "255 bytes"),
    ],
)
def test_credentials_that_cannot_be(proxy: str, reference: str | None, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint) as error:
        read({"WORD": "hunter2"}, proxies={"all": proxy}, proxy_password=reference)
    assert "hunter2" not in str(error.value)


def test_a_password_is_in_the_header_and_not_in_what_is_shown() -> None:
    proxy = Proxy("http", "proxy.example", 3128, "Aladdin", "open sesame")  # RFC 7617's example
    assert proxy.authorization() == b"Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"
    assert (repr(proxy), str(proxy)) == ("http://proxy.example:3128",) * 2
    assert HTTP.authorization() == b""
    assert Proxy("http", "h", 1, "ann").authorization() == b"Proxy-Authorization: Basic YW5uOg==\r\n"


# The environment


def test_the_environment_counts_only_where_it_is_asked_for() -> None:
    environment = {"http_proxy": "http://proxy.example:3128", "https_proxy": "socks5://127.0.0.1:1080"}
    assert not read(environment)
    assert read(environment, proxies={"https": "env"}).for_url("http://a.test/") is None
    asked = read(environment, proxies={"all": "env"})
    assert [asked.for_url(url) for url in ("http://a.test/", "https://a.test/")] == [HTTP, SOCKS]


@pytest.mark.parametrize(
    ("environment", "http", "https"),
    [
        ({}, None, None),
        ({"HTTP_PROXY": "http://proxy.example:3128"}, None, None),  # a server of CGI programs sets it from a request's field
        ({"HTTPS_PROXY": "http://proxy.example:3128"}, None, HTTP),
        ({"ALL_PROXY": "http://proxy.example:3128"}, HTTP, HTTP),
        ({"all_proxy": "http://proxy.example:3128", "https_proxy": "socks5h://127.0.0.1"}, HTTP, SOCKS),
        ({"http_proxy": "proxy.example:3128", "https_proxy": " "}, HTTP, None),
        ({"all_proxy": "http://ann:w%20rd@h.test:1"}, *(Proxy("http", "h.test", 1, "ann", "w rd"),) * 2),
    ],
)
def test_the_environments_variables(environment: dict[str, str], http: Proxy | None, https: Proxy | None) -> None:
    proxies = read(environment, proxies={"all": "env"})
    assert [proxies.for_url(url) for url in ("http://a.test/", "https://a.test/")] == [http, https]


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_the_environments_direct_hosts_join_the_settings(variable: str) -> None:
    environment = {"all_proxy": "http://proxy.example:3128", variable: "b.test, .c.test"}
    proxies = read(environment, proxies={"all": "env"}, no_proxy=["a.test"])
    assert [proxies.for_url(f"http://{host}/") for host in ("a.test", "b.test", "x.c.test", "d.test")] == [None, None, None, HTTP]
    assert read(environment, proxies={"all": "http://proxy.example:3128"}).for_url("http://b.test/") == HTTP


def test_a_wrong_variable_is_named_without_its_password() -> None:
    with pytest.raises(UsageError, match="variable https_proxy") as error:
        read({"https_proxy": "https://ann:hunter2@proxy.example:3128"}, proxies={"all": "env"})
    assert "hunter2" not in str(error.value)


# Hosts that are reached directly


@pytest.mark.parametrize(
    ("entry", "direct", "proxied"),
    [
        ("a.test", ["http://a.test/", "https://x.a.test:8443/"], ["http://ba.test/", "http://a.test.example/", "http://test/"]),
        (".a.test", ["http://a.test/", "http://x.a.test/"], ["http://ba.test/"]),
        ("*.A.test", ["http://x.a.test/"], ["http://b.test/"]),
        ("a.test:8080", ["http://a.test:8080/", "http://x.a.test:8080/"], ["http://a.test/", "https://a.test/"]),
        ("a.test:80", ["http://a.test/"], ["https://a.test/", "http://a.test:81/"]),
        ("localhost", ["http://localhost:8000/"], ["http://127.0.0.1:8000/"]),
        ("10.0.0.0/8", ["http://10.1.2.3/"], ["http://11.0.0.1/", "http://a10.1.2.3.test/", "http://[::ffff:a01:203]/"]),
        ("10.1.2.3/8", ["http://10.4.5.6/"], ["http://11.0.0.1/"]),
        ("10.1.2.3", ["http://10.1.2.3/"], ["http://10.1.2.4/", "http://1.10.1.2/"]),
        ("fd00::/8", ["http://[fd12::1]/"], ["http://[fe80::1]/", "http://10.1.2.3/"]),
        ("::1", ["http://[::1]/", "http://[::1]:81/"], ["http://[::2]/"]),
        ("[::1]:81", ["http://[::1]:81/"], ["http://[::1]/"]),
        ("*", ["http://a.test/", "http://10.1.2.3/", "https://[::1]:8443/"], []),
        ("bücher.test", ["http://www.xn--bcher-kva.test/"], ["http://b.test/"]),
        ("under_score.test", ["http://under_score.test/"], ["http://score.test/"]),
    ],
)
def test_direct_hosts(entry: str, direct: list[str], proxied: list[str]) -> None:
    hosts = DirectHosts([entry])
    assert [url for url in direct if url not in hosts] == []
    assert [url for url in proxied if url in hosts] == []


def test_any_of_several_entries() -> None:
    hosts = DirectHosts(["a.test:81", "a.test:82", "10.0.0.0/8"])
    assert [f"http://a.test:{port}/" in hosts for port in (80, 81, 82)] == [False, True, True]
    assert "http://10.0.0.1/" in hosts


@pytest.mark.parametrize("entry", ["", " ", "http://a.test/", "a.test/path", "10.0.0.0/33", "a b", "*.", "a.test:x", "a@b.test", "[::1"])
def test_what_is_no_host(entry: str) -> None:
    with pytest.raises(UsageError, match="no_proxy"):
        DirectHosts([entry])


# Targets


def test_a_target_tells_how_its_url_is_got_at() -> None:
    proxies = read({"WORD": "w"}, proxies={"all": "http://ann@proxy.example:3128"}, proxy_password="env:WORD", no_proxy=["d.test"])
    plain, secure, direct = (target_of(url, proxies) for url in ("http://a.test/x", "https://a.test/x", "http://d.test:81/"))
    assert (plain.host, plain.port, plain.secure, plain.forward) == ("a.test", 80, False, b"Proxy-Authorization: Basic YW5uOnc=\r\n")
    assert (secure.port, secure.secure, secure.forward) == (443, True, None)
    assert (direct.proxy, direct.forward, direct.key) == (None, None, "http://d.test:81")
    assert direct == target_of("http://d.test:81/")
    assert plain.proxy == secure.proxy == Proxy("http", "proxy.example", 3128, "ann", "w")


def test_connections_are_told_apart_by_origin_and_proxy() -> None:
    one, other = read(proxies={"all": "http://a.example:1"}), read(proxies={"all": "socks5://a.example:1"})
    urls = ("http://a.test/", "http://b.test/", "https://a.test/", "http://a.test:81/")
    keys = [target_of(url, proxies).key for url in urls for proxies in (None, one, other)]
    assert len(set(keys)) == len(keys)
    assert target_of("http://a.test/x", one).key == target_of("http://a.test/y", one).key


def test_socks_tunnels_plain_urls_too() -> None:
    assert target_of("http://a.test/", read(proxies={"all": "socks5://a.example:1"})).forward is None
    assert target_of("http://a.test/", read(proxies={"all": "http://a.example:1"})).forward == b""
