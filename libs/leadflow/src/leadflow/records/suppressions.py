"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import Record, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionChanged(Record):
    """An address must not be written to over a channel, for a reason; or that is lifted."""

    TYPE: ClassVar[str] = "SuppressionChanged"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["address", "note", "evidence"])

    suppression_id: str
    channel: str
    address: str
    reason: str
    active: bool
    changed_by: str | None = None
    note: str | None = None
    evidence: str | None = None
    cause_id: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "suppression_id": self.suppression_id,
            "channel": self.channel,
            "address": self.address,
            "reason": self.reason,
            "active": self.active,
            "changed_by": self.changed_by,
            "note": self.note,
            "evidence": self.evidence,
            "cause_id": self.cause_id,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
