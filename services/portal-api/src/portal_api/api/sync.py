"""/sync: how it stands with the CRMs: accounts, and what is on its way to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from portal_api import paging
from portal_api.api.access import Ctx, Staff, own_leads_of, tenant_of
from portal_api.api.enrollments import Limit
from portal_api.store import integrations as store

router = APIRouter(prefix="/sync", tags=["sync"])

Result = Literal["written", "unchanged", "waiting", "dead"]
ACCOUNT = (
    "account_id", "tenant_id", "provider", "status", "reason", "changed_by", "changed_at",
    "waiting", "dead",
)  # fmt: skip
RUN = (
    "cause_id", "tenant_id", "lead_id", "first_name", "last_name", "owner", "what", "account_id",
    "provider", "attempts", "result", "error", "reason", "next_try_at", "first_at", "at",
)  # fmt: skip


@router.get("/accounts")
async def list_accounts(
    context: Ctx, principal: Staff, tenant_id: str | None = None
) -> dict[str, Any]:
    """CRM accounts: active, paused and why, or removed; with how many runs wait or died."""
    async with context.engine.connect() as connection:
        found = await store.accounts(connection, tenant_of(principal, tenant_id))
    return {"items": [{name: row[name] for name in ACCOUNT} for row in found]}


@router.get("/runs")
async def list_runs(
    context: Ctx,
    principal: Staff,
    tenant_id: str | None = None,
    result: Annotated[Result | None, Query(description="Only runs that stand so.")] = None,
    account_id: str | None = None,
    lead_id: str | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """How it stands with each record on its way into a CRM, the latest first: what, why, how
    often it was tried, with what result, and when it is tried next."""
    async with context.engine.connect() as connection:
        found = await store.runs(
            connection,
            tenant_id=tenant_of(principal, tenant_id),
            owner=own_leads_of(principal),
            result=result,
            account_id=account_id,
            lead_id=lead_id,
            after=paging.decode(cursor),
            limit=limit,
        )
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["at"], row["cause_id"])
    )
    return {"items": [{name: row[name] for name in RUN} for row in rows], "next": following}
