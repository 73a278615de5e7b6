"""What the endpoints share whose callers are known by a signature alone.

To everybody else all answers are the same, whether the tenant, its secret or the time is what is
wrong. Places are for those alone whose signature holds: however many strangers send slowly, a
STOP gets in. Each endpoint has places of its own; the room for bodies that nobody has proved to
be a provider's is one for all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import Request, Response
from prometheus_client import Counter
from starlette.requests import ClientDisconnect

from leadflow.errors import BrokerError
from portal_api.api.room import Room
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.webhooks.said import Unreadable

# Twilio's and Resend's are some kilobytes, HubSpot's 100 changes some dozens; a reply may be long.
LARGEST_BODY = 256 * 1024
# Of a slow sender; the providers themselves give up after 5 to 15 seconds.
READ_SECONDS = 10.0
MOST_AT_ONCE = 64
unproved = Room(256 * LARGEST_BODY)

Take = Callable[[], Awaitable[bool]]
"""Takes in what a signed request says: whether it was news, once the broker has it. Raises
Unreadable, BrokerError."""


class Door:
    """One endpoint: room for so many signed requests at once, and a count of its answers, by
    provider and outcome. The next are sent away instead of kept waiting."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._left = MOST_AT_ONCE

    async def answer(
        self,
        provider: str,
        request: Request,
        names: Iterable[str],
        opened: Callable[[bytes], Take | None],
    ) -> Response:
        """204 once all is taken in. Raises Problem: 403 where `opened` says None to the body, or
        where none of the headers in `names` is there, and then no body is read."""
        try:
            take = await _proved(request, names, opened)
            async with self._place():
                news = await _taken(take)
        except Problem as problem:
            self._counter.labels(provider, str(problem.status)).inc()
            raise
        self._counter.labels(provider, "accepted" if news else "no_news").inc()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        if not self._left:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many webhooks at once: come again.")
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1


def called_url(request: Request, context: Context) -> str:
    """The URL as the provider called it: a proxy may have changed host and scheme."""
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    url = context.public_url + path.decode("latin-1")
    return f"{url}?{query.decode('latin-1')}" if query else url


async def _proved(
    request: Request, names: Iterable[str], opened: Callable[[bytes], Take | None]
) -> Take:
    forbidden = Problem(HTTPStatus.FORBIDDEN, "The signature does not hold.")
    if not any(request.headers.get(name) for name in names):
        raise forbidden
    take = opened(await _body(request))
    if take is None:
        raise forbidden
    return take


async def _taken(take: Take) -> bool:
    try:
        return await take()
    except Unreadable as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"Signed, but {error}.") from None
    except BrokerError:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "It could not be written down: send it again."
        ) from None


async def _body(request: Request) -> bytes:
    """Raises Problem 413 beyond LARGEST_BODY, 408 where it takes too long or ends too soon, 503
    where strangers have filled the room."""
    read = bytearray()
    try:
        with unproved.one() as take:
            async with asyncio.timeout(READ_SECONDS):
                async for part in request.stream():
                    if len(read) + len(part) > LARGEST_BODY:
                        raise Problem(
                            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                            f"A webhook has at most {LARGEST_BODY} bytes.",
                        )
                    take(len(part))
                    read += part
    except (TimeoutError, ClientDisconnect):
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The body did not come in time.") from None
    return bytes(read)
