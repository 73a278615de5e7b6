"""Records in words of one line, without what can identify a person unless that is wanted. Pure.

What is personal is the schema's word: the fields that `Record.PII` and `Nested.PII` name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from leadflow.records import Nested, Record

# Said in other columns of a line, or by `because`.
_SAID = {"tenant_id", "occurred_at", "recorded_at", "lead_id", "rule", "inputs"}
# What a reader follows a story by; everything else is for `everything`.
_TELLING = {
    "automatic",
    "bounce_type",
    "changed",
    "changed_by",
    "channel",
    "decided_by",
    "decision",
    "due_at",
    "duplicate_rule",
    "enrolled_by",
    "external_id",
    "from_stage",
    "fields",
    "fit",
    "granted",
    "intent",
    "kind",
    "message_id",
    "next_action",
    "outcome",
    "provider",
    "provider_id",
    "quarantine_reasons",
    "reason",
    "reasons",
    "requested_by",
    "reviewer",
    "sequence_id",
    "stage",
    "starts_at",
    "status",
    "step_id",
    "temperature",
    "template_name",
    "to_stage",
    "to_version",
    "urgency",
}
_LONG = 200


def describe(record: Record, *, everything: bool = False) -> str:
    """A rule with its inputs first, then `field value, …` of the fields that tell something.

    Without `everything` no field that can identify a person is among them.
    """
    told = [*_rule(record)]
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name in _SAID or value in (None, "", (), {}):
            continue
        if everything:
            told.append(f"{field.name} {_words(value, personal=True)}")
        elif field.name in _TELLING and field.name not in record.PII:
            told.append(f"{field.name} {_short(_words(value, personal=False))}")
    return ", ".join(told)


def moment(at: datetime) -> str:
    """UTC to the millisecond: 2026-11-21 08:25:23.040."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _rule(record: Record) -> Iterator[str]:
    rule = getattr(record, "rule", None)
    if rule is None:
        return
    inputs: Mapping[str, str] = getattr(record, "inputs", {})
    given = ", ".join(f"{name}={value}" for name, value in sorted(inputs.items()))
    yield f"because {rule} ({given})" if given else f"because {rule}"


def _words(value: Any, *, personal: bool) -> str:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, Nested):
        parts = [
            f"{field.name} {_words(part, personal=personal)}"
            for field in fields(value)  # type: ignore[arg-type]
            if (part := getattr(value, field.name)) not in (None, "")
            and (personal or field.name not in value.PII)
        ]
        return f"({', '.join(parts)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}={part}" for name, part in sorted(value.items())) + "}"
    if isinstance(value, tuple):
        return " ".join(_words(part, personal=personal) for part in value)
    return " ".join(str(value).split())


def _short(text: str) -> str:
    return text if len(text) <= _LONG else f"{text[: _LONG - 1]}…"
