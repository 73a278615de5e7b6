"""Messages into records. Nothing that was sent is invisible: the unreadable is a record too."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from leadflow import topics
from leadflow.codec import Codec
from leadflow.errors import CodecError, public_reason
from leadflow.kafka.port import Message
from leadflow.raw_json import decode_raw_event
from leadflow.records import Record

DEAD_LETTER_TOPICS = ("intake-dlq", "sequencer-dlq", "dispatcher-dlq", "crm-sync-dlq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable(Record):
    """Bytes on raw-events that are no raw event. `event_id` is their place: partition:offset."""

    TYPE: ClassVar[str] = "Unreadable"
    PII: ClassVar[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Buried(Record):
    """A record of a dead-letter topic, by its headers.

    `event_id` and `tenant_id` are those of the record that it was, where it can still be read;
    else the place it came from, and no tenant.
    """

    TYPE: ClassVar[str] = "Buried"
    PII: ClassVar[frozenset[str]] = frozenset()

    topic: str
    partition: int
    offset: int
    service: str
    origin_topic: str
    origin_partition: int
    origin_offset: int
    error: str
    reason: str


def decoder(codec: Codec) -> Callable[[Message], Record]:
    """A function that makes a record of a message of any topic. It raises CodecError only for
    the topics whose producers are ours: such bytes are our fault and go to our dead letters."""

    def decode(message: Message) -> Record:
        if message.topic == topics.RAW_EVENTS.name:
            return _raw_event(codec, message)
        if message.topic in DEAD_LETTER_TOPICS:
            return _buried(codec, message)
        return codec.decode(message.value)

    return decode


def _raw_event(codec: Codec, message: Message) -> Record:
    try:
        return decode_raw_event(codec, message)
    except CodecError as error:
        at = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC)
        return Unreadable(
            event_id=f"{message.partition}:{message.offset}",
            tenant_id="",
            occurred_at=at,
            recorded_at=at,
            source=public_reason(error),
        )


def _buried(codec: Codec, message: Message) -> Buried:
    service = message.topic.removesuffix("-dlq")
    origin = _text(message, "dlq-topic")
    partition, offset = _number(message, "dlq-partition"), _number(message, "dlq-offset")
    event_id, tenant_id = f"{partition}:{offset}", ""
    if origin == topics.RAW_EVENTS.name:
        try:
            record = decode_raw_event(codec, message)
        except CodecError:
            pass
        else:
            event_id, tenant_id = record.event_id, record.tenant_id
    else:
        with suppress(CodecError):
            was = codec.decode(message.value)
            event_id, tenant_id = was.event_id, was.tenant_id
    at = datetime.fromtimestamp(message.timestamp_ms / 1000, UTC)
    return Buried(
        event_id=event_id,
        tenant_id=tenant_id,
        occurred_at=at,
        recorded_at=at,
        source=service,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        service=service,
        origin_topic=origin,
        origin_partition=partition,
        origin_offset=offset,
        error=_text(message, "dlq-error"),
        reason=_text(message, "dlq-reason"),
    )


def _text(message: Message, header: str) -> str:
    return (message.header(header) or b"").decode("utf-8", "replace")


def _number(message: Message, header: str) -> int:
    try:
        return int(message.header(header) or b"-1")
    except ValueError:
        return -1
