"""Raw events as JSON, the shape that any upstream can produce.

    {"event_id", "tenant_id", "source", "kind", "external_id", "occurred_at", "payload": {…}}

All are required; `occurred_at` is an ISO 8601 time with its offset. Members beside these are
ignored; what is inside `payload` is kept whole.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from leadflow.codec import Codec
from leadflow.errors import Malformed
from leadflow.kafka.port import Message
from leadflow.records import RawEvent, Record

TEXTS = ("event_id", "tenant_id", "source", "kind", "external_id")


def decode_raw_event(codec: Codec, message: Message) -> Record:
    """A RawEvent from JSON or from our own framing. Raises CodecError."""
    value = message.value
    if value and value.lstrip()[:1] == b"{":
        recorded_at = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC)
        return raw_event_from_json(value, recorded_at)
    record = codec.decode(value)
    if not isinstance(record, RawEvent):
        raise Malformed(f"a {record.TYPE} is no raw event")
    return record


def raw_event_from_json(text: bytes | str, recorded_at: datetime) -> RawEvent:
    """Raises Malformed, naming the member that is missing or wrong, never its value."""
    try:
        data: Any = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed("not JSON") from None
    if not isinstance(data, dict):
        raise Malformed("not a JSON object")
    for name in TEXTS:
        if not isinstance(data.get(name), str) or not data[name].strip():
            raise Malformed(f"{name} is missing or not a text")
    if not isinstance(data.get("payload"), dict):
        raise Malformed("payload is missing or not an object")
    texts = {name: data[name] for name in TEXTS}
    texts["payload"] = json.dumps(data["payload"], ensure_ascii=False, separators=(",", ":"))
    for name, value in texts.items():
        try:
            value.encode()
        except UnicodeEncodeError:  # JSON can spell half of a surrogate pair, UTF-8 cannot
            raise Malformed(f"{name} holds half a character") from None
    return RawEvent(**texts, occurred_at=_time(data.get("occurred_at")), recorded_at=recorded_at)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")  # Python takes NaN and Infinity, RFC 8259 does not


def _time(value: Any) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise Malformed("occurred_at is missing or not an ISO 8601 time") from None
    if at.tzinfo is None:
        raise Malformed("occurred_at has no offset from UTC")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Malformed("occurred_at is outside the calendar") from None
