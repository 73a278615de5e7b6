"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryCreated(LeadRecord):
    """summary.created: a draft that nobody outside sees until it is approved."""

    TYPE: ClassVar[str] = "SummaryCreated"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "summary-after-approval"
    PII: ClassVar[frozenset[str]] = frozenset(["text"])

    summary_id: str
    project_id: str
    text: str
    text_hash: str
    risk_flags: tuple[str, ...] = ()
    next_action: str
    approval_state: str
    decided_by: str
    cause_id: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "summary_id": self.summary_id,
            "project_id": self.project_id,
            "text": self.text,
            "text_hash": self.text_hash,
            "risk_flags": self.risk_flags,
            "next_action": self.next_action,
            "approval_state": self.approval_state,
            "decided_by": self.decided_by,
            "cause_id": self.cause_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["risk_flags"] = tuple(data["risk_flags"])
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryReviewed(LeadRecord):
    """A person let it out, or did not."""

    TYPE: ClassVar[str] = "SummaryReviewed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "summary-after-approval"
    PII: ClassVar[frozenset[str]] = frozenset(["text"])

    summary_id: str
    project_id: str
    decision: str
    text_hash: str
    text: str | None = None
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
            "summary_id": self.summary_id,
            "project_id": self.project_id,
            "decision": self.decision,
            "text_hash": self.text_hash,
            "text": self.text,
            "reviewer": self.reviewer,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
