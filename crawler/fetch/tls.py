"""TLS for clients: one shared context, the system's trust store, the host checked before anything is sent.

Twisted's own options would parse the certificate bundle again for each host (7 ms, 900 kB), refuse hosts with ``_`` (idna),
and accept any host when a certificate names an invalid pattern. Here one context serves every connection, the chain is
verified by OpenSSL (RFC 5280), and the name by service-identity (RFC 9525) after the handshake, before a request is written.

Whether a server is verified is decided for each connection by host and port, and no session is ever resumed; kept connections
are those of one origin. So what was had without verification never serves a host that is verified.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import service_identity
from OpenSSL import SSL, crypto
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, platformTrust
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from crawler.fetch.failures import Told, bounded
from crawler.fetch.guard import parse_address
from crawler.fetch.unverified import Unverified
from crawler.model import Reason

_VERIFY_ERRORS: Final = {
    7: (Reason.TLS_UNTRUSTED, "certificate with a wrong signature"),
    9: (Reason.TLS_EXPIRED, "certificate not valid yet"),
    10: (Reason.TLS_EXPIRED, "certificate expired"),
    18: (Reason.TLS_SELF_SIGNED, "self-signed certificate"),
    19: (Reason.TLS_SELF_SIGNED, "self-signed certificate in the chain"),
    20: (Reason.TLS_UNTRUSTED, "unknown issuer"),
    21: (Reason.TLS_UNTRUSTED, "unknown issuer"),
    22: (Reason.TLS_UNTRUSTED, "certificate chain too long"),
    23: (Reason.TLS_UNTRUSTED, "certificate revoked"),
    26: (Reason.TLS_UNTRUSTED, "certificate not meant for servers"),
    66: (Reason.TLS_UNTRUSTED, "certificate with a weak key"),
    67: (Reason.TLS_UNTRUSTED, "issuer with a weak key"),
    68: (Reason.TLS_UNTRUSTED, "certificate signed with a weak digest"),
}
"""OpenSSL's X509_V_ERR_ numbers that servers on the web really cause."""


@implementer(IOpenSSLClientConnectionCreator)
class ServerCheck:
    """Makes the OpenSSL connection to one server and says, when asked, why that server is not trusted."""

    def __init__(self, context: SSL.Context, host: str, *, verified: bool = True) -> None:
        """Take the shared context and the canonical host of the URL (an IPv6 address in brackets)."""
        self._context = context
        self._address = parse_address(host)
        self._host = host
        self._verified = verified
        self._connection: SSL.Connection | None = None
        self.chain_problem: Told | None = None

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: ARG002 (the interface's)
        """Make the connection; server name indication is for names only (RFC 6066 section 3)."""
        connection = SSL.Connection(self._context, None)
        if self._address is None:
            connection.set_tlsext_host_name(self._host.encode("ascii"))
        connection.set_verify(SSL.VERIFY_PEER if self._verified else SSL.VERIFY_NONE, self._note_chain)
        self._connection = connection
        return connection

    def _note_chain(self, _connection: SSL.Connection, _certificate: crypto.X509, error: int, _depth: int, ok: int) -> bool:
        if not self._verified:
            return True
        if not ok and self.chain_problem is None:
            unnamed = (Reason.TLS_UNTRUSTED, f"certificate refused (OpenSSL verify error {error})")
            self.chain_problem = _VERIFY_ERRORS.get(error, unnamed)
        return bool(ok)

    def host_problem(self) -> Told | None:
        """Return why the certificate that was shown is not the host's, or None; whatever cannot be checked is refused."""
        assert self._connection is not None
        if not self._verified:
            return None
        try:
            if self._address is None:
                verify_hostname(self._connection, self._host)
            else:
                verify_ip_address(self._connection, str(self._address))
        except service_identity.VerificationError:
            return Reason.TLS_NAME, f"the certificate is not for {self._host}"
        except Exception as error:  # CertificateError, and whatever a strange certificate makes the parsers raise
            return Reason.TLS_NAME, bounded(f"the certificate cannot be checked for {self._host}: {error}")
        return None


class Trust:
    """The one context that all connections share, by default `system_context()`, and the hosts that are not verified.

    `insecure`: patterns of hosts (`unverified.parse_host_pattern`) of whose certificates neither chain nor name is verified.
    Raises ValueError for a pattern that is none.
    """

    def __init__(self, context: SSL.Context | None = None, *, insecure: Iterable[str] = ()) -> None:
        self._context = context or system_context()
        self._unverified = Unverified(insecure)

    def check(self, host: str, port: int) -> ServerCheck:
        """Return what a new connection to the canonical `host` at `port` needs."""
        return ServerCheck(self._context, host, verified=not self._unverified.matches(host, port))


def system_context() -> SSL.Context:
    """Return a context with the system's certificate store and Twisted's choice of versions (TLS 1.2 and later) and ciphers."""
    options = CertificateOptions(trustRoot=platformTrust())  # type: ignore[no-untyped-call]
    context: SSL.Context = options.getContext()
    return context
