"""What is due when, for the partitions that this worker owns.

Derived from the rows and rebuilt from them whenever a partition is assigned. One entry a
lead: the earliest of its steps. An entry whose time is no longer that of its lead is stale
and dropped when it is met, so that nothing ever has to be searched in the heap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush


@dataclass(slots=True)
class _Partition:
    heap: list[tuple[int, bytes]] = field(default_factory=list)
    due: dict[bytes, int] = field(default_factory=dict)
    held: set[bytes] = field(default_factory=set)


class DueIndex:
    """Times are milliseconds since 1970. Not for several threads."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}

    def put(self, partition: int, key: bytes, due_ms: int, *, held: bool) -> None:
        """Note when the lead is due next (0: never) and whether it waits for a resume."""
        entries = self._partitions.get(partition)
        if entries is None:
            entries = self._partitions[partition] = _Partition()
        if held:
            entries.held.add(key)
        else:
            entries.held.discard(key)
        if not due_ms:
            entries.due.pop(key, None)
        elif entries.due.get(key) != due_ms:
            entries.due[key] = due_ms
            heappush(entries.heap, (due_ms, key))
            if len(entries.heap) > 64 + 4 * len(entries.due):
                # More stale entries than live ones: many leads were stopped or moved.
                entries.heap = [(at, each) for each, at in entries.due.items()]
                heapify(entries.heap)

    def pop(self, partition: int, now_ms: int) -> bytes | None:
        """Take out a lead that is due by now, the longest due first."""
        entries = self._partitions.get(partition)
        if entries is None or (at := self._earliest(entries)) is None or at > now_ms:
            return None
        _, key = heappop(entries.heap)
        del entries.due[key]
        return key

    def due(self, partition: int, now_ms: int) -> bool:
        """Whether there is something to pop."""
        entries = self._partitions.get(partition)
        at = None if entries is None else self._earliest(entries)
        return at is not None and at <= now_ms

    def release(self, now_ms: int) -> None:
        """Make every lead that waits for a resume due, to be asked again."""
        for partition, entries in self._partitions.items():
            for key in tuple(entries.held):
                self.put(partition, key, min(now_ms, entries.due.get(key, now_ms)), held=False)

    def held(self) -> list[tuple[int, bytes]]:
        """Every lead that waits for a resume, with its partition."""
        return [(number, key) for number, part in self._partitions.items() for key in part.held]

    def clear(self) -> None:
        """The partitions are being dealt out anew."""
        self._partitions.clear()

    def __len__(self) -> int:
        """How many leads have something pending."""
        return sum(len(each.due.keys() | each.held) for each in self._partitions.values())

    def _earliest(self, entries: _Partition) -> int | None:
        heap = entries.heap
        while heap:
            at, key = heap[0]
            if entries.due.get(key) == at:
                return at
            heappop(heap)
        return None
