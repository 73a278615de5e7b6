"""/messages: the work list of messages of which nobody knows whether they went out, and what
people found out about them."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import topics
from leadflow.records import DoubtSettled
from portal_api import paging, views
from portal_api.api.access import Ctx, Operator, Staff, own_leads_of, tenant_of
from portal_api.api.bodies import SettleDoubt
from portal_api.api.enrollments import Limit
from portal_api.api.writing import Done, Write, run
from portal_api.problems import Problem
from portal_api.projections.messages import RANKS
from portal_api.store import doubts
from portal_api.store import enrollments as store

router = APIRouter(prefix="/messages", tags=["messages"])


@router.get("")
async def list_messages(
    context: Ctx,
    principal: Staff,
    state: Annotated[str, Query(description="Such as unknown, held or failed.")] = "unknown",
    tenant_id: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Messages of every sequence in one state, latest due first; in doubt, unless another."""
    if state not in RANKS:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"state: one of {', '.join(sorted(RANKS))}.")
    async with context.engine.connect() as connection:
        found = await store.messages(
            connection,
            state=state,
            tenant_id=tenant_of(principal, tenant_id),
            owner=own_leads_of(principal),
            after=paging.decode(cursor),
            limit=limit,
        )
        rows, following = paging.page(
            found, limit, lambda row: paging.encode(row["scheduled_for"], row["message_id"])
        )
        return {"items": await _with_words(connection, rows), "next": following}


@router.get("/settled")
async def list_settled(
    context: Ctx,
    principal: Staff,
    tenant_id: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Messages that were in doubt until somebody here said what became of them, the last first."""
    async with context.engine.connect() as connection:
        found = await doubts.settled(
            connection,
            tenant_id=tenant_of(principal, tenant_id),
            owner=own_leads_of(principal),
            after=paging.decode(cursor),
            limit=limit,
        )
        rows, following = paging.page(
            found, limit, lambda row: paging.encode(row["word_at"], row["word_id"])
        )
        return {"items": await _with_words(connection, rows), "next": following}


async def _with_words(
    connection: AsyncConnection, rows: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The messages, each with its `doubt` where there is or was one."""
    leads = {row["lead_id"] for row in rows if row["lead_id"]}
    said = await doubts.said(connection, leads, [row["message_id"] for row in rows])
    return [{**views.message(row), "doubt": views.doubt(row["message_id"], said)} for row in rows]


@router.post("/{message_id}/settle", status_code=HTTPStatus.ACCEPTED)
async def settle(
    message_id: str, body: SettleDoubt, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Say what became of a message in doubt. The dispatcher's ledger follows, and its chain keeps
    that it was in doubt before."""

    async def work(write: Write) -> Done:
        async with context.engine.connect() as connection:
            row = await store.message(connection, message_id)
        wanted = tenant_of(principal, None)
        if row is None or wanted not in (None, row["tenant_id"]):
            raise Problem(HTTPStatus.NOT_FOUND, f"There is no message {message_id}.")
        if row["state"] != "unknown":
            raise Problem(HTTPStatus.CONFLICT, f"It is {row['state']}: nothing is in doubt.")
        word = DoubtSettled(
            event_id=write.event_id("settle", message_id),
            tenant_id=row["tenant_id"],
            occurred_at=write.now,
            recorded_at=write.now,
            source="portal-api",
            lead_id=row["lead_id"],
            owner=row["owner"],
            message_id=message_id,
            outcome=body.outcome,
            provider_id=body.provider_id,
            settled_by=principal.subject,
            reason=body.reason,
        )
        await context.publish(topics.MESSAGE_REVIEWS, [(row["lead_id"], word)])
        answer = {"message_id": message_id, "event_id": word.event_id, "state": "requested"}
        detail = {"outcome": body.outcome, "event_id": word.event_id}
        return Done(HTTPStatus.ACCEPTED, answer, detail=detail)

    return await run(context, request, principal, "message.settle", message_id, work)
