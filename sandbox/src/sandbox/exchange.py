"""One HTTP exchange: reading the body, answering JSON or a problem, or not answering.

Plain ASGI, because the sandbox shares its machine with the system under test: what it
spends on a request is missing there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, TypeAlias

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from sandbox.errors import Injected, Malformed, Refused, TooLarge
from sandbox.wire import MAX_BODY_BYTES, as_key, render

RawHeaders: TypeAlias = Sequence[tuple[bytes, bytes]]

TRANSPORT = "sandbox.transport"
"""The ASGI extension that holds the connection's asyncio transport (see server.py)."""

REPLAYED: RawHeaders = [(b"idempotent-replayed", b"true")]
_JSON = (b"content-type", b"application/json")
_PROBLEM = (b"content-type", b"application/problem+json")


async def read_body(receive: Receive) -> bytes:
    """The whole request body; raises TooLarge above MAX_BODY_BYTES."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body", False):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            raise TooLarge(f"a body has at most {MAX_BODY_BYTES} bytes")
    return b"".join(parts)


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of this lower-case name, or None."""
    for found, value in scope["headers"]:
        if found == name:
            text: str = value.decode("latin-1")
            return text
    return None


def idempotency_key(scope: Scope) -> str | None:
    """The Idempotency-Key header; Malformed where it is empty or too long."""
    return as_key(header(scope, b"idempotency-key"))


def query(scope: Scope) -> QueryParams:
    return QueryParams(scope["query_string"])


def page_bounds(params: QueryParams, most: int) -> tuple[int, int]:
    """`offset` (from 0) and `limit` (100 unless given, at most `most`) of a listing."""
    bounds = []
    for name, default, ceiling in (("offset", 0, None), ("limit", 100, most)):
        text = params.get(name, str(default))
        if not text.isascii() or not text.isdigit() or (ceiling and int(text) > ceiling):
            limits = f" up to {ceiling}" if ceiling else ""
            raise Malformed(f"`{name}` must be a whole number{limits}, not {text!r}")
        bounds.append(int(text))
    return bounds[0], bounds[1]


async def answer(
    send: Send, value: Any, status: int = 200, headers: RawHeaders = (), kind: Any = _JSON
) -> None:
    """Answer with the value as JSON."""
    body = render(value)
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [kind, length, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


async def answer_nothing(send: Send) -> None:
    """204 No Content."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def answer_problem(send: Send, error: Refused) -> None:
    """Answer with a problem (RFC 9457), and Retry-After where the refusal names one."""
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "retryable": error.retryable,
    }
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, Malformed) and error.errors:
        problem["errors"] = error.errors
    if isinstance(error, Injected) and error.retry_after_seconds is not None:
        headers.append((b"retry-after", str(error.retry_after_seconds).encode()))
    await answer(send, problem, error.status, headers, kind=_PROBLEM)


async def drop(scope: Scope, receive: Receive) -> None:
    """Close the connection without a byte of an answer."""
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]
    transport.abort()
    # The server answers 500 for an application that returns before it has noticed.
    while (await receive())["type"] != "http.disconnect":
        pass
