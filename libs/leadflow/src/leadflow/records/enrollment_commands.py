"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollRequested(LeadRecord):
    """A person or a rule wants the lead in a sequence."""

    TYPE: ClassVar[str] = "EnrollRequested"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    sequence_id: str
    requested_by: str
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
            "sequence_id": self.sequence_id,
            "requested_by": self.requested_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentPauseRequested(LeadRecord):
    """Hold one enrollment."""

    TYPE: ClassVar[str] = "EnrollmentPauseRequested"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    requested_by: str
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
            "enrollment_id": self.enrollment_id,
            "requested_by": self.requested_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentResumeRequested(LeadRecord):
    """Let one enrollment go on."""

    TYPE: ClassVar[str] = "EnrollmentResumeRequested"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    requested_by: str
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
            "enrollment_id": self.enrollment_id,
            "requested_by": self.requested_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentStopRequested(LeadRecord):
    """End one enrollment."""

    TYPE: ClassVar[str] = "EnrollmentStopRequested"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    requested_by: str
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
            "enrollment_id": self.enrollment_id,
            "requested_by": self.requested_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentMigrateRequested(LeadRecord):
    """Move one enrollment to another version."""

    TYPE: ClassVar[str] = "EnrollmentMigrateRequested"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    to_version: int
    requested_by: str
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
            "enrollment_id": self.enrollment_id,
            "to_version": self.to_version,
            "requested_by": self.requested_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendRequested(LeadRecord):
    """Send a message again, as a new attempt."""

    TYPE: ClassVar[str] = "ResendRequested"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    requested_by: str
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
            "requested_by": self.requested_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCompleted(LeadRecord):
    """A person did the task."""

    TYPE: ClassVar[str] = "TaskCompleted"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    completed_by: str
    outcome: str | None = None

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
            "completed_by": self.completed_by,
            "outcome": self.outcome,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
