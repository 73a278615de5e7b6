"""Records as plain JSON, for people to read and write: `schemas/examples` is made of it.

Texts, numbers, lists and objects stand for themselves, null for what is missing, and a time
is ISO 8601 text with its offset. A union is not named as in Avro's own JSON encoding: ours
are all "this or null".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import fastavro


def avro_values(schema: Mapping[str, Any], plain: Mapping[str, Any]) -> dict[str, Any]:
    """What fastavro writes for `plain`. Raises KeyError or ValueError where it does not fit."""
    named: dict[str, Any] = {}
    parsed = fastavro.parse_schema(dict(schema), named)

    def convert(avro: Any, value: Any) -> Any:
        if isinstance(avro, list):
            [inner] = [branch for branch in avro if branch != "null"]
            return None if value is None else convert(inner, value)
        if isinstance(avro, str):
            return convert(named[avro], value) if avro in named else value
        if avro.get("logicalType") == "timestamp-millis":
            return datetime.fromisoformat(value)
        if avro["type"] == "record":
            types = {field["name"]: field["type"] for field in avro["fields"]}
            if unknown := sorted(set(value) - set(types)):
                raise ValueError(f"{avro['name']} has no field {', '.join(unknown)}")
            return {name: convert(inner, value[name]) for name, inner in types.items()}
        if avro["type"] == "array":
            return [convert(avro["items"], item) for item in value]
        if avro["type"] == "map":
            return {name: convert(avro["values"], item) for name, item in value.items()}
        return value

    values: dict[str, Any] = convert(parsed, plain)
    return values
