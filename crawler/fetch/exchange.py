"""One fetch, from the URL to its one result: treq's client over a transfer of ours.

treq's client is given an agent that is this very exchange, so that what it sends and gets back can be tied to the
connection that carried it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from crawler import url as urls
from crawler.fetch.agent import Agent
from crawler.fetch.body import GatheredBody
from crawler.fetch.failures import BodyTooLarge, CannotConnect, explain
from crawler.fetch.headers import decode_headers, media_type_accepted, without_secrets
from crawler.fetch.response import Request
from crawler.fetch.sites import Session
from crawler.fetch.transfer import OnSent, Transfer
from crawler.fetch.trimmed import TrimmedClient
from crawler.model import Exchanged, Fetched, FetchFailed, Reason


class FixedHeaders(Headers):
    """The fields of every request, composed once."""

    def __init__(self, headers: Headers) -> None:
        super().__init__(dict(headers.getAllRawHeaders()))
        lines = [name + b": " + value for name, values in self.getAllRawHeaders() for value in values]
        self.text: Final = b"\r\n".join([*lines, b""])
        """The lines."""


_WHOLE: Final = (ResponseDone, PotentialDataLoss)


class Equipment(Struct, frozen=True):
    """What all exchanges of a fetcher share."""

    agent: Agent
    headers: FixedHeaders  # sent with every request, Accept-Encoding among them
    session: Session | None
    wall_clock: Callable[[], float]
    keep_heads: bool = False  # results have `exchange`, also failed ones, with what came of the body


class Wish(Struct, frozen=True):
    """What one fetch is to be like."""

    limit: int  # bytes of body on the wire; beyond is a failure, or with `cut` the end
    accept: Sequence[str]  # media types; none: all
    cut: bool = False
    fields: bytes = b""  # of this request alone, each ended with CR LF
    method: str = "GET"  # or HEAD


@implementer(IAgent)
class Exchange:
    """One fetch. `start` it once; it ends with a value, by being cancelled, or by a bug of ours."""

    def __init__(self, equipment: Equipment, url: str, wish: Wish, on_sent: OnSent | None) -> None:
        """Take the canonical URL, and whom to tell of the sending."""
        self._shared = equipment
        self._url = url
        self._wish = wish
        self._on_sent = on_sent
        self._target = equipment.agent.target(url)
        self._started_at = equipment.wall_clock()
        self._started = equipment.agent.seconds()
        self._transfer: Transfer | None = None  # until the end
        self._ip: str | None = None
        self._status: int | None = None
        self._headers: list[tuple[str, str]] = []
        self._heads: Exchanged | None = None
        self._body: GatheredBody | None = None
        self._answer: Deferred[Any] | None = None
        self._done: Deferred[Fetched | FetchFailed] | None = None  # until it is called

    def start(self) -> Deferred[Fetched | FetchFailed]:
        """Send the request; cancelling the result closes the connection at once."""
        done = self._done = Deferred(self._cancelled)
        try:
            self._answer = TrimmedClient(self).request(self._wish.method, self._url, headers=self._shared.headers)
        except Exception:
            self._crashed(Failure())  # type: ignore[no-untyped-call]
        else:
            self._answer.addCallbacks(self._head_arrived, self._failed)
        return done

    # The agent under treq

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,  # noqa: ARG002
        bodyProducer: IBodyProducer | None = None,  # noqa: ARG002
    ) -> Deferred[IResponse]:
        """Send the request that this exchange is for."""
        url, target, fixed = self._url, self._target, self._shared.headers
        where = urls.path(url).encode("ascii") if target.forward is None else uri  # absolute-form (RFC 9112 section 3.2.2)
        own = self._shared.session.fields(url) if self._shared.session is not None else b""
        text = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b%b%b\r\n" % (
            *(method, where, target.netloc, target.forward or b""),
            *(fixed.text, own, self._wish.fields),
        )
        request = Request(method, uri, fixed, text, keep_head=self._shared.keep_heads)
        self._transfer = Transfer(self._shared.agent.line, request, target, limit=self._wish.limit, on_sent=self._on_sent)
        answer: Deferred[Any] = self._transfer.start()
        return answer

    # The answer

    def _head_arrived(self, answer: Any) -> None:
        try:
            self._take_head(answer)
        except Exception:
            self._crashed(Failure())  # type: ignore[no-untyped-call]

    def _take_head(self, answer: Any) -> None:
        wish, response = self._wish, answer.original  # treq's response has one of ours in it
        self._headers = decode_headers(response.fields)
        if self._shared.keep_heads:
            self._heads = Exchanged(without_secrets(response.request.text), response.head)
        if self._shared.session is not None:
            self._shared.session.learn(self._url, self._headers)
        self._status = response.code
        if not 200 <= response.code <= 999:
            self._fail(Reason.BAD_HTTP, f"status {response.code}")
        elif 200 <= response.code < 300 and wish.accept and not media_type_accepted(self._header("content-type"), wish.accept):
            self._fail(Reason.CONTENT_TYPE, f"{self._header('content-type')} is not accepted")
        elif response.length is not UNKNOWN_LENGTH and response.length > wish.limit and not wish.cut and wish.method != "HEAD":
            self._fail(Reason.TOO_LARGE, f"{response.length} bytes announced, at most {wish.limit} are taken")
        else:
            self._body = GatheredBody(self._body_ended)
            response.deliverBody(self._body)

    def _body_ended(self, reason: Failure) -> None:
        if self._done is None:
            return
        assert self._body is not None
        if isinstance(reason.value, _WHOLE):
            self._succeed(self._body.content())
        elif self._was_too_large(reason):
            if self._wish.cut:
                self._succeed(self._body.content())
            else:
                self._fail(Reason.TOO_LARGE, f"more than {self._wish.limit} bytes")
        elif isinstance(reason.value, CancelledError):
            self._crashed(reason)
        else:
            self._fail(*explain(reason.value))

    def _was_too_large(self, reason: Failure) -> bool:
        return isinstance(reason.value, ResponseFailed) and isinstance(reason.value.reasons[0].value, BodyTooLarge)

    # The end

    def _failed(self, problem: Failure) -> None:
        if self._done is None:
            return
        if isinstance(problem.value, CannotConnect | ResponseFailed):
            self._fail(*explain(problem.value))
        else:
            self._crashed(problem)

    def _crashed(self, problem: Failure) -> None:
        if self._done is not None:
            self._stop()
            self._tell(problem)

    def _cancelled(self, _done: Deferred[Fetched | FetchFailed]) -> None:
        self._done = None
        self._stop()

    def _succeed(self, body: bytes) -> None:
        assert self._status is not None
        self._release()
        self._tell(Fetched(self._url, self._status, self._headers, body, self._ip, self._started_at, self._elapsed(), self._heads))

    def _fail(self, reason: Reason, detail: str) -> None:
        body = self._body.content() if self._heads is not None and self._body is not None else b""
        self._stop()
        self._tell(
            FetchFailed(
                *(self._url, reason, detail, self._ip, self._started_at, self._elapsed(), self._status, self._headers), self._heads, body
            )
        )

    def _tell(self, result: Fetched | FetchFailed | Failure) -> None:
        done, self._done = self._done, None
        assert done is not None
        if isinstance(result, Failure):
            done.errback(result)
        else:
            done.callback(result)

    def _release(self) -> None:
        """End: nothing that still comes in counts."""
        transfer, self._transfer = self._transfer, None
        if transfer is not None:
            self._ip = transfer.ip
        self._body = None  # which refers to this: an exchange that has ended is freed without the collector

    def _stop(self) -> None:
        """End, and close whatever is open for this exchange."""
        transfer = self._transfer
        self._release()
        if transfer is not None:
            transfer.abandon()
        if self._answer is not None:
            self._answer.cancel()

    def _elapsed(self) -> float:
        return max(0.0, self._shared.agent.seconds() - self._started)

    def _header(self, name: str) -> str | None:
        return next((value for key, value in self._headers if key == name), None)
