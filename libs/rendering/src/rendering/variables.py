"""The names that a template may use: what the schema knows of a lead, and the sender's own.

A lead's are derived from the schema of LeadCreated: the texts that a lead may or may not have told
of itself (`["null", "string"]`), at the top or in a record that is personal as a whole (the
address; not the attribution, which is about our campaigns). A field that the schema gains is a
variable the same day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from leadflow.codec import schemas
from leadflow.records.base import LeadRecord

OPTIONAL_TEXT = ["null", "string"]
# Says who works on the lead, not who the lead is.
_ENVELOPE = frozenset(LeadRecord.__dataclass_fields__)
# A form takes anybody's address: to send back what was typed there would let strangers write to
# strangers in a tenant's name.
NOT_TO_BE_SENT_BACK = frozenset({"message"})

SENDER_VARIABLES = (
    "agent",
    "agent_phone",
    "tenant_name",
    "booking_link",
    "unsubscribe_url",
    "postal_address",
)


def texts_of_lead(schema: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Where a lead's optional texts are in its schema: the path of each, its last part the name."""
    for field in schema["fields"]:
        if field["name"] in _ENVELOPE or field["name"] in NOT_TO_BE_SENT_BACK:
            continue
        if field["type"] == OPTIONAL_TEXT:
            yield (field["name"],)
        elif isinstance(field["type"], list) and field.get("privacy") == "pii":
            for branch in field["type"]:
                if isinstance(branch, dict) and branch["type"] == "record":
                    for inner in branch["fields"]:
                        if inner["type"] == OPTIONAL_TEXT:
                            yield (field["name"], inner["name"])


def _newest(name: str) -> Mapping[str, Any]:
    return max(
        (schema for schema in schemas() if schema["name"] == name),
        key=lambda schema: int(schema["version"]),
    )


LEAD_PATHS = {path[-1]: path for path in texts_of_lead(_newest("LeadCreated"))}
LEAD_VARIABLES = tuple(LEAD_PATHS)
VARIABLES = (*LEAD_VARIABLES, *SENDER_VARIABLES)


def lead_values(lead: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a lead that is there as nested mappings, those that have a value."""
    found = {}
    for name, path in LEAD_PATHS.items():
        value: Any = lead
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        if isinstance(value, str) and value:
            found[name] = value
    return found
