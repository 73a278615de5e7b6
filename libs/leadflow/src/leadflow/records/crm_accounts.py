"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import Record, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatusChanged(Record):
    """A CRM account goes on, is called no more, or is forgotten."""

    TYPE: ClassVar[str] = "AccountStatusChanged"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    account_id: str
    provider: str
    status: str
    reason: str
    changed_by: str
    revision: int

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "account_id": self.account_id,
            "provider": self.provider,
            "status": self.status,
            "reason": self.reason,
            "changed_by": self.changed_by,
            "revision": self.revision,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
