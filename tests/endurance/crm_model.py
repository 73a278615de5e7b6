"""What a CRM has to hold, by the log alone: no code of crm-sync's.

Each record says the value of some groups of fields. Of each group the newest counts: by the
lead's revision, or by when it happened. A record that the CRM will never take says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from leadflow.records import LeadRecord

PROFILE = (
    "first_name",
    "last_name",
    "email",
    "phone",
    "company",
    "title",
    "service",
    "urgency",
    "timezone",
    "language",
    "source",
)
REVISION = "revision"
Fields: TypeAlias = Mapping[str, Any]
# (rank, event id): the id settles what happened at the same time.
Rank: TypeAlias = tuple[float, str]


@dataclass(slots=True)
class Expected:
    """One lead: for each group of fields every value that a record gave it, and its notes."""

    tenant_id: str
    groups: dict[str, dict[Rank, Fields]] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def hear(self, record: LeadRecord) -> None:
        said: Any = record
        if record.TYPE == "SummaryReviewed":
            if said.decision in ("approved", "edited"):
                self.notes[said.summary_id] = said.text
            return
        for group, rank, fields in _groups(said):
            self.groups.setdefault(group, {})[rank, record.event_id] = fields

    def contact(self) -> dict[str, Any]:
        """The contact in the end."""
        found: dict[str, Any] = {"tenant_id": self.tenant_id}
        for values in self.groups.values():
            found.update(values[max(values)])
        return found

    def out_of_order(self, history: Sequence[Fields]) -> Iterator[str]:
        """Values in a contact's history that are older than one before them, or nobody's."""
        for group, values in self.groups.items():
            names = {name for fields in values.values() for name in fields}
            latest: Rank | None = None
            for contact in history:
                there = {name: contact[name] for name in names if name in contact}
                if not there and latest is None:
                    continue
                fits = [rank for rank, fields in sorted(values.items()) if fields == there]
                if not fits:
                    yield f"a {group} that no record says"
                elif latest is not None and max(fits) < latest:
                    yield f"an older {group} over a newer one"
                else:
                    latest = min(rank for rank in fits if latest is None or rank >= latest)


def _groups(said: Any) -> Iterator[tuple[str, float, Fields]]:
    match said.TYPE:
        case "LeadCreated" | "LeadUpdated":
            fields = {name: getattr(said, name) for name in PROFILE}
            for name in ("address", "budget", "attribution"):
                part = getattr(said, name)
                fields[name] = None if part is None else _given(part.to_avro())
            fields["consent"] = {each.channel: each.granted for each in said.consent}
            yield "profile", said.revision, _given(fields)
            yield "stage", said.revision, {"stage": said.stage}
            yield "owner", said.revision, _given({"owner": said.owner})
            yield REVISION, said.revision, {REVISION: said.revision}
        case "StageChanged":
            yield "stage", said.revision, {"stage": said.to_stage}
            yield REVISION, said.revision, {REVISION: said.revision}
            if said.owner is not None:
                yield "owner", said.revision, {"owner": said.owner}
        case "LeadQualified":
            names = ("fit", "intent", "temperature", "next_action")
            fields = {name: getattr(said, name) for name in names}
            yield "qualification", said.occurred_at.timestamp(), fields
        case "Enrolled":
            fields = {"sequence": said.sequence_id, "enrolled_at": said.occurred_at.isoformat()}
            yield "enrollment", said.occurred_at.timestamp(), fields
        case "MessageSent":
            fields = {
                "last_message_id": said.message_id,
                "last_message_channel": said.channel,
                "last_message_at": said.accepted_at.isoformat(),
            }
            yield "message", said.accepted_at.timestamp(), fields


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
