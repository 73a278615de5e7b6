"""Topics read whole, by a consumer that belongs to no group and commits nothing."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from leadflow.kafka.port import Message, TopicPartition
from leadflow_cli.errors import CliError

ANSWER_SECONDS = 10.0
STALLED_SECONDS = 30.0
AT_ONCE = 1000
_FIRST: Any = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LAST: Any = OffsetSpec.latest()  # type: ignore[no-untyped-call]


class Reader:
    """Reads partitions, to the end that they have now or onwards."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "leadflow-cli",
                # librdkafka wants a name; nothing is ever committed under it.
                "group.id": f"leadflow-cli-{secrets.token_hex(4)}",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                # Fetched ahead for each partition; 64 MB otherwise, and there are many.
                "queued.max.messages.kbytes": 2_048,
                "log_level": 0,
            }
        )

    def partitions(self, topic: str) -> list[TopicPartition]:
        """The topic's partitions. Raises CliError when there is no such topic."""
        with self._answering():
            found = self._consumer.list_topics(topic, ANSWER_SECONDS).topics[topic]
        if found.error is not None:
            raise CliError(f"there is no topic {topic} at {self._bootstrap}")
        return [TopicPartition(topic, number) for number in sorted(found.partitions)]

    def ends(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """The first offset that is kept and the one after the last, for each partition."""
        asked = [confluent_kafka.TopicPartition(*place) for place in places]
        first, last = (self._offsets(asked, spec) for spec in (_FIRST, _LAST))
        return {place: (first[place], last[place]) for place in first}

    def follow(self, starts: Mapping[TopicPartition, int]) -> None:
        """Read these partitions from these offsets on, and no others any more."""
        self._consumer.assign(
            [confluent_kafka.TopicPartition(*place, offset) for place, offset in starts.items()]
        )

    def poll(self, timeout_seconds: float) -> list[Message]:
        """What has come, as soon as there is something; empty after the timeout."""
        first = self._consumer.poll(timeout_seconds)
        if first is None:
            return []
        fetched = [first, *self._consumer.consume(AT_ONCE, 0)]
        return [_message(raw) for raw in fetched if raw.error() is None]

    def to_end(self, places: Iterable[TopicPartition]) -> Iterator[Message]:
        """Everything that the partitions hold now, in the order of each partition.

        Raises CliError when the broker stops answering.
        """
        bounds = self.ends(places)
        ends = {place: end for place, (low, end) in bounds.items() if end > low}
        self.follow({place: bounds[place][0] for place in ends})
        heard = time.monotonic()
        while ends:
            for message in self.poll(0.2):
                heard = time.monotonic()
                if message.offset < ends.get(message.place, 0):
                    yield message
            # A position, not an offset: the last offsets may be gone or be markers.
            asked = [confluent_kafka.TopicPartition(*place) for place in ends]
            for position in self._consumer.position(asked):
                place = TopicPartition(position.topic, position.partition)
                if position.offset >= ends[place]:
                    del ends[place]
            if time.monotonic() - heard > STALLED_SECONDS:
                raise CliError(f"Kafka at {self._bootstrap} stopped answering")

    def _offsets(self, asked: list[Any], spec: Any) -> dict[TopicPartition, int]:
        if not asked:
            return {}
        # Not the consumer's own question: it would wait behind each fetch under way.
        answers = self._admin.list_offsets(
            dict.fromkeys(asked, spec), request_timeout=ANSWER_SECONDS
        )
        with self._answering():
            return {
                TopicPartition(place.topic, place.partition): answer.result().offset
                for place, answer in answers.items()
            }

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            raise CliError(f"no Kafka broker answers at {self._bootstrap}") from error

    def close(self) -> None:
        self._consumer.close()


@contextmanager
def reader(bootstrap: str) -> Iterator[Reader]:
    """A reader that is closed at the end."""
    made = Reader(bootstrap)
    try:
        yield made
    finally:
        made.close()


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
