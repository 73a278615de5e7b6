"""Framing, versions and refusals of the codec; the seam for personal data; JSON raw events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import fastavro
import pytest

from leadflow import codec as codec_module
from leadflow.codec import Codec, schema_fingerprint, schemas
from leadflow.errors import Malformed, RecordRefused, UnknownSchema
from leadflow.records import RECORD_TYPES, LeadCreated, Record, Tick

Examples = dict[tuple[str, int], dict[str, Any]]
AT = datetime(2026, 11, 16, 15, 4, 5, 120_000, tzinfo=UTC)
TICK = Tick(
    event_id="t-1",
    tenant_id="acme",
    occurred_at=AT,
    recorded_at=AT + timedelta(milliseconds=7),
    source="sequencer",
    partition=11,
)
# Avro 1.12, "Parsing Canonical Form": only type, name and fields stay, names in full, no spaces.
# A logical type is no part of it.
TICK_CANONICAL = (
    '{"name":"leadflow.Tick","type":"record","fields":['
    '{"name":"event_id","type":"string"},{"name":"tenant_id","type":"string"},'
    '{"name":"occurred_at","type":"long"},{"name":"recorded_at","type":"long"},'
    '{"name":"source","type":"string"},{"name":"partition","type":"int"}]}'
)


def crc64(text: str) -> int:
    """CRC-64-AVRO, as the specification's "Schema Fingerprints" writes it in Java."""
    empty = 0xC15D213AA4D7A795
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (empty & -(value & 1))
        table.append(value)
    mark = empty
    for byte in text.encode():
        mark = (mark >> 8) ^ table[(mark ^ byte) & 0xFF]
    return mark


def varint(number: int) -> bytes:
    """An Avro long: zig-zag, seven bits a byte, the lowest first."""
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def text(value: str) -> bytes:
    return varint(len(value.encode())) + value.encode()


def tick_body(tick: Tick) -> bytes:
    times = [round(at.timestamp() * 1000) for at in (tick.occurred_at, tick.recorded_at)]
    return (
        text(tick.event_id)
        + text(tick.tenant_id)
        + b"".join(map(varint, times))
        + text(tick.source)
        + varint(tick.partition)
    )


def test_a_fingerprint_is_the_specifications_own() -> None:
    # The specification's test vectors have this one for the schema "null".
    assert crc64('"null"') == 0x63DD24E7CC258F8A
    schema = next(schema for schema in schemas() if schema["name"] == "Tick")
    assert schema_fingerprint(schema) == crc64(TICK_CANONICAL).to_bytes(8, "little")


def test_a_record_is_framed_as_a_single_object() -> None:
    frame = b"\xc3\x01" + crc64(TICK_CANONICAL).to_bytes(8, "little")
    assert Codec().encode(TICK) == frame + tick_body(TICK)
    assert Codec().decode(frame + tick_body(TICK)) == TICK


def test_a_time_is_aware_utc_and_cut_to_the_millisecond() -> None:
    local = AT.astimezone(timezone(timedelta(hours=-6))) + timedelta(microseconds=900)
    found = Codec().decode(Codec().encode(replace(TICK, occurred_at=local)))
    assert found.occurred_at == AT
    assert found.occurred_at.tzinfo == UTC


@pytest.mark.parametrize("empty", [None, b""])
def test_an_empty_value_is_no_record(empty: bytes | None) -> None:
    with pytest.raises(Malformed, match="empty"):
        Codec().decode(empty)


def test_a_record_cut_short_anywhere_is_malformed() -> None:
    codec = Codec()
    data = codec.encode(TICK)
    for length in range(1, len(data)):
        with pytest.raises(Malformed):
            codec.decode(data[:length])


def test_bytes_after_the_end_are_malformed() -> None:
    with pytest.raises(Malformed, match="not a Tick"):
        Codec().decode(Codec().encode(TICK) + b"\x00")


@pytest.mark.parametrize("data", [b"{}", b"\xc3\x02" + bytes(20), b"hello"])
def test_other_bytes_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="neither"):
        Codec().decode(data)


def test_a_record_that_no_topic_takes_is_refused_where_it_is_made() -> None:
    """The length of a string of 8,192 characters and more takes three bytes."""
    codec = Codec()
    longest = "x" * (1_000_000 - len(codec.encode(replace(TICK, source=""))) - 2)
    assert len(codec.encode(replace(TICK, source=longest))) == 1_000_000
    with pytest.raises(RecordRefused, match="too_large: a Tick of 1000001 bytes"):
        codec.encode(replace(TICK, source=longest + "x"))


def test_an_unknown_fingerprint_is_named() -> None:
    with pytest.raises(UnknownSchema, match="fingerprint 0102030405060708"):
        Codec().decode(b"\xc3\x01" + bytes(range(1, 9)) + b"body")


def test_an_error_tells_nothing_of_what_the_record_holds() -> None:
    data = Codec().encode(replace(TICK, tenant_id="secret-tenant"))
    with pytest.raises(Malformed) as caught:
        Codec().decode(data[:-1])
    assert "secret" not in str(caught.value)


