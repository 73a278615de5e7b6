"""After a takeover, causes are handled before what they led to.

Effects come before the row (design.md, "Guarantees"), so a worker that was killed in between
has told of an enrollment that no row knows yet. Whoever heard of it may have answered already:
stopped it by hand, reported a bounce. That answer lies in another topic than the event that
enrolled, and read first it would meet no enrollment and be lost.

So what had been written when a partition was assigned is taken in the order in which it was
written, across the topics that share the partition number; what comes later waits for that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from leadflow.kafka.port import Message, TopicPartition

WAITING_LIMIT = 5_000
"""How many records of a partition may wait, whatever waits in others. Beyond it what is there is
taken, in the order of its times: a worker under way had begun far fewer than its successor has
then read."""


@dataclass(slots=True)
class _Partition:
    ends: dict[str, int]
    """Of the topics that are not read yet to where they ended at the assignment."""
    waiting: dict[str, deque[Message]] = field(default_factory=dict)
    count: int = 0


class CausesFirst:
    """Takes records in the order of each topic, gives them back in the order of their times.
    At the same time the topic that was named first goes first."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self._rank = {topic: number for number, topic in enumerate(topics)}
        self._behind: dict[int, _Partition] = {}

    def start(
        self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> None:
        """These partitions are ours: read from `starts`, and the logs end at `ends`."""
        self.forget()
        for place, start in starts.items():
            if place.topic in self._rank and start < ends[place]:
                partition = self._behind.setdefault(place.partition, _Partition({}))
                partition.ends[place.topic] = ends[place]

    def forget(self) -> None:
        """The partitions are being dealt out anew: nothing waits any more."""
        self._behind.clear()

    def is_behind(self, partition: int) -> bool:
        """Whether something in the log from before the assignment is still to be handled."""
        return partition in self._behind

    def awaited(self) -> dict[TopicPartition, int]:
        """How far the logs have to be read before their partitions are behind no more."""
        return {
            TopicPartition(topic, number): end
            for number, partition in self._behind.items()
            for topic, end in partition.ends.items()
        }

    def put(self, message: Message) -> None:
        """A record of a partition that is behind, to be asked back by `pop`."""
        partition = self._behind[message.partition]
        partition.waiting.setdefault(message.topic, deque()).append(message)
        partition.count += 1

    def pop(self, number: int) -> Message | None:
        """The next record of a partition; None if it has not been read yet, or there is none."""
        partition = self._behind.get(number)
        if partition is None:
            return None
        if partition.count <= WAITING_LIMIT and any(
            not partition.waiting.get(topic) for topic in partition.ends
        ):
            return None
        heads = [each[0] for each in partition.waiting.values() if each]
        if not heads:
            if not partition.ends:
                del self._behind[number]
            return None
        first = min(heads, key=lambda each: (each.timestamp_ms, self._rank[each.topic]))
        partition.waiting[first.topic].popleft()
        partition.count -= 1
        if first.offset + 1 >= partition.ends.get(first.topic, first.offset + 2):
            del partition.ends[first.topic]
        return first
