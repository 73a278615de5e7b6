"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageReviewed(LeadRecord):
    """A person decided about the exact bytes."""

    TYPE: ClassVar[str] = "MessageReviewed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["edited_subject", "edited_body"])

    message_id: str
    decision: str
    body_hash: str
    edited_subject: str | None = None
    edited_body: str | None = None
    reviewer: str
    reason: str | None = None

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
            "decision": self.decision,
            "body_hash": self.body_hash,
            "edited_subject": self.edited_subject,
            "edited_body": self.edited_body,
            "reviewer": self.reviewer,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoubtSettled(LeadRecord):
    """A person found out what became of a message that a provider may have accepted."""

    TYPE: ClassVar[str] = "DoubtSettled"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["reason"])

    message_id: str
    outcome: str
    provider_id: str | None = None
    settled_by: str
    reason: str

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
            "outcome": self.outcome,
            "provider_id": self.provider_id,
            "settled_by": self.settled_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
