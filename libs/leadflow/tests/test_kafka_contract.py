"""What the port promises, held by one suite for the broker in memory and for Apache Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from leadflow.errors import BrokerError
from leadflow.kafka.confluent import ConfluentConsumer, ConfluentProducer
from leadflow.kafka.memory import MemoryBroker, MemoryConsumer, MemoryProducer
from leadflow.kafka.murmur2 import partition_of
from leadflow.kafka.port import Consumer, Message, Outgoing, Producer, TopicPartition

PARTITIONS = 4


@dataclass
class Backend:
    """A broker with two fresh topics of four partitions, `left` and `right`."""

    left: str
    right: str
    producer: Producer
    new_consumer: Callable[[str], Consumer]
    consumers: list[Consumer] = field(default_factory=list)

    def join(self, *topics: str, group: str = "readers") -> Member:
        consumer = self.new_consumer(group)
        self.consumers.append(consumer)
        return Member(consumer, topics)


class Member:
    """A consumer and what it was told and given."""

    def __init__(self, consumer: Consumer, topics: tuple[str, ...]) -> None:
        self.consumer = consumer
        self.assigned: set[TopicPartition] = set()
        self.revoked: list[TopicPartition] = []
        self.messages: list[Message] = []
        consumer.subscribe(topics, assigned=self.assigned.update, revoked=self._gone)

    def _gone(self, partitions: object) -> None:
        places = list(partitions)  # type: ignore[call-overload]
        self.revoked += places
        self.assigned.difference_update(places)

    async def read(self) -> None:
        self.messages += await self.consumer.poll(100, 0.1)

    async def read_until(self, condition: Callable[[], bool], *others: Member) -> None:
        async with asyncio.timeout(30):
            while not condition():
                for member in (self, *others):
                    await member.read()

    def values(self) -> list[bytes | None]:
        return [message.value for message in self.messages]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def bootstrap(request: pytest.FixtureRequest) -> str | None:
    """Where Kafka is; None for the broker in memory."""
    return None if request.param == "memory" else str(request.getfixturevalue("kafka_bootstrap"))


@pytest.fixture
async def backend(bootstrap: str | None) -> AsyncIterator[Backend]:
    left, right = f"left-{uuid4()}", f"right-{uuid4()}"
    if bootstrap is None:
        broker = MemoryBroker({left: PARTITIONS, right: PARTITIONS})
        made = Backend(
            left, right, MemoryProducer(broker), lambda group: MemoryConsumer(broker, group)
        )
    else:
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": bootstrap})
        topics = [NewTopic(name, PARTITIONS, 1) for name in (left, right)]
        for future in admin.create_topics(topics).values():
            future.result(timeout=30)
        run = str(uuid4())
        made = Backend(
            left,
            right,
            ConfluentProducer(bootstrap, "contract"),
            lambda group: ConfluentConsumer(
                bootstrap, f"{group}-{run}", client_id="contract", session_timeout_ms=6_000
            ),
        )
    yield made
    for consumer in made.consumers:
        await consumer.close()
    await made.producer.close()


def numbered(topic: str, partition: int, count: int) -> list[Outgoing]:
    return [Outgoing(topic, b"k", b"%d" % n, partition=partition) for n in range(count)]


async def test_a_record_comes_back_with_key_value_and_headers(backend: Backend) -> None:
    headers = (("attempt", b"1"), ("attempt", b"2"), ("empty", b""))
    await backend.producer.send([Outgoing(backend.left, b"lead", b"body", headers)])
    member = backend.join(backend.left)
    await member.read_until(lambda: len(member.messages) == 1)
    [message] = member.messages
    assert (message.key, message.value, message.headers) == (b"lead", b"body", headers)
    assert message.header("attempt") == b"2"
    assert message.header("other") is None
    assert message.offset == 0


async def test_a_key_goes_where_java_would_put_it(backend: Backend) -> None:
    keys = [b"lead-%d" % n for n in range(40)]
    await backend.producer.send([Outgoing(backend.left, key, b"") for key in keys])
    member = backend.join(backend.left)
    await member.read_until(lambda: len(member.messages) == 40)
    for message in member.messages:
        assert message.partition == partition_of(message.key, PARTITIONS)


async def test_one_partition_keeps_the_order_of_sending(backend: Backend) -> None:
    await backend.producer.send(numbered(backend.left, 2, 250))
    member = backend.join(backend.left)
    await member.read_until(lambda: len(member.messages) == 250)
    assert member.values() == [b"%d" % n for n in range(250)]


async def test_sending_to_a_topic_that_does_not_exist_fails(backend: Backend) -> None:
    with pytest.raises(BrokerError):
        await backend.producer.send([Outgoing(f"absent-{uuid4()}", b"k", b"v", partition=0)])


async def test_a_new_member_starts_at_the_committed_offset(backend: Backend) -> None:
    await backend.producer.send(numbered(backend.left, 0, 10))
    first = backend.join(backend.left)
    await first.read_until(lambda: len(first.messages) == 10)
    await first.consumer.commit({TopicPartition(backend.left, 0): 7})
    await first.consumer.close()
    second = backend.join(backend.left)
    await second.read_until(lambda: len(second.messages) == 3)
    assert second.values() == [b"7", b"8", b"9"]


async def test_what_was_not_committed_is_read_again(backend: Backend) -> None:
    await backend.producer.send(numbered(backend.left, 0, 3))
    first = backend.join(backend.left)
    await first.read_until(lambda: len(first.messages) == 3)
    await first.consumer.close()
    second = backend.join(backend.left)
    await second.read_until(lambda: len(second.messages) == 3)
    assert second.values() == first.values()


async def test_groups_do_not_disturb_each_other(backend: Backend) -> None:
    await backend.producer.send(numbered(backend.left, 0, 3))
    one, other = backend.join(backend.left), backend.join(backend.left, group="others")
    await one.read_until(lambda: len(one.messages) == 3)
    await one.consumer.commit({TopicPartition(backend.left, 0): 3})
    await other.read_until(lambda: len(other.messages) == 3)


async def test_members_share_the_same_partition_numbers_of_every_topic(backend: Backend) -> None:
    topics = (backend.left, backend.right)
    one, other = backend.join(*topics), backend.join(*topics)

    def shared() -> bool:
        return len(one.assigned) == len(other.assigned) == PARTITIONS

    await one.read_until(shared, other)
    assert not one.assigned & other.assigned
    for member in (one, other):
        numbers = {
            topic: {place.partition for place in member.assigned if place.topic == topic}
            for topic in topics
        }
        assert numbers[backend.left] == numbers[backend.right]
        assert member.consumer.assignment() == member.assigned


async def test_a_member_that_leaves_hands_its_partitions_over(backend: Backend) -> None:
    one, other = backend.join(backend.left), backend.join(backend.left)
    await one.read_until(lambda: len(one.assigned) == len(other.assigned) == 2, other)
    await other.consumer.close()
    await one.read_until(lambda: len(one.assigned) == PARTITIONS)
    assert one.consumer.assignment() == {TopicPartition(backend.left, n) for n in range(4)}


async def test_a_paused_partition_is_silent_while_the_others_go_on(backend: Backend) -> None:
    member = backend.join(backend.left)
    await member.read_until(lambda: len(member.assigned) == PARTITIONS)
    member.consumer.pause([TopicPartition(backend.left, 0)])
    await backend.producer.send(numbered(backend.left, 0, 5) + numbered(backend.left, 1, 5))
    await member.read_until(lambda: len(member.messages) == 5)
    for _ in range(5):
        await member.read()
    assert {message.partition for message in member.messages} == {1}
    member.consumer.resume([TopicPartition(backend.left, 0)])
    await member.read_until(lambda: len(member.messages) == 10)


async def test_a_paused_partition_that_comes_back_after_a_rebalance_is_read(
    backend: Backend,
) -> None:
    one = backend.join(backend.left)
    await one.read_until(lambda: len(one.assigned) == PARTITIONS)
    one.consumer.pause(one.assigned)
    other = backend.join(backend.left)
    await one.read_until(lambda: len(one.assigned) == len(other.assigned) == 2, other)
    await other.consumer.close()
    await one.read_until(lambda: len(one.assigned) == PARTITIONS)
    anew = set(one.revoked)
    await backend.producer.send(
        [each for place in anew for each in numbered(place.topic, place.partition, 1)]
    )
    await one.read_until(lambda: {message.place for message in one.messages} == anew)


async def test_seeking_back_reads_a_record_again(backend: Backend) -> None:
    await backend.producer.send(numbered(backend.left, 3, 5))
    member = backend.join(backend.left)
    await member.read_until(lambda: len(member.messages) == 5)
    member.consumer.seek(TopicPartition(backend.left, 3), 2)
    await member.read_until(lambda: len(member.messages) == 8)
    assert member.values()[5:] == [b"2", b"3", b"4"]


async def test_committing_a_lost_partition_changes_nothing(backend: Backend) -> None:
    await backend.producer.send(numbered(backend.left, 0, 5) + numbered(backend.left, 3, 5))
    one = backend.join(backend.left)
    await one.read_until(lambda: len(one.messages) == 10)
    other = backend.join(backend.left)
    await one.read_until(lambda: len(one.assigned) == len(other.assigned) == 2, other)
    [lost] = {TopicPartition(backend.left, 0), TopicPartition(backend.left, 3)} - one.assigned
    await one.consumer.commit({lost: 5})
    await other.read_until(lambda: len(other.messages) >= 5, one)
    assert other.values()[:5] == [b"%d" % n for n in range(5)]


async def test_lag_counts_what_is_left_to_read(backend: Backend) -> None:
    await backend.producer.send(numbered(backend.left, 0, 50))
    member = backend.join(backend.left)
    while not member.messages:
        member.messages += await member.consumer.poll(10, 0.1)
    place = TopicPartition(backend.left, 0)
    assert member.consumer.lag()[place] == 50 - len(member.messages)
