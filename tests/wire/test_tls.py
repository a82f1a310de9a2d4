"""TLS: each way of going wrong has its reason, nothing is sent to a wrong server, and exceptions stay where they belong."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from certificates import EARLY, Authority, Listen, common_name, self_signed, tls_listener
from conftest import Crawl
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fetching import fake_names, make_fetcher, pause
from OpenSSL import SSL
from scripted_server import ScriptedServer, answer, serving
from small_crawl import quick
from twisted.internet import reactor

from crawler.build import build_crawl
from crawler.fetch.dns import Resolver
from crawler.fetch.tls import Trust
from crawler.job import make_job
from crawler.model import Fetched, FetchFailed, Reason
from crawler.store.home import open_home

HOST = "named.test"
NAMES = {HOST: ["127.0.0.1"], "other.test": ["127.0.0.1"], "a_b.test": ["127.0.0.1"]}
TOMORROW = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(days=1)
ONE_DAY = EARLY + datetime.timedelta(days=1)

Make = Callable[[Authority], Listen]


async def fetch(listen: Listen | None, trust: Trust | None, host: str = HOST, greeting: list[Any] | None = None, **settings: Any) -> Any:
    """Fetch ``https://host/`` from a server on a port of its own; what fails has sent nothing."""
    with serving({"/": [answer(b"secret")]}, greeting, listen) as server:
        url = f"https://{host}:{server.port}/"
        fetcher = make_fetcher(url, names=NAMES, trust=trust, **settings)
        got = await fetcher.fetch(url)
        await fetcher.close()
    if isinstance(got, FetchFailed) and got.reason is not Reason.TLS:
        assert not server.requests
    return got


def missing_link(authority: Authority) -> Listen:
    return Authority("Link", above=authority).server(HOST)


def root_in_chain(_: Authority) -> Listen:
    unknown = Authority("Unknown")
    return unknown.server(HOST, chain=[unknown.certificate])


def for_clients(authority: Authority) -> Listen:
    return authority.server(HOST, extensions=[x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])])


def leaf_as_issuer(authority: Authority) -> Listen:
    """A server's own certificate signs another's."""
    forger = Authority.__new__(Authority)
    forger.key, forger.name = ec.generate_private_key(ec.SECP256R1()), common_name("mallory.test")
    leaf = authority.sign(forger.key, forger.name, [x509.BasicConstraints(False, None)])
    return forger.server(HOST, chain=[leaf])


WRONG: dict[str, tuple[Make, Reason, str]] = {
    "expired": (lambda a: a.server(HOST, until=ONE_DAY), Reason.TLS_EXPIRED, "certificate expired"),
    "not yet valid": (lambda a: a.server(HOST, since=TOMORROW), Reason.TLS_EXPIRED, "certificate not valid yet"),
    "wrong name": (lambda a: a.server("other.test"), Reason.TLS_NAME, "the certificate is not for named.test"),
    "subdomain": (lambda a: a.server("www.named.test"), Reason.TLS_NAME, "not for named.test"),
    "no name": (lambda a: a.server(), Reason.TLS_NAME, "named.test"),
    "common name only": (lambda a: a.server(subject=HOST), Reason.TLS_NAME, "named.test"),
    "wildcard of a suffix": (lambda a: a.server("*.test"), Reason.TLS_NAME, "named.test"),
    "wildcard alone": (lambda a: a.server("*"), Reason.TLS_NAME, "named.test"),
    "wildcard within a label": (lambda a: a.server("n*d.test", "*d.test"), Reason.TLS_NAME, "named.test"),
    "two wildcards": (lambda a: a.server("*.*"), Reason.TLS_NAME, "named.test"),
    "self-signed": (lambda _: self_signed(HOST), Reason.TLS_SELF_SIGNED, "self-signed certificate"),
    "self-signed in the chain": (root_in_chain, Reason.TLS_SELF_SIGNED, "self-signed certificate in the chain"),
    "unknown issuer": (lambda _: Authority("Unknown").server(HOST), Reason.TLS_UNTRUSTED, "unknown issuer"),
    "missing link": (missing_link, Reason.TLS_UNTRUSTED, "unknown issuer"),
    "forged by a leaf": (leaf_as_issuer, Reason.TLS_UNTRUSTED, "certificate"),
    "for clients": (for_clients, Reason.TLS_UNTRUSTED, "certificate not meant for servers"),
    "weak key": (
        lambda a: a.server(HOST, key=rsa.generate_private_key(65537, 1024)),
        Reason.TLS_UNTRUSTED,
        "certificate with a weak key",
    ),
    "SHA-1": (lambda a: a.server(HOST, sha1=True), Reason.TLS_UNTRUSTED, "certificate signed with a weak digest"),
}


