"""/sequences/{id}/bulk and /bulk: one thing done to many leads, with an answer for each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import Field

from leadflow.pacing import DEFAULT_PER_MINUTE
from leadflow.records import SequencePublished
from portal_api import editing, paging
from portal_api.api.access import Ctx, Enroller, Staff, own_leads_of, tenant_of
from portal_api.api.bodies import Body, Name, Rate, Text
from portal_api.api.enrollments import Limit
from portal_api.api.sequences import row_of
from portal_api.api.writing import Done, Write, run, wait_seconds
from portal_api.auth import OPERATORS, Principal
from portal_api.bulk import selecting, views
from portal_api.bulk.model import ENROLL, MIGRATE, RESUME, Job
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import bulk as store
from portal_api.store import sequences as sequence_store
from portal_api.store import waiting
from portal_api.store.connection import row as one_row
from portal_api.store.connection import rows

router = APIRouter(tags=["bulk"])

LARGEST = 50_000
CSV_PAGE = 1000


class Filter(Body):
    """As GET /leads takes it; what is left out is not asked about."""

    source: Text | None = None
    external_id: Text | None = None
    email: Text | None = None
    phone: Text | None = None
    q: Text | None = None
    status: Literal["active", "quarantined", "merged"] | None = None
    stage: Text | None = None
    owner: Text | None = None
    temperature: Literal["hot", "warm", "cold"] | None = None


class NewBulk(Body):
    """`lead_ids` or `filter`; without either, everybody who is enrolled (not for enroll)."""

    action: Literal["enroll", "migrate", "pause", "resume", "stop"]
    lead_ids: Annotated[list[Name], Field(min_length=1, max_length=LARGEST)] | None = None
    filter: Filter | None = None
    from_version: Annotated[int, Field(ge=1)] | None = None
    to_version: Annotated[int, Field(ge=1)] | None = None
    reason: Text | None = None
    # To resume: how many leads a minute go on of those whose step is overdue.
    rate_per_minute: Rate | None = None
    dry_run: bool = False


@router.get("/sequences/{sequence_id}/versions")
async def list_versions(sequence_id: str, context: Ctx, principal: Staff) -> dict[str, Any]:
    """The published versions, newest first, with how many leads are in each now."""
    await row_of(context, principal, sequence_id)
    async with context.engine.connect() as connection:
        found = await rows(
            connection,
            """
            SELECT s.version, s.status, s.published_at,
                   jsonb_array_length(s.definition->'steps') AS steps,
                   count(e.enrollment_id) FILTER (WHERE e.status IN ('active', 'paused')) AS live
            FROM sequences s LEFT JOIN enrollments e
              ON e.sequence_id = s.sequence_id AND e.sequence_version = s.version
            WHERE s.sequence_id = :sequence
            GROUP BY s.sequence_id, s.version ORDER BY s.version DESC
            """,
            {"sequence": sequence_id},
        )
    return {"items": found, "next": None}


@router.post("/sequences/{sequence_id}/bulk", status_code=HTTPStatus.ACCEPTED)
async def create_bulk(
    sequence_id: str, body: NewBulk, request: Request, context: Ctx, principal: Enroller
) -> JSONResponse:
    """Enroll, migrate, pause, resume or stop many leads. With `dry_run` nothing is sent: what
    is expected for each lead can be read, and POST /bulk/{id}/start does exactly that. A resume
    lets go what is overdue at `rate_per_minute`; `release` says what goes out when."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, sequence_id)
        if body.action != ENROLL and principal.role not in OPERATORS:
            raise Problem(HTTPStatus.FORBIDDEN, f"The role {principal.role} may only enroll.")
        sequence = await _sequence(context, row, body)
        bulk_id = write.event_id("bulk", sequence_id)
        now = _to_milliseconds(write.now)
        await _create(context, principal, sequence, body, bulk_id, now)
        context.bulk_waits.set()
        shown = await _shown(context, await _row(context, principal, bulk_id))
        detail = {name: shown[name] for name in ("action", "total", "state", "to_version")}
        return Done(HTTPStatus.ACCEPTED, shown, f"{sequence_id}/{bulk_id}", detail)

    return await run(context, request, principal, "bulk.create", sequence_id, work)


