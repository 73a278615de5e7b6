"""Resend's webhooks about e-mails: https://resend.com/docs/webhooks/event-types."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from portal_api.webhooks.said import Said, Unreadable, member, moment, object_of, words

# `bounce.type` of one that is for good; Transient and Undetermined may pass.
PERMANENT = "permanent"


def read(webhook_id: str, body: bytes, now: datetime) -> list[Said]:
    """What a webhook says; empty where it is no news. Raises Unreadable."""
    event = object_of(body)
    data = member(event, "data")
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
                **details,
            },
        )
    ]


def _told(event_type: str, data: Any) -> tuple[str, dict[str, str]] | None:
    """The kind and its details; None for what is no news (email.sent), or not about a message
    of ours (email.received, contact.…, domain.…)."""
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
