"""Records as the shipped examples have them, changed where a test wants it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from leadflow.codec import Codec, schemas
from leadflow.kafka.port import Message
from leadflow.plain import avro_values
from leadflow.records import Record

EXAMPLES = Path(__file__).resolve().parents[2] / "schemas/examples"

MakeRecord = Callable[..., Any]
MakeMessage = Callable[..., Message]


@pytest.fixture
def record() -> MakeRecord:
    """`record(LeadCreated, stage="new")`: the example of that type with these fields."""
    by_name = {schema["name"]: schema for schema in schemas()}
    numbers = count()

    def make(record_type: type[Record], **changes: Any) -> Record:
        schema = by_name[record_type.TYPE]
        text = (EXAMPLES / f"{record_type.TYPE}.v{record_type.VERSION}.json").read_text()
        example = record_type.from_avro(avro_values(schema, json.loads(text)))
        return replace(example, **{"event_id": f"event-{next(numbers)}", **changes})

    return make


@pytest.fixture
def message() -> MakeMessage:
    """`message("messages", record)`: the record, or bytes, as Kafka would give it."""
    codec = Codec()
    offsets = count()

    def make(
        topic: str,
        value: Record | bytes,
        *,
        key: bytes | None = None,
        partition: int = 0,
        offset: int | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
        timestamp_ms: int = 0,
    ) -> Message:
        return Message(
            topic,
            partition,
            next(offsets) if offset is None else offset,
            key,
            value if isinstance(value, bytes) else codec.encode(value),
            headers,
            timestamp_ms,
        )

    return make
