"""/leads: find them, read one, and its story."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from portal_api import paging, story, views
from portal_api.api.access import Ctx, Staff, own_leads_of, tenant_of
from portal_api.api.enrollments import Limit
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import leads as store

router = APIRouter(prefix="/leads", tags=["leads"])


@router.get("")
async def list_leads(
    context: Ctx,
    principal: Staff,
    tenant: str | None = None,
    source: str | None = None,
    external_id: str | None = None,
    email: str | None = None,
    phone: str | None = None,
    q: str | None = None,
    status: str | None = None,
    stage: str | None = None,
    owner: str | None = None,
    temperature: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Leads that fit everything that is asked for, newest first."""
    async with context.engine.connect() as connection:
        found = await store.find(
            connection,
            tenant=tenant_of(principal, tenant),
            owner=own_leads_of(principal),
            source=source,
            external_id=external_id,
            email=email,
            # A plus sign that was not escaped arrives as a space.
            phone=None if phone is None else f"+{phone.strip().removeprefix('+')}",
            words=q,
            status=status,
            stage=stage,
            owned_by=owner,
            temperature=temperature,
            after=paging.decode(cursor),
            limit=limit,
        )
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["created_at"], row["lead_id"])
    )
    return {"items": [views.lead(row) for row in rows], "next": following}


@router.get("/{lead_id}")
async def read_lead(lead_id: str, context: Ctx, principal: Staff) -> dict[str, Any]:
    return views.lead(await row_of(context, principal, lead_id))


@router.get("/{lead_id}/timeline")
async def read_timeline(
    lead_id: str, context: Ctx, principal: Staff, limit: Limit = 100, cursor: str | None = None
) -> dict[str, Any]:
    """Everything that happened to a lead and was decided about it, oldest first."""
    await row_of(context, principal, lead_id)
    async with context.engine.connect() as connection:
        found = await store.timeline(connection, lead_id, paging.decode(cursor), limit)
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["occurred_at"], row["event_id"])
    )
    return {"items": [story.item(row) for row in rows], "next": following}


async def row_of(context: Context, principal: Principal, lead_id: str) -> dict[str, Any]:
    """The lead. Raises Problem for one that is not there for whoever asks."""
    async with context.engine.connect() as connection:
        row = await store.one(connection, lead_id)
    if row is None or not principal.sees(row["tenant_id"], row["owner"]):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no lead {lead_id}.")
    return row
