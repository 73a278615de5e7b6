"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import Record, assemble


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent(Record):
    """Whatever an upstream system said, as it said it."""

    TYPE: ClassVar[str] = "RawEvent"
    VERSION: ClassVar[int] = 1
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset(["payload"])

    kind: str
    external_id: str
    payload: str

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "kind": self.kind,
            "external_id": self.external_id,
            "payload": self.payload,
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        return assemble(cls, data)
