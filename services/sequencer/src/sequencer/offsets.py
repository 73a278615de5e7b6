"""Which offset of each partition may be committed: the first whose record is not done yet.

Records are done in any order. Committing past one that is not done would lose it at the next
crash, so the place to read on from is always where the oldest unfinished record stands.
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
    """Records are begun in the order of their offsets, as the broker gives them."""

    def __init__(self) -> None:
        self._open: dict[TopicPartition, deque[Reading]] = {}
        self._position: dict[TopicPartition, int] = {}
        self._committed: dict[TopicPartition, int] = {}

    def begin(self, place: TopicPartition, offset: int) -> Reading:
        reading = Reading(offset)
        waiting = self._open.get(place)
        if waiting is None:
            waiting = self._open[place] = deque()
            self._position[place] = offset
        waiting.append(reading)
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

    def forget(self) -> None:
        """Partitions are being dealt out anew: what was read before counts no more."""
        self._open.clear()
        self._position.clear()
        self._committed.clear()