@router.get("/bulk")
async def list_bulk(
    context: Ctx,
    principal: Staff,
    tenant: str | None = None,
    sequence_id: str | None = None,
    limit: Limit = 20,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Jobs that were started, newest first; a rep's own ones."""
    async with context.engine.connect() as connection:
        found = await store.jobs(
            connection,
            tenant=tenant_of(principal, tenant),
            sequence_id=sequence_id,
            own_leads_of=own_leads_of(principal),
            after=paging.decode(cursor),
            limit=limit,
        )
        page, following = paging.page(
            found, limit, lambda row: paging.encode(row["created_at"], row["bulk_id"])
        )
        counts = await store.counts(connection, [each["bulk_id"] for each in page])
    return {"items": [views.job(each, counts) for each in page], "next": following}


@router.get("/bulk/{bulk_id}")
async def read_bulk(
    bulk_id: str, request: Request, context: Ctx, principal: Staff
) -> dict[str, Any]:
    """How far a job is. With `Prefer: wait=N` once it is finished, or after N seconds."""

    async def finished() -> bool:
        return (await _row(context, principal, bulk_id))["finished_at"] is not None

    await context.until(finished, wait_seconds(request, 0))
    return await _shown(context, await _row(context, principal, bulk_id))


@router.get("/bulk/{bulk_id}/items")
async def list_items(
    bulk_id: str,
    context: Ctx,
    principal: Staff,
    state: Literal["waiting", "requested", "done", "refused", "cancelled"] | None = None,
    expected: Literal["done", "refused"] | None = None,
    limit: Limit = 100,
    cursor: int | None = None,
) -> dict[str, Any]:
    """Each lead of a job: what was expected, and what the sequencer said."""
    of = await _row(context, principal, bulk_id)
    async with context.engine.connect() as connection:
        found = await store.items(
            connection,
            bulk_id,
            state=state,
            expected=expected,
            after=-1 if cursor is None else cursor,
            limit=limit,
        )
    page, following = paging.page(found, limit, lambda row: str(row["position"]))
    return {"items": [views.item(each, of) for each in page], "next": following}


@router.get("/bulk/{bulk_id}/refusals.csv")
async def refusals(bulk_id: str, context: Ctx, principal: Staff) -> StreamingResponse:
    """Every refusal of a job with its rule and what the rule looked at."""
    await _row(context, principal, bulk_id)

    async def lines() -> AsyncIterator[str]:
        after, head = -1, True
        while True:
            async with context.engine.connect() as connection:
                found = await store.items(
                    connection, bulk_id, state="refused", after=after, limit=CSV_PAGE
                )
            yield views.csv_lines(found[:CSV_PAGE], head=head)
            if len(found) <= CSV_PAGE:
                return
            after, head = found[CSV_PAGE - 1]["position"], False

    name = f'attachment; filename="refusals-{bulk_id}.csv"'
    return StreamingResponse(
        lines(), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name}
    )


@router.post("/bulk/{bulk_id}/start", status_code=HTTPStatus.ACCEPTED)
async def start_bulk(
    bulk_id: str, request: Request, context: Ctx, principal: Enroller
) -> JSONResponse:
    """Do what a dry run has shown, to the leads that it has shown."""

    async def work(write: Write) -> Done:
        row = await _row(context, principal, bulk_id, changing=True)
        async with context.engine.begin() as connection:
            started = await store.start(connection, bulk_id, _to_milliseconds(write.now))
        if not started and row["started_at"] is None:
            raise Problem(HTTPStatus.CONFLICT, f"It is {row['state']}: make a new one.")
        context.bulk_waits.set()
        shown = await _shown(context, await _row(context, principal, bulk_id))
        return Done(HTTPStatus.ACCEPTED, shown, detail={"total": shown["total"]})

    return await run(context, request, principal, "bulk.start", bulk_id, work)


@router.post("/bulk/{bulk_id}/cancel")
async def cancel_bulk(
    bulk_id: str, request: Request, context: Ctx, principal: Enroller
) -> JSONResponse:
    """Send nothing more. What was sent already is done: `not_sent` and `sent` say how many."""

    async def work(write: Write) -> Done:
        row = await _row(context, principal, bulk_id, changing=True)
        async with context.engine.begin() as connection:
            not_sent = await store.cancel(connection, bulk_id, principal.subject, write.now)
        if not_sent is None:
            raise Problem(HTTPStatus.CONFLICT, f"It is {row['state']}: there is nothing to cancel.")
        context.bulk_waits.set()
        shown = await _shown(context, await _row(context, principal, bulk_id))
        counts = shown["counts"]
        asked = await _asked(context, bulk_id)
        answer = {"not_sent": not_sent, "sent": asked}
        return Done(HTTPStatus.OK, {**shown, **answer}, detail={**answer, **counts})

    return await run(context, request, principal, "bulk.cancel", bulk_id, work)


