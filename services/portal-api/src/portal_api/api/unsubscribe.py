"""/unsubscribe/{token}: the link of the messages, for people and for mail clients.

RFC 8058: a POST of `List-Unsubscribe=One-Click` acts at once, without cookies, without questions
and without a redirect; a GET shows a page and changes nothing, for scanners follow links. The
token is all that it takes (RFC 8058, 3.1: "opaque", "hard to forge"): it holds tenant, lead,
channel and message, sealed, so the link works whatever the read models know. Links of messages
from before there were tokens hold the message's id alone; they work while the message is known,
for an opt-out has to work for 30 days at least (15 U.S.C. 7704(a)(3)(A)(ii)). Such an id follows
from what a stranger may know: of a message that was queued since (`LEADFLOW_BARE_LINKS_BEFORE`) it
opens nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from leadflow import ids
from leadflow.errors import BrokerError
from leadflow.tokens import BadToken
from portal_api.api.access import Ctx
from portal_api.api.inbound import body_of
from portal_api.api.pages import templates
from portal_api.context import Context
from portal_api.optout import opt_out
from portal_api.store import enrollments as store

log = structlog.get_logger()
router = APIRouter(include_in_schema=False)

PATIENCE_SECONDS = 5.0
MOST_BYTES = 16_384
CHANNELS = {"email": "e-mails", "sms": "text messages", "whatsapp": "WhatsApp messages"}
ALL = "all"
LONGEST_ID = 100


@dataclass(frozen=True, slots=True)
class Link:
    """What a link stands for."""

    tenant_id: str
    lead_id: str
    channel: str
    message_id: str


@router.api_route("/unsubscribe/{token}", methods=["GET", "HEAD"])
async def ask(request: Request, context: Ctx, token: str) -> Response:
    """The page, with the button that acts."""
    link = await _link(context, token)
    return _page(request, context, link, "unknown" if link is None else "ask")


@router.post("/unsubscribe/{token}")
async def act(request: Request, context: Ctx, token: str) -> Response:
    """The one click of a mail client, or the page's button; the same each time.

    `scope` is `all` for every channel. 503 where the log does not take it within seconds.
    """
    link = await _link(context, token)
    if link is None:
        return _page(request, context, None, "unknown")
    # After the token: of a stranger nothing is read.
    form = parse_qs((await body_of(request, MOST_BYTES)).decode("utf-8", "replace"))
    every = form.get("scope") == [ALL]
    now = context.clock.now()
    if ids.is_test_lead(link.lead_id):
        # Somebody looks at a template: the page is as the lead would see it, and nothing changes.
        return _page(request, context, link, "done", every=every)
    said = opt_out(
        tenant_id=link.tenant_id,
        lead_id=link.lead_id,
        channel=ALL if every else link.channel,
        evidence=f"unsubscribe link of message {link.message_id}",
        # Once a minute: who took it back and says it again has to be heard again.
        event_id=ids.derived_id(
            "unsubscribe",
            link.message_id,
            now.strftime("%Y-%m-%dT%H:%M"),
            *([ALL] if every else []),
        ),
        now=now,
    )
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await context.publish_raw([said])
    except (BrokerError, TimeoutError):
        # It may reach the log all the same, and then counts once.
        log.warning("an unsubscribe was not taken", message_id=link.message_id)
        return _page(request, context, link, "failed", every=every)
    return _page(request, context, link, "done", every=every)


_STATUS = {"unknown": HTTPStatus.NOT_FOUND, "failed": HTTPStatus.SERVICE_UNAVAILABLE}


def _page(
    request: Request, context: Context, link: Link | None, state: str, *, every: bool = False
) -> Response:
    """Whoever has the link sees who writes and over what, and nothing of the person."""
    sender = "" if link is None else context.tenant(link.tenant_id).name or link.tenant_id
    told = {
        "state": state,
        "sender": sender,
        "what": "" if link is None else CHANNELS.get(link.channel, "messages"),
        "every": every,
    }
    response = templates.TemplateResponse(
        request, "unsubscribe.html", told, _STATUS.get(state, HTTPStatus.OK)
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    if state == "failed":
        response.headers["Retry-After"] = "60"
    return response


async def _link(context: Context, token: str) -> Link | None:
    """What a token stands for, or the message whose id it is; None if nobody here made it."""
    try:
        fields = context.links.open("unsubscribe", token)
    except BadToken:
        pass
    else:
        return Link(*fields) if len(fields) == len(Link.__slots__) else None
    if len(token) > LONGEST_ID or not token.isprintable():
        return None
    async with context.engine.connect() as connection:
        row = await store.message(connection, token)
    if row is None or not row["lead_id"] or not _is_older(row, context.bare_links_before):
        return None
    return Link(row["tenant_id"], row["lead_id"], row["channel"] or "email", token)


def _is_older(row: Mapping[str, Any], before: datetime) -> bool:
    """Whether a message is from before then; of one whose time is not known nothing is."""
    queued: datetime | None = row["queued_at"]
    return queued is not None and queued < before
