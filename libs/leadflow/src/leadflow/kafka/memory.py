"""The port in one process's memory, for tests: topics, groups, range assignment, offsets.

It passes the same contract suite as the Kafka adapter. A rebalance reaches a member inside
its next `poll`, as with Kafka; a member that never polls again keeps its partitions until it
is closed, because no time passes here.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from leadflow.errors import BrokerError
from leadflow.kafka.murmur2 import partition_of
from leadflow.kafka.port import Message, Outgoing, Rebalanced, TopicPartition


class MemoryBroker:
    """Topics by name with their number of partitions, and the groups that read them."""

    def __init__(self, topics: Mapping[str, int], *, now_ms: int = 0) -> None:
        self.logs: dict[TopicPartition, list[Message]] = {
            TopicPartition(name, number): []
            for name, partitions in topics.items()
            for number in range(partitions)
        }
        self.topics = dict(topics)
        self.now_ms = now_ms
        self.committed: dict[tuple[str, TopicPartition], int] = {}
        self.members: defaultdict[str, list[MemoryConsumer]] = defaultdict(list)
        self.arrived = asyncio.Event()

    def append(self, record: Outgoing) -> Message:
        """Raises BrokerError for a topic or a partition that does not exist."""
        partitions = self.topics.get(record.topic)
        if partitions is None:
            raise BrokerError(f"no topic {record.topic}")
        number = record.partition
        if number is None:
            number = partition_of(record.key, partitions)
        log = self.logs.get(TopicPartition(record.topic, number))
        if log is None:
            raise BrokerError(f"no partition {number} in {record.topic}")
        message = Message(
            record.topic,
            number,
            len(log),
            record.key,
            record.value,
            record.headers,
            self.now_ms,
        )
        log.append(message)
        self.arrived.set()
        return message

    def rebalance(self, group: str) -> None:
        """Share the partitions out by ranges, topic by topic, as the range assignor does."""
        members = self.members[group]
        wanted: dict[MemoryConsumer, set[TopicPartition]] = {member: set() for member in members}
        for topic, partitions in self.topics.items():
            readers = [member for member in members if topic in member.topics]
            for index, reader in enumerate(readers):
                share, more = divmod(partitions, len(readers))
                start = index * share + min(index, more)
                stop = start + share + (index < more)
                wanted[reader].update(TopicPartition(topic, n) for n in range(start, stop))
        for member, partitions_of_member in wanted.items():
            member.reassign(partitions_of_member)
        self.arrived.set()


class MemoryProducer:
    """Appends at once. `fail_next` makes the next sends fail, for tests of the way back."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.fail_next = 0

    async def send(self, batch: Sequence[Outgoing]) -> None:
        if self.fail_next:
            self.fail_next -= 1
            raise BrokerError("not acknowledged: told to fail")
        for record in batch:
            self._broker.append(record)

    async def close(self) -> None:
        """Nothing is under way."""


class MemoryConsumer:
    """A member of a group of a MemoryBroker."""

    def __init__(self, broker: MemoryBroker, group: str) -> None:
        self._broker = broker
        self._group = group
        self.topics: frozenset[str] = frozenset()
        self._owned: set[TopicPartition] = set()
        self._coming: set[TopicPartition] | None = None
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}
        self._tell: tuple[Rebalanced, Rebalanced] | None = None

    def subscribe(
        self, topics: Iterable[str], *, assigned: Rebalanced, revoked: Rebalanced
    ) -> None:
        self.topics = frozenset(topics)
        self._tell = (assigned, revoked)
        self._broker.members[self._group].append(self)
        self._broker.rebalance(self._group)

    def reassign(self, partitions: set[TopicPartition]) -> None:
        """What the broker wants this member to own from its next poll on."""
        self._coming = partitions

    def _join(self) -> None:
        if self._coming is None or self._tell is None:
            return
        coming, self._coming = self._coming, None
        gone, new = self._owned - coming, coming - self._owned
        assigned, revoked = self._tell
        self._owned = coming
        for place in gone:
            self._positions.pop(place, None)
            self._paused.discard(place)
        if gone:
            revoked(sorted(gone))
        for place in new:
            self._positions[place] = self._broker.committed.get((self._group, place), 0)
        if new:
            assigned(sorted(new))

    async def poll(self, max_records: int, timeout: float) -> list[Message]:
        self._join()
        messages = self._take(max_records)
        if messages or timeout <= 0:
            return messages
        self._broker.arrived.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._broker.arrived.wait()
        except TimeoutError:
            return []
        self._join()
        return self._take(max_records)

    def _take(self, max_records: int) -> list[Message]:
        messages: list[Message] = []
        for place in sorted(self._owned - self._paused):
            position = self._positions[place]
            found = self._broker.logs[place][position : position + max_records - len(messages)]
            self._positions[place] = position + len(found)
            messages += found
        return messages

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        for place, offset in offsets.items():
            if place in self._owned and (self._coming is None or place in self._coming):
                self._broker.committed[self._group, place] = offset

    def assignment(self) -> set[TopicPartition]:
        return set(self._owned)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.update(self._owned.intersection(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition in self._owned:
            self._positions[partition] = offset

    def lag(self) -> dict[TopicPartition, int]:
        return {
            place: len(self._broker.logs[place]) - self._positions[place] for place in self._owned
        }

    async def close(self) -> None:
        members = self._broker.members[self._group]
        if self in members:
            members.remove(self)
            self._owned.clear()
            self._broker.rebalance(self._group)
