"""/pipeline: every lead accounted for, and /tenants."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from portal_api.api.access import Ctx, Staff, tenant_of
from portal_api.store import pipeline as store
from portal_api.store import sequences

router = APIRouter(tags=["pipeline"])


@router.get("/pipeline")
async def pipeline(
    context: Ctx, principal: Staff, tenant: str | None = None, latency: bool = True
) -> dict[str, Any]:
    """received = normalized + merged + quarantined + dlq, once intake is through; and what went
    out. Records that cannot be read belong to no tenant: they are in the total of all."""
    shown = tenant_of(principal, tenant)
    async with context.engine.connect() as connection:
        answer: dict[str, Any] = dict(await store.totals(connection, shown))
        if latency:
            answer["latency_ms"] = await store.latency(connection, shown)
    return answer


@router.get("/tenants")
async def tenants(context: Ctx, principal: Staff) -> dict[str, Any]:
    """The tenants that the caller may see."""
    async with context.engine.connect() as connection:
        known = await sequences.tenants(connection)
    names = sorted({*known, *context.tenants})
    return {
        "items": [
            {
                "id": tenant_id,
                "name": context.tenant(tenant_id).name or tenant_id,
                "pipeline": list(context.tenant(tenant_id).pipeline),
            }
            for tenant_id in names
            if principal.tenant_id in (None, tenant_id)
        ]
    }
