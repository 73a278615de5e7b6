"""What is due when, for the partitions that this worker owns.

Derived from the rows and built from them when a partition is assigned. The next entries
of each partition are in memory, at most `room`; those that are due later are on disk, and are
read when the ones in memory have been taken out. So neither the memory nor the cost of what is
due grows with what is pending (docs/adr/0014).

In memory a lead has one entry, the earliest of its steps. On disk it may have several: the one
of a time that was moved is not looked for, it is met when its time comes. Whoever takes a lead
out asks its row, which is the truth, and puts the lead back with what the row says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field
from heapq import heappop, heappush

from sequencer.spill import Spill, SpillInMemory

ROOM = 8_192
"""About 2 MB for each partition."""
DUE, HELD = 0, 1
EVER = 2**63


@dataclass(slots=True)
class _Partition:
    heap: list[tuple[int, bytes]] = field(default_factory=list)
    due: dict[bytes, int] = field(default_factory=dict)
    # What is due after this is on disk; None: nothing is.
    horizon: tuple[int, bytes] | None = None
    # Waiting for a resume (the values say nothing), and taken from there to be asked.
    held: dict[bytes, None] = field(default_factory=dict)
    asked: deque[bytes] = field(default_factory=deque)
    on_disk: list[int] = field(default_factory=lambda: [0, 0])


class DueIndex:
    """Times are milliseconds since 1970. Not for several threads.

    `spill` is where what has no room goes; as long as there is room it is not touched. By
    default that is memory: for simulations and tests.
    """

    def __init__(self, spill: Spill | None = None, room: int = ROOM) -> None:
        self._partitions: dict[int, _Partition] = {}
        self._spill: Spill = SpillInMemory() if spill is None else spill
        self._room = room
        self._pass = 0
        self._passing = False

    def put(self, partition: int, key: bytes, due_ms: int, *, held: bool) -> None:
        """Note when the lead is due next (0: never) and whether it waits for a resume."""
        entries = self._partitions.get(partition)
        if entries is None:
            entries = self._partitions[partition] = _Partition()
        if held:
            self._hold(partition, entries, key)
        else:
            entries.held.pop(key, None)
        if not due_ms:
            entries.due.pop(key, None)
        elif entries.horizon is not None and (due_ms, key) > entries.horizon:
            entries.due.pop(key, None)
            self._later(partition, entries, DUE, [(due_ms, key)])
        elif entries.due.get(key) != due_ms:
            entries.due[key] = due_ms
            heappush(entries.heap, (due_ms, key))
            if len(entries.heap) > self._room:
                self._tidy(partition, entries)

    def pop(self, partition: int, now_ms: int) -> bytes | None:
        """Take out a lead that is due by now, the longest due first.

        It may be one whose time was moved: the row says.
        """
        entries = self._partitions.get(partition)
        at = None if entries is None else self._earliest(partition, entries)
        if entries is None or at is None or at > now_ms:
            return None
        _, key = heappop(entries.heap)
        del entries.due[key]
        return key

    def due(self, partition: int, now_ms: int) -> bool:
        """Whether there is something to pop."""
        entries = self._partitions.get(partition)
        at = None if entries is None else self._earliest(partition, entries)
        return at is not None and at <= now_ms

    def take_held(self, limit: int | None = None) -> list[tuple[int, bytes]]:
        """Take out leads that wait for a resume, with their partitions. Whoever takes one out
        makes it due (`put`) or puts it back (`hold`).

        With a `limit`, several calls make one pass over those that wait when it begins. Fewer
        than `limit` means that the pass has ended; the next call begins another, in which
        those that were put back are taken again.
        """
        if not self._passing:
            self._passing = True
            self._pass += 1
            for entries in self._partitions.values():
                entries.asked.extend(entries.held)
                entries.held.clear()
        taken: list[tuple[int, bytes]] = []
        for partition, entries in self._partitions.items():
            while (limit is None or len(taken) < limit) and self._asks(partition, entries):
                taken.append((partition, entries.asked.popleft()))
        self._passing = len(taken) == limit
        return taken

    def hold(self, partition: int, key: bytes) -> None:
        """Put back a lead that still waits, unless its partition was forgotten meanwhile."""
        if (entries := self._partitions.get(partition)) is not None:
            self._hold(partition, entries, key)

    def keep(self, partitions: Container[int]) -> None:
        """Partitions were dealt out anew: forget all but these. A pass over those that wait ends,
        so that the next one begins with all of them."""
        for partition in [each for each in self._partitions if each not in partitions]:
            del self._partitions[partition]
            self._spill.forget(partition)
        for entries in self._partitions.values():
            entries.held.update(dict.fromkeys(entries.asked))
            entries.asked.clear()
        self._passing = False

    def __len__(self) -> int:
        """How many leads have something pending, as far as is known without asking the rows."""
        return sum(
            len(each.due.keys() | each.held.keys() | set(each.asked)) + sum(each.on_disk)
            for each in self._partitions.values()
        )

    def _earliest(self, partition: int, entries: _Partition) -> int | None:
        heap, due = entries.heap, entries.due
        while True:
            while heap:
                at, key = heap[0]
                if due.get(key) == at:
                    return at
                heappop(heap)
            if not entries.on_disk[DUE]:
                entries.horizon = None
                return None
            for at, key in self._read(partition, entries, DUE, EVER):
                entries.horizon = (at, key)
                # The earlier of two entries of one lead: asked then, it is put back.
                if due.setdefault(key, at) == at:
                    heap.append((at, key))

    def _tidy(self, partition: int, entries: _Partition) -> None:
        """Drop stale entries, and bring to disk what is due last."""
        live = sorted((at, key) for key, at in entries.due.items())
        keep = self._room // 2
        if len(live) > keep:
            for _, key in live[keep:]:
                del entries.due[key]
            self._later(partition, entries, DUE, live[keep:])
            del live[keep:]
            entries.horizon = live[-1]
        entries.heap = live  # what is sorted is a heap

    def _later(
        self, partition: int, entries: _Partition, queue: int, later: list[tuple[int, bytes]]
    ) -> None:
        self._spill.put(partition, queue, later)
        entries.on_disk[queue] += len(later)

    def _read(
        self, partition: int, entries: _Partition, queue: int, below: int
    ) -> list[tuple[int, bytes]]:
        if not entries.on_disk[queue]:
            return []
        count = self._room // 2
        found = self._spill.take(partition, queue, count, below)
        # Put twice is there once, so the number may be too high until the end is seen.
        complete = len(found) < count and below == EVER
        entries.on_disk[queue] = 0 if complete else entries.on_disk[queue] - len(found)
        return found

    def _hold(self, partition: int, entries: _Partition, key: bytes) -> None:
        entries.held[key] = None
        if len(entries.held) > self._room:
            waiting = [(self._pass, each) for each in entries.held]
            entries.held.clear()
            self._later(partition, entries, HELD, waiting)

    def _asks(self, partition: int, entries: _Partition) -> bool:
        """Whether a lead is left to be asked in this pass."""
        if not entries.asked:
            entries.asked.extend(key for _, key in self._read(partition, entries, HELD, self._pass))
        return bool(entries.asked)
