"""One fetch, from the request to its one result: the IAgent under treq, the deadline, and the end of it.

treq's client is given an agent that is this very exchange, so that what it sends and gets back can be tied to the
connection that carried it. Whatever treq would do above its agent without being asked is kept from it: a URL is passed
that it does not rewrite, a cookie jar that keeps nothing, no redirects, and answers without fields, so that no body is
decompressed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from http.cookiejar import Cookie
from typing import Any, Final

from hyperlink import EncodedURL
from msgspec import Struct
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed, ResponseNeverReceived
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from crawler import url as urls
from crawler.fetch.body import BoundedBody
from crawler.fetch.connection import Connection
from crawler.fetch.deadlines import Deadlines
from crawler.fetch.endpoint import Connector, ReactorNet, target_of
from crawler.fetch.failures import AnswerCut, CannotConnect, explain
from crawler.fetch.headers import decode_headers, media_type_accepted
from crawler.fetch.pool import Pool
from crawler.fetch.response import BodilessRequest, Response
from crawler.model import Fetched, FetchFailed, Reason

OnSent = Callable[[float], None]


class NoCookies(IndexableCookieJar):
    """A jar that neither keeps nor sends anything."""

    def add_cookie_header(self, request: object) -> None:
        """Send no cookie."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Keep no cookie."""

    def __iter__(self) -> Iterator[Cookie]:
        return iter(())


class ExactURL(EncodedURL):
    """A canonical URL, or its origin, as treq wants to see it: parsed already, nothing to encode, its text as it is."""

    def __init__(self, text: str) -> None:  # the parts that hyperlink would compute are never asked for
        self._text = text

    def to_uri(self) -> ExactURL:
        """Return itself: canonical URLs are ASCII."""
        return self

    def to_text(self, with_password: bool = False) -> str:  # noqa: ARG002 (hyperlink's signature)
        """Return the canonical text."""
        return self._text


_TLS_TURNS: Final = 3
"""Turns of the reactor after which what was written to TLS has left: small writes are gathered, encrypted, and sent, a turn each."""


class FixedHeaders(Headers):
    """The fields of every request, composed once; nobody changes them, so treq's layers need no copies of their own."""

    def __init__(self, headers: Headers) -> None:
        super().__init__(dict(headers.getAllRawHeaders()))
        lines = [name + b": " + value for name, values in self.getAllRawHeaders() for value in values]
        self.text: Final = b"\r\n".join([*lines, b"\r\n"])
        """The lines, with the blank one at the end."""

    def copy(self) -> FixedHeaders:
        """Return itself."""
        return self

    def addRawHeader(self, name: str | bytes, value: str | bytes) -> None:
        """Change nothing: treq would add what it can decode itself to Accept-Encoding."""


class Equipment(Struct, frozen=True):
    """What all exchanges of a fetcher share."""

    reactor: Any  # a ReactorNet
    pool: Pool
    connector: Connector
    jar: NoCookies
    headers: FixedHeaders  # sent with every request, Accept-Encoding among them
    deadlines: Deadlines
    wall_clock: Callable[[], float]


