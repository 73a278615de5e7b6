"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageQueued(LeadRecord):
    """message.queued: a message is to be sent, once."""

    TYPE: ClassVar[str] = "MessageQueued"
    VERSION: ClassVar[int] = 2
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["recipient", "variables"])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    attempt: int
    first_message_id: str | None = None
    recipient: str
    template_name: str
    subject: str
    body: str
    variables: Mapping[str, str] = field(default_factory=dict)
    compliance_note: str
    send_state: str
    enrolled_at: datetime | None = None
    stop_on: tuple[str, ...] = ()
    due_at: datetime
    body_html: str = ""
    purpose: str = "sequence"

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "message_id": self.message_id,
            "enrollment_id": self.enrollment_id,
            "sequence_id": self.sequence_id,
            "step_id": self.step_id,
            "channel": self.channel,
            "attempt": self.attempt,
            "first_message_id": self.first_message_id,
            "recipient": self.recipient,
            "template_name": self.template_name,
            "subject": self.subject,
            "body": self.body,
            "variables": self.variables,
            "compliance_note": self.compliance_note,
            "send_state": self.send_state,
            "enrolled_at": self.enrolled_at,
            "stop_on": self.stop_on,
            "due_at": self.due_at,
            "body_html": self.body_html,
            "purpose": self.purpose,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["stop_on"] = tuple(data["stop_on"])
        return assemble(cls, data)