async def _sequence(context: Context, row: dict[str, Any], body: NewBulk) -> SequencePublished:
    """The version that it is about. Raises Problem where the request makes no sense."""
    record = editing.from_definition(row["definition"])
    if body.lead_ids is not None and body.filter is not None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "lead_ids or filter, not both.")
    if body.action != RESUME and body.rate_per_minute is not None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "rate_per_minute: only to resume.")
    if body.action != MIGRATE and body.to_version is not None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "to_version: only to migrate.")
    if body.action == ENROLL:
        if body.lead_ids is None and body.filter is None:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "lead_ids or filter: say who.")
        if body.from_version is not None:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "from_version: not to enroll.")
        if record.status != "active":
            raise Problem(
                HTTPStatus.CONFLICT,
                f"The sequence is {record.status}: activate it before you enroll anybody.",
            )
        return record
    if body.action != MIGRATE:
        return record
    if body.to_version is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "to_version: which version they go to.")
    async with context.engine.connect() as connection:
        found = await one_row(
            connection,
            "SELECT definition FROM sequences WHERE sequence_id = :id AND version = :version",
            {"id": record.sequence_id, "version": body.to_version},
        )
    if found is None or found["definition"]["status"] == "draft":
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, f"to_version: {body.to_version} is not published."
        )
    return editing.from_definition(found["definition"])


async def _create(
    context: Context,
    principal: Principal,
    sequence: SequencePublished,
    body: NewBulk,
    bulk_id: str,
    now: datetime,
) -> None:
    """Write the job and everybody it is about, in one transaction; nothing if it is there."""
    fitting = {} if body.filter is None else body.filter.model_dump(exclude_none=True)
    chosen = {"lead_ids": len(set(body.lead_ids))} if body.lead_ids else {"filter": fitting}
    job = Job(
        bulk_id=bulk_id,
        tenant_id=sequence.tenant_id,
        sequence_id=sequence.sequence_id,
        action=body.action,
        requested_by=principal.subject,
        reason=body.reason,
        from_version=body.from_version,
        to_version=body.to_version,
        started_at=None if body.dry_run else now,
        rate_per_minute=(body.rate_per_minute or DEFAULT_PER_MINUTE)
        if body.action == RESUME
        else None,
    )
    row = {
        **{name: getattr(job, name) for name in Job.__dataclass_fields__},
        "chosen": chosen,
        "own_leads_of": own_leads_of(principal),
        "state": "previewed" if body.dry_run else "running",
        "total": 0,
        "created_at": now,
    }
    who = selecting.Chosen(
        lead_ids=body.lead_ids, fitting=_as_found(fitting), owner=own_leads_of(principal)
    )
    tenant = context.tenant(sequence.tenant_id)
    async with context.engine.begin() as connection:
        if not await store.create(connection, row):
            return
        total = 0
        chunks = selecting.items(connection, job, sequence, who, tenant, now)
        async with aclosing(chunks):
            async for items in chunks:
                total += len(items)
                if total > LARGEST:
                    raise Problem(
                        HTTPStatus.UNPROCESSABLE_ENTITY,
                        f"More than {LARGEST} leads fit: narrow the filter down.",
                    )
                await store.add_items(connection, items)
        await store.set_total(connection, bulk_id, total)


def _as_found(fitting: dict[str, str]) -> dict[str, str]:
    """The filter under the names of the query."""
    names = {"q": "words", "owner": "owned_by"}
    found = {names.get(name, name): value for name, value in fitting.items()}
    if "phone" in found:
        found["phone"] = f"+{found['phone'].strip().removeprefix('+')}"
    return found


def _to_milliseconds(at: datetime) -> datetime:
    """As the wire carries it: what follows from a command is found by the command's time."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


async def _row(
    context: Context, principal: Principal, bulk_id: str, *, changing: bool = False
) -> dict[str, Any]:
    """Raises Problem 404, also for the job of another tenant, or of other leads than a rep's;
    403 where the principal may only look."""
    async with context.engine.connect() as connection:
        row = await store.job(connection, bulk_id)
    own = own_leads_of(principal)
    if (
        row is None
        or principal.tenant_id not in (None, row["tenant_id"])
        or (own is not None and row["own_leads_of"] != own)
    ):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no bulk job {bulk_id}.")
    if changing and principal.role not in OPERATORS and row["action"] != ENROLL:
        raise Problem(HTTPStatus.FORBIDDEN, f"The role {principal.role} may only enroll.")
    return row


async def _shown(context: Context, row: dict[str, Any]) -> dict[str, Any]:
    async with context.engine.connect() as connection:
        job = views.job(row, await store.counts(connection, [row["bulk_id"]]))
        if row["rate_per_minute"] is not None:
            job["release"] = await waiting.preview_of_bulk(
                connection,
                row["bulk_id"],
                paused=await sequence_store.paused_scopes(connection),
                rate_per_minute=row["rate_per_minute"],
                now=context.clock.now(),
            )
        return job


async def _asked(context: Context, bulk_id: str) -> int:
    """How many of a job's commands are in the log."""
    async with context.engine.connect() as connection:
        found = await one_row(
            connection,
            "SELECT count(*) AS n FROM bulk_items WHERE bulk_id = :id "
            "AND state IN ('requested', 'done', 'refused') "
            "AND decided_by IS DISTINCT FROM 'portal-api'",
            {"id": bulk_id},
        )
    return 0 if found is None else int(found["n"])
