"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRunRecorded(LeadRecord):
    """How it stands with one record on its way into a CRM."""

    TYPE: ClassVar[str] = "SyncRunRecorded"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    cause_id: str
    what: str
    account_id: str
    provider: str
    attempts: int
    result: str
    error: str | None = None
    reason: str | None = None
    next_try_at: datetime | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "lead_id": self.lead_id,
            "owner": self.owner,
            "cause_id": self.cause_id,
            "what": self.what,
            "account_id": self.account_id,
            "provider": self.provider,
            "attempts": self.attempts,
            "result": self.result,
            "error": self.error,
            "reason": self.reason,
            "next_try_at": self.next_try_at,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
