"""Topics as tests read them: whole, from now on, and by groups that begin at the end."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Any
from uuid import uuid4

import confluent_kafka


def read_all(bootstrap: str, topic: str) -> list[confluent_kafka.Message]:
    """Everything that is in a topic."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": str(uuid4()), "enable.partition.eof": True}
    )
    try:
        numbers = consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, n, 0) for n in numbers])
        found: list[confluent_kafka.Message] = []
        ended: set[int | None] = set()
        while len(ended) < len(numbers):
            for message in fetch(consumer, 10):
                if message.error() is None:
                    found.append(message)
                else:
                    ended.add(message.partition())
        return found
    finally:
        consumer.close()


def fetch(consumer: confluent_kafka.Consumer, seconds: float) -> list[confluent_kafka.Message]:
    """What is there, after waiting for the first so long.

    `consume(n, t)` would wait until it has n or t is over.
    """
    first = consumer.poll(seconds)
    return [] if first is None else [first, *consumer.consume(1_000, 0)]


def headers_of(message: confluent_kafka.Message) -> dict[str, Any]:
    headers: Any = message.headers()
    return dict(headers)


class Reader:
    """What has been written to a topic since the reader was made."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = new_consumer(bootstrap, str(uuid4()))
        self._found: list[confluent_kafka.Message] = []
        self._consumer.assign(ends_of(self._consumer, [topic]))

    def read(self) -> list[confluent_kafka.Message]:
        while messages := fetch(self._consumer, 0.1):
            self._found += [message for message in messages if message.error() is None]
        return list(self._found)

    def close(self) -> None:
        self._consumer.close()


def new_consumer(bootstrap: str, group: str) -> confluent_kafka.Consumer:
    return confluent_kafka.Consumer({"bootstrap.servers": bootstrap, "group.id": group})


def ends_of(
    consumer: confluent_kafka.Consumer, names: Sequence[str]
) -> list[confluent_kafka.TopicPartition]:
    """The end of every partition. A topic that is new may have no leader yet: ask again."""
    deadline = monotonic() + 30
    ends = []
    for name in names:
        for number in consumer.list_topics(name, 10).topics[name].partitions:
            place = confluent_kafka.TopicPartition(name, number)
            while True:
                try:
                    place.offset = consumer.get_watermark_offsets(place, 10)[1]
                    break
                except confluent_kafka.KafkaException:
                    if monotonic() > deadline:
                        raise
                    consumer.poll(0.2)
            ends.append(place)
    return ends


def start_at_the_end(bootstrap: str, group: str, names: Sequence[str]) -> None:
    """Commit the ends of topics, so that a new group does not read what others left there."""
    consumer = new_consumer(bootstrap, group)
    try:
        consumer.commit(offsets=ends_of(consumer, names), asynchronous=False)
    finally:
        consumer.close()
