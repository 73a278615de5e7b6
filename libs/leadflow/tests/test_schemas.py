"""What every schema has to be: base fields, privacy marks, one meaning a name."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leadflow.codec import schemas

ROOT = Path(__file__).resolve().parents[3]
FILES = sorted((ROOT / "schemas/avro").glob("*.avsc"))
EVERY_SCHEMA = pytest.mark.parametrize(
    "schema", [pytest.param(json.loads(path.read_text()), id=path.stem) for path in FILES]
)
Schema = dict[str, Any]

TIME = {"type": "long", "logicalType": "timestamp-millis"}
BASE = {
    "event_id": "string",
    "tenant_id": "string",
    "occurred_at": TIME,
    "recorded_at": TIME,
    "source": "string",
}
OF_LEAD = {"lead_id": "string", "owner": ["null", "string"]}
NOT_OF_A_LEAD = {
    "RawEvent", "SequencePublished", "AutomationPaused", "AutomationResumed", "SuppressionChanged",
    "Tick", "DeadLetterReviewed", "AccountStatusChanged", "CrmNoticed",
}  # fmt: skip

# Names that say something about a person followed up, wherever they stand.
NAMES = """
    email phone first_name last_name company title street city region postal_code country address
    location scope caller from_address recipient message text ip user_agent gclid fbclid referrer
    landing_page received extra payload variables evidence diagnostic photos edited_subject
    edited_body
"""
PERSONAL = set(NAMES.split())
# The same names where they say nothing about anybody.
IMPERSONAL = {
    ("ConsentGrant", "text"),  # the words shown to everybody who fills the form in
    ("AutomationPaused", "scope"),  # what is paused: a tenant, a channel, a sequence
    ("AutomationResumed", "scope"),
}

# seeds/001…, "Events", and our fields for each: what it lists, who may see it.
INTERNAL, AFTER_APPROVAL, CLIENT_SAFE = "internal", "summary-after-approval", "client-safe"
SOURCE_EVENTS = {
    "LeadCreated": (
        AFTER_APPROVAL,
        "email phone first_name last_name service source urgency attribution consent",
    ),
    "LeadQualified": (INTERNAL, "fit intent owner next_action crm_target"),
    "CallMissed": (INTERNAL, "caller called_at tracking_number source callback_status"),
    "QuoteRequested": (AFTER_APPROVAL, "scope location timeline photos routing_owner"),
    "SummaryCreated": (AFTER_APPROVAL, "text risk_flags next_action approval_state"),
    "MessageQueued": (INTERNAL, "template_name channel recipient compliance_note send_state"),
    "ProviderEnriched": (CLIENT_SAFE, "fresh_at metrics batch_id mapping_state"),
    "AutomationPaused": (INTERNAL, "workflow reason owner rollback verification_status"),
}


def records(schema: Schema) -> Iterator[Schema]:
    """The schema and every record defined inside it."""
    yield schema
    for field in schema["fields"]:
        branches = field["type"] if isinstance(field["type"], list) else [field["type"]]
        for branch in branches:
            inner = branch.get("items", branch) if isinstance(branch, dict) else branch
            if isinstance(inner, dict) and inner["type"] == "record":
                yield from records(inner)


def is_personal(field: Schema) -> bool:
    return "privacy" in field


def can_be_sealed(avro: Any) -> bool:
    """Whether a cipher that turns texts into texts can go over it."""
    if isinstance(avro, list):
        return all(can_be_sealed(branch) for branch in avro if branch != "null")
    if isinstance(avro, dict):
        if avro["type"] == "record":
            return all(is_personal(field) for field in avro["fields"])
        return can_be_sealed(avro.get("items", avro.get("values", avro["type"])))
    return bool(avro == "string")


@EVERY_SCHEMA
def test_a_record_has_the_base_fields(schema: Schema) -> None:
    types = {field["name"]: field["type"] for field in schema["fields"]}
    wanted = BASE if schema["name"] in NOT_OF_A_LEAD else BASE | OF_LEAD
    assert list(types)[: len(wanted)] == list(wanted)
    assert {name: types[name] for name in wanted} == wanted


@EVERY_SCHEMA
def test_a_record_has_a_class_a_version_and_says_what_it_is(schema: Schema) -> None:
    assert schema["class"] in (INTERNAL, AFTER_APPROVAL, CLIENT_SAFE)
    assert schema["namespace"] == "leadflow"
    assert all(each["doc"].endswith(".") for each in records(schema))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_named_after_its_record_and_version(path: Path) -> None:
    schema = json.loads(path.read_text())
    assert path.name == f"{schema['name']}.v{schema['version']}.avsc"


@EVERY_SCHEMA
def test_what_tells_of_a_person_is_marked(schema: Schema) -> None:
    unmarked = {
        (record["name"], field["name"])
        for record in records(schema)
        for field in record["fields"]
        if field["name"] in PERSONAL and not is_personal(field)
    }
    assert unmarked <= IMPERSONAL


@EVERY_SCHEMA
def test_only_texts_and_what_is_made_of_them_are_marked(schema: Schema) -> None:
    for record in records(schema):
        for field in filter(is_personal, record["fields"]):
            assert field["privacy"] == "pii", field["name"]
            assert can_be_sealed(field["type"]), field["name"]


@EVERY_SCHEMA
def test_nothing_that_routes_a_record_is_sealed(schema: Schema) -> None:
    sealed = {field["name"] for field in schema["fields"] if is_personal(field)}
    assert not sealed & {*BASE, *OF_LEAD, "message_id", "enrollment_id", "channel", "cause_id"}


@EVERY_SCHEMA
def test_an_optional_field_defaults_to_nothing(schema: Schema) -> None:
    for record in records(schema):
        for field in record["fields"]:
            if isinstance(field["type"], list):
                assert field["type"][0] == "null", field["name"]
                assert field["default"] is None, field["name"]


def test_a_nested_record_is_the_same_wherever_it_stands() -> None:
    seen: dict[str, Schema] = {}
    newest = {schema["name"]: schema for schema in schemas()}
    for schema in newest.values():
        for nested in list(records(schema))[1:]:
            assert seen.setdefault(nested["name"], nested) == nested
    assert not set(seen) & set(newest)


@pytest.mark.parametrize("name", SOURCE_EVENTS)
def test_an_event_of_the_source_documents_has_their_fields_and_class(name: str) -> None:
    privacy_class, fields = SOURCE_EVENTS[name]
    schema = {schema["name"]: schema for schema in schemas()}[name]
    assert schema["class"] == privacy_class
    assert set(fields.split()) <= {field["name"] for field in schema["fields"]}


def test_the_generated_code_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "schemas/generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("avro", "can"),
    [
        ("string", True),
        (["null", "string"], True),
        ({"type": "array", "items": "string"}, True),
        ({"type": "map", "values": "string"}, True),
        ("int", False),
        (["null", TIME], False),
        ({"type": "array", "items": "long"}, False),
        ({"type": "record", "name": "A", "fields": [{"name": "x", "type": "string"}]}, False),
    ],
)
def test_the_check_on_what_can_be_sealed_tells_texts_from_others(avro: Any, can: bool) -> None:
    assert can_be_sealed(avro) is can
