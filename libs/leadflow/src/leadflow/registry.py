"""Schema ids from a Confluent schema registry, through confluent-kafka's own client.

A topic holds several record types, so a subject is a record's full name
(RecordNameStrategy): `leadflow.LeadCreated`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from leadflow.codec import schemas
from leadflow.errors import BrokerError, UnknownSchema


class ConfluentRegistry:
    """Looks a schema up once; the codec keeps what it learns.

    Both methods raise BrokerError while the registry does not answer: a retry can help.
    """

    def __init__(self, url: str, client: SchemaRegistryClient | None = None) -> None:
        self._client = client or SchemaRegistryClient.new_client({"url": url})

    def schema_id(self, schema: Mapping[str, Any]) -> int:
        name = schema["name"].removeprefix("leadflow.")
        text = next(json.dumps(each) for each in reversed(schemas()) if each["name"] == name)
        with _answering():
            return int(self._client.register_schema(f"leadflow.{name}", Schema(text, "AVRO")))

    def schema(self, schema_id: int) -> Mapping[str, Any]:
        with _answering():
            try:
                found = self._client.get_schema(schema_id)
            except SchemaRegistryError as error:
                if error.http_status_code != 404:
                    raise
                raise UnknownSchema(f"the registry has no schema {schema_id}") from error
        schema: Mapping[str, Any] = json.loads(found.schema_str or "{}")
        return schema


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except UnknownSchema:
        raise
    except Exception as error:  # the client lets the errors of its HTTP library through
        raise BrokerError(f"the schema registry failed: {type(error).__name__}") from error
