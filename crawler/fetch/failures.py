"""Whatever Twisted, OpenSSL or the socket layer raise becomes a reason and a sentence, at this one place."""

from __future__ import annotations

from typing import Final

from OpenSSL import SSL
from twisted.internet import error
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from crawler.model import Reason

MAX_DETAIL: Final = 300  # characters; foreign messages may quote what a server sent

Told = tuple[Reason, str]


class CannotConnect(Exception):
    """No connection to send the request over; raised inside this room only."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class BadAnswer(Exception):
    """What came is no HTTP answer; the message says why."""


class HeadTooLarge(Exception):
    """The answer's head does not end within the limit."""


class BodyTooLarge(Exception):
    """The body is larger than is taken."""


class TimedOut(Exception):
    """A deadline has passed, or the answer came too slowly; the message says which and how far it had come."""


class AnswerCut(Exception):
    """The connection broke in a way that makes an otherwise complete answer doubtful."""


def explain(problem: BaseException | None) -> Told:
    """Return the reason and the detail of a failed exchange, whatever the exception."""
    causes = _causes(problem)
    for cause in causes:
        told = _explain_one(cause)
        if told is not None:
            return told
    if isinstance(problem, ResponseNeverReceived | RequestTransmissionFailed):
        return Reason.TRUNCATED, f"closed without an answer{_unless_clean(causes)}"
    if all(_is_connection_end(cause) for cause in causes):
        return Reason.TRUNCATED, f"closed before the end{_unless_clean(causes)}"
    return Reason.BAD_HTTP, sentence(next(cause for cause in causes if not _is_connection_end(cause)))


def explain_connect(cause: BaseException | None, *, secure: bool) -> Told:
    """Return the reason and the detail of a connection that did not come about; `secure` while TLS was being agreed."""
    if isinstance(cause, CannotConnect):
        return cause.reason, cause.detail
    if isinstance(cause, SSL.Error):
        return Reason.TLS_HANDSHAKE, describe_tls(cause)
    if secure and _is_connection_end(cause):
        return Reason.TLS_HANDSHAKE, "the server closed the connection during the handshake"
    if isinstance(cause, error.ConnectionRefusedError):
        return Reason.CONNECT, "connection refused"
    return Reason.CONNECT, sentence(cause)


def _explain_one(cause: BaseException) -> Told | None:
    """Explain an exception that says by itself what happened."""
    if isinstance(cause, CannotConnect):
        return cause.reason, cause.detail
    if isinstance(cause, AnswerCut):
        return Reason.TRUNCATED, str(cause)
    if isinstance(cause, SSL.Error):
        return Reason.TLS, describe_tls(cause)
    if isinstance(cause, TimedOut):
        return Reason.TIMEOUT, str(cause)
    if isinstance(cause, BodyTooLarge):
        return Reason.TOO_LARGE, str(cause)
    if isinstance(cause, HeadTooLarge | BadAnswer):
        return Reason.BAD_HTTP, bounded(str(cause))
    return None


def _causes(value: BaseException | None) -> list[BaseException]:
    """Return the exceptions below Twisted's wrappers, the first cause first."""
    if isinstance(value, ResponseFailed | RequestTransmissionFailed) and value.reasons:
        return [cause for reason in value.reasons for cause in _causes(reason.value)]
    return [value] if value is not None else []


def _is_connection_end(cause: BaseException | None) -> bool:
    return isinstance(cause, error.ConnectionClosed | error.ConnectionAborted)


def _unless_clean(causes: list[BaseException]) -> str:
    """Return the reason of an unclean end as a suffix."""
    for cause in causes:
        if isinstance(cause, error.ConnectionLost):
            return ": connection reset"
    return ""


def sentence(cause: BaseException | None) -> str:
    """Return an exception as one bounded line."""
    if isinstance(cause, error.ConnectError) and cause.osError is not None:
        text = str(cause.args[0]) if cause.args else str(cause)
    else:
        text = f"{type(cause).__name__}: {cause}"
    return bounded(text)


def bounded(text: str) -> str:
    """Return `text` on one line, printable, at most `MAX_DETAIL` characters long."""
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"


def describe_tls(cause: SSL.Error) -> str:
    """Return what OpenSSL says, without its library and function names."""
    entries = cause.args[0] if cause.args else None
    if isinstance(entries, list):
        reasons = [str(entry[-1]) for entry in entries if entry and entry[-1]]
        if reasons:
            return bounded("; ".join(dict.fromkeys(reasons)))
    return bounded(str(cause) or type(cause).__name__)
