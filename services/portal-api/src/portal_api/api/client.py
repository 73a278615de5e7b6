"""/client: all that the client role can reach."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from portal_api import paging
from portal_api.api.access import Client, Ctx
from portal_api.api.enrollments import Limit

router = APIRouter(prefix="/client", tags=["client"])


@router.get("/summaries")
async def approved_summaries(
    context: Ctx, principal: Client, limit: Limit = 50, cursor: str | None = None
) -> dict[str, Any]:
    """The approved summaries of the client's own tenant, newest first."""
    assert principal.tenant_id is not None  # a client has no key without one
    found = await context.client.summaries(principal.tenant_id, paging.decode(cursor), limit)
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["approved_at"], row["summary_id"])
    )
    return {"items": rows, "next": following}


@router.get("/metrics")
async def metrics(context: Ctx, principal: Client) -> dict[str, Any]:
    """What was done for the client's own tenant, in numbers."""
    assert principal.tenant_id is not None
    return {row["name"]: row["n"] for row in await context.client.metrics(principal.tenant_id)}
