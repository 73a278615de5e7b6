"""/sequences/{id}/enroll and …/enrollments: commands to the sequencer, and what came of them."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from leadflow import topics
from portal_api import commands, paging, views
from portal_api.api.access import Ctx, Enroller, Operator, Staff, own_leads_of
from portal_api.api.bodies import Enroll, EnrollmentChange
from portal_api.api.sequences import row_of
from portal_api.api.writing import Done, Write, run, wait_seconds
from portal_api.auth import Principal
from portal_api.bulk.decide import asking
from portal_api.bulk.model import STOP
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.reasons import because
from portal_api.store import enrollments as store
from portal_api.store import leads as lead_store
from portal_api.store.connection import row as one_row

router = APIRouter(prefix="/sequences/{sequence_id}", tags=["enrollments"])

Limit = Annotated[int, Query(ge=1, le=paging.LARGEST_PAGE)]


@router.post("/enroll", status_code=HTTPStatus.ACCEPTED)
async def enroll(
    sequence_id: str, body: Enroll, request: Request, context: Ctx, principal: Enroller
) -> JSONResponse:
    """Ask the sequencer to enroll leads; each gets an answer, a refusal with its reason.

    With `Prefer: wait=N` the answer says what the sequencer decided, where it did so in time.
    """

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, sequence_id)
        wanted = list(dict.fromkeys(body.lead_ids))
        refused = await _refused(context, principal, row, wanted)
        asked = {
            lead_id: commands.enroll(
                write,
                lead_id,
                tenant_id=row["tenant_id"],
                sequence_id=sequence_id,
                by=principal.subject,
                reason=body.reason,
            )
            for lead_id in wanted
            if lead_id not in refused
        }
        await context.publish(topics.ENROLLMENT_COMMANDS, list(asked.items()))
        event_ids = [command.event_id for command in asked.values()]
        decided = await _decided(context, event_ids, wait_seconds(request, 0))
        results: list[dict[str, Any]] = []
        for lead_id in wanted:
            if lead_id in refused:
                results.append({"lead_id": lead_id, "state": "refused", "reason": refused[lead_id]})
                continue
            event_id = asked[lead_id].event_id
            result: dict[str, Any] = {
                "lead_id": lead_id,
                "state": "requested",
                "event_id": event_id,
            }
            if (answer := decided.get(event_id)) is not None:
                if answer["rule"] is None:
                    result |= {"state": "enrolled", "enrollment_id": answer["enrollment_id"]}
                else:
                    result |= {"state": "refused", "reason": answer["rule"]}
            results.append(result)
        detail = {"requested": len(asked), "refused": len(refused)}
        return Done(HTTPStatus.ACCEPTED, {"results": results}, detail=detail)

    return await run(context, request, principal, "sequence.enroll", sequence_id, work)


@router.get("/enrollments")
async def list_enrollments(
    sequence_id: str,
    context: Ctx,
    principal: Staff,
    status: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    await row_of(context, principal, sequence_id)
    async with context.engine.connect() as connection:
        found = await store.enrollments(
            connection,
            sequence_id,
            status=status,
            owner=own_leads_of(principal),
            after=paging.decode(cursor),
            limit=limit,
        )
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["enrolled_at"], row["enrollment_id"])
    )
    return {"items": [views.enrollment(row) for row in rows], "next": following}


@router.put("/enrollments/{enrollment_id}", status_code=HTTPStatus.ACCEPTED)
async def change_enrollment(
    sequence_id: str,
    enrollment_id: str,
    body: EnrollmentChange,
    request: Request,
    context: Ctx,
    principal: Operator,
) -> JSONResponse:
    """Pause, resume, migrate or unsubscribe. To unsubscribe also records the opt-out, so that
    no other sequence writes to them. With `Prefer: wait=N` the answer says what came of it:
    `refused`, with the rule, where the sequencer found nothing to do."""

    async def work(write: Write) -> Done:
        sequence = await row_of(context, principal, sequence_id)
        async with context.engine.connect() as connection:
            row = await store.enrollment(connection, enrollment_id)
        if row is None or row["sequence_id"] != sequence_id:
            raise Problem(HTTPStatus.NOT_FOUND, f"The sequence has no enrollment {enrollment_id}.")
        if body.action == "migrate" and body.to_version is None:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "to_version: which version it goes to.")
        if body.action == "migrate" and not await _is_published(
            context, sequence_id, body.to_version
        ):
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"to_version: {body.to_version} is not published."
            )
        if (refused := _cannot(body.action, row)) is not None:
            raise Problem(
                HTTPStatus.CONFLICT,
                f"It is {row['status']}: there is nothing to {body.action}, for "
                f"{because(*refused, _said)}.",
            )
        command, said = commands.change(
            write,
            body.action,
            row,
            tenant_id=sequence["tenant_id"],
            by=principal.subject,
            reason=body.reason,
            to_version=body.to_version,
        )
        await context.publish(topics.ENROLLMENT_COMMANDS, [(row["lead_id"], command)])
        if said is not None:
            await context.publish_raw([said])

        in_vain: dict[str, Any] | None = None
        before = row

        async def answered() -> bool:
            nonlocal in_vain
            async with context.engine.connect() as connection:
                in_vain = await store.refused_command(connection, command.event_id)
                now = await store.enrollment(connection, enrollment_id) or {}
            if body.action == "migrate":
                return in_vain is not None or now.get("sequence_version") == body.to_version
            return in_vain is not None or _cannot(body.action, {**before, **now}) is not None

        await context.until(answered, wait_seconds(request, 0))
        async with context.engine.connect() as connection:
            row = await store.enrollment(connection, enrollment_id) or row
        answer = {**views.enrollment(row), "event_id": command.event_id, "refused": None}
        if in_vain is not None:
            rule, looked_at = in_vain["rule"], in_vain.get("inputs") or {}
            words = because(rule, looked_at, _said)
            answer["refused"] = {"rule": rule, "because": words, "inputs": looked_at}
        return Done(HTTPStatus.ACCEPTED, answer, detail={"action": body.action})

    target = f"{sequence_id}/{enrollment_id}"
    return await run(context, request, principal, f"enrollment.{body.action}", target, work)


async def _is_published(context: Context, sequence_id: str, version: int | None) -> bool:
    async with context.engine.connect() as connection:
        found = await one_row(
            connection,
            "SELECT definition FROM sequences WHERE sequence_id = :id AND version = :version",
            {"id": sequence_id, "version": version},
        )
    return found is not None and found["definition"]["status"] != "draft"


def _cannot(action: str, row: dict[str, Any]) -> tuple[str, dict[str, str]] | None:
    """The rule for which nothing would come of an action, as the read models have it."""
    asked = STOP if action == "unsubscribe" else action
    return asking.refusal(asked, row["status"], row["held_by"])


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


async def _refused(
    context: Context, principal: Principal, sequence: dict[str, Any], lead_ids: list[str]
) -> dict[str, str]:
    """Why a lead cannot be enrolled, as far as it can be told here; the sequencer decides."""
    if sequence["status"] not in ("active",):
        raise Problem(
            HTTPStatus.CONFLICT,
            f"The sequence is {sequence['status']}: activate it before you enroll anybody.",
        )
    async with context.engine.connect() as connection:
        found = {
            row["lead_id"]: row
            for row in await lead_store.find(
                connection,
                tenant=sequence["tenant_id"],
                owner=own_leads_of(principal),
                lead_ids=lead_ids,
                limit=len(lead_ids),
            )
        }
        running = await store.running(connection, sequence["sequence_id"], lead_ids)
    refused: dict[str, str] = {}
    for lead_id in lead_ids:
        row = found.get(lead_id)
        if row is None:
            refused[lead_id] = "unknown_lead"
        elif row["merged_into"]:
            refused[lead_id] = "merged"
        elif row["status"] != "active":
            refused[lead_id] = str(row["status"])
        elif lead_id in running:
            refused[lead_id] = "already_running"
    return refused


async def _decided(context: Context, event_ids: list[str], seconds: float) -> dict[str, Any]:
    """The sequencer's answers, once all are there or the time is over."""
    answers: dict[str, Any] = {}
    if not event_ids or not seconds:
        return answers

    async def complete() -> bool:
        nonlocal answers
        async with context.engine.connect() as connection:
            answers = await store.answers(connection, event_ids)
        return len(answers) == len(event_ids)

    await context.until(complete, seconds)
    return answers
