"""What providers report about messages: raw events of five kinds, applied once each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatcher.events import about
from dispatcher.facts import Fact, Stop, Suppression, address_key
from leadflow.errors import RecordRefused
from leadflow.ids import derived_id
from leadflow.records import (
    MessageBounced,
    MessageClicked,
    MessageComplained,
    MessageDelivered,
    MessageOpened,
    RawEvent,
)
from leadflow.records.base import LeadRecord

KINDS = frozenset({"delivered", "opened", "clicked", "bounced", "complained"})
SOFT_BOUNCES = frozenset({"soft", "transient", "temporary"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One report. It names its message by `message_id`, or as the provider does.

    `source` is who reported it: the provider whose signature was checked, or whoever else may
    write raw events. `received_at` is when leadflow heard of it.
    """

    event_id: str
    tenant_id: str
    source: str
    kind: str
    message_id: str | None
    provider_id: str | None
    occurred_at: datetime
    received_at: datetime
    details: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The message that a callback is about."""

    message_id: str
    tenant_id: str
    lead_id: str
    owner: str | None
    enrollment_id: str | None
    sequence_id: str | None
    step_id: str | None
    channel: str
    recipient: str
    provider: str | None
    provider_id: str | None


def read(raw: RawEvent) -> Callback:
    """Raises RecordRefused where the payload names no message."""
    try:
        payload: Any = json.loads(raw.payload)
    except ValueError:
        raise RecordRefused("callback_malformed", "the payload is not JSON") from None
    texts = {
        name: payload[name][:2_000].replace("\x00", "")
        for name in (
            "message_id",
            "provider_id",
            "url",
            "user_agent",
            "ip",
            "method",
            "bounce_type",
            "diagnostic",
            "mail_id",
            "recipient",
        )
        if isinstance(payload, dict) and isinstance(payload.get(name), str) and payload[name]
    }
    if "message_id" not in texts and "provider_id" not in texts:
        raise RecordRefused("callback_names_no_message", "neither message_id nor provider_id")
    return Callback(
        event_id=raw.event_id,
        tenant_id=raw.tenant_id,
        source=raw.source,
        kind=raw.kind,
        message_id=texts.pop("message_id", None),
        provider_id=texts.pop("provider_id", None),
        occurred_at=raw.occurred_at,
        received_at=raw.recorded_at,
        details=texts,
    )


def event_of(
    callback: Callback, message: Reported, at: datetime, automated: str | None, now: datetime
) -> LeadRecord:
    """The record of message-events that a callback becomes.

    `at` is when it happened, `automated` by what a machine is known for having done it.
    """
    details = callback.details
    common: dict[str, Any] = {
        **about(message),
        "event_id": derived_id("callback", callback.event_id),
        "occurred_at": at,
        "recorded_at": now,
        "cause_id": callback.event_id,
        "provider": message.provider or "unknown",
        "provider_id": message.provider_id or callback.provider_id,
    }
    seen: dict[str, Any] = {
        "automated": automated is not None,
        "automated_reason": automated,
        "user_agent": details.get("user_agent"),
        "ip": details.get("ip"),
    }
    match callback.kind:
        case "delivered":
            return MessageDelivered(**common)
        case "opened":
            return MessageOpened(**common, **seen)
        case "clicked":
            return MessageClicked(**common, **seen, url=details.get("url"))
        case "bounced":
            return MessageBounced(
                **common,
                bounce_type=bounce_type(details),
                diagnostic=details.get("diagnostic"),
            )
        case _:
            return MessageComplained(**common, diagnostic=details.get("diagnostic"))


def bounce_type(details: dict[str, str]) -> str:
    """`soft` where the provider says that it may pass, else `hard`."""
    return "soft" if details.get("bounce_type", "").lower() in SOFT_BOUNCES else "hard"


def is_about_another(callback: Callback, message: Reported) -> bool:
    """Whether a mail came back from an address that it was not written to: whoever got it has it
    forwarded to a mailbox that is dead, and may well have read it."""
    named = callback.details.get("recipient", "")
    bounced = {address_key("email", each.strip(" <>")) for each in named.split(",") if "@" in each}
    return (
        callback.kind == "bounced"
        and message.channel == "email"
        and bool(bounced)
        and address_key("email", message.recipient) not in bounced
    )


def facts_of_callback(
    callback: Callback, message: Reported, at: datetime, now: datetime
) -> list[Fact]:
    """A hard bounce and a complaint: the address is not written to again, and the lead stops.

    The suppression counts from `at`, when it happened: a report that comes late does not undo
    what a person lifted since. The stop counts from now, like all stops.
    """
    if callback.kind == "bounced" and bounce_type(callback.details) == "hard":
        reason, stop = "hard_bounce", "bounce"
    elif callback.kind == "complained":
        reason, stop = "complaint", "complaint"
    else:
        return []
    return [
        Suppression(
            tenant_id=message.tenant_id,
            channel=message.channel,
            address=address_key(message.channel, message.recipient),
            reason=reason,
            active=True,
            cause_id=callback.event_id,
            at=at,
        ),
        Stop(lead_id=message.lead_id, stop=stop, at=now),
    ]
