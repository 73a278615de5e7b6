"""The shipped example payloads, by type and version, as fastavro writes them."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from leadflow.codec import schemas
from leadflow.plain import avro_values

SCHEMAS = Path(__file__).resolve().parents[3] / "schemas"

Values = dict[tuple[str, int], dict[str, Any]]


@cache
def load() -> Values:
    found = {}
    for schema in schemas():
        name, version = schema["name"], schema["version"]
        text = (SCHEMAS / f"examples/{name}.v{version}.json").read_text()
        found[name, version] = avro_values(schema, json.loads(text))
    return found


@pytest.fixture
def examples() -> Values:
    """A copy for each test: `from_avro` takes over what it is given."""
    return deepcopy(load())
