"""Messages into records. Nothing that was sent is invisible: the unreadable is a record too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

from leadflow import topics
from leadflow.codec import Codec
from leadflow.errors import CodecError, public_reason
from leadflow.kafka.port import Message
from leadflow.kafka.replay import ORIGIN, letter_of, record_of, replayable
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
    else the place it came from first, and no tenant. `was` is its type, `stuck` why it cannot be
    replayed, `replay_of` the dead letter of which it is the replay that failed.
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
    cause: str
    was: str
    stuck: str | None
    replay_of: str


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
        # A replay of it is counted where it was counted first.
        first = message.header(ORIGIN)
        place = (
            first.decode("utf-8", "replace") if first else f"{message.partition}:{message.offset}"
        )
        return Unreadable(
            event_id=place,
            tenant_id="",
            occurred_at=at,
            recorded_at=at,
            source=public_reason(error),
        )


def _buried(codec: Codec, message: Message) -> Buried:
    letter = letter_of(message)
    was = record_of(codec, letter)
    return Buried(
        event_id=letter.first_place if was is None else was.event_id,
        tenant_id="" if was is None else was.tenant_id,
        occurred_at=letter.at,
        recorded_at=letter.at,
        source=letter.service,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        service=letter.service,
        origin_topic=letter.origin_topic,
        origin_partition=letter.origin_partition,
        origin_offset=letter.origin_offset,
        error=letter.error,
        reason=letter.reason,
        cause=letter.cause,
        was="" if was is None else was.TYPE,
        stuck=replayable(letter),
        replay_of=letter.replay_of,
    )
