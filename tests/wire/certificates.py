"""Certificates as a test wants them, right or wrong, and TLS servers that show them."""

from __future__ import annotations

import datetime
import ipaddress
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from twisted.internet import reactor, ssl

from crawler.fetch.tls import Trust

EARLY = datetime.datetime(2020, 1, 1)
LATE = datetime.datetime(2119, 1, 1)

Listen = Callable[[Any], Any]
"""Takes a factory and listens with it, as `scripted_server.serving` wants."""


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def alternative(name: str) -> x509.GeneralName:
    """Return a subject alternative name: an address for an IP literal, else a DNS name, however odd."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Authority:
    """A certificate authority: its own certificate, and those that it signs."""

    def __init__(self, name: str = "Test authority", *, above: Authority | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = common_name(name)
        constraints: list[x509.ExtensionType] = [x509.BasicConstraints(True, None)]
        self.certificate = (above or self).sign(self.key, self.name, constraints)

    def sign(
        self,
        key: Any,
        subject: x509.Name,
        extensions: Sequence[x509.ExtensionType],
        *,
        since: datetime.datetime = EARLY,
        until: datetime.datetime = LATE,
    ) -> x509.Certificate:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(since).not_valid_after(until)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def trust(self, *insecure: str) -> Trust:
        """Trust this authority alone."""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        store = context.get_cert_store()
        assert store is not None
        store.add_cert(X509.from_cryptography(self.certificate))
        return Trust(context, insecure=insecure)

    def write(self, path: Path) -> Path:
        """Write the authority's certificate where ``SSL_CERT_FILE`` may point to."""
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def server(
        self,
        *names: str,
        since: datetime.datetime = EARLY,
        until: datetime.datetime = LATE,
        subject: str = "server",
        extensions: Sequence[x509.ExtensionType] = (),
        key: Any = None,
        chain: Sequence[x509.Certificate] = (),
        sha1: bool = False,
        set_up: Callable[[SSL.Context], object] = lambda _: None,
    ) -> Listen:
        """Return how to listen with a certificate of this authority for `names`."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        shown = [x509.SubjectAlternativeName([alternative(name) for name in names]), *extensions]
        certificate = self.sign(key, common_name(subject), shown, since=since, until=until)
        return tls_listener(certificate, key, chain, set_up, sha1_by=self.key if sha1 else None)


def self_signed(*names: str) -> Listen:
    """Return how to listen with a certificate that is its own issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    owner = Authority.__new__(Authority)
    owner.key, owner.name = key, common_name("server")
    certificate = owner.sign(key, owner.name, [x509.SubjectAlternativeName([alternative(name) for name in names])])
    return tls_listener(certificate, key)


def tls_listener(
    certificate: x509.Certificate,
    key: Any,
    chain: Sequence[x509.Certificate] = (),
    set_up: Callable[[SSL.Context], object] = lambda _: None,
    *,
    sha1_by: Any = None,
) -> Listen:
    """Return how to listen with a certificate; `sha1_by` is the key that signs it anew, with SHA-1."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_cipher_list(b"DEFAULT:@SECLEVEL=0")  # a weak certificate of its own is no reason for a server not to start
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there is no other way to a signature with SHA-1
        if sha1_by is not None:
            weak = X509.from_cryptography(certificate)
            weak.sign(PKey.from_cryptography_key(sha1_by), "sha1")
            certificate = weak.to_cryptography()
    context.use_certificate(certificate)
    context.use_privatekey(key)
    for extra in chain:
        context.add_extra_chain_cert(extra)
    set_up(context)
    options = ssl.ContextFactory()
    options.getContext = lambda: context
    return lambda factory: reactor.listenSSL(0, factory, options, interface="127.0.0.1")
