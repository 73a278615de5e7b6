"""What a provider said, on its way to become raw events (design.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from leadflow.errors import LeadflowError
from leadflow.ids import derived_id
from leadflow.records import RawEvent

LONGEST_TEXT = 2_000


class Unreadable(LeadflowError):
    """A webhook that its provider signed and we cannot read; the text says what is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing that happened. `event` is the provider's id of it: a repeat has the same.

    `external_id` is the provider's id of the message, so that what is said of one message keeps
    its order in the log.
    """

    kind: str
    event: str
    external_id: str
    at: datetime
    payload: Mapping[str, Any]


def raw_event(source: str, tenant_id: str, said: Said, now: datetime) -> RawEvent:
    """The raw event; its id follows from the provider's. What one id says a second time, or says
    otherwise, is the same event: the first counts."""
    # One callback of Twilio is two events, of different kinds.
    kind = (said.kind,) if source == "twilio" else ()
    payload = {name: value for name, value in said.payload.items() if value not in (None, "", [])}
    return RawEvent(
        event_id=derived_id("webhook", source, tenant_id, said.event, *kind),
        tenant_id=tenant_id,
        occurred_at=said.at,
        recorded_at=now,
        source=source,
        kind=said.kind,
        external_id=said.external_id,
        payload=json.dumps(payload, ensure_ascii=False, separators=(",", ":")),
    )


def json_of(body: bytes) -> Any:
    """The body as JSON. Raises Unreadable."""
    try:
        data = json.loads(body)
        json.dumps(data, ensure_ascii=False).encode()  # JSON can spell half a character
    except (ValueError, RecursionError):
        raise Unreadable("the body is not JSON") from None
    return data


def object_of(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises Unreadable."""
    data = json_of(body)
    if not isinstance(data, dict):
        raise Unreadable("the body is not a JSON object")
    return data


def words(value: Any, longest: int = LONGEST_TEXT) -> str:
    """A text, cut; empty where it is none."""
    return value.strip()[:longest] if isinstance(value, str) else ""


def member(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object under a name; empty where there is none."""
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def moment(value: Any, default: datetime) -> datetime:
    """An ISO 8601 time with its offset; `default` where it is none. Raises Unreadable for a time
    before the first year or after the last: it is no other time, and not now."""
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo is not None else default
    except OverflowError:
        raise Unreadable("its time cannot be") from None
    except (TypeError, ValueError):
        return default
