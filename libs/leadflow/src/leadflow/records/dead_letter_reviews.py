"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import Record, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterReviewed(Record):
    """A person had a dead letter replayed, or let it go."""

    TYPE: ClassVar[str] = "DeadLetterReviewed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["reason"])

    letter_id: str
    service: str
    cause: str
    action: str
    run_id: str
    filter: str
    reviewed_by: str
    reason: str | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "letter_id": self.letter_id,
            "service": self.service,
            "cause": self.cause,
            "action": self.action,
            "run_id": self.run_id,
            "filter": self.filter,
            "reviewed_by": self.reviewed_by,
            "reason": self.reason,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
