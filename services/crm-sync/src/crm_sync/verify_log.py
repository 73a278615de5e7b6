"""What crm-sync has read of the log, partition by partition."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import confluent_kafka

from crm_sync.verify import Folded, fold
from leadflow import topics
from leadflow.codec import Codec
from leadflow.errors import BrokerError, CodecError
from leadflow.kafka.progress import Reach, reach_of
from leadflow.records import Record

# All keyed by lead and of as many partitions: a lead is in the same one of each.
SOURCES = (topics.LEAD_EVENTS, topics.ENROLLMENT_EVENTS, topics.MESSAGE_EVENTS, topics.SUMMARIES)
FETCH_RECORDS = 1_000
FETCH_SECONDS = 0.1
SILENT_FETCHES = 300


class Log:
    """The log up to what `group` had committed when this was made. Blocks; joins no group.

    What was replayed for one service is the same event again, and changes nothing here either.
    """

    def __init__(self, bootstrap: str, group: str, codec: Codec) -> None:
        self._codec = codec
        self._bootstrap = bootstrap
        self._reach: dict[str, dict[int, Reach]] = {
            topic.name: reach_of(bootstrap, group, topic.name) for topic in SOURCES
        }

    @property
    def partitions(self) -> list[int]:
        return sorted({number for reach in self._reach.values() for number in reach})

    @property
    def unread(self) -> int:
        """Records that crm-sync has still to read."""
        places = [place for reach in self._reach.values() for place in reach.values()]
        return sum(place.end - place.next for place in places)

    def folded(
        self, number: int, dead: Collection[str], tenant_id: str | None = None
    ) -> dict[str, Folded]:
        """The leads of a partition, by id; those of one tenant if one is named.

        Raises BrokerError where the partition cannot be read.
        """
        leads: dict[str, Folded] = {}
        for record in self._records(number):
            if tenant_id is None or record.tenant_id == tenant_id:
                fold(leads, record, dead)
        return leads

    def _records(self, number: int) -> Iterator[Record]:
        ends = {
            topic: reach[number].next for topic, reach in self._reach.items() if number in reach
        }
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                # librdkafka wants a name; nothing is ever committed under it.
                "group.id": "crm-sync-verify",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "log_level": 3,
            }
        )
        try:
            places = [
                confluent_kafka.TopicPartition(topic, number, confluent_kafka.OFFSET_BEGINNING)
                for topic, end in ends.items()
                if end > 0
            ]
            consumer.assign(places)
            silent = 0
            while _is_left(consumer, places, ends):
                # consume(n, t) waits until it has n or t is over; this waits for the first only.
                first = consumer.poll(FETCH_SECONDS)
                messages = [first, *consumer.consume(FETCH_RECORDS, 0)] if first else []
                silent = 0 if messages else silent + 1
                if silent > SILENT_FETCHES:
                    raise BrokerError(f"partition {number} cannot be read to its end")
                for message in messages:
                    record = self._record(message, ends)
                    if record is not None:
                        yield record
        finally:
            consumer.close()

    def _record(self, message: Any, ends: dict[str, int]) -> Record | None:
        if message.error() is not None or message.offset() >= ends[message.topic()]:
            return None
        try:
            return self._codec.decode(message.value())
        except CodecError:
            return None  # it is in the dead letters, and nobody knows whose it is


def _is_left(consumer: Any, places: list[Any], ends: dict[str, int]) -> bool:
    """By the position, not by a record's offset: what is last may bring no record."""
    return any(each.offset < ends[each.topic] for each in consumer.position(places))
