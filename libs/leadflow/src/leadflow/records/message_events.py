"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageHeld(LeadRecord):
    """It waits, and for what."""

    TYPE: ClassVar[str] = "MessageHeld"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
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
            "message_id": self.message_id,
            "enrollment_id": self.enrollment_id,
            "sequence_id": self.sequence_id,
            "step_id": self.step_id,
            "channel": self.channel,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(LeadRecord):
    """A provider accepted it."""

    TYPE: ClassVar[str] = "MessageSent"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    provider: str
    provider_id: str | None = None
    body_hash: str
    accepted_at: datetime
    epoch: int

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
            "provider": self.provider,
            "provider_id": self.provider_id,
            "body_hash": self.body_hash,
            "accepted_at": self.accepted_at,
            "epoch": self.epoch,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecorded(LeadRecord):
    """For a person to do, or without a provider: written down, never counted as sent."""

    TYPE: ClassVar[str] = "MessageRecorded"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["subject", "body"])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    body_hash: str
    subject: str | None = None
    body: str | None = None

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
            "body_hash": self.body_hash,
            "subject": self.subject,
            "body": self.body,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFailed(LeadRecord):
    """It will not go out."""

    TYPE: ClassVar[str] = "MessageFailed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    provider: str
    provider_id: str | None = None
    error_class: str
    reason: str
    attempts: int

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
            "provider": self.provider,
            "provider_id": self.provider_id,
            "error_class": self.error_class,
            "reason": self.reason,
            "attempts": self.attempts,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSuppressed(LeadRecord):
    """It must not go out, and by which rule."""

    TYPE: ClassVar[str] = "MessageSuppressed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
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
            "message_id": self.message_id,
            "enrollment_id": self.enrollment_id,
            "sequence_id": self.sequence_id,
            "step_id": self.step_id,
            "channel": self.channel,
            "rule": self.rule,
            "inputs": self.inputs,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageUnknown(LeadRecord):
    """A provider may or may not have accepted it."""

    TYPE: ClassVar[str] = "MessageUnknown"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    provider: str
    provider_id: str | None = None
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
            "enrollment_id": self.enrollment_id,
            "sequence_id": self.sequence_id,
            "step_id": self.step_id,
            "channel": self.channel,
            "provider": self.provider,
            "provider_id": self.provider_id,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDelivered(LeadRecord):
    """The recipient's server took it."""

    TYPE: ClassVar[str] = "MessageDelivered"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    cause_id: str
    provider: str
    provider_id: str | None = None

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
            "cause_id": self.cause_id,
            "provider": self.provider,
            "provider_id": self.provider_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageOpened(LeadRecord):
    """It was opened."""

    TYPE: ClassVar[str] = "MessageOpened"
    VERSION: ClassVar[int] = 2
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["user_agent", "ip"])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    cause_id: str
    provider: str
    provider_id: str | None = None
    automated: bool
    user_agent: str | None = None
    ip: str | None = None
    automated_reason: str | None = None

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
            "cause_id": self.cause_id,
            "provider": self.provider,
            "provider_id": self.provider_id,
            "automated": self.automated,
            "user_agent": self.user_agent,
            "ip": self.ip,
            "automated_reason": self.automated_reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageClicked(LeadRecord):
    """A link in it was followed."""

    TYPE: ClassVar[str] = "MessageClicked"
    VERSION: ClassVar[int] = 2
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["user_agent", "ip"])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    cause_id: str
    provider: str
    provider_id: str | None = None
    automated: bool
    user_agent: str | None = None
    ip: str | None = None
    url: str | None = None
    automated_reason: str | None = None

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
            "cause_id": self.cause_id,
            "provider": self.provider,
            "provider_id": self.provider_id,
            "automated": self.automated,
            "user_agent": self.user_agent,
            "ip": self.ip,
            "url": self.url,
            "automated_reason": self.automated_reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageBounced(LeadRecord):
    """It came back."""

    TYPE: ClassVar[str] = "MessageBounced"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["diagnostic"])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    cause_id: str
    provider: str
    provider_id: str | None = None
    bounce_type: str
    diagnostic: str | None = None

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
            "cause_id": self.cause_id,
            "provider": self.provider,
            "provider_id": self.provider_id,
            "bounce_type": self.bounce_type,
            "diagnostic": self.diagnostic,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageComplained(LeadRecord):
    """The recipient called it spam."""

    TYPE: ClassVar[str] = "MessageComplained"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["diagnostic"])

    message_id: str
    enrollment_id: str | None = None
    sequence_id: str | None = None
    step_id: str | None = None
    channel: str
    cause_id: str
    provider: str
    provider_id: str | None = None
    diagnostic: str | None = None

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
            "cause_id": self.cause_id,
            "provider": self.provider,
            "provider_id": self.provider_id,
            "diagnostic": self.diagnostic,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
