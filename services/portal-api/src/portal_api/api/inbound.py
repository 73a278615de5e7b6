"""/webhooks/inbound: mail that people sent, as it came."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from portal_api.api.access import Ctx, Operator, tenant_of
from portal_api.context import Context
from portal_api.inbound.events import event_of
from portal_api.inbound.mime import MOST_BYTES, BadMail, read
from portal_api.inbound.reports import Ignored
from portal_api.problems import Problem

router = APIRouter(prefix="/webhooks/inbound", tags=["webhooks"])


@router.post("/mime/{tenant_id}", status_code=HTTPStatus.ACCEPTED)
async def receive(
    tenant_id: str, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """One mail, the bytes as a mail server received them (RFC 5322), up to 10 MB.

    It becomes a raw event: `reply`, or `bounced`, `delivered` or `complained` where it is a
    report. The same mail twice is one event. Attachments are named, not kept. Answers 202 with
    `event_id` and `kind` once the broker has it, or with `ignored` and the reason; 413 and 422
    say what is wrong with it.
    """
    tenant_of(principal, tenant_id)
    return await accept(context, tenant_id, await body_of(request))


async def accept(context: Context, tenant_id: str, data: bytes) -> JSONResponse:
    """Read a mail and publish what it is. Raises Problem 422."""
    try:
        # Up to ten megabytes of somebody's making: other requests go on meanwhile.
        mail = await asyncio.to_thread(read, data)
    except BadMail as error:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"This mail cannot be taken: {error}."
        ) from None
    found = event_of(mail, tenant_id=tenant_id, links=context.links, now=context.clock.now())
    if isinstance(found, Ignored):
        return JSONResponse({"ignored": found.reason}, HTTPStatus.ACCEPTED)
    await context.publish_raw([found])
    return JSONResponse({"event_id": found.event_id, "kind": found.kind}, HTTPStatus.ACCEPTED)


async def body_of(request: Request, most: int = MOST_BYTES) -> bytes:
    """The body, read no further than `most` bytes. Raises Problem 413 where there is more."""
    too_large = Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A mail of up to {most} bytes is taken."
    )
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_large
    taken = bytearray()
    async for chunk in request.stream():
        taken += chunk
        if len(taken) > most:
            raise too_large
    return bytes(taken)
