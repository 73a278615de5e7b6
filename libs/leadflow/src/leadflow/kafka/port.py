"""What leadflow wants of a log: the port. `confluent.py` and `memory.py` implement it.

One contract suite (`libs/leadflow/tests/kafka_contract.py`) holds both to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

Headers = tuple[tuple[str, bytes], ...]


class TopicPartition(NamedTuple):
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Message:
    """A record as the broker gave it: `timestamp_ms` is the producer's or the broker's."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @property
    def place(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)

    def header(self, name: str) -> bytes | None:
        """The last header of that name."""
        return next((value for key, value in reversed(self.headers) if key == name), None)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to produce. Without `partition` the key chooses it (murmur2, as Java does)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None


class Producer(Protocol):
    """Writes with acks=all and idempotence."""

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Return once the broker has acknowledged every record of the batch.

        Records of one partition keep their order. Raises BrokerError if any was not
        acknowledged; some of the others may have been written all the same.
        """

    async def close(self) -> None:
        """Wait for what is under way, then let go."""


Rebalanced = Callable[[Sequence[TopicPartition]], None]


class Consumer(Protocol):
    """A member of a consumer group. Commits nothing by itself."""

    def subscribe(
        self, topics: Iterable[str], *, assigned: Rebalanced, revoked: Rebalanced
    ) -> None:
        """Join the group. The callbacks run inside `poll`, on the event loop's thread, before
        the first record of a new assignment is returned."""

    async def poll(self, max_records: int, timeout: float) -> list[Message]:
        """Up to `max_records`, as soon as there is one; empty after `timeout` seconds."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the offset of the next record to read, for each partition; return once the
        broker has it. Partitions that were lost meanwhile are passed over."""

    def assignment(self) -> set[TopicPartition]: ...

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Return no records of these until `resume`, or until they are assigned anew."""

    def resume(self, partitions: Iterable[TopicPartition]) -> None: ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from `offset`; what was fetched beyond it is dropped."""

    def lag(self) -> dict[TopicPartition, int]:
        """Records behind the last known end, for each assigned partition."""

    async def close(self) -> None:
        """Leave the group at once; idempotent."""
