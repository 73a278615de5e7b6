"""The columns of the ledger, each by what it is held to. Pure.

Every column of the table stands in one of these lists, or a test fails: a new one is compared, or
it is said here why it cannot be.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dispatcher.content import OWN
from leadflow.records import MessageQueued
from rendering.cleaning import cleaned

# The chain has it, or its hash.
WITH_CHAIN = (
    "tenant_id", "lead_id", "channel", "state", "rule", "body_sha256", "provider", "provider_id",
    "response", "changed_at", "recipient", "address", "salt",
)  # fmt: skip
# MessageQueued says it, as it is or as a hash of it.
WITH_TOPIC = ("tenant_id", "lead_id", "channel", "recipient", "address")
# MessageQueued says it, and it names nobody: noted as one JSON text (`as_queued`).
AS_QUEUED = (
    "owner", "enrollment_id", "sequence_id", "step_id", "attempt", "first_message_id",
    "compliance_note", "enrolled_at", "stop_on", "due_at", "made_of", "answers", "answers_event",
)  # fmt: skip
OTHERWISE = {
    "message_id": "by it a row is found in every account",
    "payload": "is held to its hash, body_sha256",
}
NOT_COMPARED = {
    "position": "the order of arrival, which nothing else writes down",
    "created_at": "when it arrived, which nothing else writes down",
    "scope": "which pause holds it: it passes",
    "ready_at": "when it may be tried, or its lease ends: it passes",
    "epoch": "how often it was claimed: no event tells of every claim",
    "attempts": "how often it was presented: no event tells of every try",
    "refusals": "how often its provider refused us: no event tells of every refusal",
    "worker": "who has it now: it passes",
    "in_doubt": "whether a provider may have it: it passes",
    "doubt_since": "since when a provider may have it: it passes",
    "tried_at": "since when it cannot be taken: it passes",
}

EPOCH = datetime.fromtimestamp(0, UTC)


def as_queued_of(record: MessageQueued) -> str:
    """What the ledger is to say of a message that was queued: AS_QUEUED as a JSON text."""
    own = {name: value for name in OWN if (value := record.variables.get(name))}
    queued = {name: getattr(record, name, None) for name in AS_QUEUED}
    # What comes from the topic answers no keyword.
    return _text({**queued, "made_of": {"purpose": record.purpose, **own}})


def as_queued_in(row: Mapping[str, Any]) -> str:
    """The same of a row of the ledger; `made_of` as JSON."""
    said = {name: row[name] for name in AS_QUEUED}
    return _text({**said, "made_of": json.loads(row["made_of"])})


def _text(said: Mapping[str, Any]) -> str:
    plain = {
        **said,
        "compliance_note": cleaned(said["compliance_note"], keep_lines=True),
        "stop_on": list(said["stop_on"]),
        "enrolled_at": _micros(said["enrolled_at"]),
        "due_at": _micros(said["due_at"]),
    }
    return json.dumps(plain, ensure_ascii=False, sort_keys=True)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else (at - EPOCH) // timedelta(microseconds=1)
