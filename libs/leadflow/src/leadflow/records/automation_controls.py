"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import Record, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationPaused(Record):
    """automation.paused: nothing in scope goes out."""

    TYPE: ClassVar[str] = "AutomationPaused"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    owner: str | None = None
    scope: str
    workflow: str
    reason: str
    rollback: str
    verification_status: str
    paused_by: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "owner": self.owner,
            "scope": self.scope,
            "workflow": self.workflow,
            "reason": self.reason,
            "rollback": self.rollback,
            "verification_status": self.verification_status,
            "paused_by": self.paused_by,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutomationResumed(Record):
    """What was paused may go on: what waits goes out at a rate, not all at once."""

    TYPE: ClassVar[str] = "AutomationResumed"
    VERSION: ClassVar[int] = 2
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    owner: str | None = None
    scope: str
    reason: str
    verification_status: str
    resumed_by: str
    rate_per_minute: int | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "owner": self.owner,
            "scope": self.scope,
            "reason": self.reason,
            "verification_status": self.verification_status,
            "resumed_by": self.resumed_by,
            "rate_per_minute": self.rate_per_minute,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
