"""/incidents: why something is paused, who mends it, what has to be verified to go on."""

from __future__ import annotations

from collections.abc import Collection
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from leadflow.pacing import DEFAULT_PER_MINUTE
from leadflow.providers import PROVIDERS
from portal_api import paging
from portal_api.api.access import Ctx, Operator, Staff, tenant_of
from portal_api.api.bodies import Closing, IncidentChange, NewIncident, Verification
from portal_api.api.writing import Done, Write, run, wait_seconds
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.incidents import desk
from portal_api.incidents.kinds import KINDS
from portal_api.incidents.scopes import (
    OF_ALL_TENANTS,
    PROVIDER,
    NotAScope,
    Scope,
    missing,
    parse,
)
from portal_api.problems import Problem
from portal_api.store import incidents as store
from portal_api.store import sequences, waiting

router = APIRouter(prefix="/incidents", tags=["incidents"])

SHOWN_SECONDS = 3.0
Limit = Annotated[int, Query(ge=1, le=paging.LARGEST_PAGE)]
RateQuery = Annotated[int, Query(ge=1, le=100_000)]


@router.get("")
async def list_incidents(
    context: Ctx,
    principal: Staff,
    tenant: str | None = None,
    state: Literal["open", "closed", "all"] = "all",
    scope: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """The newest first. An incident about everything is shown to every tenant's staff."""
    shown = tenant_of(principal, tenant)
    async with context.engine.connect() as connection:
        found = await store.find(
            connection,
            tenant=shown,
            state=state,
            scope=None if scope is None else str(scope_of(scope)),
            after=paging.decode(cursor),
            limit=limit,
        )
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["opened_at"], row["incident_id"])
    )
    return {"items": [view(row) for row in rows], "next": following}


@router.get("/kinds")
async def kinds(_principal: Staff) -> dict[str, Any]:
    """The kinds of incident, with the verification task and rollback that each has by default."""
    return {
        "items": [
            {"kind": name, "task": each.task, "rollback": each.rollback}
            for name, each in KINDS.items()
        ]
    }


@router.get("/preview")
async def preview_of_scope(
    scope: str, context: Ctx, principal: Staff, rate_per_minute: RateQuery = DEFAULT_PER_MINUTE
) -> dict[str, Any]:
    """What a resume of this scope would let go, by sequence and channel, and from when to when."""
    parsed = await known_scope(context, principal, scope, to_write=False)
    return await preview(context, principal, str(parsed), rate_per_minute)


