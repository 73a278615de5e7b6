"""Records to bytes and back: the one seam through which every record passes.

Two framings, told apart by the first byte:

- `C3 01`, the CRC-64-AVRO fingerprint of the writer's schema (8 bytes, little-endian), the
  Avro body: single-object encoding (Avro 1.12, "Single-object encoding"). Self-contained.
- `00`, a schema id (4 bytes, big-endian), the Avro body: Confluent's framing, written when
  a schema registry is configured.

A reader takes both. `raw-events` takes JSON as well, see `leadflow.raw_json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any, Protocol

import fastavro
from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import fingerprint, to_parsing_canonical_form

from leadflow.errors import Malformed, RecordRefused, UnknownSchema
from leadflow.records import RECORD_TYPES, Record

MAX_BYTES = 1_000_000
"""Of a value. A topic takes batches of 1 MiB: the rest is for key, headers and framing."""
SINGLE_OBJECT = b"\xc3\x01"
CONFLUENT = b"\x00"


class Registry(Protocol):
    """Where Confluent framing keeps its schemas. Implemented by `leadflow.registry`."""

    def schema_id(self, schema: Mapping[str, Any]) -> int:
        """Id of a schema of ours, registered if it was not."""

    def schema(self, schema_id: int) -> Mapping[str, Any]:
        """The schema behind an id. Raises UnknownSchema."""


class PersonalData(Protocol):
    """Where fields marked `"privacy": "pii"` go through on their way in and out.

    Asked about every record type that has such fields, its own or inside of it. `data` is
    the record as fastavro sees it; both methods change it in place. A marked field is a text,
    or a list, map or record of texts, so what is sealed can be a text again.
    """

    def seal(self, record_type: type[Record], data: dict[str, Any]) -> None: ...

    def open(self, record_type: type[Record], data: dict[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class _Reader:
    """How to read one writer's schema into the record type of today."""

    record_type: type[Record]
    writer: Any
    reader: Any | None  # None when the writer's schema is today's


@cache
def schemas() -> tuple[dict[str, Any], ...]:
    """Every schema of every version, as `schemas/avro` has it."""
    text = files("leadflow.records").joinpath("schemas.json").read_text()
    return tuple(json.loads(text))


def schema_fingerprint(schema: Mapping[str, Any]) -> bytes:
    """CRC-64-AVRO of the parsing canonical form: 8 bytes, little-endian."""
    canonical = to_parsing_canonical_form(fastavro.parse_schema(dict(schema)))
    # fastavro gives the number's bytes in hex, already in the order of the wire.
    return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


def holds_personal_data(avro: Any) -> bool:
    """Whether a schema marks a field as pii, at any depth."""
    if isinstance(avro, list):
        return any(map(holds_personal_data, avro))
    if isinstance(avro, dict):
        return avro.get("privacy") == "pii" or any(map(holds_personal_data, avro.values()))
    return False


class Codec:
    """Encodes and decodes every record type; holds its tables ready, so one is enough.

    Without `registry` records are written in single-object encoding, with it in Confluent
    framing. `personal_data` is asked about every record that has fields marked pii.
    """

    def __init__(
        self, registry: Registry | None = None, personal_data: PersonalData | None = None
    ) -> None:
        self._registry = registry
        self._personal_data = personal_data
        self._types = {record_type.TYPE: record_type for record_type in RECORD_TYPES}
        self._today: dict[str, Any] = {}
        self._readers: dict[bytes, _Reader] = {}
        self._writers: dict[type[Record], tuple[bytes, Any]] = {}
        self._personal: set[type[Record]] = set()
        for schema in reversed(schemas()):
            parsed = fastavro.parse_schema(schema)
            today = self._today.setdefault(schema["name"], parsed)
            record_type = self._types[schema["name"]]
            frame = SINGLE_OBJECT + schema_fingerprint(schema)
            self._readers.setdefault(
                frame, _Reader(record_type, parsed, None if parsed is today else today)
            )
            if parsed is today and registry is None:
                self._writers[record_type] = (frame, parsed)
            if personal_data is not None and holds_personal_data(schema):
                self._personal.add(record_type)

    def encode(self, record: Record) -> bytes:
        """The record with its frame. Raises TypeError or ValueError if a field does not fit,
        RecordRefused if it is larger than a topic takes: nobody could write it, ever."""
        record_type = type(record)
        writer = self._writers.get(record_type)
        if writer is None:
            writer = self._register(record_type)
        data = record.to_avro()
        if self._personal_data is not None and record_type in self._personal:
            self._personal_data.seal(record_type, data)
        out = BytesIO()
        out.write(writer[0])
        schemaless_writer(out, writer[1], data)
        if out.tell() > MAX_BYTES:
            raise RecordRefused("too_large", f"a {record_type.TYPE} of {out.tell()} bytes")
        return out.getvalue()

    def decode(self, data: bytes | None) -> Record:
        """The record in `data`, in today's shape. Raises Malformed or UnknownSchema."""
        frame, reader = self._framed(data)
        data = data or b""
        body = BytesIO(data)
        body.seek(len(frame))
        record_type = reader.record_type
        try:
            values: Any = schemaless_reader(body, reader.writer, reader.reader)
            if body.tell() != len(data):
                raise ValueError("bytes after the end")
            if self._personal_data is not None and record_type in self._personal:
                self._personal_data.open(record_type, values)
            return record_type.from_avro(values)
        except Exception as error:  # fastavro fails in many ways on broken bytes
            raise Malformed(f"not a {record_type.TYPE}: {type(error).__name__}") from error

    def type_of(self, data: bytes | None) -> type[Record]:
        """The type of the record in `data`, told by its frame alone: its body may be broken.
        Raises Malformed or UnknownSchema."""
        return self._framed(data)[1].record_type

    def _framed(self, data: bytes | None) -> tuple[bytes, _Reader]:
        if not data:
            raise Malformed("the record is empty")
        if data[:2] == SINGLE_OBJECT:
            frame = data[:10]
        elif data[:1] == CONFLUENT:
            frame = data[:5]
        else:
            raise Malformed("neither single-object encoding nor Confluent framing")
        return frame, self._readers.get(frame) or self._look_up(frame)

    def _register(self, record_type: type[Record]) -> tuple[bytes, Any]:
        if self._registry is None:
            raise TypeError(f"{record_type.__name__} is not a record type of the catalogue")
        parsed = self._today[record_type.TYPE]
        number = self._registry.schema_id(parsed)
        writer = (CONFLUENT + number.to_bytes(4, "big"), parsed)
        self._writers[record_type] = writer
        return writer

    def _look_up(self, frame: bytes) -> _Reader:
        if len(frame) < (5 if frame[:1] == CONFLUENT else 10):
            raise Malformed("cut short inside its frame")
        if frame[:1] != CONFLUENT:
            raise UnknownSchema(f"no schema with fingerprint {frame[2:].hex()}")
        if self._registry is None:
            raise UnknownSchema("Confluent framing, and LEADFLOW_SCHEMA_REGISTRY_URL is not set")
        number = int.from_bytes(frame[1:], "big")
        schema = self._registry.schema(number)
        name = str(schema.get("name", "")).removeprefix("leadflow.")
        if name not in self._types:
            raise UnknownSchema(f"schema {number} is a {name}, which the catalogue does not have")
        reader = self._readers.get(SINGLE_OBJECT + schema_fingerprint(schema)) or _Reader(
            self._types[name], fastavro.parse_schema(dict(schema)), self._today[name]
        )
        self._readers[frame] = reader
        return reader
