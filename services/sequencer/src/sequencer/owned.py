"""The rows of the partitions that this worker owns, whatever they are kept in.

The changelog record is acknowledged first, then the local copy is written, together with the
offset up to which it follows the changelog: a row that the broker never got would say that its
event was applied, and nobody else would ever learn of it. What a partition that was dealt to this
worker lacks is read before its first event is let in, and what is due is indexed from its rows.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Protocol

import structlog

from leadflow.clock import Clock
from leadflow.kafka.port import Outgoing
from sequencer import rowcodec
from sequencer.changelog import Progress
from sequencer.due import DueIndex

log = structlog.get_logger()

ROWS_A_BREATH = 1_000

Reading = Callable[[frozenset[int], datetime, threading.Event], Awaitable[None]]
"""Brings the copies of these partitions up to the end of the changelog; returns soon after the
event was set."""


class Copies(Protocol):
    """The local copies, one for each partition. They outlive this process."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def write(self, partition: int, key: bytes, row: bytes | None, offset: int) -> None:
        """A row, or None for none any more, and the offset that the copy follows by it: both
        or neither."""

    def follows(self, partition: int) -> bytes | None:
        """The last offset of the changelog that the copy has seen."""

    def rows(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        """Keys and rows."""


class Changelog(Protocol):
    async def send_one(self, record: Outgoing) -> int:
        """The record's offset once the broker has it. Raises BrokerError."""


class OwnedRows:
    """Implements `sequencer.processor.Rows`. `recovered` is awaited when the rows of a deal are
    there."""

    def __init__(
        self,
        name: str,
        changelog: Changelog,
        copies: Copies,
        due: DueIndex,
        clock: Clock,
        *,
        read: Reading,
        recovered: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self.progress = Progress()
        self._changelog = changelog
        self._copies = copies
        self._due = due
        self._clock = clock
        self._read = read
        self._recovered = recovered
        self._owned: frozenset[int] = frozenset()
        self._deal = 0
        self._taking_over = asyncio.Lock()
        self._dealt_anew = threading.Event()
        # By partition, the offset of the rows that the index agrees with.
        self._indexed: dict[int, bytes | None] = {}

    @property
    def owned(self) -> frozenset[int]:
        """The partitions whose rows are here; another object after every deal."""
        return self._owned

    @property
    def deal(self) -> int:
        """Differs once what was dealt is ours no more."""
        return self._deal

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._copies.get(partition, key)

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        await self._write(partition, key, row)

    async def delete(self, partition: int, key: bytes) -> None:
        await self._write(partition, key, None)

    async def _write(self, partition: int, key: bytes, row: bytes | None) -> None:
        offset = await self._changelog.send_one(Outgoing(self.name, key, row, partition=partition))
        if partition not in self._owned:
            return  # somebody else's by now; the local copy would skip what they wrote
        self._copies.write(partition, key, row, offset)

    def disown(self) -> None:
        """Partitions are being dealt out anew. Nothing of their rows is under way."""
        self.stop()
        self._indexed |= {each: self._copies.follows(each) for each in self._owned}
        self._owned = frozenset()

    def stop(self) -> None:
        """A reading that is cut short must not pass for a complete one."""
        self._deal += 1
        self._dealt_anew.set()

    async def dealt(self, partitions: frozenset[int]) -> None:
        """Fetch what the rows lack and build the index of what is due, before the first event
        is let in. Nothing, if they are dealt out anew before it begins."""
        deal = self._deal
        # A thread of the deal before may still be writing its last batch.
        async with self._taking_over:
            if deal == self._deal:
                await self._take_over(partitions, deal)

    async def _take_over(self, partitions: frozenset[int], deal: int) -> None:
        began = self._clock.now()
        log.info("taking over", partitions=sorted(partitions))
        self._dealt_anew = threading.Event()
        before = self.progress.records
        await self._read(partitions, began, self._dealt_anew)
        recovered = self.progress.records - before
        caught_up = self._clock.now()
        # What did not change while it was nobody's or somebody else's is still indexed right.
        for partition in tuple(self._indexed):
            known = self._indexed[partition]
            if partition not in partitions or known != self._copies.follows(partition):
                del self._indexed[partition]
        self._due.keep(self._indexed)
        rows = 0
        for partition in sorted(partitions - self._indexed.keys()):
            rows += await self._index(partition, deal)
        if deal != self._deal:
            log.info("dealt out anew while taking over", recovered=recovered)
            return
        log.info(
            "taken over",
            recovered=recovered,
            recovering_seconds=round((caught_up - began).total_seconds(), 1),
            indexed=rows,
            indexing_seconds=round((self._clock.now() - caught_up).total_seconds(), 1),
        )
        self._owned = partitions
        await self._recovered()

    async def _index(self, partition: int, deal: int) -> int:
        """Note what is due for each row; how many rows those were."""
        number = 0
        for key, row in self._copies.rows(partition):
            if number % ROWS_A_BREATH == 0:
                await asyncio.sleep(0)
                if deal != self._deal:
                    return number
            number += 1
            self.progress.records += 1
            head = rowcodec.header(row)
            if head.due_ms or head.held:
                self._due.put(partition, key, head.due_ms, held=head.held)
        self._indexed[partition] = self._copies.follows(partition)
        return number