@pytest.mark.parametrize(("make", "reason", "detail"), WRONG.values(), ids=WRONG)
async def test_a_wrong_certificate_has_its_reason(make: Make, reason: Reason, detail: str) -> None:
    authority = Authority()
    got = await fetch(make(authority), authority.trust())
    assert isinstance(got, FetchFailed), got
    assert got.reason is reason
    assert detail in got.detail


@pytest.mark.parametrize("make", [row[0] for row in WRONG.values()], ids=WRONG)
@pytest.mark.parametrize(("pattern", "exempt"), [("named.test", True), ("*.named.test", False)])
async def test_an_exempt_hosts_certificate_is_not_verified_at_all(make: Make, pattern: str, exempt: bool) -> None:
    authority = Authority()
    got = await fetch(make(authority), authority.trust(pattern))
    assert isinstance(got, Fetched) is exempt, got


RECORD = b"\x16\x03\x01"
OLD_HELLO = bytes([2, 0, 0, 38, 3, 1]) + bytes(32) + bytes([0, 0x00, 0x2F, 0])  # ServerHello: TLS 1.0, TLS_RSA_WITH_AES_128_CBC_SHA


@pytest.mark.parametrize(
    ("greeting", "detail"),
    [
        ([answer(b"", "400 Bad Request"), "close"], "wrong version number"),
        ([RECORD + len(OLD_HELLO).to_bytes(2, "big") + OLD_HELLO], "unsupported protocol"),
        ([b"\x15\x03\x01\x00\x02\x02\x46", "close"], "protocol version"),
        ([b"\x15\x03\x03\x00\x02\x02\x28", "close"], "handshake failure"),
        ([RECORD + b"\xff\xff" + bytes(65535)], ""),
        ([0.05, "close"], "the server closed the connection during the handshake"),
        ([0.05, "reset"], "the server closed the connection during the handshake"),
    ],
    ids=["plain HTTP", "TLS 1.0", "alert 70", "alert 40", "nonsense", "close", "reset"],
)
@pytest.mark.parametrize("insecure", [(), ("*",)], ids=["verified", "exempt"])
async def test_no_handshake(greeting: list[Any], detail: str, insecure: tuple[str, ...]) -> None:
    """Not verifying a certificate does not make up for having no TLS."""
    got = await fetch(None, Authority().trust(*insecure), greeting=greeting)
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TLS_HANDSHAKE
    assert detail in got.detail


@pytest.mark.parametrize("version", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
async def test_a_server_of_old_versions_only(version: int) -> None:
    authority = Authority()
    listen = authority.server(HOST, set_up=lambda context: context.set_max_proto_version(version))
    got = await fetch(listen, Trust(insecure=[HOST]))
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TLS_HANDSHAKE


async def test_a_handshake_that_stalls_is_a_time_out_that_names_the_stage() -> None:
    with serving({}, greeting=[]) as server:
        fetcher = make_fetcher(f"https://{HOST}:{server.port}/", names=NAMES, connect_timeout=0.2)
        got = await fetcher.fetch(f"https://{HOST}:{server.port}/")
        assert isinstance(got, FetchFailed)
        assert (got.reason, got.detail[:4]) == (Reason.TIMEOUT, "tls:")
        await server.conversations[0].lost.addTimeout(0.5, reactor)
        await fetcher.close()


async def test_a_server_that_wants_to_know_who_we_are() -> None:
    """With TLS 1.3 its alert comes after our side of the handshake has ended."""

    def ask(context: SSL.Context) -> None:
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)

    authority = Authority()
    got = await fetch(authority.server(HOST, set_up=ask), authority.trust())
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TLS
    assert "certificate required" in got.detail


