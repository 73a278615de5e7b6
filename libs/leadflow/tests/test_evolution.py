"""A merged version never changes, and a newer one can be read by, and can read, every other."""

from __future__ import annotations

import copy
import importlib.util
import itertools
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.schema import SchemaParseException

from leadflow.codec import schemas

ROOT = Path(__file__).resolve().parents[3]
Schema = dict[str, Any]
Values = dict[str, Any]


def same(found: Any, written: Any) -> bool:
    """Whether what was read is what was written, but for fields that only one of them has."""
    if isinstance(found, dict) and isinstance(written, dict):
        return all(same(found[name], written[name]) for name in found.keys() & written.keys())
    if isinstance(found, list) and isinstance(written, list):
        return len(found) == len(written) and all(map(same, found, written))
    return bool(found == written)


def incompatibility(
    older: Schema, older_values: Values, newer: Schema, newer_values: Values
) -> str | None:
    """Why one cannot read the other's example, or None where each can (design.md, Evolution)."""
    for writer, values, reader in (
        (older, older_values, newer),
        (newer, newer_values, older),
    ):
        body = BytesIO()
        try:
            fastavro.schemaless_writer(body, fastavro.parse_schema(writer), values, strict=True)
            body.seek(0)
            found: Any = fastavro.schemaless_reader(
                body, fastavro.parse_schema(writer), fastavro.parse_schema(reader)
            )
        except (fastavro.read.SchemaResolutionError, SchemaParseException, ValueError) as error:
            return f"v{reader['version']} cannot read v{writer['version']}: {error}"
        shared = set(values) & {field["name"] for field in reader["fields"]}
        if lost := sorted(name for name in shared if not same(found[name], values[name])):
            return f"v{reader['version']} reads {lost} of v{writer['version']} as something else"
    return None


def test_every_version_is_compatible_with_every_earlier_one(
    examples: dict[tuple[str, int], Values],
) -> None:
    for older, newer in itertools.combinations(schemas(), 2):
        if older["name"] == newer["name"]:
            old, new = (examples[each["name"], each["version"]] for each in (older, newer))
            assert incompatibility(older, old, newer, new) is None


def test_a_merged_version_never_changes() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "schemas/generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    lines = (ROOT / "schemas/fingerprints.lock").read_text().splitlines()
    found = {
        (schema["name"], str(schema["version"])): generate.locked(schema)
        for schema in generate.load_schemas()
    }
    assert found == {(name, version): mark for name, version, mark in map(str.split, lines)}
    changed = copy.deepcopy(generate.load_schemas()[0])
    changed["doc"] = "Other words."
    assert generate.locked(changed) == found[changed["name"], str(changed["version"])]
    changed["fields"][-1]["privacy"] = "pii"
    assert generate.locked(changed) != found[changed["name"], str(changed["version"])]


def made_up(version: int, *fields: dict[str, Any]) -> Schema:
    return {
        "type": "record",
        "name": "MadeUp",
        "namespace": "leadflow",
        "version": version,
        "fields": list(fields),
    }


KEPT = {"name": "kept", "type": "string"}
V1 = made_up(1, KEPT, {"name": "count", "type": "int"})
V1_VALUES = {"kept": "a", "count": 3}


def test_a_field_with_a_default_may_come() -> None:
    note = {"name": "note", "type": ["null", "string"], "default": None}
    newer = made_up(2, *V1["fields"], note)
    assert incompatibility(V1, V1_VALUES, newer, {**V1_VALUES, "note": "b"}) is None


@pytest.mark.parametrize(
    ("fields", "values", "said"),
    [
        pytest.param(
            [*V1["fields"], {"name": "note", "type": "string"}],
            {**V1_VALUES, "note": "b"},
            "v2 cannot read v1",
            id="a field without a default comes",
        ),
        pytest.param([KEPT], {"kept": "a"}, "v1 cannot read v2", id="a field goes"),
        pytest.param(
            [KEPT, {"name": "count", "type": "long"}],
            V1_VALUES,
            "v1 cannot read v2",
            id="a type widens",
        ),
        pytest.param(
            [KEPT, {"name": "count", "type": "string"}],
            {"kept": "a", "count": "3"},
            "v2 cannot read v1",
            id="a type changes",
        ),
        pytest.param(
            [KEPT, {"name": "number", "type": "int"}],
            {"kept": "a", "number": 3},
            "v2 cannot read v1",
            id="a name changes",
        ),
    ],
)
def test_a_version_that_breaks_a_reader_is_caught(
    fields: list[dict[str, Any]], values: Values, said: str
) -> None:
    reason = incompatibility(V1, V1_VALUES, made_up(2, *fields), values)
    assert reason is not None
    assert reason.startswith(said)
