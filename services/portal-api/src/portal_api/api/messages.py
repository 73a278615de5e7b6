"""/sequences/{id}/messages."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from leadflow import topics
from leadflow.records import ResendRequested
from portal_api import paging, views
from portal_api.api.access import Ctx, Operator, Staff, own_leads_of
from portal_api.api.bodies import Resend
from portal_api.api.enrollments import Limit
from portal_api.api.sequences import row_of
from portal_api.api.writing import Done, Write, run
from portal_api.problems import Problem
from portal_api.store import enrollments as store

router = APIRouter(prefix="/sequences/{sequence_id}/messages", tags=["messages"])

RESENDABLE = ("sent", "recorded", "failed", "unknown")


@router.get("")
async def list_messages(
    sequence_id: str,
    context: Ctx,
    principal: Staff,
    state: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Every message of the sequence, those to come included, latest due first. What a pause holds
    before it is due is `paused`, and `held_by` names the pause."""
    await row_of(context, principal, sequence_id)
    async with context.engine.connect() as connection:
        found = await store.messages(
            connection,
            sequence_id=sequence_id,
            state=state,
            owner=own_leads_of(principal),
            after=paging.decode(cursor),
            limit=limit,
        )
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["scheduled_for"], row["message_id"])
    )
    return {"items": [views.message(row) for row in rows], "next": following}


@router.post("/{message_id}/resend", status_code=HTTPStatus.ACCEPTED)
async def resend(
    sequence_id: str,
    message_id: str,
    request: Request,
    context: Ctx,
    principal: Operator,
    body: Resend | None = None,
) -> JSONResponse:
    """Ask for one more attempt, as a message of its own that names the first.

    What a provider may already have (`unknown`) goes out again only with a reason.
    """
    reason = None if body is None else body.reason

    async def work(write: Write) -> Done:
        await row_of(context, principal, sequence_id)
        async with context.engine.connect() as connection:
            row = await store.message(connection, message_id)
        if row is None or row["sequence_id"] != sequence_id:
            raise Problem(HTTPStatus.NOT_FOUND, f"The sequence has no message {message_id}.")
        if row["state"] not in RESENDABLE:
            raise Problem(
                HTTPStatus.CONFLICT, f"It is {row['state']}: there is nothing to send again."
            )
        if row["state"] == "unknown" and not reason:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "reason: the provider may have sent it already; say why it should go out again.",
            )
        command = ResendRequested(
            event_id=write.event_id("resend", message_id),
            tenant_id=row["tenant_id"],
            occurred_at=write.now,
            recorded_at=write.now,
            source="portal-api",
            lead_id=row["lead_id"],
            owner=row["owner"],
            message_id=message_id,
            requested_by=principal.subject,
            reason=reason,
        )
        await context.publish(topics.ENROLLMENT_COMMANDS, [(row["lead_id"], command)])
        answer = {"message_id": message_id, "event_id": command.event_id, "state": "requested"}
        return Done(HTTPStatus.ACCEPTED, answer)

    target = f"{sequence_id}/{message_id}"
    return await run(context, request, principal, "message.resend", target, work)
