"""A message that is in its topic already is not put there again.

Effects go out before the row. A worker that dies in between leaves messages that no row knows of,
and whoever takes its partitions over decides them again, under the same ids. The ledger takes the
first of them alone; but those at the end of the topic need not be written twice at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic

import confluent_kafka
from confluent_kafka import KafkaError, TopicPartition

from leadflow import topics
from leadflow.codec import Codec
from leadflow.errors import BrokerError, LeadflowError
from leadflow.kafka.port import Outgoing, Producer
from leadflow.records import MessageQueued
from sequencer.pipeline import IN_FLIGHT

DEPTH = 2 * IN_FLIGHT
"""How many of a partition's last messages are looked at: more than a worker can have under way.
What is older has its row, or is left to the ledger."""
ANSWER_SECONDS = 30.0

LastRecords = Callable[[str, Sequence[int], int], Iterable[tuple[bytes, bytes | None]]]
"""As `last_records` of one broker."""


class OncePerMessage:
    """Passes on to `producer` what it is given, without the messages that stood at the ends of
    the topic at the last `look`. Implements `leadflow.kafka.port.Producer`."""

    def __init__(self, producer: Producer, codec: Codec, last: LastRecords) -> None:
        self._producer = producer
        self._codec = codec
        self._last = last
        # By key, so that nothing need be decoded for a lead that is not among them.
        self._there: dict[bytes, set[str]] = {}

    async def look(self, partitions: Iterable[int]) -> None:
        """Forget what was seen, and see what these partitions end with. Raises BrokerError."""
        self._there = await asyncio.to_thread(self._ids, tuple(partitions))

    async def send(self, batch: Sequence[Outgoing]) -> None:
        await self._producer.send([each for each in batch if not self._is_there(each)])

    async def close(self) -> None:
        await self._producer.close()

    def _is_there(self, record: Outgoing) -> bool:
        if record.topic != topics.MESSAGES.name or record.key not in self._there:
            return False
        return self._message_id(record.value) in self._there[record.key]

    def _message_id(self, value: bytes | None) -> str | None:
        try:
            record = self._codec.decode(value)
        except LeadflowError:
            return None  # whoever reads the topic buries it
        return record.message_id if isinstance(record, MessageQueued) else None

    def _ids(self, partitions: Sequence[int]) -> dict[bytes, set[str]]:
        found: dict[bytes, set[str]] = {}
        for key, value in self._last(topics.MESSAGES.name, partitions, DEPTH):
            if (message_id := self._message_id(value)) is not None:
                found.setdefault(key, set()).add(message_id)
        return found


def last_records(
    bootstrap: str, topic: str, partitions: Sequence[int], depth: int
) -> Iterator[tuple[bytes, bytes | None]]:
    """Key and value of up to `depth` records before the end of each partition. Blocks.

    Raises BrokerError if there is no answer.
    """
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            # librdkafka wants a name; nothing is ever committed under it.
            "group.id": f"reads-{topic}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 3,
        }
    )
    try:
        starts = []
        for partition in partitions:
            place = TopicPartition(topic, partition)
            low, end = consumer.get_watermark_offsets(place, ANSWER_SECONDS)
            if end > low:
                starts.append(TopicPartition(topic, partition, max(low, end - depth)))
        consumer.assign(starts)
        left = {place.partition for place in starts}
        until = monotonic() + ANSWER_SECONDS
        while left:
            for message in consumer.consume(5_000, 0.2):
                if (error := message.error()) is None:
                    yield message.key() or b"", message.value()
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
            if monotonic() > until:
                raise BrokerError(f"{topic} cannot be read to its end")
    except confluent_kafka.KafkaException as error:
        raise BrokerError(f"{topic} cannot be read: {error.args[0].str()}") from error
    finally:
        consumer.close()
