"""/summaries: drafts, and the review that lets one out."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from leadflow import topics
from leadflow.records import SummaryReviewed
from portal_api import paging
from portal_api.api.access import Ctx, Reviewer, Staff, own_leads_of, tenant_of
from portal_api.api.bodies import Review
from portal_api.api.enrollments import Limit
from portal_api.api.writing import Done, Write, run, wait_seconds
from portal_api.auth import Principal, text_hash
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import summaries as store
from portal_api.store import writes

router = APIRouter(prefix="/summaries", tags=["summaries"])

SHOWN_SECONDS = 3.0


@router.get("")
async def list_summaries(
    context: Ctx,
    principal: Staff,
    tenant: str | None = None,
    state: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Summaries, newest first; `state` is pending, approved, edited or rejected."""
    async with context.engine.connect() as connection:
        found = await store.find(
            connection,
            tenant=tenant_of(principal, tenant),
            owner=own_leads_of(principal),
            state=state,
            after=paging.decode(cursor),
            limit=limit,
        )
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["created_at"], row["summary_id"])
    )
    return {"items": rows, "next": following}


@router.get("/{summary_id}")
async def read_summary(summary_id: str, context: Ctx, principal: Staff) -> dict[str, Any]:
    return await _row(context, principal, summary_id)


@router.post("/{summary_id}/review")
async def review(
    summary_id: str, body: Review, request: Request, context: Ctx, principal: Reviewer
) -> JSONResponse:
    """Approve, edit and approve, or reject. `text_hash` is the hash of the draft as it was
    shown: approval covers exactly the bytes that the reviewer saw, or wrote."""

    async def work(write: Write) -> Done:
        row = await _row(context, principal, summary_id)
        text, covered = _covered(row, body)
        async with context.engine.begin() as connection:
            ours = await writes.claim(connection, f"review:{summary_id}", write.seed, write.now)
        if not ours:
            raise Problem(HTTPStatus.CONFLICT, "Somebody else is reviewing it at this moment.")
        record = SummaryReviewed(
            event_id=write.event_id("review", summary_id),
            tenant_id=row["tenant_id"],
            occurred_at=write.now,
            recorded_at=write.now,
            source="portal-api",
            lead_id=row["lead_id"],
            owner=row["owner"],
            summary_id=summary_id,
            project_id=row["project_id"],
            decision=body.decision,
            text_hash=covered,
            text=text,
            reviewer=principal.subject,
            reason=body.reason,
        )
        await context.publish(topics.SUMMARIES, [(row["lead_id"], record)])

        async def is_shown() -> bool:
            async with context.engine.connect() as connection:
                now = await store.one(connection, summary_id)
            return now is not None and now["state"] != "pending"

        shown = await context.until(is_shown, wait_seconds(request, SHOWN_SECONDS))
        answer = {**await _row(context, principal, summary_id), "event_id": record.event_id}
        status = HTTPStatus.OK if shown else HTTPStatus.ACCEPTED
        return Done(status, answer, detail={"decision": body.decision, "text_hash": covered})

    return await run(context, request, principal, "summary.review", summary_id, work)


def _covered(row: dict[str, Any], body: Review) -> tuple[str | None, str]:
    """(text that goes out, hash that the decision covers). Raises Problem 409 or 422."""
    if row["state"] != "pending":
        raise Problem(HTTPStatus.CONFLICT, f"It was {row['state']} by {row['reviewer']} already.")
    # The hash of the bytes that are here, not the one that came with them.
    current = text_hash(row["text"])
    if body.text_hash != current:
        raise Problem(
            HTTPStatus.CONFLICT,
            "text_hash: the draft is not the one that you read. Load it again.",
            text_hash=current,
        )
    if body.decision == "edited":
        if not (body.text or "").strip():
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "text: an edit needs the new text")
        assert body.text is not None
        return body.text, text_hash(body.text)
    if body.decision == "rejected":
        if not (body.reason or "").strip():
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "reason: a rejection needs one")
        return None, current
    if body.text is not None and body.text != row["text"]:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "text: it differs; to change it decide `edited`"
        )
    return row["text"], current


async def _row(context: Context, principal: Principal, summary_id: str) -> dict[str, Any]:
    async with context.engine.connect() as connection:
        row = await store.one(connection, summary_id)
    if row is None or not principal.sees(row["tenant_id"], row["owner"]):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no summary {summary_id}.")
    return row