def serve_once(certificate: x509.Certificate, key: Any, folder: Path) -> int:
    """Answer one request, from a thread: Twisted's servers write no more than 32 kB of a handshake."""
    pem = folder / "server.pem"
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    pem.write_bytes(certificate.public_bytes(encoding) + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    listening = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listening, contextlib.suppress(OSError), context.wrap_socket(listening.accept()[0], server_side=True) as client:
            client.recv(65536)
            client.sendall(answer())

    threading.Thread(target=run, daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


@pytest.mark.parametrize(("form", "detail"), [("{:x}.t", ""), ("host-number-{}.test", "excessive message size")], ids=["short", "long"])
async def test_a_certificate_for_ten_thousand_hosts_takes_no_time(form: str, detail: str, tmp_path: Path) -> None:
    """OpenSSL takes 100 kB of certificates; more is no handshake."""
    authority = Authority()
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName(form.format(number)) for number in range(10_000)]
    certificate = authority.sign(key, common_name("server"), [x509.SubjectAlternativeName([*names, x509.DNSName(HOST)])])
    url = f"https://{HOST}:{serve_once(certificate, key, tmp_path)}/"
    fetcher = make_fetcher(url, names=NAMES, trust=authority.trust())
    began = time.process_time()
    got = await fetcher.fetch(url)
    assert time.process_time() - began < 0.5
    await fetcher.close()
    if detail:
        assert isinstance(got, FetchFailed)
        assert (got.reason, got.detail) == (Reason.TLS_HANDSHAKE, detail)
    else:
        assert isinstance(got, Fetched), got


@pytest.mark.parametrize(
    ("host", "names", "right"),
    [
        ("127.0.0.1", ["127.0.0.1"], True),
        ("127.0.0.1", ["127.0.0.2"], False),
        ("127.0.0.1", ["named.test"], False),
        ("a_b.test", ["a_b.test"], True),
        ("a_b.test", ["a-b.test"], False),
        (HOST, ["NAMED.test"], True),
        (HOST, ["127.0.0.1"], False),
    ],
)
async def test_addresses_and_odd_names(host: str, names: list[str], right: bool) -> None:
    authority = Authority()
    got = await fetch(authority.server(*names), authority.trust(), host)
    assert isinstance(got, Fetched) is right, got
    assert right or got.reason is Reason.TLS_NAME


async def test_an_address_written_as_a_name_is_no_address() -> None:
    authority = Authority()
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = authority.sign(key, common_name("server"), [x509.SubjectAlternativeName([x509.DNSName("127.0.0.1")])])
    got = await fetch(tls_listener(certificate, key), authority.trust(), "127.0.0.1")
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TLS_NAME


@pytest.mark.parametrize("exempt_first", [True, False])
async def test_what_is_exempt_lends_nothing_to_what_is_verified(exempt_first: bool) -> None:
    """Two names of one server, one of them exempt: neither connection nor session of the one serves the other."""
    authority = Authority()
    with serving({"/": [answer()]}, listen=authority.server("neither.test")) as server:
        exempt, verified = (f"https://{host}:{server.port}/" for host in (HOST, "other.test"))
        fetcher = make_fetcher(exempt, verified, names=NAMES, trust=authority.trust(f"{HOST}:{server.port}"))
        for url in (exempt, verified, exempt) if exempt_first else (verified, exempt, verified):
            got = await fetcher.fetch(url)
            assert isinstance(got, Fetched) is (url == exempt), got
            await pause(0.02)
        await fetcher.close()
    used = [len(one.requests) for one in server.conversations]
    assert sorted(used) == ([0, 2] if exempt_first else [0, 0, 1])
    assert all(HOST.encode() in request for request in server.requests)


async def test_another_port_of_an_exempt_one_is_verified() -> None:
    authority = Authority()
    got = await fetch(self_signed(HOST), authority.trust(f"{HOST}:443"))
    assert isinstance(got, FetchFailed)
    assert got.reason is Reason.TLS_SELF_SIGNED


# The whole program

CASES = {
    "expired": Reason.TLS_EXPIRED,
    "not yet valid": Reason.TLS_EXPIRED,
    "wrong name": Reason.TLS_NAME,
    "self-signed": Reason.TLS_SELF_SIGNED,
    "unknown issuer": Reason.TLS_UNTRUSTED,
}


async def crawl_all(home: Path, servers: dict[str, ScriptedServer], **flags: Any) -> dict[str, tuple[str, Reason | None]]:
    """Crawl the first page of each server; return the outcome and the reason by the server's name."""
    seeds = {f"https://{HOST}:{server.port}/": name for name, server in servers.items()}
    job = make_job(list(seeds), quick(fetch__retries=1, fetch__timeout=3.0, fetch__connect_timeout=1.0, **flags))
    opened = open_home(home)
    opened.adopt(job)
    opened.open_files([], overwrite=False)
    await build_crawl(reactor, job, opened, resolver=Resolver(reactor, getaddrinfo=fake_names(NAMES))).run().addTimeout(20, reactor)
    opened = open_home(home)
    try:
        return {seeds[record.url]: (record.outcome, record.reason) for record in opened.read_records()}
    finally:
        opened.close()


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """One server for each case, and the authority in the place of the system's."""
    authority = Authority()
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.write(tmp_path / "ca.pem")))
    pages: dict[str, Any] = {"/robots.txt": [answer(b"", "404 Not Found")], "/": [answer(b"<title>t</title>")]}
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(serving(pages, listen=WRONG[name][0](authority))) for name in CASES}
        started["right"] = stack.enter_context(serving(pages, listen=authority.server(HOST)))
        started["plain"] = stack.enter_context(serving({}, greeting=[answer(), "close"]))
        started["close"] = stack.enter_context(serving({}, greeting=[0.02, "close"]))
        started["stall"] = stack.enter_context(serving({}, greeting=[]))
        yield started


