"""/templates: what a template would say to a lead, and a test of it in one's own mailbox."""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from leadflow import ids, topics
from leadflow.records import MessageQueued
from leadflow.tenants import Tenant
from portal_api.api.access import Ctx, Operator, Staff, tenant_of
from portal_api.api.bodies import TemplateBody, TestSend
from portal_api.api.leads import row_of
from portal_api.api.writing import Done, Write, run
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import previews as store
from rendering.errors import TemplateError
from rendering.parts import Template
from rendering.preview import Preview, preview
from rendering.templates import Values, allowed
from rendering.variables import lead_values

router = APIRouter(prefix="/templates", tags=["templates"])

ADDRESS = re.compile(r"[^\s@<>(),;:\\\"\[\]]{1,64}@[A-Za-z0-9.-]{1,253}")
# A template may take a tenth of a second for each variable that is missing. Who asks for many waits
# for these two, and nobody else does.
RENDERERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="preview")
# In a preview there is no message yet that the link could belong to.
UNSUBSCRIBE_URL = "https://unsubscribe.example/of-this-message"


@router.post("/preview")
async def show(body: TemplateBody, context: Ctx, principal: Staff) -> dict[str, Any]:
    """Subject, text and HTML as a lead would get them, or as somebody would of whom nothing is
    known. `missing` are the variables without value and fallback, which would hold the message;
    `refused` says why nothing comes out."""
    tenant, values = await _values(context, principal, body)
    found = await _beside(body, {"unsubscribe_url": UNSUBSCRIBE_URL, **values})
    parts = found.parts
    return {
        "tenant_id": tenant.tenant_id,
        "lead_id": body.lead_id,
        "subject": None if parts is None else parts.subject,
        "text": None if parts is None else parts.text,
        "html": None if parts is None else parts.html,
        "missing": list(found.missing),
        "warnings": list(found.warnings),
        "refused": None
        if found.refused is None
        else {"rule": found.refused.rule, "detail": found.refused.sentence},
    }


@router.post("/test-send", status_code=HTTPStatus.ACCEPTED)
async def send_test(
    body: TestSend, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Send it to oneself, or to an address of the tenant's `test_recipients`.

    It goes the way of every message, and counts for nothing. 422 where the message would be held.
    """

    async def work(write: Write) -> Done:
        tenant, values = await _values(context, principal, body)
        to = _recipient(principal, tenant, body.to)
        found = await _beside(body, {"unsubscribe_url": UNSUBSCRIBE_URL, **values})
        if found.refused is not None:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"template: {found.refused.sentence}")
        if found.missing:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"template: there is no value for {', '.join(found.missing)}, and no fallback",
                missing=list(found.missing),
            )
        lead_id = ids.test_lead_id(tenant.tenant_id, to)
        message_id = write.event_id("test-send", tenant.tenant_id, to)
        queued = MessageQueued(
            event_id=ids.derived_id(MessageQueued.TYPE, message_id),
            tenant_id=tenant.tenant_id,
            occurred_at=write.now,
            recorded_at=write.now,
            source="portal-api",
            lead_id=lead_id,
            owner=principal.subject,
            message_id=message_id,
            channel="email",
            attempt=1,
            recipient=to,
            template_name=body.template_name,
            subject=body.subject,
            body=body.body,
            body_html=body.body_html,
            variables=values,
            compliance_note=f"a test that {principal.subject} asked for",
            send_state="queued",
            due_at=write.now,
            purpose="test",
        )
        await context.publish(topics.MESSAGES, [(lead_id, queued)])
        answer = {"message_id": message_id, "to": to, "state": "queued"}
        return Done(HTTPStatus.ACCEPTED, answer, message_id)

    return await run(context, request, principal, "template.test-send", body.template_name, work)


@router.get("/test-sends/{message_id}")
async def read_test(message_id: str, context: Ctx, principal: Staff) -> dict[str, Any]:
    """What became of a test."""
    async with context.engine.connect() as connection:
        row = await store.test_send(connection, message_id)
    if row is None or principal.tenant_id not in (None, row["tenant_id"]):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no test {message_id}.")
    return {
        "message_id": message_id,
        "to": row["recipient"],
        "state": row["state"],
        "rule": row["rule"],
        "reason": row["reason"],
        "asked_at": row["queued_at"],
        "sent_at": row["sent_at"],
    }


async def _values(
    context: Context, principal: Principal, body: TemplateBody
) -> tuple[Tenant, dict[str, str]]:
    """The tenant, and the values that the sequencer would give the message."""
    owner, of_lead, tenant_id = principal.subject, dict[str, str](), body.tenant_id
    if body.lead_id is not None:
        row = await row_of(context, principal, body.lead_id)
        if tenant_id not in (None, row["tenant_id"]):
            raise Problem(HTTPStatus.NOT_FOUND, f"The tenant has no lead {body.lead_id}.")
        tenant_id, of_lead = row["tenant_id"], lead_values(row)
        owner = row["owner"] or owner
    tenant_id = tenant_of(principal, tenant_id)
    if tenant_id is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "tenant_id: whose template is it?")
    tenant = context.tenant(tenant_id)
    own = {
        "agent": owner,
        "agent_phone": tenant.agent_phone,
        "tenant_name": tenant.name,
        "booking_link": tenant.booking_link,
        "postal_address": tenant.postal_address,
    }
    values = {**of_lead, **own}
    return tenant, {name: value for name, value in values.items() if value}


async def _beside(body: TemplateBody, values: dict[str, str]) -> Preview:
    """The preview, made while the event loop serves everybody else."""
    return await asyncio.get_running_loop().run_in_executor(RENDERERS, _rendered, body, values)


def _rendered(body: TemplateBody, values: dict[str, str]) -> Preview:
    template = Template(
        channel=body.channel, subject=body.subject, body=body.body, body_html=body.body_html
    )
    try:
        seen: Values = allowed(values)
    except TemplateError as error:
        return Preview(parts=None, missing=(), warnings=(), refused=error)
    return preview(template, seen, footer=body.channel == "email")


def _recipient(principal: Principal, tenant: Tenant, wanted: str | None) -> str:
    """Whoever asks, or somebody the tenant lets get tests. Raises Problem 403 for anybody else."""
    own = principal.subject if ADDRESS.fullmatch(principal.subject) else None
    to = wanted or own
    if to is None:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "to: your key is in no e-mail address's name; choose one of the tenant's "
            f"test_recipients: {', '.join(tenant.test_recipients) or 'it has none'}",
        )
    if to != own and to not in tenant.test_recipients:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "to: tests go to your own address or to the tenant's test_recipients "
            f"({', '.join(tenant.test_recipients) or 'it has none'})",
        )
    return to
