"""Each version of each record type has an example payload, and together they tell one story."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, fields
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest

from leadflow import ids
from leadflow.codec import Codec, schema_fingerprint, schemas
from leadflow.plain import avro_values
from leadflow.records import RECORD_TYPES, Record

FOLDER = Path(__file__).resolve().parents[3] / "schemas/examples"
SCHEMAS = [
    pytest.param(schema, id=f"{schema['name']}.v{schema['version']}") for schema in schemas()
]


def framed(schema: dict[str, Any], values: dict[str, Any]) -> bytes:
    body = BytesIO()
    parsed = fastavro.parse_schema(schema)
    fastavro.schemaless_writer(body, parsed, values, strict=True)
    return b"\xc3\x01" + schema_fingerprint(schema) + body.getvalue()


def test_every_version_has_an_example_and_every_example_a_version() -> None:
    wanted = {f"{schema['name']}.v{schema['version']}.json" for schema in schemas()}
    assert {path.name for path in FOLDER.iterdir()} == wanted


@pytest.mark.parametrize("schema", SCHEMAS)
def test_an_example_survives_the_codec(
    schema: dict[str, Any], examples: dict[tuple[str, int], dict[str, Any]]
) -> None:
    data = framed(schema, examples[schema["name"], schema["version"]])
    codec = Codec()
    record = codec.decode(data)
    assert schema["name"] == record.TYPE
    again = codec.encode(record)
    if schema["version"] == record.VERSION:
        assert again == data
    assert codec.decode(again) == record


def test_the_examples_use_every_field_at_least_once(
    examples: dict[tuple[str, int], dict[str, Any]],
) -> None:
    # A null says nothing about how the value behind it is written.
    never = {"fbclid", "first_message_id"}
    given = {
        name for values in examples.values() for name, value in pairs(values) if value is not None
    }
    named = {name for values in examples.values() for name, _ in pairs(values)}
    assert named - given <= never


def pairs(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, list):
        return [pair for item in value for pair in pairs(item)]
    if isinstance(value, dict):
        inside = [pair for item in value.values() for pair in pairs(item)]
        return [*value.items(), *inside]
    return []


def test_the_examples_are_about_one_lead_with_ids_as_the_rules_make_them(
    examples: dict[tuple[str, int], dict[str, Any]],
) -> None:
    raw = examples["RawEvent", 1]
    lead = ids.lead_id(raw["tenant_id"], raw["source"], raw["external_id"])
    for (name, _), values in examples.items():
        assert values.get("lead_id", lead) == lead, name
        if "step_id" in values and "message_id" in values:
            message = ids.message_id(values["enrollment_id"], values["step_id"])
            assert values["message_id"] == message, name
        if name == "Enrolled":
            entry = ids.enrollment_id(lead, values["sequence_id"], values["entry"])
            assert values["enrollment_id"] == entry


def test_a_member_that_the_schema_does_not_have_is_refused() -> None:
    schema = next(schema for schema in schemas() if schema["name"] == "Tick")
    plain = json.loads((FOLDER / "Tick.v1.json").read_text())
    with pytest.raises(ValueError, match="Tick has no field colour"):
        avro_values(schema, {**plain, "colour": "red"})
    del plain["partition"]
    with pytest.raises(KeyError, match="partition"):
        avro_values(schema, plain)


def test_the_newest_version_of_every_type_is_the_class() -> None:
    newest = {schema["name"]: schema["version"] for schema in schemas()}
    assert {record_type.TYPE: record_type.VERSION for record_type in RECORD_TYPES} == newest


@pytest.mark.parametrize("record_type", RECORD_TYPES, ids=lambda each: each.TYPE)
def test_a_decoded_record_is_like_one_made_by_hand(
    record_type: type[Record], examples: dict[tuple[str, int], dict[str, Any]]
) -> None:
    made = record_type.from_avro(examples[record_type.TYPE, record_type.VERSION])
    by_hand = record_type(**{each.name: getattr(made, each.name) for each in fields(record_type)})
    assert made == by_hand
    assert repr(made) == repr(by_hand)
    with pytest.raises(FrozenInstanceError):
        made.event_id = "other"  # type: ignore[misc]
