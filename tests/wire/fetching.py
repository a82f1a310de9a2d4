"""A fetcher of a test's own, with names of its own."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from OpenSSL.crypto import X509
from scripted_server import ScriptedServer
from twisted.internet import reactor, ssl
from twisted.internet.task import deferLater

from crawler.config import FetchSettings
from crawler.fetch.client import Fetcher
from crawler.fetch.dns import Resolver
from crawler.fetch.guard import Guard
from crawler.fetch.tls import Trust

EARLY = datetime.datetime(2020, 1, 1)


def fake_names(names: dict[str, list[str]]) -> Callable[..., list[Any]]:
    """Stand in for getaddrinfo; an unknown name does not exist."""

    def getaddrinfo(host: str, *_: Any) -> list[Any]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(None, None, None, "", (address, 0)) for address in names[host]]

    return getaddrinfo


def make_fetcher(*seeds: str, names: dict[str, list[str]] | None = None, trust: Trust | None = None, **settings: Any) -> Fetcher:
    resolver = Resolver(reactor, getaddrinfo=fake_names(names or {}))
    known = {"timeout": 3.0, "connect_timeout": 1.0} | settings
    return Fetcher(reactor, FetchSettings(**known), user_agent="Crawl/0", resolver=resolver, guard=Guard(seeds), trust=trust)


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds, lambda: None)


# TLS


class Authority:
    """A certificate authority for one test, and servers with its certificates."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Test authority")])
        self.certificate = self._build(self.name, self.key, [x509.BasicConstraints(True, None)])

    def _build(self, subject: x509.Name, key: Any, extensions: list[Any], *, expired: bool = False) -> x509.Certificate:
        until = EARLY + datetime.timedelta(days=1 if expired else 36500)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(EARLY).not_valid_after(until)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def trust(self) -> Trust:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(X509.from_cryptography(self.certificate))
        return Trust(context)

    def server(self, *names: x509.GeneralName, expired: bool = False) -> Callable[[Any], Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        certificate = self._build(subject, key, [x509.SubjectAlternativeName(names)], expired=expired)
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        options = ssl.ContextFactory()
        options.getContext = lambda: context
        return lambda factory: reactor.listenSSL(0, factory, options, interface="127.0.0.1")


def named(server: ScriptedServer, host: str = "named.test") -> str:
    return f"https://{host}:{server.port}/"
