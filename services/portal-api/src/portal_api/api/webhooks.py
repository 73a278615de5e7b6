"""/webhooks/{source}: raw events over HTTP, into the log as they are."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from leadflow.errors import Malformed
from leadflow.raw_json import raw_event_from_json
from leadflow.records import RawEvent
from portal_api.api.access import Ctx, Operator
from portal_api.api.writing import Done, Write, run
from portal_api.problems import Problem

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

LARGEST_BATCH = 500


@router.post("/{source}", status_code=HTTPStatus.ACCEPTED)
async def receive(source: str, request: Request, context: Ctx, principal: Operator) -> JSONResponse:
    """One raw event (design.md's JSON) or a list of up to 500; `source` is that of the path.

    Answers once the broker has all of them. A malformed one refuses the whole request.
    """

    async def work(write: Write) -> Done:
        events = _events(await request.body(), source)
        records: list[RawEvent] = []
        for number, event in enumerate(events):
            try:
                record = raw_event_from_json(json.dumps(event), write.now)
            except Malformed as error:
                raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"event {number}: {error}") from None
            if principal.tenant_id not in (None, record.tenant_id):
                raise Problem(HTTPStatus.FORBIDDEN, f"this key is for tenant {principal.tenant_id}")
            records.append(record)
        await context.publish_raw(records)
        event_ids = [record.event_id for record in records]
        detail = {"events": len(event_ids)}
        return Done(HTTPStatus.ACCEPTED, {"event_ids": event_ids}, detail=detail)

    return await run(context, request, principal, "webhook.receive", source, work)


def _events(body: bytes, source: str) -> list[dict[str, Any]]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the body is not JSON") from None
    events = data if isinstance(data, list) else [data]
    if not 1 <= len(events) <= LARGEST_BATCH:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"send 1 to {LARGEST_BATCH} events")
    if not all(isinstance(event, dict) for event in events):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "an event is a JSON object")
    return [{**event, "source": source} for event in events]
