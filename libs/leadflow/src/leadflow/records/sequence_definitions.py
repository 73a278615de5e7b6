"""Generated from `schemas/` by `make schemas`. Do not edit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from leadflow.records.base import Record, assemble
from leadflow.records.common import SendWindow, SequenceStep, Trigger


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencePublished(Record):
    """A version of a sequence; it never changes."""

    TYPE: ClassVar[str] = "SequencePublished"
    VERSION: ClassVar[int] = 3
    PRIVACY_CLASS: ClassVar[str] = "internal"
    PII: ClassVar[frozenset[str]] = frozenset([])

    owner: str | None = None
    sequence_id: str
    version: int
    name: str
    description: str
    status: str
    trigger: Trigger
    trigger_source: str
    consent_rule: str
    duplicate_rule: str
    rollback_path: str
    incident_owner: str
    response_window: str
    reentry_rule: str
    reentry_days: int
    priority: int
    stop_on: tuple[str, ...] = ()
    steps: tuple[SequenceStep, ...] = ()
    exclusive_group: str = ""
    window: SendWindow | None = None

    def to_avro(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "tenant_id": self.tenant_id,
            "occurred_at": self.occurred_at,
            "recorded_at": self.recorded_at,
            "source": self.source,
            "owner": self.owner,
            "sequence_id": self.sequence_id,
            "version": self.version,
            "name": self.name,
            "description": self.description,
            "status": self.status,
            "trigger": self.trigger.to_avro(),
            "trigger_source": self.trigger_source,
            "consent_rule": self.consent_rule,
            "duplicate_rule": self.duplicate_rule,
            "rollback_path": self.rollback_path,
            "incident_owner": self.incident_owner,
            "response_window": self.response_window,
            "reentry_rule": self.reentry_rule,
            "reentry_days": self.reentry_days,
            "priority": self.priority,
            "stop_on": self.stop_on,
            "steps": [item.to_avro() for item in self.steps],
            "exclusive_group": self.exclusive_group,
            "window": None if self.window is None else self.window.to_avro(),
        }

    @classmethod
    def from_avro(cls, data: dict[str, Any]) -> Self:
        data["trigger"] = Trigger.from_avro(data["trigger"])
        data["stop_on"] = tuple(data["stop_on"])
        data["steps"] = tuple([SequenceStep.from_avro(item) for item in data["steps"]])
        data["window"] = None if data["window"] is None else SendWindow.from_avro(data["window"])
        return assemble(cls, data)
