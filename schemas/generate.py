"""Write the Python side of `schemas/`: record classes, typed topic handles, the schema file.

    python schemas/generate.py            rewrite libs/leadflow/src/leadflow/{records,topics.py}
                                          and add new versions to schemas/fingerprints.lock
    python schemas/generate.py --check    exit 1 and name the files that are out of date

The newest version of each record type becomes a frozen, slotted dataclass whose `to_avro`
is written out field by field, so that nothing is looked up by name while records flow.
All versions go into `records/schemas.json`: a reader needs the writer's schema.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "libs/leadflow/src/leadflow"
LOCK = ROOT / "schemas/fingerprints.lock"
HEADER = '"""Generated from `schemas/` by `make schemas`. Do not edit."""\n'
BASE = ("event_id", "tenant_id", "occurred_at", "recorded_at", "source")
LEAD = (*BASE, "lead_id", "owner")
SCALARS = {
    "string": "str", "int": "int", "long": "int", "double": "float", "float": "float",
    "boolean": "bool", "bytes": "bytes",
}  # fmt: skip

Schema = dict[str, Any]


def load_schemas() -> list[Schema]:
    """Every schema of every version, ordered by name and version."""
    schemas = [json.loads(path.read_text()) for path in (ROOT / "schemas/avro").glob("*.avsc")]
    return sorted(schemas, key=lambda schema: (schema["name"], schema["version"]))


def newest(schemas: list[Schema]) -> dict[str, Schema]:
    return {schema["name"]: schema for schema in schemas}


def without_docs(node: Any) -> Any:
    if isinstance(node, list):
        return [without_docs(item) for item in node]
    if isinstance(node, dict):
        return {key: without_docs(value) for key, value in node.items() if key != "doc"}
    return node


def locked(schema: Schema) -> str:
    """SHA-256 of all that a schema says but its prose: defaults and privacy count, too."""
    text = json.dumps(without_docs(schema), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def render_lock(schemas: list[Schema]) -> str:
    """The lock as it is, and a line for each version that it does not have yet."""
    lines = LOCK.read_text().splitlines() if LOCK.exists() else []
    known = {tuple(line.split()[:2]) for line in lines}
    for schema in schemas:
        if (schema["name"], str(schema["version"])) not in known:
            lines.append(f"{schema['name']} {schema['version']} {locked(schema)}")
    return "\n".join(sorted(lines)) + "\n"


def nested_records(node: Any) -> Iterator[Schema]:
    """The record types defined inside a schema, inner ones first."""
    if isinstance(node, list):
        for item in node:
            yield from nested_records(item)
    elif isinstance(node, dict):
        for value in node.values():
            yield from nested_records(value)
        if node.get("type") == "record" and "version" not in node:
            yield node


def shape(avro: Any) -> tuple[str, str, str | None]:
    """(Python type, expression that turns `{}` into Avro, expression that turns it back).

    An empty second or third part means that the value goes through unchanged.
    """
    if isinstance(avro, list):
        [inner] = [branch for branch in avro if branch != "null"]
        python, to, back = shape(inner)
        return (
            f"{python} | None",
            f"None if {{}} is None else {to}" if to else "",
            f"None if {{}} is None else {back}" if back else "",
        )
    if isinstance(avro, str):
        if avro in SCALARS:
            return SCALARS[avro], "", ""
        return avro, "{}.to_avro()", f"{avro}.from_avro({{}})"
    if avro.get("logicalType") == "timestamp-millis":
        return "datetime", "", ""
    if avro["type"] == "record":
        return shape(avro["name"])
    if avro["type"] == "array":
        python, to, back = shape(avro["items"])
        return (
            f"tuple[{python}, ...]",
            f"[{to.format('item')} for item in {{}}]" if to else "",
            f"tuple([{back.format('item')} for item in {{}}])" if back else "tuple({})",
        )
    if avro["type"] == "map":
        return f"Mapping[str, {shape(avro['values'])[0]}]", "", ""
    raise ValueError(f"no Python shape for {avro!r}")


def default_of(field: Schema) -> str:
    if "default" not in field:
        return ""
    default = field["default"]
    if default == []:
        return " = ()"
    if default == {}:
        return " = field(default_factory=dict)"
    return f" = {default!r}"


def render_class(schema: Schema) -> str:
    """One dataclass, with its two conversions spelled out."""
    fields = schema["fields"]
    names = [field["name"] for field in fields]
    is_record = "version" in schema
    base, inherited = "Nested", ()
    if is_record:
        of_lead = tuple(names[: len(LEAD)]) == LEAD
        base, inherited = ("LeadRecord", LEAD) if of_lead else ("Record", BASE)
    pii = [field["name"] for field in fields if field.get("privacy") == "pii"]
    lines = [
        "@dataclass(frozen=True, slots=True, kw_only=True)",
        f"class {schema['name']}({base}):",
    ]
    lines.append(f'    """{schema["doc"]}"""\n')
    if is_record:
        lines.append(f'    TYPE: ClassVar[str] = "{schema["name"]}"')
        lines.append(f"    VERSION: ClassVar[int] = {schema['version']}")
        lines.append(f'    PRIVACY_CLASS: ClassVar[str] = "{schema["class"]}"')
    lines.append(f"    PII: ClassVar[frozenset[str]] = frozenset({pii!r})\n")
    for field in fields:
        if field["name"] not in inherited:
            lines.append(f"    {field['name']}: {shape(field['type'])[0]}{default_of(field)}")
    lines.append("\n    def to_avro(self) -> dict[str, Any]:\n        return {")
    for field in fields:
        value = f"self.{field['name']}"
        to_avro = shape(field["type"])[1].format(value, value) or value
        lines.append(f'            "{field["name"]}": {to_avro},')
    lines.append("        }\n")
    lines.append("    @classmethod\n    def from_avro(cls, data: dict[str, Any]) -> Self:")
    for field in fields:
        if back := shape(field["type"])[2]:
            value = f'data["{field["name"]}"]'
            lines.append(f"        {value} = {back.format(value, value)}")
    lines.append("        return assemble(cls, data)")
    return "\n".join(lines)


IMPORTS = """
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Self

