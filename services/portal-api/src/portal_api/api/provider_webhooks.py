"""POST /webhooks/providers/{provider}/{tenant_id}: what providers report, by their signature.

No API key: who signs with the tenant's secret is the provider. To everybody else all answers are
the same, whether the tenant, its secret or the time is what is wrong. Places are for those alone
whose signature holds: however many strangers send slowly, a STOP gets in.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from prometheus_client import Counter
from starlette.requests import ClientDisconnect

from leadflow.errors import BrokerError
from leadflow.tenants import WEBHOOK_PROVIDERS
from portal_api.api.access import Ctx
from portal_api.api.room import Room
from portal_api.context import Context
from portal_api.inbound.events import completed
from portal_api.problems import Problem
from portal_api.webhooks import resend, standard, twilio
from portal_api.webhooks.said import Said, Unreadable, raw_event
from portal_api.webhooks.signatures import (
    HEADER_NAMES,
    is_from_twilio,
    standard_id,
    standard_key,
)

# Twilio's and Resend's are some kilobytes; a reply may be a long one.
LARGEST_BODY = 256 * 1024
MOST_FIELDS = 200
# Of a slow sender; the providers themselves give up after 15 seconds.
READ_SECONDS = 10.0
MOST_AT_ONCE = 64
# Of bodies whose signature is not known yet to hold.
_unproved = Room(256 * LARGEST_BODY)
SIGNATURES = {
    "twilio": ("x-twilio-signature",),
    "resend": tuple(f"{name}-signature" for name in HEADER_NAMES),
    "standard": tuple(f"{name}-signature" for name in HEADER_NAMES),
}
FORM = "application/x-www-form-urlencoded"

WEBHOOKS = Counter("leadflow_portal_webhooks", "Webhooks of providers", ["provider", "outcome"])


def router() -> APIRouter:
    """A router of its own count of requests under way."""
    made = APIRouter(include_in_schema=False)
    places = _Places()

    @made.post("/webhooks/providers/{provider}/{tenant_id}")
    async def receive(provider: str, tenant_id: str, request: Request, context: Ctx) -> Response:
        """204 once the broker has all that the webhook says."""
        if provider not in WEBHOOK_PROVIDERS:
            raise Problem(
                HTTPStatus.NOT_FOUND, f"There are webhooks of {', '.join(WEBHOOK_PROVIDERS)}."
            )
        try:
            read = await _signed(provider, tenant_id, request, context)
            async with places.one():
                outcome = await _receive(provider, tenant_id, read, context)
        except Problem as problem:
            WEBHOOKS.labels(provider, str(problem.status)).inc()
            raise
        WEBHOOKS.labels(provider, outcome).inc()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return made


class _Places:
    """Room for so many signed requests at once; the next are sent away instead of kept waiting."""

    def __init__(self) -> None:
        self._left = MOST_AT_ONCE

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        if not self._left:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too many webhooks at once: come again.")
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1


Read = Callable[[], list[Said]]


async def _signed(provider: str, tenant_id: str, request: Request, context: Context) -> Read:
    """How to read a request that is signed. Raises Problem 403 for any other; of one without any
    signature the body is not read."""
    forbidden = Problem(HTTPStatus.FORBIDDEN, "The signature does not hold.")
    if not any(request.headers.get(name) for name in SIGNATURES[provider]):
        raise forbidden
    body = await _body(request)
    read = _opened(provider, tenant_id, request, body, context, context.clock.now())
    if read is None:
        raise forbidden
    return read


async def _receive(provider: str, tenant_id: str, read: Read, context: Context) -> str:
    now = context.clock.now()
    try:
        said = read()
    except Unreadable as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"Signed, but {error}.") from None
    if not said:
        return "no_news"
    try:
        told = [_completed(each, tenant_id, context) for each in said]
        await context.publish_raw([raw_event(provider, tenant_id, each, now) for each in told])
    except BrokerError:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "It could not be written down: send it again."
        ) from None
    return "accepted"


def _completed(said: Said, tenant_id: str, context: Context) -> Said:
    """A reply names its message by the address that it was sent to."""
    if said.kind != "reply":
        return said
    payload = completed(said.payload, tenant_id=tenant_id, links=context.links)
    return replace(said, payload=payload)


def _opened(
    provider: str,
    tenant_id: str,
    request: Request,
    body: bytes,
    context: Context,
    now: datetime,
) -> Read | None:
    """How to read a request that the provider of this tenant signed; None for any other."""
    secrets = context.webhook_secrets.of(provider, tenant_id)
    if provider == "twilio":
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            return None
        pairs = _form(body)
        signature = request.headers.get("x-twilio-signature", "")
        if pairs is None or not is_from_twilio(secrets, _url(request, context), pairs, signature):
            return None
        # The signature covers the address with its query.
        message_id = request.query_params.get("message_id", "")
        return lambda: twilio.read(dict(pairs), now, message_id)
    headers = {name.lower(): value for name, value in request.headers.items()}
    keys = [standard_key(secret) for secret in secrets]
    webhook_id = standard_id(keys, headers, body, now)
    if webhook_id is None:
        return None
    reader = resend.read if provider == "resend" else standard.read
    return lambda: reader(webhook_id, body, now)


def _form(body: bytes) -> list[tuple[str, str]] | None:
    """The fields of a form, in their order; None for what is no form."""
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="strict",
        )
    except ValueError:
        return None


def _url(request: Request, context: Context) -> str:
    """The URL as the provider called it: a proxy may have changed host and scheme."""
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    url = context.public_url + path.decode("latin-1")
    return f"{url}?{query.decode('latin-1')}" if query else url


async def _body(request: Request) -> bytes:
    """Raises Problem 413 beyond LARGEST_BODY, 408 where it takes too long or ends too soon, 503
    where strangers have filled the room."""
    read = bytearray()
    try:
        with _unproved.one() as take:
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
