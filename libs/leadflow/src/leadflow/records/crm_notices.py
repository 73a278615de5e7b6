"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import Record, assemble
from leadflow.records.common import CrmField


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmNoticed(Record):
    """A CRM says that something was changed there: what it was, crm-sync finds out."""

    TYPE: ClassVar[str] = "CrmNoticed"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    provider: str
    object: str
    crm_id: str
    changes: tuple[CrmField, ...] = ()

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "provider": self.provider,
            "object": self.object,
            "crm_id": self.crm_id,
            "changes": [item.to_avro() for item in self.changes],
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["changes"] = tuple([CrmField.from_avro(item) for item in data["changes"]])
        return assemble(cls, data)
