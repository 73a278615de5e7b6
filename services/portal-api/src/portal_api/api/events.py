"""/events: what changed, as it changes (server-sent events)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from portal_api.api.access import Ctx, Staff, tenant_of
from portal_api.context import Context

router = APIRouter(tags=["events"])

# Not more often than so: a page that redraws itself fifty times a second helps nobody.
PAUSE_SECONDS = 0.5
KEEP_ALIVE_SECONDS = 5.0


@router.get("/events")
async def events(context: Ctx, principal: Staff, tenant: str | None = None) -> StreamingResponse:
    """`event: change` with {kinds, sequences}; ask the API what it is now."""
    shown = tenant_of(principal, tenant)
    stream = _changes(context, shown)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _changes(context: Context, tenant: str | None) -> AsyncIterator[str]:
    yield "retry: 2000\n\n"
    with context.broadcaster.subscription(tenant) as changes:
        while not context.stopping.is_set():
            change = await changes.take(KEEP_ALIVE_SECONDS)
            if not change:
                yield ": still here\n\n"
                continue
            data = {"kinds": sorted(change.kinds), "sequences": sorted(change.sequences)}
            yield f"event: change\ndata: {json.dumps(data)}\n\n"
            await context.clock.sleep(PAUSE_SECONDS)
