"""/crm-changes: what people changed in the CRMs, whose value stands, and conflicts to look at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from portal_api import paging, settled, views
from portal_api.api.access import Ctx, Operator, Staff, own_leads_of, tenant_of
from portal_api.api.bodies import Body, Words
from portal_api.api.enrollments import Limit
from portal_api.api.writing import Done, Write, run
from portal_api.live import Change
from portal_api.problems import Problem
from portal_api.projections.crm_changes import CRM_CHANGES
from portal_api.store import crm_changes as store

router = APIRouter(prefix="/crm-changes", tags=["crm changes"])

# A page says "99+": further it need not count.
MOST_COUNTED = 100


class Field(BaseModel):
    """One field: what each side had, whose stands, by which rule, and that in words."""

    field: str
    outcome: Literal["taken", "kept", "same"]
    rule: str
    conflict: bool
    crm_value: str | None
    log_value: str | None
    crm_at: datetime | None
    log_at: datetime | None
    why: str


class Person(BaseModel):
    id: str
    name: str
    owner: str | None
    stage: str | None


class Acknowledged(BaseModel):
    at: datetime
    by: str
    reason: str


class CrmChange(BaseModel):
    """What was changed in a CRM at a time. `changed_at` is when, as far as the CRM tells;
    `settled_at` when leadflow decided."""

    event_id: str
    tenant_id: str
    lead: Person
    account_id: str
    provider: str
    changed_at: datetime
    settled_at: datetime
    conflict: bool
    fields: list[Field]
    acknowledged: Acknowledged | None


class CrmChanges(BaseModel):
    """`open_conflicts` of all that there are, not of this page; at most 100 are counted."""

    items: list[CrmChange]
    next: str | None
    open_conflicts: int


class Acknowledgement(Body):
    """What was found, or done about it."""

    reason: Words


@router.get("")
async def list_changes(
    context: Ctx,
    principal: Staff,
    tenant_id: str | None = None,
    lead_id: str | None = None,
    account_id: str | None = None,
    conflict: Annotated[
        bool | None, Query(description="Only conflicts: both had changed it, or it cannot stand.")
    ] = None,
    acknowledged: Annotated[
        bool | None, Query(description="Only what somebody has looked at, or nobody has.")
    ] = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> CrmChanges:
    """Changes that came out of CRMs, the last settled first."""
    tenant, owner = tenant_of(principal, tenant_id), own_leads_of(principal)
    async with context.engine.connect() as connection:
        found = await store.changes(
            connection,
            tenant_id=tenant,
            owner=owner,
            lead_id=lead_id,
            account_id=account_id,
            conflict=conflict,
            acknowledged=acknowledged,
            after=paging.decode(cursor),
            limit=limit,
        )
        counted = await store.open_conflicts(connection, tenant, owner, MOST_COUNTED)
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["settled_at"], row["event_id"])
    )
    items = [_shown(row) for row in rows]
    return CrmChanges(items=items, next=following, open_conflicts=counted)


@router.post("/{event_id}/acknowledge")
async def acknowledge(
    event_id: str, body: Acknowledgement, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Say that a conflict was looked at, and what came of it. It changes no lead."""

    async def work(write: Write) -> Done:
        async with context.engine.begin() as connection:
            row = await store.one(connection, event_id)
            if row is None or not principal.sees(row["tenant_id"], row["owner"]):
                raise Problem(HTTPStatus.NOT_FOUND, f"There is no change {event_id}.")
            if not row["conflict"]:
                raise Problem(HTTPStatus.CONFLICT, "Nothing in it was in conflict.")
            if not await store.acknowledge(
                connection, event_id, principal.subject, body.reason, write.now
            ):
                raise Problem(HTTPStatus.CONFLICT, "Somebody has looked at it already.")
            row = await store.one(connection, event_id)
        assert row is not None
        context.broadcaster.publish({row["tenant_id"]: Change({CRM_CHANGES.name})})
        return Done(HTTPStatus.OK, _shown(row).model_dump(mode="json"))

    return await run(context, request, principal, "crm-change.acknowledge", event_id, work)


def _shown(row: Mapping[str, Any]) -> CrmChange:
    said = row["acknowledged_at"] and Acknowledged(
        at=row["acknowledged_at"], by=row["acknowledged_by"], reason=row["acknowledged_reason"]
    )
    why = [settled.because(each, row["provider"]) for each in row["fields"]]
    return CrmChange(
        **{name: row[name] for name in _PLAIN},
        lead=Person(**views.person(row)),
        fields=[Field(**each, why=reason) for each, reason in zip(row["fields"], why, strict=True)],
        acknowledged=said or None,
    )


_PLAIN = (
    "event_id", "tenant_id", "account_id", "provider", "changed_at", "settled_at", "conflict",
)  # fmt: skip
