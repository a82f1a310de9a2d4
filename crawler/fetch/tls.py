"""TLS for clients: one shared context, the system's trust store, the host checked before anything is sent.

Twisted's own options would parse the certificate bundle again for each host (7 ms, 900 kB), refuse hosts with ``_`` (idna),
and accept any host when a certificate names an invalid pattern. Here one context serves every connection, the chain is
verified by OpenSSL (RFC 5280), and the name by service-identity (RFC 9525) after the handshake, before a request is written.
"""

from __future__ import annotations

from typing import Final

import service_identity
from OpenSSL import SSL, crypto
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, platformTrust
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from crawler.fetch.failures import bounded
from crawler.fetch.guard import parse_address

_VERIFY_ERRORS: Final = {
    9: "certificate not valid yet",
    10: "certificate expired",
    18: "self-signed certificate",
    19: "self-signed certificate in the chain",
    20: "unknown issuer",
    21: "unknown issuer",
    23: "certificate revoked",
    26: "certificate not meant for servers",
}
"""OpenSSL's X509_V_ERR_ numbers that servers on the web really cause."""


@implementer(IOpenSSLClientConnectionCreator)
class ServerCheck:
    """Makes the OpenSSL connection to one server and says, when asked, why that server is not trusted."""

    def __init__(self, context: SSL.Context, host: str) -> None:
        """Take the shared context and the canonical host of the URL (an IPv6 address in brackets)."""
        self._context = context
        self._address = parse_address(host)
        self._host = host
        self._connection: SSL.Connection | None = None
        self.chain_problem: str | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: ARG002 (the interface's)
        """Make the connection; server name indication is for names only (RFC 6066 section 3)."""
        connection = SSL.Connection(self._context, None)
        if self._address is None:
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        connection.set_verify(SSL.VERIFY_PEER, self._note_chain)
        self._connection = connection
        return connection

    def _note_chain(self, _connection: SSL.Connection, _certificate: crypto.X509, error: int, _depth: int, ok: int) -> bool:
        if not ok and self.chain_problem is None:
            self.chain_problem = _VERIFY_ERRORS.get(error, f"certificate refused (OpenSSL verify error {error})")
        return bool(ok)

    def host_problem(self) -> str | None:
        """Return why the certificate that was shown is not the host's, or None; whatever cannot be checked is refused."""
        assert self._connection is not None
        try:
            if self._address is None:
                verify_hostname(self._connection, self._host)
            else:
                verify_ip_address(self._connection, str(self._address))
        except service_identity.VerificationError:
            return f"the certificate is not for {self._host}"
        except Exception as error:  # CertificateError, and whatever a strange certificate makes the parsers raise
            return bounded(f"the certificate cannot be checked for {self._host}: {error}")
        return None


class Trust:
    """The one context that all connections share, by default `system_context()`."""

    def __init__(self, context: SSL.Context | None = None) -> None:
        self._context = context or system_context()

    def check(self, host: str) -> ServerCheck:
        """Return what a new connection to `host` needs."""
        return ServerCheck(self._context, host)


def system_context() -> SSL.Context:
    """Return a context with the system's certificate store and Twisted's choice of versions (TLS 1.2 and later) and ciphers."""
    options = CertificateOptions(trustRoot=platformTrust())  # type: ignore[no-untyped-call]
    context: SSL.Context = options.getContext()
    return context
