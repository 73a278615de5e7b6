"""/leads/{id}/why: why a step went out to a lead, or did not, or has not yet."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from fastapi import APIRouter

from portal_api.api.access import Ctx, Staff
from portal_api.api.leads import row_of
from portal_api.local_time import both
from portal_api.store import why as store
from portal_api.why import answers, chosen

router = APIRouter(prefix="/leads", tags=["leads"])


@router.get("/{lead_id}/why")
async def why(
    lead_id: str,
    context: Ctx,
    principal: Staff,
    sequence: str | None = None,
    step: str | None = None,
) -> dict[str, Any]:
    """An answer for each step of each passage through a sequence, with the rule and its inputs,
    and for each refusal to let the lead in. A step goes by its id or its number from 1."""
    lead = await row_of(context, principal, lead_id)
    async with context.engine.connect() as connection:
        lines = await store.decisions(connection, lead_id)
        definitions = await store.steps(connection, lead_id)
    zone = lead["timezone"] or context.tenant(lead["tenant_id"]).timezone or "UTC"

    def say(at: datetime) -> str:
        return both(at, zone)

    found = answers(lines, definitions, context.clock.now(), say)
    return {"items": [asdict(each) for each in chosen(found, sequence, step)]}
