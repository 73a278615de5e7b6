"""What became of a message, as records of message-events. Ids follow from the message."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from dispatcher.decide import CAP, QUOTA_RULE, Decision
from dispatcher.model import Entry, State
from leadflow.ids import derived_id
from leadflow.records import (
    MessageFailed,
    MessageHeld,
    MessageRecorded,
    MessageSent,
    MessageSuppressed,
    MessageUnknown,
)
from leadflow.records.base import LeadRecord

SOURCE = "dispatcher"
LONG_WAITS = frozenset({"quiet_hours", QUOTA_RULE, CAP})


class AboutMessage(Protocol):
    """What every record about a message repeats of it."""

    @property
    def message_id(self) -> str: ...
    @property
    def tenant_id(self) -> str: ...
    @property
    def lead_id(self) -> str: ...
    @property
    def owner(self) -> str | None: ...
    @property
    def enrollment_id(self) -> str | None: ...
    @property
    def sequence_id(self) -> str | None: ...
    @property
    def step_id(self) -> str | None: ...
    @property
    def channel(self) -> str: ...


class Presented(AboutMessage, Protocol):
    """The same of a message that a provider was given."""

    @property
    def provider(self) -> str | None: ...


def about(message: AboutMessage) -> dict[str, Any]:
    """The fields that a record takes over from its message."""
    return {
        "tenant_id": message.tenant_id,
        "source": SOURCE,
        "lead_id": message.lead_id,
        "owner": message.owner,
        "message_id": message.message_id,
        "enrollment_id": message.enrollment_id,
        "sequence_id": message.sequence_id,
        "step_id": message.step_id,
        "channel": message.channel,
    }


def held(
    message: AboutMessage, rule: str, inputs: Any, now: datetime, *, epoch: int, cause: str = ""
) -> MessageHeld:
    """A message can be held more than once: after each claim, and by each `cause`."""
    return MessageHeld(
        **about(message),
        event_id=derived_id("MessageHeld", message.message_id, epoch, cause),
        occurred_at=now,
        recorded_at=now,
        rule=rule,
        inputs=inputs,
    )


def suppressed(message: AboutMessage, rule: str, inputs: Any, now: datetime) -> MessageSuppressed:
    return MessageSuppressed(
        **about(message),
        event_id=derived_id("MessageSuppressed", message.message_id),
        occurred_at=now,
        recorded_at=now,
        rule=rule,
        inputs=inputs,
    )


def unknown(message: Presented, reason: str, now: datetime) -> MessageUnknown:
    return MessageUnknown(
        **about(message),
        event_id=derived_id("MessageUnknown", message.message_id),
        occurred_at=now,
        recorded_at=now,
        provider=message.provider or "unknown",
        provider_id=None,
        reason=reason,
    )


def of_decision(
    entry: Entry, decision: Decision, now: datetime, *, provider: str
) -> LeadRecord | None:
    """The event of a decision about a claimed message; None where it only waits for a retry or
    for its turn. A wait for the end of quiet hours, a quota or a cap is long, and is told."""
    waits = decision.state is State.QUEUED and decision.rule in LONG_WAITS
    if decision.state is State.HELD or waits:
        return held(entry, decision.rule, decision.inputs, now, epoch=entry.epoch)
    if decision.state is State.SUPPRESSED:
        return suppressed(entry, decision.rule, decision.inputs, now)
    common = {**about(entry), "occurred_at": now, "recorded_at": now}
    if decision.state is State.SENT:
        return MessageSent(
            **common,
            event_id=derived_id("MessageSent", entry.message_id),
            provider=provider,
            provider_id=decision.provider_id,
            body_hash=entry.content.sha256,
            accepted_at=now,
            epoch=entry.epoch,
        )
    if decision.state is State.RECORDED:
        send = entry.content.send()
        return MessageRecorded(
            **common,
            event_id=derived_id("MessageRecorded", entry.message_id),
            body_hash=entry.content.sha256,
            subject=send.get("subject"),
            body=send["text"],
        )
    if decision.state is State.FAILED:
        return MessageFailed(
            **common,
            event_id=derived_id("MessageFailed", entry.message_id),
            provider=provider,
            provider_id=None,
            error_class=decision.rule,
            reason=decision.reason,
            attempts=entry.attempts + decision.presented,
        )
    if decision.state is State.UNKNOWN:
        return MessageUnknown(
            **common,
            event_id=derived_id("MessageUnknown", entry.message_id),
            provider=entry.provider or provider,
            provider_id=None,
            reason=decision.reason,
        )
    return None