@implementer(IAgent)
class Exchange:
    """One fetch. `start` it once; it ends with a value, by being cancelled, or by a bug of ours."""

    def __init__(self, equipment: Equipment, url: str, *, limit: int, accept: Sequence[str], on_sent: OnSent | None) -> None:
        """Take the canonical URL, the limit in bytes on the wire, the accepted media types, and whom to tell of the sending."""
        self._shared = equipment
        self._url = url
        self._limit = limit
        self._accept = accept
        self._on_sent = on_sent
        self._reactor: ReactorNet = equipment.reactor
        self._started_at = equipment.wall_clock()
        self._started = float(self._reactor.seconds())
        self._stage = "connect"
        self._ended = False
        self._leaving = False  # a request was written, nobody was told so far
        self._connection: Connection | None = None  # the one to close when the exchange is stopped
        self._ip: str | None = None
        self._status: int | None = None
        self._headers: list[tuple[str, str]] = []
        self._body: BoundedBody | None = None
        self._answer: Deferred[Any] | None = None
        self._response: Response | None = None
        self._done: Deferred[Fetched | FetchFailed] | None = None  # until it is called

    def cancel(self) -> None:
        """End without a result, closing the connection at once."""
        if self._done is not None:
            self._done.cancel()

    def start(self) -> Deferred[Fetched | FetchFailed]:
        """Send the request; cancelling the result closes the connection at once."""
        self._shared.deadlines.begin(self, self._started)
        done = self._done = Deferred(self._cancelled)
        try:
            self._answer = HTTPClient(self, cookiejar=self._shared.jar).request(
                "GET",
                ExactURL(urls.origin(self._url)),  # all that treq's cookie layer asks for; it would parse each URL at length
                headers=self._shared.headers,
                allow_redirects=False,
                unbuffered=True,
                cookies=self._shared.jar,
                reactor=self._shared.reactor,
            )
        except Exception:
            self._crashed(Failure())  # type: ignore[no-untyped-call]
        else:
            self._answer.addCallbacks(self._head_arrived, self._failed)
            self._answer.addErrback(self._crashed)
        return done

    # The agent under treq

    def request(
        self,
        method: bytes,
        uri: bytes,  # noqa: ARG002 (the origin)
        headers: Headers | None = None,  # noqa: ARG002
        bodyProducer: IBodyProducer | None = None,  # noqa: ARG002
    ) -> Deferred[IResponse]:
        """Send over an idle connection, or over a new one; once more over a new one if the idle one turns out to be dead."""
        assert method == b"GET"
        url, fixed = self._url, self._shared.headers
        line = f"GET {urls.path(url)} HTTP/1.1\r\nHost: {urls.netloc(url)}\r\n"
        request = BodilessRequest(method, url.encode("ascii"), fixed, line.encode("ascii") + fixed.text)
        connection = self._shared.pool.take(urls.origin(url))
        if connection is None:
            return self._send_afresh(request)
        answer: Deferred[IResponse] = self._send(connection, request)
        return answer.addErrback(self._try_again, request)

    def _send_afresh(self, request: BodilessRequest) -> Deferred[IResponse]:
        connecting = self._shared.connector.connect(target_of(self._url), self._enter)
        return connecting.addCallback(self._send, request)

    def _try_again(self, problem: Failure, request: BodilessRequest) -> Deferred[IResponse]:
        if self._ended or not isinstance(problem.value, ResponseNeverReceived):
            problem.raiseException()
        self._connection = self._ip = None
        return self._send_afresh(request)

    def _send(self, connection: Connection, request: BodilessRequest) -> Deferred[IResponse]:
        self._connection = connection
        self._ip = connection.ip
        self._enter("head")
        answer = connection.request(request)
        self._leaving = self._on_sent is not None
        self._leave(_TLS_TURNS if connection.secure else 0)
        return answer.addCallback(self._keep_head)

    def _leave(self, turns: int) -> None:
        """Tell, once, that the request has left: after `turns` turns of the reactor, or when the exchange ends before that."""
        if self._leaving and turns:
            self._reactor.callLater(0, self._leave, turns - 1)
        elif self._leaving and self._on_sent is not None:
            self._leaving = False
            self._on_sent(self._reactor.seconds())

    def _keep_head(self, response: Response) -> Response:
        """Keep the answer for ourselves, and from treq the fields: of those it wants only cookies, and to decompress."""
        self._response = response
        self._headers = decode_headers(response.fields)
        response.headers = Headers()
        return response

    def _enter(self, stage: str) -> None:
        self._stage = stage

    # The answer

    def _head_arrived(self, _wrapped: IResponse) -> None:
        response = self._response
        assert response is not None
        self._status = response.code
        if response.whole:
            self._connection = None  # and may be used again, whatever becomes of this answer
        if not 200 <= response.code <= 999:
            self._fail(Reason.BAD_HTTP, f"status {response.code}")
        elif 200 <= response.code < 300 and not media_type_accepted(self._header("content-type"), self._accept):
            self._fail(Reason.CONTENT_TYPE, f"{self._header('content-type')} is not accepted")
        elif response.length is not UNKNOWN_LENGTH and response.length > self._limit:
            self._fail(Reason.TOO_LARGE, f"{response.length} bytes announced, at most {self._limit} are taken")
        else:
            self._enter("body")
            self._body = BoundedBody(self._limit, self._overflowed, self._body_ended)
            response.deliverBody(self._body)

    def _overflowed(self) -> None:
        self._fail(Reason.TOO_LARGE, f"more than {self._limit} bytes")

    def _body_ended(self, reason: Failure) -> None:
        if self._ended:
            return
        assert self._body is not None
        if isinstance(reason.value, ResponseDone):
            self._succeed(self._body.content())
        elif isinstance(reason.value, PotentialDataLoss):
            self._closed_without_length()
        else:
            self._fail(*explain(reason.value))

    def _closed_without_length(self) -> None:
        """The end of the connection is the end of the body (RFC 9112 section 6.3), unless it was a reset."""
        assert self._body is not None
        if self._connection is not None and self._connection.was_reset:
            self._fail(*explain(AnswerCut("connection reset within a body of unknown length")))
        else:
            self._succeed(self._body.content())

    # The end

    def expire(self) -> None:
        """End with a timeout."""
        received = f", {self._body.size} bytes received" if self._body is not None else ""
        self._fail(Reason.TIMEOUT, f"{self._stage}: not finished within {self._shared.deadlines.seconds:g} s{received}")

    def _failed(self, problem: Failure) -> Failure | None:
        if self._ended:
            return None
        if isinstance(problem.value, CannotConnect | ResponseFailed):
            self._fail(*explain(problem.value))
            return None
        return problem

    def _crashed(self, problem: Failure) -> None:
        if not self._ended:
            self._stop()
            self._tell(problem)

    def _cancelled(self, _done: Deferred[Fetched | FetchFailed]) -> None:
        self._done = None
        self._stop()

    def _succeed(self, body: bytes) -> None:
        assert self._status is not None
        self._release()
        self._tell(Fetched(self._url, self._status, self._headers, body, self._ip, self._started_at, self._elapsed()))

    def _fail(self, reason: Reason, detail: str) -> None:
        self._stop()
        self._tell(FetchFailed(self._url, reason, detail, self._ip, self._started_at, self._elapsed(), self._status, self._headers))

    def _tell(self, result: Fetched | FetchFailed | Failure) -> None:
        done, self._done = self._done, None
        assert done is not None
        if isinstance(result, Failure):
            done.errback(result)
        else:
            done.callback(result)

    def _release(self) -> None:
        """End: nothing that still comes in counts."""
        self._ended = True
        self._leave(0)
        self._shared.deadlines.finish(self)
        self._body = self._response = None  # which refer to this: an exchange that has ended is freed without the collector

    def _stop(self) -> None:
        """End, and close whatever is open for this exchange."""
        self._release()
        if self._connection is not None:
            self._connection.drop()
        if self._answer is not None:
            self._answer.cancel()

    def _elapsed(self) -> float:
        return max(0.0, float(self._reactor.seconds()) - self._started)

    def _header(self, name: str) -> str | None:
        return next((value for key, value in self._headers if key == name), None)
