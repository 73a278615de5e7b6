"""Which record of each partition comes next, and which offset may be committed.

Records are done in any order. Committing past one that is not done would lose it at the next
crash, so the place to read on from is always where the oldest unfinished record stands.

The topics have neither gaps nor repeats, but what a consumer hands over in the middle of a
rebalance may: it has been seen to pass over records that it had fetched (docs/adr/0010). So
records are taken only in the order of their offsets, from where the group had committed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from leadflow.kafka.port import TopicPartition


@dataclass(slots=True, eq=False)
class Reading:
    """One record on its way."""

    offset: int
    done: bool = False


class Offsets:
    """The places of the partitions that are ours."""

    def __init__(self) -> None:
        self._open: dict[TopicPartition, deque[Reading]] = {}
        self._next: dict[TopicPartition, int] = {}
        self._position: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def start(self, places: Mapping[TopicPartition, int]) -> None:
        """These partitions are ours, to be read from these offsets on."""
        self.forget()
        for place, offset in places.items():
            self._open[place] = deque()
            self._next[place] = self._position[place] = self._committed[place] = offset

    def next(self, place: TopicPartition) -> int | None:
        """The offset of the record to be read next; None if the partition is not ours."""
        return self._next.get(place)

    def taken(self, place: TopicPartition, offset: int) -> None:
        """The next record has arrived. It may have to wait before it begins."""
        self._next[place] = offset + 1

    def begin(self, place: TopicPartition, offset: int) -> Reading:
        """The next record is on its way."""
        reading = Reading(offset)
        self._open[place].append(reading)
        self._next[place] = max(self._next[place], offset + 1)
        return reading

    def committable(self) -> dict[TopicPartition, int]:
        """Offsets to read on from, of the partitions where that has moved since `committed`."""
        moved: dict[TopicPartition, int] = {}
        for place, waiting in self._open.items():
            while waiting and waiting[0].done:
                self._position[place] = waiting.popleft().offset + 1
            if self._position[place] != self._committed.get(place):
                moved[place] = self._position[place]
        return moved

    def committed(self, offsets: Mapping[TopicPartition, int]) -> None:
        """The broker has these."""
        self._committed.update(offsets)

    def unfinished(self) -> int:
        """Records begun and not done."""
        return sum(not each.done for waiting in self._open.values() for each in waiting)

    def close(self) -> None:
        """Nothing is taken any more: no record is the next. What has begun may still be done."""
        self._next.clear()

    def forget(self) -> None:
        """Partitions are being dealt out anew: what was read before counts no more."""
        self._open.clear()
        self._next.clear()
        self._position.clear()
        self._committed.clear()
