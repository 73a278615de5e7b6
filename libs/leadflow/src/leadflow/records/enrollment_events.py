"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled(LeadRecord):
    """A lead entered a sequence."""

    TYPE: ClassVar[str] = "Enrolled"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    entry: int
    enrolled_by: str
    trigger_event_id: str

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "entry": self.entry,
            "enrolled_by": self.enrolled_by,
            "trigger_event_id": self.trigger_event_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentRefused(LeadRecord):
    """A lead did not enter a sequence, and why."""

    TYPE: ClassVar[str] = "EnrollmentRefused"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    sequence_id: str
    trigger_event_id: str
    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)

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
            "trigger_event_id": self.trigger_event_id,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScheduled(LeadRecord):
    """The next step has a time."""

    TYPE: ClassVar[str] = "StepScheduled"
    VERSION: ClassVar[int] = 2
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    step_id: str
    step_index: int
    channel: str
    due_at: datetime
    rule: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "step_id": self.step_id,
            "step_index": self.step_index,
            "channel": self.channel,
            "due_at": self.due_at,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(LeadRecord):
    """A step was passed over, and why."""

    TYPE: ClassVar[str] = "StepSkipped"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    step_id: str
    step_index: int
    channel: str
    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "step_id": self.step_id,
            "step_index": self.step_index,
            "channel": self.channel,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFired(LeadRecord):
    """A step came due and its message was queued."""

    TYPE: ClassVar[str] = "StepFired"
    VERSION: ClassVar[int] = 2
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    step_id: str
    step_index: int
    channel: str
    message_id: str
    due_at: datetime
    arm: str = ""

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "step_id": self.step_id,
            "step_index": self.step_index,
            "channel": self.channel,
            "message_id": self.message_id,
            "due_at": self.due_at,
            "arm": self.arm,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentPaused(LeadRecord):
    """One enrollment is on hold."""

    TYPE: ClassVar[str] = "EnrollmentPaused"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentResumed(LeadRecord):
    """One enrollment goes on."""

    TYPE: ClassVar[str] = "EnrollmentResumed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    next_due_at: datetime | None = None

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "rule": self.rule,
            "inputs": self.inputs,
            "next_due_at": self.next_due_at,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentMigrated(LeadRecord):
    """One enrollment goes on in another version of its sequence."""

    TYPE: ClassVar[str] = "EnrollmentMigrated"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    from_version: int
    next_step_id: str | None = None
    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "from_version": self.from_version,
            "next_step_id": self.next_step_id,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentStopped(LeadRecord):
    """No further step goes out."""

    TYPE: ClassVar[str] = "EnrollmentStopped"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int
    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollmentCompleted(LeadRecord):
    """Every step is done."""

    TYPE: ClassVar[str] = "EnrollmentCompleted"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    enrollment_id: str
    sequence_id: str
    sequence_version: int

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
            "sequence_id": self.sequence_id,
            "sequence_version": self.sequence_version,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRefused(LeadRecord):
    """A command about an enrollment found nothing to do, and why."""

    TYPE: ClassVar[str] = "CommandRefused"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    command_id: str
    command: str
    enrollment_id: str
    requested_by: str
    rule: str
    inputs: Mapping[str, str] = field(default_factory=dict)

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "command_id": self.command_id,
            "command": self.command,
            "enrollment_id": self.enrollment_id,
            "requested_by": self.requested_by,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
