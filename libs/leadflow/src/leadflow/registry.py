"""Schema ids from a Confluent schema registry, through confluent-kafka's own client.

A topic holds several record types, so a subject is a record's full name
(RecordNameStrategy): `leadflow.LeadCreated`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from leadflow.codec import schemas
from leadflow.errors import UnknownSchema


class ConfluentRegistry:
    """Looks a schema up once; the codec keeps what it learns."""

    def __init__(self, url: str, client: SchemaRegistryClient | None = None) -> None:
        self._client = client or SchemaRegistryClient({"url": url})

    def schema_id(self, schema: Mapping[str, Any]) -> int:
        name = schema["name"].removeprefix("leadflow.")
        text = next(json.dumps(each) for each in reversed(schemas()) if each["name"] == name)
        return int(self._client.register_schema(f"leadflow.{name}", Schema(text, "AVRO")))

    def schema(self, schema_id: int) -> Mapping[str, Any]:
        try:
            found = self._client.get_schema(schema_id)
        except SchemaRegistryError as error:
            if error.http_status_code != 404:
                raise
            raise UnknownSchema(f"the registry has no schema {schema_id}") from error
        schema: Mapping[str, Any] = json.loads(found.schema_str or "{}")
        return schema
