"""Confluent framing, against confluent-kafka's own mock registry."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from leadflow.codec import Codec, schemas
from leadflow.errors import BrokerError, Malformed, UnknownSchema, is_retryable
from leadflow.records import RECORD_TYPES, Tick
from leadflow.registry import ConfluentRegistry
from leadflow.service import codec_for
from leadflow.settings import Environment, ServiceSettings

AT = datetime(2026, 11, 16, 15, 4, 5, tzinfo=UTC)
TICK = Tick(event_id="t", tenant_id="", occurred_at=AT, recorded_at=AT, source="s", partition=3)
NEWEST = {schema["name"]: schema for schema in schemas()}


@pytest.fixture
def client() -> SchemaRegistryClient:
    return SchemaRegistryClient.new_client({"url": "mock://registry"})


@pytest.fixture
def confluent(client: SchemaRegistryClient) -> Codec:
    return Codec(ConfluentRegistry("mock://registry", client))


def registered(client: SchemaRegistryClient, schema: dict[str, Any]) -> bytes:
    """The frame of a schema that somebody else registered."""
    number = client.register_schema(f"leadflow.{schema['name']}", Schema(json.dumps(schema)))
    return b"\x00" + int(number).to_bytes(4, "big")


def test_with_a_registry_every_record_is_framed_with_its_id(
    client: SchemaRegistryClient, confluent: Codec, examples: dict[tuple[str, int], dict[str, Any]]
) -> None:
    plain = Codec()
    for record_type in RECORD_TYPES:
        schema = NEWEST[record_type.TYPE]
        values = examples[record_type.TYPE, record_type.VERSION]
        single = plain.encode(record_type.from_avro(values))
        record = plain.decode(single)
        data = confluent.encode(record)
        assert data == registered(client, schema) + single[10:]
        assert confluent.decode(data) == record


def test_a_reader_with_a_registry_takes_both_framings(confluent: Codec) -> None:
    assert confluent.decode(confluent.encode(TICK)) == TICK
    assert confluent.decode(Codec().encode(TICK)) == TICK


def test_a_reader_without_a_registry_says_what_it_lacks(confluent: Codec) -> None:
    with pytest.raises(UnknownSchema, match="LEADFLOW_SCHEMA_REGISTRY_URL is not set"):
        Codec().decode(confluent.encode(TICK))


def test_what_is_registered_carries_our_privacy_marks(
    client: SchemaRegistryClient, confluent: Codec, examples: dict[tuple[str, int], dict[str, Any]]
) -> None:
    record_type = next(each for each in RECORD_TYPES if each.TYPE == "LeadCreated")
    record = record_type.from_avro(examples["LeadCreated", 1])
    number = int.from_bytes(confluent.encode(record)[1:5], "big")
    assert json.loads(client.get_schema(number).schema_str or "") == NEWEST["LeadCreated"]
    assert '"privacy": "pii"' in (client.get_schema(number).schema_str or "")


def test_a_subject_is_the_full_name_of_a_record(
    client: SchemaRegistryClient, confluent: Codec
) -> None:
    confluent.encode(TICK)
    assert client.get_subjects() == ["leadflow.Tick"]


def test_a_version_that_only_the_registry_knows_is_read_into_todays_type(
    client: SchemaRegistryClient, confluent: Codec
) -> None:
    later = {"name": "note", "type": ["null", "string"], "default": None}
    schema = {**NEWEST["Tick"], "version": 2, "fields": [*NEWEST["Tick"]["fields"], later]}
    data = registered(client, schema) + Codec().encode(TICK)[10:] + b"\x00"
    assert confluent.decode(data) == TICK


def test_a_schema_id_that_the_registry_does_not_have_is_unknown(confluent: Codec) -> None:
    with pytest.raises(UnknownSchema, match="the registry has no schema 4711"):
        confluent.decode(b"\x00" + (4711).to_bytes(4, "big") + b"body")


def test_a_schema_of_somebody_else_is_unknown(
    client: SchemaRegistryClient, confluent: Codec
) -> None:
    stranger = {"type": "record", "name": "Stranger", "namespace": "elsewhere", "fields": []}
    with pytest.raises(UnknownSchema, match="Stranger, which the catalogue does not have"):
        confluent.decode(registered(client, stranger))


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_a_frame_cut_short_is_not_taken_for_another_id(confluent: Codec, length: int) -> None:
    data = confluent.encode(TICK)
    with pytest.raises(Malformed, match="cut short"):
        confluent.decode(data[:length])


class Down(SchemaRegistryClient):
    """A registry that answers 503 to everything."""

    def register_schema(self, *_: object, **__: object) -> int:
        raise SchemaRegistryError(503, 50300, "down")

    def get_schema(self, *_: object, **__: object) -> Schema:
        raise ConnectionError("refused")


def test_a_registry_that_does_not_answer_is_worth_a_retry() -> None:
    codec = Codec(ConfluentRegistry("http://registry", Down({"url": "http://registry"})))
    with pytest.raises(BrokerError) as encoding:
        codec.encode(TICK)
    with pytest.raises(BrokerError) as decoding:
        codec.decode(b"\x00\x00\x00\x00\x01body")
    assert is_retryable(encoding.value)
    assert is_retryable(decoding.value)


@pytest.mark.parametrize(("url", "first"), [("", b"\xc3"), ("mock://registry", b"\x00")])
def test_the_setting_chooses_the_framing(url: str, first: bytes) -> None:
    env = Environment({"LEADFLOW_KAFKA_BOOTSTRAP": "k:1", "LEADFLOW_SCHEMA_REGISTRY_URL": url})
    codec = codec_for(ServiceSettings.read("intake", env))
    assert codec.encode(TICK)[:1] == first
