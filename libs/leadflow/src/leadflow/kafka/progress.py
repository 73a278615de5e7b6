"""How far a consumer group has come in a topic, asked from outside the group."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from time import monotonic
from typing import Any, NamedTuple

import confluent_kafka
from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from leadflow.errors import BrokerError

TIMEOUT_SECONDS = 10.0
PLACES_SECONDS = 60.0
_SPECS: Any = OffsetSpec


class Reach(NamedTuple):
    """Offsets of a partition: `next` is what the group reads next, `end` what is written next."""

    next: int
    end: int


def reach_of(bootstrap: str, group: str, topic: str) -> dict[int, Reach]:
    """The group's reach in each partition of the topic. Blocks; joins no group.

    Where the group has committed nothing, or what it committed has been deleted since, it reads
    from the oldest record that there is. Raises BrokerError if the broker does not answer.
    """
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "log_level": 3,
        }
    )
    try:
        found = consumer.list_topics(topic, TIMEOUT_SECONDS).topics[topic]
        if found.error is not None:
            raise BrokerError(f"cannot read {topic}: {found.error.str()}")
        places = [confluent_kafka.TopicPartition(topic, number) for number in found.partitions]
        reached: dict[int, Reach] = {}
        for place in consumer.committed(places, TIMEOUT_SECONDS):
            if place.error is not None:
                raise BrokerError(f"cannot read offsets of {topic}: {place.error.str()}")
            oldest, end = consumer.get_watermark_offsets(place, TIMEOUT_SECONDS)
            reached[place.partition] = Reach(max(place.offset, oldest), end)
        return reached
    except KafkaException as error:
        raise BrokerError(f"cannot read offsets of {topic}: {error.args[0].str()}") from error
    finally:
        consumer.close()


class GroupProgress:
    """A group's progress in a topic, asked again and again over one connection: a millisecond
    or two a question. Every method raises BrokerError if the broker does not answer."""

    def __init__(self, bootstrap: str, group: str, topic: str) -> None:
        self._group = group
        self._topic = topic
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
        self._places: list[confluent_kafka.TopicPartition] = []
        self._looked_up = 0.0

    async def partitions(self) -> int:
        """How many partitions the topic has; looked up once a minute, for there may be more."""
        if not self._places or monotonic() - self._looked_up > PLACES_SECONDS:
            found = await asyncio.to_thread(self._look_up)
            self._places = [confluent_kafka.TopicPartition(self._topic, each) for each in found]
            self._looked_up = monotonic()
        return len(self._places)

    async def ends(self) -> dict[int, int]:
        """By partition, the offset of what will be written next."""
        return await self._offsets(_SPECS.latest())

    async def reached(self) -> dict[int, int]:
        """By partition, what the group has committed: what it reads next. Where it has committed
        nothing it reads from the oldest record that there is."""
        await self.partitions()
        asked = ConsumerGroupTopicPartitions(self._group, self._places)
        (future,) = self._admin.list_consumer_group_offsets(
            [asked], request_timeout=TIMEOUT_SECONDS
        ).values()
        places = (await self._answer(future)).topic_partitions
        for place in places:
            if place.error is not None:
                raise BrokerError(f"cannot read offsets of {self._topic}: {place.error.str()}")
        reached = {place.partition: place.offset for place in places}
        if min(reached.values()) < 0:
            oldest = await self._offsets(_SPECS.earliest())
            reached = {each: max(offset, oldest[each]) for each, offset in reached.items()}
        return reached

    async def _offsets(self, spec: Any) -> dict[int, int]:
        await self.partitions()
        asked: Mapping[Any, Future[Any]] = self._admin.list_offsets(
            dict.fromkeys(self._places, spec), request_timeout=TIMEOUT_SECONDS
        )
        answers = await self._answers(asked.values())
        return {
            place.partition: answer.offset for place, answer in zip(asked, answers, strict=True)
        }

    def _look_up(self) -> Iterable[int]:
        try:
            found = self._admin.list_topics(self._topic, TIMEOUT_SECONDS).topics[self._topic]
        except KafkaException as error:
            raise BrokerError(f"cannot read {self._topic}: {error.args[0].str()}") from error
        if found.error is not None:
            raise BrokerError(f"cannot read {self._topic}: {found.error.str()}")
        return sorted(found.partitions)

    async def _answer(self, future: Future[Any]) -> Any:
        (answer,) = await self._answers([future])
        return answer

    async def _answers(self, futures: Iterable[Future[Any]]) -> list[Any]:
        try:
            return await asyncio.gather(*map(asyncio.wrap_future, futures))
        except KafkaException as error:
            raise BrokerError(
                f"cannot read offsets of {self._topic}: {error.args[0].str()}"
            ) from error
