"""The bytes of dead letters, from the log: the read models keep none of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import confluent_kafka
from confluent_kafka import KafkaException

from leadflow.errors import BrokerError
from leadflow.kafka.port import Message

ANSWER_SECONDS = 10.0
POLL_SECONDS = 0.2
# Further away than so, an offset is sought; nearer, what is in between is read and dropped.
NEAR = 200

Place = tuple[str, int, int]
"""Topic, partition, offset."""


class Letters(Protocol):
    """Where the messages of dead-letter topics are read."""

    async def read(self, places: Iterable[Place]) -> Mapping[Place, Message]:
        """The messages that are still there. Raises BrokerError if Kafka does not answer."""


class NoLetters:
    """Of a log that keeps none."""

    async def read(self, places: Iterable[Place]) -> Mapping[Place, Message]:
        return {}


class KafkaLetters:
    """Reads single messages, one caller at a time, by a consumer that commits nothing."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._turn = asyncio.Lock()
        self._consumer: confluent_kafka.Consumer | None = None

    async def read(self, places: Iterable[Place]) -> Mapping[Place, Message]:
        async with self._turn:
            return await asyncio.to_thread(self._read, sorted(set(places)))

    async def close(self) -> None:
        async with self._turn:
            if self._consumer is not None:
                await asyncio.to_thread(self._consumer.close)
                self._consumer = None

    def _read(self, places: list[Place]) -> dict[Place, Message]:
        if self._consumer is None:
            self._consumer = confluent_kafka.Consumer(
                {
                    "bootstrap.servers": self._bootstrap,
                    "client.id": "portal-api-letters",
                    # librdkafka wants a name; nothing is ever committed under it.
                    "group.id": "portal-api-letters",
                    "enable.auto.commit": False,
                    "auto.offset.reset": "earliest",
                    # Fetched ahead for each partition; 64 MB otherwise, and little of it is wanted.
                    "queued.max.messages.kbytes": 1_024,
                    "log_level": 3,
                }
            )
        try:
            return _fetch(self._consumer, self._left(self._consumer, places))
        except KafkaException as error:
            raise BrokerError("the dead letters could not be read") from error
        finally:
            self._consumer.unassign()

    def _left(
        self, consumer: confluent_kafka.Consumer, places: list[Place]
    ) -> dict[tuple[str, int], list[int]]:
        """The offsets that are still in the log, rising, by partition."""
        wanted: dict[tuple[str, int], list[int]] = {}
        for topic, partition, offset in places:
            wanted.setdefault((topic, partition), []).append(offset)
        for (topic, partition), offsets in list(wanted.items()):
            low, end = consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(topic, partition), ANSWER_SECONDS
            )
            wanted[topic, partition] = [each for each in offsets if low <= each < end]
        return {place: offsets for place, offsets in wanted.items() if offsets}


def _fetch(
    consumer: confluent_kafka.Consumer, wanted: dict[tuple[str, int], list[int]]
) -> dict[Place, Message]:
    found: dict[Place, Message] = {}
    consumer.assign([_at(place, offsets[0]) for place, offsets in wanted.items()])
    heard = time.monotonic()
    while wanted:
        raw: Any = consumer.poll(POLL_SECONDS)
        if raw is None or raw.error() is not None:
            if time.monotonic() - heard > ANSWER_SECONDS:
                raise BrokerError("the dead letters could not be read in time")
            continue
        heard = time.monotonic()
        place = (raw.topic(), raw.partition())
        offsets = wanted.get(place, [])
        while offsets and offsets[0] < raw.offset():
            offsets.pop(0)  # gone meanwhile
        if offsets and offsets[0] == raw.offset():
            found[*place, offsets.pop(0)] = _message(raw)
        if not offsets:
            wanted.pop(place, None)  # what else comes of it is dropped: a pause would outlive this
        elif offsets[0] > raw.offset() + NEAR:
            consumer.seek(_at(place, offsets[0]))
    return found


def _at(place: tuple[str, int], offset: int) -> confluent_kafka.TopicPartition:
    return confluent_kafka.TopicPartition(*place, offset)


def _message(raw: Any) -> Message:
    return Message(
        raw.topic(),
        raw.partition(),
        raw.offset(),
        raw.key(),
        raw.value(),
        tuple(raw.headers() or ()),
        raw.timestamp()[1],
    )
