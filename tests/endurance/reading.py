"""Topics, read from their first record to their last, outside any consumer group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import confluent_kafka

STREAMS = ("lead-events", "enrollment-commands", "message-events")
Place = tuple[str, int]


def reader(bootstrap: str, group: str = "endurance-reader") -> Any:
    return confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "log_level": 3,
        }
    )


def partitions(consumer: Any, topic: str) -> list[int]:
    return sorted(consumer.list_topics(topic, 30).topics[topic].partitions)


def read_all(bootstrap: str, topic: str) -> Iterator[Any]:
    """Every message that the topic has now, in order within a partition.

    Raises TimeoutError if it stops coming.
    """
    consumer = reader(bootstrap)
    try:
        left = {}
        for number in partitions(consumer, topic):
            place = confluent_kafka.TopicPartition(topic, number)
            low, high = consumer.get_watermark_offsets(place, 30)
            if high > low:
                left[number] = high
        consumer.assign([confluent_kafka.TopicPartition(topic, n, 0) for n in left])
        silent = 0
        while left:
            batch = consumer.consume(5_000, 1.0)
            silent = 0 if batch else silent + 1
            if silent > 60:
                raise TimeoutError(f"{topic} could not be read to its end: {left}")
            for message in batch:
                if message.error() is None:
                    yield message
            for each in consumer.position(consumer.assignment()):
                # By the position, not by the last record: a compacted topic may end in a gap.
                if each.offset >= left.get(each.partition, 1 << 62):
                    del left[each.partition]
    finally:
        consumer.close()


class Commits:
    """The group's committed offsets, looked at again and again.

    What had been committed by a moment was durable then, with all that follows from it.
    """

    def __init__(self, bootstrap: str, group: str) -> None:
        self._consumer = reader(bootstrap, group)
        self._places = [
            confluent_kafka.TopicPartition(topic, number)
            for topic in STREAMS
            for number in partitions(self._consumer, topic)
        ]
        self._seen: dict[Place, list[tuple[float, int]]] = {}

    def look(self, now: Any) -> None:
        """`now` says the time (epoch seconds), asked after the answer has come."""
        answer = self._consumer.committed(self._places, 30)
        at = now()
        for each in answer:
            history = self._seen.setdefault((each.topic, each.partition), [])
            if each.offset >= 0 and (not history or history[-1][1] != each.offset):
                history.append((at, each.offset))

    def by_when(self, place: Place, offset: int) -> float:
        """When the record was known to be committed at the latest; never is infinity."""
        for at, committed in self._seen.get(place, ()):
            if committed > offset:
                return at
        return float("inf")

    def lag(self) -> int:
        """Records of the streams that are not committed."""
        behind = 0
        for place in self._places:
            _low, high = self._consumer.get_watermark_offsets(place, 30)
            history = self._seen.get((place.topic, place.partition), ())
            behind += high - (history[-1][1] if history else 0)
        return behind

    def close(self) -> None:
        self._consumer.close()
