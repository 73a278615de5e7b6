"""What the sandbox refuses, as one tree.

Refused             root: carries the HTTP status and whether a retry can help
├── Malformed       422  the request is not what the endpoint takes
├── Unknown         404  no such contact, send or fault
├── WrongMethod     405  the path is there, for another method
├── KeyConflict     409  the idempotency key was used with another body
├── TooLarge        413  the body is larger than MAX_BODY_BYTES
├── Full            507  the store holds as many entries as it may
├── Shaped          any  an answer in the words of the provider that is played
└── Injected        any  a fault rule said so

ConnectionDropped   no answer at all: the connection is to be closed
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Refused(Exception):
    """A request that is answered with a problem (RFC 9457) instead of a result."""

    status = 500
    title = "Refused"
    retryable = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Malformed(Refused):
    """The request is not what the endpoint takes; `errors` names every field that is wrong."""

    status = 422
    title = "Malformed request"

    def __init__(self, detail: str, errors: Sequence[str] = ()) -> None:
        super().__init__(detail)
        self.errors = list(errors)


class Unknown(Refused):
    status = 404
    title = "Not found"


class WrongMethod(Refused):
    status = 405
    title = "Method not allowed"


class KeyConflict(Refused):
    status = 409
    title = "Idempotency key reused with another body"


class TooLarge(Refused):
    status = 413
    title = "Body too large"


class Full(Refused):
    status = 507
    title = "The sandbox is full"


class Injected(Refused):
    """A fault rule refused the request.

    `retry_after_seconds` becomes the Retry-After header; 422 and other 4xx except 408 and
    429 are permanent.
    """

    title = "Injected fault"

    def __init__(self, status: int, detail: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.retryable = status >= 500 or status in (408, 429)
        self.retry_after_seconds = retry_after_seconds


class Shaped(Refused):
    """A refusal as the provider that is played would word it."""

    def __init__(
        self, status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = headers or {}


class ConnectionDropped(Exception):
    """The peer gets no answer: whatever was done is done, and the connection is closed."""
