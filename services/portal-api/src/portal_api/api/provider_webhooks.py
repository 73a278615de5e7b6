"""POST /webhooks/providers/{provider}/{tenant_id}: what providers report, by their signature.

No API key: who signs with the tenant's secret is the provider (signed.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from prometheus_client import Counter

from portal_api.api.access import Ctx
from portal_api.api.signed import Door, Take, called_url
from portal_api.context import Context
from portal_api.inbound.events import completed
from portal_api.problems import Problem
from portal_api.webhooks import resend, standard, twilio
from portal_api.webhooks.said import Said, raw_event
from portal_api.webhooks.signatures import (
    STANDARD_SIGNATURES,
    TWILIO_SIGNATURE,
    is_from_twilio,
    standard_id,
    standard_key,
)

MOST_FIELDS = 200
SIGNATURES = {
    "twilio": (TWILIO_SIGNATURE,),
    "resend": STANDARD_SIGNATURES,
    "standard": STANDARD_SIGNATURES,
}
FORM = "application/x-www-form-urlencoded"

WEBHOOKS = Counter("leadflow_portal_webhooks", "Webhooks of providers", ["provider", "outcome"])


def router() -> APIRouter:
    """A router of its own count of requests under way."""
    made = APIRouter(include_in_schema=False)
    door = Door(WEBHOOKS)

    @made.post("/webhooks/providers/{provider}/{tenant_id}")
    async def receive(provider: str, tenant_id: str, request: Request, context: Ctx) -> Response:
        """204 once the broker has all that the webhook says."""
        if provider not in SIGNATURES:
            raise Problem(HTTPStatus.NOT_FOUND, f"There are webhooks of {', '.join(SIGNATURES)}.")

        def opened(body: bytes) -> Take | None:
            now = context.clock.now()
            read = _opened(provider, tenant_id, request, body, context, now)
            if read is None:
                return None
            return lambda: _receive(provider, tenant_id, read, context, now)

        return await door.answer(provider, request, SIGNATURES[provider], opened)

    return made


Read = Callable[[], list[Said]]


async def _receive(
    provider: str, tenant_id: str, read: Read, context: Context, now: datetime
) -> bool:
    told = [_completed(each, tenant_id, context) for each in read()]
    if told:
        await context.publish_raw([raw_event(provider, tenant_id, each, now) for each in told])
    return bool(told)


def _completed(said: Said, tenant_id: str, context: Context) -> Said:
    """A reply names its message by the address that it was sent to."""
    if said.kind != "reply":
        return said
    payload = completed(said.payload, tenant_id=tenant_id, links=context.links)
    return replace(said, payload=payload)


def _opened(
    provider: str,
    tenant_id: str,
    request: Request,
    body: bytes,
    context: Context,
    now: datetime,
) -> Read | None:
    """How to read a request that the provider of this tenant signed; None for any other."""
    secrets = context.webhook_secrets.of(provider, tenant_id)
    if provider == "twilio":
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            return None
        pairs = _form(body)
        signature = request.headers.get(TWILIO_SIGNATURE, "")
        url = called_url(request, context)
        if pairs is None or not is_from_twilio(secrets, url, pairs, signature):
            return None
        # The signature covers the address with its query.
        message_id = request.query_params.get("message_id", "")
        return lambda: twilio.read(dict(pairs), now, message_id)
    headers = {name.lower(): value for name, value in request.headers.items()}
    keys = [standard_key(secret) for secret in secrets]
    webhook_id = standard_id(keys, headers, body, now)
    if webhook_id is None:
        return None
    reader = resend.read if provider == "resend" else standard.read
    return lambda: reader(webhook_id, body, now)


def _form(body: bytes) -> list[tuple[str, str]] | None:
    """The fields of a form, in their order; None for what is no form."""
    try:
        return parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=MOST_FIELDS,
            errors="strict",
        )
    except ValueError:
        return None