from leadflow.records.base import LeadRecord, Nested, Record, assemble
"""


def module_of(topic: str) -> str:
    return topic.replace("-", "_")


def render() -> dict[Path, str]:
    """Every generated file and its text, before formatting."""
    schemas = load_schemas()
    current = newest(schemas)
    catalogue = tomllib.loads((ROOT / "schemas/topics.toml").read_text())
    defaults, topics = catalogue["defaults"], catalogue["topics"]
    files: dict[Path, str] = {}

    commons: dict[str, Schema] = {}
    for schema in current.values():
        for nested in nested_records(schema["fields"]):
            commons.setdefault(nested["name"], nested)
    classes = "\n\n\n".join(render_class(commons[name]) for name in sorted(commons))
    files[PACKAGE / "records/common.py"] = f"{HEADER}{IMPORTS}\n\n{classes}\n"

    exports = {"common": sorted(commons)}
    for topic, entry in topics.items():
        names = entry.get("records", [])
        if not names:
            continue
        body = "\n\n\n".join(render_class(current[name]) for name in names)
        used = [name for name in sorted(commons) if name in body]
        common = f"from leadflow.records.common import {', '.join(used)}\n" if used else ""
        files[PACKAGE / f"records/{module_of(topic)}.py"] = f"{HEADER}{IMPORTS}{common}\n\n{body}\n"
        exports[module_of(topic)] = sorted(names)

    lines = [HEADER, "from leadflow.records.base import LeadRecord, Nested, Record"]
    for module, names in exports.items():
        lines.append(f"from leadflow.records.{module} import {', '.join(names)}")
    everything = sorted(name for names in exports.values() for name in names)
    records = [name for name in everything if name in current]
    lines.append(f"\nRECORD_TYPES: tuple[type[Record], ...] = ({', '.join(records)},)")
    lines.append(f"\n__all__ = {['RECORD_TYPES', 'LeadRecord', 'Nested', 'Record', *everything]!r}")
    files[PACKAGE / "records/__init__.py"] = "\n".join(lines) + "\n"

    rows = ",\n".join(json.dumps(schema, ensure_ascii=False) for schema in schemas)
    files[PACKAGE / "records/schemas.json"] = f"[\n{rows}\n]\n"

    files[LOCK] = render_lock(schemas)

    lines = [HEADER, "from leadflow import records", "from leadflow.topic import Topic\n"]
    for topic, entry in topics.items():
        types = "".join(f"records.{name}, " for name in entry.get("records", []))
        lines.append(
            f"{module_of(topic).upper()} = Topic(name={topic!r}, key={entry['key']!r}, "
            f"records=({types}), "
            f"partitions={entry.get('partitions', defaults['partitions'])}, "
            f"retention={entry.get('retention', defaults['retention'])!r}, "
            f"producers={tuple(entry['producers'])!r}, consumers={tuple(entry['consumers'])!r})"
        )
    lines.append(
        f"\nALL: tuple[Topic, ...] = ({', '.join(module_of(name).upper() for name in topics)},)"
    )
    files[PACKAGE / "topics.py"] = "\n".join(lines) + "\n"
    return files


def formatted(path: Path, text: str) -> str:
    """`text` as ruff would leave it, so that a generated file reads like a written one."""
    if path.suffix != ".py":
        return text
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(path), "-"]
    for command in (
        [
            *ruff,
            "check",
            "--quiet",
            "--fix-only",
            "--select",
            "F401,I,RUF022",
            "--ignore-noqa",
            *name,
        ],
        [*ruff, "format", "--quiet", *name],
    ):
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


def main() -> int:
    stale = []
    for path, text in render().items():
        wanted = formatted(path, text)
        if not path.exists() or path.read_text() != wanted:
            stale.append(path.relative_to(ROOT))
            if "--check" not in sys.argv:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(wanted)
    if stale and "--check" in sys.argv:
        print("out of date, run `make schemas`:", *stale, sep="\n  ")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
