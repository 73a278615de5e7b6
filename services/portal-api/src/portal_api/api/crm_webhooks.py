"""POST /webhooks/crm/{provider}/{tenant_id}: what a CRM says has changed there, by its signature.

No API key: who signs with the tenant's secret is the CRM (signed.py). What is written down is that
something changed; crm-sync asks the CRM what it has (ADR 29).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from prometheus_client import Counter

from leadflow import topics
from portal_api.api.access import Ctx
from portal_api.api.signed import Door, Take, called_url
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.webhooks import changes, followupboss, hubspot, notices
from portal_api.webhooks.notices import Noticed
from portal_api.webhooks.signatures import (
    FOLLOW_UP_BOSS_SIGNATURE,
    HUBSPOT_SIGNATURE,
    HUBSPOT_TIMESTAMP,
    STANDARD_SIGNATURES,
    is_from_follow_up_boss,
    is_from_hubspot,
    standard_id,
    standard_key,
)

SIGNATURES = {
    "hubspot": (HUBSPOT_SIGNATURE,),
    "followupboss": (FOLLOW_UP_BOSS_SIGNATURE,),
    "webhook": STANDARD_SIGNATURES,
    "sandbox": STANDARD_SIGNATURES,
}
# So many are written down before others get their turn.
BATCH = 500

CRM_WEBHOOKS = Counter(
    "leadflow_portal_crm_webhooks", "Webhooks of CRMs about changes", ["provider", "outcome"]
)


def router() -> APIRouter:
    """A router of its own count of requests under way."""
    made = APIRouter(include_in_schema=False)
    door = Door(CRM_WEBHOOKS)

    @made.post("/webhooks/crm/{provider}/{tenant_id}")
    async def receive(provider: str, tenant_id: str, request: Request, context: Ctx) -> Response:
        """204 once the broker has all that the webhook tells of."""
        if provider not in SIGNATURES:
            raise Problem(HTTPStatus.NOT_FOUND, f"There are CRMs {', '.join(SIGNATURES)}.")

        def opened(body: bytes) -> Take | None:
            now = context.clock.now()
            read = _opened(provider, tenant_id, request, body, context, now)
            if read is None:
                return None
            return lambda: _receive(provider, tenant_id, read, context, now)

        return await door.answer(provider, request, SIGNATURES[provider], opened)

    return made


Read = Callable[[], list[Noticed]]


async def _receive(
    provider: str, tenant_id: str, read: Read, context: Context, now: datetime
) -> bool:
    noticed = read()
    for start in range(0, len(noticed), BATCH):
        told = [
            notices.record(provider, tenant_id, each, now)
            for each in noticed[start : start + BATCH]
        ]
        await context.publish(topics.CRM_NOTICES, [(notices.key(each), each) for each in told])
    return bool(noticed)


def _opened(
    provider: str, tenant_id: str, request: Request, body: bytes, context: Context, now: datetime
) -> Read | None:
    """How to read a request that this tenant's CRM signed; None for any other."""
    if provider == "hubspot":
        holds = is_from_hubspot(
            context.webhook_secrets.of(provider, tenant_id),
            called_url(request, context),
            body,
            signature=request.headers.get(HUBSPOT_SIGNATURE, ""),
            timestamp=request.headers.get(HUBSPOT_TIMESTAMP, ""),
            now=now,
        )
        return (lambda: hubspot.read(body)) if holds else None
    if provider == "followupboss":
        keys = context.webhook_secrets.of(provider, tenant_id)
        signature = request.headers.get(FOLLOW_UP_BOSS_SIGNATURE, "")
        holds = is_from_follow_up_boss(keys, body, signature)
        return (lambda: followupboss.read(body, now)) if holds else None
    headers = {name.lower(): value for name, value in request.headers.items()}
    secrets = context.webhook_secrets.of("standard", tenant_id)
    webhook_id = standard_id([standard_key(each) for each in secrets], headers, body, now)
    if webhook_id is None:
        return None
    return lambda: changes.read(webhook_id, body, now)
