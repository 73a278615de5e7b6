"""Bytes without the person: what can be shown of a record that nobody may read whole. Pure.

What is personal is the schema's word; of JSON that is no record of ours only the shape is shown.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.logs import personal_hidden

# Members of a raw event that say where it came from, and hold no person.
_PLAIN = ("event_id", "tenant_id", "source", "kind", "external_id", "occurred_at")
_LONGEST = 200


def redacted(codec: Codec, value: bytes | None) -> str:
    """A record's fields, the shape of JSON, or the size and the hash of what cannot be read."""
    if value is None:
        return "no value"
    try:
        record = codec.decode(value)
    except CodecError:
        pass
    else:
        hidden = personal_hidden(record)
        told = {name: part for name, part in hidden.items() if part not in (None, [], {}, "")}
        return _written(told)
    try:
        data = json.loads(value)
    except (ValueError, RecursionError):
        return f"{len(value)} bytes, SHA-256 {hashlib.sha256(value).hexdigest()}"
    if not isinstance(data, dict):
        return f"JSON: {_shape(data)}"
    plain = {name for name in _PLAIN if _is_short(data.get(name))}
    return _written({name: part if name in plain else _shape(part) for name, part in data.items()})


def _is_short(part: Any) -> bool:
    return isinstance(part, str) and len(part) <= _LONGEST


def _written(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, indent=1, default=str)


def _shape(value: Any) -> Any:
    """The value without its texts and numbers."""
    match value:
        case dict():
            return {name: _shape(part) for name, part in value.items()}
        case list():
            return [_shape(part) for part in value]
        case str():
            return f"<text of {len(value)}>"
        case bool() | None:
            return value
        case _:
            return "<number>"
