"""/webhooks/inbound: mail that people sent, as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from leadflow.errors import BrokerError
from portal_api.api.access import Ctx, allow, tenant_of
from portal_api.api.room import Room
from portal_api.auth import OPERATORS, Principal
from portal_api.context import Context
from portal_api.inbound.events import event_in
from portal_api.inbound.mime import MOST_BYTES, BadMail
from portal_api.inbound.reports import Ignored
from portal_api.problems import Problem
from portal_api.store import writes
from portal_api.webhooks.signatures import standard_id, standard_key

router = APIRouter(prefix="/webhooks/inbound", tags=["webhooks"])

STANDARD = "standard"
SIGNATURE = "webhook-signature"
READ_SECONDS = 30.0
# Of mails of which nobody knows yet who sends them.
_unproved = Room(8 * MOST_BYTES)


@router.post("/mime/{tenant_id}", status_code=HTTPStatus.ACCEPTED)
async def receive(tenant_id: str, request: Request, context: Ctx) -> JSONResponse:
    """One mail, the bytes as a mail server received them (RFC 5322), up to 10 MB.

    With an API key of the tenant, or signed with its secret for Standard Webhooks.
    It becomes a raw event: `reply`, or `bounced`, `delivered` or `complained` where it is a
    report. The same mail twice is one event. Attachments are named, not kept. Answers 202 with
    `event_id` and `kind` once the broker has it, or with `ignored` and the reason; 413 and 422
    say what is wrong with it.
    """
    if SIGNATURE not in request.headers:
        principal = await allow(OPERATORS)(request)
        tenant_of(principal, tenant_id)
        try:
            _known(context, tenant_id)
            became = await accept(context, tenant_id, await body_of(request))
        except Problem as problem:
            await _audit(context, principal, tenant_id, problem.status, {})
            raise
        await _audit(context, principal, tenant_id, HTTPStatus.ACCEPTED, became)
        return JSONResponse(became, HTTPStatus.ACCEPTED)
    with _unproved.one() as take:  # the signature covers the body: until then it is anybody's
        data = await body_of(request, take=take)
        secrets = context.webhook_secrets.of(STANDARD, tenant_id)
        keys = [standard_key(secret) for secret in secrets]
        headers = {name.lower(): value for name, value in request.headers.items()}
        if standard_id(keys, headers, data, context.clock.now()) is None:
            raise Problem(HTTPStatus.FORBIDDEN, "The signature does not hold.")
    return JSONResponse(await accept(context, tenant_id, data), HTTPStatus.ACCEPTED)


def _known(context: Context, tenant_id: str) -> None:
    """Raises Problem 404 where tenants are configured and this one is not: a mail would make one
    up."""
    if context.tenants and tenant_id not in context.tenants:
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no tenant {tenant_id}.")


async def accept(context: Context, tenant_id: str, data: bytes) -> dict[str, str]:
    """Read a mail and publish what it is: `event_id` and `kind`, or why it is `ignored`.

    Raises Problem 422 for what is no mail, 503 where the broker does not take it.
    """
    now = context.clock.now()
    try:
        # Up to ten megabytes of somebody's making: other requests go on meanwhile.
        found = await asyncio.to_thread(
            event_in, data, tenant_id=tenant_id, links=context.links, now=now
        )
    except BadMail as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"This mail cannot be taken: {error}."
        ) from None
    if isinstance(found, Ignored):
        return {"ignored": found.reason}
    try:
        await context.publish_raw([found])
    except BrokerError:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "It could not be written down: send it again."
        ) from None
    return {"event_id": found.event_id, "kind": found.kind}


async def _audit(
    context: Context, principal: Principal, tenant_id: str, status: int, became: dict[str, str]
) -> None:
    now = context.clock.now()
    async with context.engine.begin() as connection:
        await writes.audit(
            connection, principal, "mail.receive", tenant_id, status, dict(became), now
        )


async def body_of(
    request: Request, most: int = MOST_BYTES, *, take: Callable[[int], None] | None = None
) -> bytes:
    """The body, read no further than `most` bytes; `take` is as Room's. Raises Problem 413 where
    there is more, 408 where it does not come."""
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A mail of up to {most} bytes is taken."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large
    taken = bytearray()
    try:
        async with asyncio.timeout(READ_SECONDS):
            async for chunk in request.stream():
                if take is not None:
                    take(len(chunk))
                taken += chunk
                if len(taken) > most:
                    raise too_large
    except (TimeoutError, ClientDisconnect):
        raise Problem(HTTPStatus.REQUEST_TIMEOUT, "The mail did not come in time.") from None
    return bytes(taken)