def test_a_class_outside_the_catalogue_is_refused() -> None:
    with pytest.raises(TypeError, match="Record"):
        Codec().encode(Record(**{name: getattr(TICK, name) for name in Record.__slots__}))


@pytest.fixture
def two_versions(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A catalogue in which today's Tick is a second version; gives the first."""
    today = next(schema for schema in schemas() if schema["name"] == "Tick")
    first = {**today, "fields": [f for f in today["fields"] if f["name"] != "partition"]}
    fields = [*first["fields"], {"name": "partition", "type": "int", "default": -1}]
    second = {**today, "version": 2, "fields": fields}
    others = tuple(schema for schema in schemas() if schema["name"] != "Tick")
    catalogue = tuple(sorted((*others, first, second), key=lambda s: (s["name"], s["version"])))
    monkeypatch.setattr(codec_module, "schemas", lambda: catalogue)
    return first


def test_an_older_version_is_read_into_the_type_of_today(two_versions: dict[str, Any]) -> None:
    body = tick_body(TICK)[: -len(varint(TICK.partition))]
    data = b"\xc3\x01" + schema_fingerprint(two_versions) + body
    assert Codec().decode(data) == replace(TICK, partition=-1)
    assert Codec().decode(Codec().encode(TICK)) == TICK


class ToyCipher:
    """Reverses every marked text, wherever the schema has one; keeps what it was shown."""

    def __init__(self) -> None:
        newest = {schema["name"]: schema for schema in schemas()}
        self.named: dict[str, Any] = {}
        for schema in newest.values():
            fastavro.parse_schema(schema, self.named)
        self.sealed: set[tuple[str, str]] = set()
        self.types: set[str] = set()

    def seal(self, record_type: type[Record], data: dict[str, Any]) -> None:
        self.types.add(record_type.TYPE)
        self.walk(self.named[f"leadflow.{record_type.TYPE}"], data)

    def open(self, record_type: type[Record], data: dict[str, Any]) -> None:
        self.walk(self.named[f"leadflow.{record_type.TYPE}"], data)

    def walk(self, record: dict[str, Any], data: dict[str, Any]) -> None:
        for field in record["fields"]:
            name = field["name"]
            marked = field.get("privacy") == "pii"
            if marked:
                self.sealed.add((record["name"].removeprefix("leadflow."), name))
            data[name] = self.turn(field["type"], data[name], marked)

    def turn(self, avro: Any, value: Any, marked: bool) -> Any:
        if value is None:
            return None
        if isinstance(avro, list):
            [avro] = [branch for branch in avro if branch != "null"]
        avro = self.named.get(avro, avro) if isinstance(avro, str) else avro
        if isinstance(avro, str):
            return value[::-1] if marked else value
        if avro["type"] == "record":
            self.walk(avro, value)
        elif avro["type"] == "array":
            return [self.turn(avro["items"], item, marked) for item in value]
        elif avro["type"] == "map":
            return {key: self.turn(avro["values"], item, marked) for key, item in value.items()}
        return value


def marked_fields(node: Any, record: str = "") -> set[tuple[str, str]]:
    """(record, field) of every field that the schema files mark."""
    if isinstance(node, list):
        return {pair for item in node for pair in marked_fields(item, record)}
    if not isinstance(node, dict):
        return set()
    if node.get("type") == "record":
        record = node["name"]
    own = {(record, node["name"])} if node.get("privacy") == "pii" else set()
    return own | {pair for item in node.values() for pair in marked_fields(item, record)}


def test_every_personal_field_passes_the_seam_and_a_cipher_can_turn_it(examples: Examples) -> None:
    cipher = ToyCipher()
    sealing, plain = Codec(personal_data=cipher), Codec()
    for record_type in RECORD_TYPES:
        values = examples[record_type.TYPE, record_type.VERSION]
        record = record_type.from_avro(values)
        data = sealing.encode(record)
        assert (data != plain.encode(record)) == (record_type.TYPE in cipher.types)
        assert sealing.decode(data) == record
    newest = {schema["name"]: schema for schema in schemas()}
    assert cipher.sealed == marked_fields(list(newest.values()))
    assert cipher.types == {name for name, schema in newest.items() if marked_fields(schema)}


def test_a_sealed_record_holds_no_personal_text(examples: Examples) -> None:
    record = LeadCreated.from_avro(examples["LeadCreated", 1])
    data = Codec(personal_data=ToyCipher()).encode(record)
    for personal in ("Marisol", "Vega", "203.0.113.24", "+15125550147", "Juniper"):
        assert personal.encode() in Codec().encode(record)
        assert personal.encode() not in data


def test_the_type_of_a_record_is_told_by_its_frame_alone(examples: Examples) -> None:
    codec = Codec()
    for record_type in RECORD_TYPES:
        data = codec.encode(record_type.from_avro(examples[record_type.TYPE, record_type.VERSION]))
        assert codec.type_of(data) is record_type
        assert codec.type_of(data[:10]) is record_type
    with pytest.raises(Malformed):
        codec.type_of(b"")
    with pytest.raises(UnknownSchema):
        codec.type_of(b"\xc3\x01" + bytes(8))