async def test_each_reason_is_in_its_record(servers: dict[str, ScriptedServer], tmp_path: Path, crawl: Crawl) -> None:
    found = await crawl_all(tmp_path / "home", servers)
    failed = {name: ("failed", reason) for name, reason in CASES.items()}
    handshake = ("failed", Reason.TLS_HANDSHAKE)
    assert found == failed | {"right": ("fetched", None), "plain": handshake, "close": handshake, "stall": ("failed", Reason.TIMEOUT)}
    tried = {name: len(server.conversations) for name, server in servers.items()}
    assert {name: tried[name] for name in CASES} == dict.fromkeys(CASES, 1), "a certificate does not get better"
    assert (tried["plain"], tried["close"], tried["stall"]) == (2, 2, 2)

    make_old(tmp_path / "home" / "records.jsonl")
    expired = f"https://{HOST}:{servers['expired'].port}/"
    assert "failed (tls): robots.txt: certificate expired" in crawl("why", tmp_path / "home", expired).stdout
    assert crawl("status", tmp_path / "home").code == 0
    exported = [json.loads(line) for line in crawl("export", tmp_path / "home").stdout.splitlines()]
    assert [record["reason"] for record in exported if record["url"] == expired] == ["tls"]


def make_old(log: Path) -> None:
    """Let the records say what those of older versions say, in as many bytes."""
    text = log.read_text()
    assert '"tls_expired"' in text
    log.write_text(text.replace('"tls_expired"', '"tls"' + " " * len("_expired")))


async def test_exempt_hosts_are_crawled(servers: dict[str, ScriptedServer], tmp_path: Path) -> None:
    shown = [f"{HOST}:{servers[name].port}" for name in ("expired", "self-signed", "close")]
    found = await crawl_all(tmp_path / "home", servers, fetch__insecure=shown, politeness__robots=False)
    assert {name for name, (outcome, _) in found.items() if outcome == "fetched"} == {"right", "expired", "self-signed"}


def test_the_command_tells_whose_certificates_it_does_not_verify(crawl: Crawl, tmp_path: Path) -> None:
    """Not of the web's making: a seed that cannot be connected to is enough."""
    options = ("--retries", 0, "--json", "--insecure", "*.example.org", "--insecure", "127.0.0.1:1")
    for command in (("run", "https://127.0.0.1:1/", "--dir", tmp_path / "home"), ("batch", "https://127.0.0.1:1/")):
        events = [json.loads(line) for line in crawl(*command, *options).stderr.splitlines() if line.startswith("{")]
        told = [event for event in events if event["event"] == "insecure"]
        assert [event["hosts"] for event in told] == [["*.example.org", "127.0.0.1:1"]]