@router.post("", status_code=HTTPStatus.CREATED)
async def open_incident(
    body: NewIncident, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Open one by hand: its scope is paused at once."""

    async def work(write: Write) -> Done:
        scope = await known_scope(context, principal, body.scope)
        new = desk.New(
            incident_id=write.event_id("incident"),
            kind=body.kind,
            scope=scope,
            reason=body.reason,
            owner=body.owner or principal.subject,
            by=principal.subject,
            workflow=body.workflow,
            rollback=body.rollback,
            task=body.task,
        )
        await desk.open_incident(context, new, write.now)
        shown = await paused_is(context, request, str(scope), True)
        answer = {**await full(context, new.incident_id), "paused": shown}
        detail = {"kind": body.kind, "scope": str(scope)}
        status = HTTPStatus.CREATED if shown else HTTPStatus.ACCEPTED
        return Done(status, answer, new.incident_id, detail)

    return await run(context, request, principal, "incident.open", body.scope, work)


@router.get("/{incident_id}")
async def read_incident(incident_id: str, context: Ctx, principal: Staff) -> dict[str, Any]:
    """One incident with its history."""
    await row_of(context, principal, incident_id, to_write=False)
    return await full(context, incident_id)


@router.get("/{incident_id}/preview")
async def preview_of_incident(
    incident_id: str,
    context: Ctx,
    principal: Staff,
    rate_per_minute: RateQuery = DEFAULT_PER_MINUTE,
) -> dict[str, Any]:
    """What its resume would let go; `still_paused_by` are other incidents on the same scope."""
    row = await row_of(context, principal, incident_id, to_write=False)
    found = await preview(context, principal, row["scope"], rate_per_minute)
    async with context.engine.connect() as connection:
        others = await store.open_on(connection, row["scope"])
    still = [each["incident_id"] for each in others if each["incident_id"] != incident_id]
    return {**found, "still_paused_by": still}


@router.put("/{incident_id}")
async def change_incident(
    incident_id: str, body: IncidentChange, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Change its words. The history keeps those before."""

    async def work(write: Write) -> Done:
        row = await open_row_of(context, principal, incident_id)
        changes = body.model_dump(exclude_none=True)
        await desk.change(context, row, changes, by=principal.subject, now=write.now)
        return Done(
            HTTPStatus.OK, await full(context, incident_id), detail={"changed": sorted(changes)}
        )

    return await run(context, request, principal, "incident.change", incident_id, work)


@router.post("/{incident_id}/verify")
async def verify(
    incident_id: str, body: Verification, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Say that the verification task is done, or take that back."""

    async def work(write: Write) -> Done:
        row = await open_row_of(context, principal, incident_id)
        if body.done != (row["task_done_at"] is not None):
            act = desk.verify if body.done else desk.take_back
            await act(context, row, note=body.note, by=principal.subject, now=write.now)
        return Done(HTTPStatus.OK, await full(context, incident_id), detail={"done": body.done})

    return await run(context, request, principal, "incident.verify", incident_id, work)


@router.post("/{incident_id}/close")
async def close_incident(
    incident_id: str, body: Closing, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Close it: its scope goes on at the rate, unless another incident is open on it. Answers
    what is now sent when."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, incident_id)
        release = await close(
            context,
            principal,
            write,
            row,
            reason=body.reason or "resumed by hand",
            rate_per_minute=body.rate_per_minute,
        )
        scope, resumed = row["scope"], release["resumed"]
        done = not resumed or await paused_is(context, request, scope, False)
        answer = {**await full(context, incident_id), "release": release}
        detail = {"rate_per_minute": body.rate_per_minute, "resumed": resumed}
        return Done(HTTPStatus.OK if done else HTTPStatus.ACCEPTED, answer, detail=detail)

    return await run(context, request, principal, "incident.close", incident_id, work)


async def close(
    context: Context,
    principal: Principal,
    write: Write,
    row: dict[str, Any],
    *,
    reason: str,
    rate_per_minute: int,
) -> dict[str, Any]:
    """Close an incident; the preview as it was, with `resumed` and `still_paused_by`.

    Raises Problem 409 with the task while that is not done.
    """
    release = await preview(context, principal, row["scope"], rate_per_minute)
    try:
        still = await desk.close(
            context,
            row["incident_id"],
            reason=reason,
            rate_per_minute=rate_per_minute,
            by=principal.subject,
            now=write.now,
        )
    except desk.TaskOpen:
        raise not_verified(row) from None
    return {**release, "resumed": not still, "still_paused_by": still}


def not_verified(row: dict[str, Any]) -> Problem:
    return Problem(
        HTTPStatus.CONFLICT,
        f"The verification task is not done: {row['task']} Do it and say so, then it can go on.",
        incident_id=row["incident_id"],
    )


async def preview(
    context: Context, principal: Principal, scope: str, rate_per_minute: int
) -> dict[str, Any]:
    async with context.engine.connect() as connection:
        paused = await sequences.paused_scopes(connection)
        return await waiting.preview(
            connection,
            scope,
            tenant=principal.tenant_id,
            paused=paused.keys(),
            rate_per_minute=rate_per_minute,
            now=context.clock.now(),
        )


async def paused_is(context: Context, request: Request, scope: str, wanted: bool) -> bool:
    """Whether the log has the scope paused, or not, as wanted: within a moment."""

    async def holds() -> bool:
        async with context.engine.connect() as connection:
            return (scope in await sequences.paused_scopes(connection)) == wanted

    return await context.until(holds, wait_seconds(request, SHOWN_SECONDS))


def scope_of(text: str) -> Scope:
    """Raises Problem 422."""
    try:
        return parse(text)
    except NotAScope as error:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"scope: {error}") from None


async def known_scope(
    context: Context, principal: Principal, text: str, *, to_write: bool = True
) -> Scope:
    """The scope, if what it names is there: a misspelt one would look paused and send on.

    Raises Problem 422, and 403 where it is more than the principal's tenant.
    """
    scope = scope_of(text)
    if scope.kind in OF_ALL_TENANTS:
        if to_write and principal.tenant_id is not None:
            raise Problem(
                HTTPStatus.FORBIDDEN, f"this key is for tenant {principal.tenant_id}, not for all"
            )
        if scope.kind == PROVIDER:
            there_is("provider", scope.name, PROVIDERS)
        return scope
    tenant_of(principal, scope.tenant_id)
    async with context.engine.connect() as connection:
        there_is(
            "tenant", scope.tenant_id, {*await sequences.tenants(connection), *context.tenants}
        )
        if scope.kind == "sequence":
            found = await sequences.all_of(connection, scope.tenant_id)
            there_is("sequence", scope.name, [each["sequence_id"] for each in found])
    return scope


def there_is(what: str, name: str, known: Collection[str]) -> None:
    """Raises Problem 422, with what there is instead."""
    if name not in known:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"scope: {missing(what, name, known)}")


async def row_of(
    context: Context, principal: Principal, incident_id: str, *, to_write: bool = True
) -> dict[str, Any]:
    """Raises Problem 404, also where it is another tenant's."""
    async with context.engine.connect() as connection:
        row = await store.one(connection, incident_id)
    own = principal.tenant_id
    if row is None or (own not in (None, row["tenant_id"]) and (to_write or row["tenant_id"])):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no incident {incident_id}.")
    return row


async def open_row_of(context: Context, principal: Principal, incident_id: str) -> dict[str, Any]:
    """Raises Problem 404, and 409 if it is closed."""
    row = await row_of(context, principal, incident_id)
    if row["closed_at"] is not None:
        raise Problem(HTTPStatus.CONFLICT, "It is closed: what happened stays as it is.")
    return row


async def full(context: Context, incident_id: str) -> dict[str, Any]:
    async with context.engine.connect() as connection:
        row = await store.one(connection, incident_id)
        assert row is not None
        return {**view(row), "history": await store.history(connection, incident_id)}


def view(row: dict[str, Any]) -> dict[str, Any]:
    """An incident as the API shows it."""
    return {
        "id": row["incident_id"],
        "tenant_id": row["tenant_id"] or None,
        "kind": row["kind"],
        "state": "open" if row["closed_at"] is None else "closed",
        "scope": row["scope"],
        "workflow": row["workflow"],
        "reason": row["reason"],
        "owner": row["owner"],
        "rollback": row["rollback"],
        "opened_at": row["opened_at"],
        "opened_by": row["opened_by"],
        "rule": row["rule"] or None,
        "evidence": row["evidence"] or None,
        "verification": {
            "task": row["task"],
            "status": "open" if row["task_done_at"] is None else "done",
            "done_at": row["task_done_at"],
            "done_by": row["task_done_by"],
            "note": row["task_note"],
        },
        "closed_at": row["closed_at"],
        "closed_by": row["closed_by"],
        "close_reason": row["close_reason"],
        "rate_per_minute": row["rate_per_minute"],
    }
