"""Resend's webhooks about e-mails: https://resend.com/docs/webhooks/event-types."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from portal_api.webhooks.said import Said, Unreadable, member, moment, object_of, words

# `bounce.type` of one that is for good; Transient and Undetermined may pass.
PERMANENT = "permanent"
RECEIVED = "email.received"
MOST_NAMED = 20


def read(webhook_id: str, body: bytes, now: datetime) -> list[Said]:
    """What a webhook says; empty where it is no news. Raises Unreadable."""
    event = object_of(body)
    data = member(event, "data")
    if event.get("type") == RECEIVED:
        return [_received(webhook_id, data, moment(event.get("created_at"), now))]
    told = _told(words(event.get("type"), 100), data)
    if told is None:
        return []
    kind, details = told
    email_id = words(data.get("email_id"), 200)
    if not email_id:
        raise Unreadable("data.email_id is missing")
    happened = moment(event.get("created_at"), now)
    if kind == "clicked":
        happened = moment(member(data, "click").get("timestamp"), happened)
    return [
        Said(
            kind=kind,
            event=webhook_id,
            external_id=email_id,
            at=happened,
            payload={
                "provider_id": email_id,
                "message_id": _tag(data, "message_id"),
                # The Message-ID that the mail went out with: not ours.
                "mail_id": words(data.get("message_id"), 500),
                **details,
            },
        )
    ]


def _told(event_type: str, data: Any) -> tuple[str, dict[str, str]] | None:
    """The kind and its details; None for what is no news (email.sent), or not about a message
    of ours (contact.…, domain.…)."""
    match event_type.removeprefix("email.") if event_type.startswith("email.") else "":
        case "delivered":
            return "delivered", {}
        case "delivery_delayed":
            return "bounced", {"bounce_type": "soft", "diagnostic": "delivery delayed"}
        case "bounced":
            bounce = member(data, "bounce")
            permanent = words(bounce.get("type")).lower() in (PERMANENT, "hard", "")
            parts = (words(bounce.get("subType")), words(bounce.get("message")))
            return "bounced", {
                "bounce_type": "hard" if permanent else "soft",
                "diagnostic": ": ".join(filter(None, parts)),
            }
        case "suppressed":
            # Resend writes to the address no more: it bounced or complained before.
            reason = words(member(data, "suppressed").get("message"))
            return "bounced", {"bounce_type": "hard", "diagnostic": f"suppressed: {reason}"}
        case "failed":
            # Not sent, for a reason on our side: a quota, a key, a domain.
            reason = words(member(data, "failed").get("reason"))
            return "bounced", {"bounce_type": "soft", "diagnostic": f"failed: {reason}"}
        case "complained":
            return "complained", {}
        case "opened":
            return "opened", _client(member(data, "open"))
        case "clicked":
            click = member(data, "click")
            return "clicked", {**_client(click), "url": words(click.get("link"))}
        case _:
            return None


def _received(webhook_id: str, data: Any, at: datetime) -> Said:
    """A mail that somebody wrote. The webhook has its envelope and neither text nor header fields:
    it stops what a reply stops. Whoever wants the text as well sends the mail itself to
    /webhooks/inbound/mime."""
    email_id = words(data.get("email_id"), 200)
    to = data.get("to")
    named = data.get("attachments")
    return Said(
        kind="reply",
        event=webhook_id,
        external_id=email_id or webhook_id,
        at=at,
        payload={
            "channel": "email",
            "from": words(data.get("from"), 500),
            "to": [words(each, 500) for each in to[:MOST_NAMED]] if isinstance(to, list) else [],
            "subject": words(data.get("subject"), 500),
            "mail_id": words(data.get("message_id"), 500),
            "provider_id": email_id,
            "attachments": [
                {"name": words(each.get("filename"), 200), "type": words(each.get("content_type"))}
                for each in (named[:MOST_NAMED] if isinstance(named, list) else [])
                if isinstance(each, dict)
            ],
        },
    )


def _client(data: Any) -> dict[str, str]:
    return {"user_agent": words(data.get("userAgent")), "ip": words(data.get("ipAddress"), 60)}


def _tag(data: Any, name: str) -> str:
    """Tags come as an object, and in older webhooks as a list of names and values."""
    tags = data.get("tags")
    if isinstance(tags, dict):
        return words(tags.get(name), 100)
    if isinstance(tags, list):
        for tag in tags:
            if isinstance(tag, dict) and tag.get("name") == name:
                return words(tag.get("value"), 100)
    return ""
