"""Queues for what has no room in memory and can be worked out again: entries by number."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Sequence
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Protocol

import rocksdict

from sequencer.rocks import Databases

Entry = tuple[int, bytes]
"""A number and the key of a lead."""


class Spill(Protocol):
    """Each partition has several queues, told apart by a number from 0 to 255."""

    def put(self, partition: int, queue: int, entries: Sequence[Entry]) -> None:
        """Add entries; one that is there already stays one."""

    def take(self, partition: int, queue: int, count: int, below: int) -> list[Entry]:
        """Take out the first entries, at most `count`, of those with a number less than `below`."""

    def forget(self, partition: int) -> None:
        """Forget the partition's entries."""


class SpillOnDisk:
    """One RocksDB in `folder`, made when something is first put. Nothing is written ahead or
    synced: whatever is there at the start is deleted. Not for several threads.

        bytes 0-1    partition, big-endian
        byte 2       queue
        bytes 3-10   number, big-endian
        bytes 11-    key of the lead
    """

    _QUEUE = struct.Struct(">HB")
    _PLACE = struct.Struct(">HBQ")

    def __init__(self, folder: Path, databases: Databases) -> None:
        self._folder = folder
        self._databases = databases
        self._opened: Any = None
        shutil.rmtree(folder, ignore_errors=True)

    def put(self, partition: int, queue: int, entries: Sequence[Entry]) -> None:
        database = self._opened or self._open()
        if len(entries) == 1:
            number, key = entries[0]
            database.put(self._PLACE.pack(partition, queue, number) + key, b"")
            return
        batch = rocksdict.WriteBatch(raw_mode=True)
        for number, key in entries:
            batch.put(self._PLACE.pack(partition, queue, number) + key, b"")
        database.write(batch)

    def take(self, partition: int, queue: int, count: int, below: int) -> list[Entry]:
        if self._opened is None:
            return []
        start = self._QUEUE.pack(partition, queue)
        end = self._PLACE.pack(partition, queue, below)
        places = takewhile(lambda place: place < end, self._opened.keys(from_key=start))
        taken = list(islice(places, count))
        if taken:
            # As one range: taken out one by one, each would leave a mark to be walked over.
            self._opened.delete_range(start, taken[-1] + b"\0")
        return [(self._PLACE.unpack_from(place)[2], place[self._PLACE.size :]) for place in taken]

    def forget(self, partition: int) -> None:
        if self._opened is not None:
            start, end = (self._QUEUE.pack(each, 0) for each in (partition, partition + 1))
            self._opened.delete_range(start, end)

    def _open(self) -> Any:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._opened = self._databases.open(self._folder)
        unlogged: Any = rocksdict.WriteOptions()
        unlogged.disable_wal = True
        self._opened.set_write_options(unlogged)
        return self._opened


class SpillInMemory:
    """The same without a disk, for simulations and tests."""

    def __init__(self) -> None:
        self._queues: dict[tuple[int, int], set[Entry]] = {}

    def put(self, partition: int, queue: int, entries: Sequence[Entry]) -> None:
        self._queues.setdefault((partition, queue), set()).update(entries)

    def take(self, partition: int, queue: int, count: int, below: int) -> list[Entry]:
        waiting = self._queues.get((partition, queue), set())
        taken = sorted(each for each in waiting if each[0] < below)[:count]
        waiting.difference_update(taken)
        return taken

    def forget(self, partition: int) -> None:
        for each in [each for each in self._queues if each[0] == partition]:
            del self._queues[each]
