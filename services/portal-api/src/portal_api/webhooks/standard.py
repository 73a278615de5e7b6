"""Any sender of Standard Webhooks: {"type", "timestamp", "data"}, where `type` is a kind of raw
event, alone or behind a prefix (`message.delivered`), and `data` its payload (design.md)."""

from __future__ import annotations

from datetime import datetime

from portal_api.webhooks.said import Said, Unreadable, moment, object_of, words

KINDS = frozenset(
    {
        "delivered", "opened", "clicked", "bounced", "complained", "reply", "opt_out", "opt_in",
    }
)  # fmt: skip


def read(webhook_id: str, body: bytes, now: datetime) -> list[Said]:
    """What a webhook says; empty where its type is none of KINDS. Raises Unreadable."""
    event = object_of(body)
    kind = words(event.get("type"), 100).rpartition(".")[2]
    if kind not in KINDS:
        return []
    data = event.get("data")
    if not isinstance(data, dict):
        raise Unreadable("data is missing or not an object")
    message = words(data.get("message_id"), 200) or words(data.get("provider_id"), 200)
    return [
        Said(
            kind=kind,
            event=webhook_id,
            external_id=message or webhook_id,
            at=moment(event.get("timestamp"), now),
            payload=data,
        )
    ]
