"""The table of leads: a Faust table whose writes are ours.

Faust writes the local copy first and lets the changelog record follow. A process killed in
between comes back with a row that no other worker will ever see, and which says that its
event was applied. So here the changelog record is acknowledged first, then the local copy is
written, together with the offset up to which it follows the changelog. What a partition that
was dealt to this worker lacks is read in bulk, not by Faust (docs/adr/0014).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import rocksdict
import structlog
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery

from leadflow.clock import Clock
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from sequencer import rowcodec
from sequencer.changelog import TOMBSTONES_KEPT, CatchUp, Progress
from sequencer.due import DueIndex
from sequencer.rocks import Databases

log = structlog.get_logger()

CHANGELOG_CONFIG = {
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(int(TOMBSTONES_KEPT.total_seconds() * 1_000)),
}
ROWS_A_BREATH = 1_000


class NothingToRecover(Recovery):
    """Faust's recovery without the reading: the tables see to that themselves."""

    def need_recovery(self) -> bool:
        return False


class Tables(TableManager):
    """To be given to the app as its TableManager."""

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = NothingToRecover(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class LeadTable(faust.Table[bytes, bytes]):
    """Rows by lead_id, bytes to bytes, in the partition of the lead's events.

    Implements `sequencer.processor.Rows`. `use` has to be called before the app starts.
    """

    _producer: ConfluentProducer
    _due: DueIndex
    _bootstrap: str
    _clock: Clock
    _recovered: Callable[[], Awaitable[None]]
    _failed: Callable[[Exception], None]
    _owned: frozenset[int] = frozenset()
    _deal = 0
    data: Any  # the RocksDB store: its databases are what Faust has no public name for

    def use(
        self,
        producer: ConfluentProducer,
        due: DueIndex,
        databases: Databases,
        bootstrap: str,
        clock: Clock,
        *,
        recovered: Callable[[], Awaitable[None]],
        failed: Callable[[Exception], None],
    ) -> None:
        """Hand in what the table works with; `recovered` is awaited when its rows are there,
        `failed` is told why they cannot be had."""
        self._producer = producer
        self._due = due
        self._bootstrap = bootstrap
        self._clock = clock
        self._recovered = recovered
        self._failed = failed
        self._progress = Progress()
        self._seen_progress = 0
        self._taking_over = asyncio.Lock()
        self._dealt_anew = threading.Event()
        # By partition, the offset of the rows that the index agrees with.
        self._indexed: dict[int, bytes | None] = {}
        self.data.rocksdb_options = databases

    @property
    def owned(self) -> frozenset[int]:
        """The partitions whose rows are here; another object after every deal."""
        return self._owned

    def get_row(self, partition: int, key: bytes) -> bytes | None:
        row: bytes | None = self.data._db_for_partition(partition).get(key)
        return row

    async def put_row(self, partition: int, key: bytes, row: bytes) -> None:
        await self._write(partition, key, row)

    async def delete_row(self, partition: int, key: bytes) -> None:
        """Return once the broker knows that there is no row any more, and it is gone here.

        Raises BrokerError if the broker did not take it.
        """
        await self._write(partition, key, None)

    async def _write(self, partition: int, key: bytes, row: bytes | None) -> None:
        offset = await self._producer.send_one(
            Outgoing(self.changelog_topic_name, key, row, partition=partition)
        )
        if partition not in self._owned:
            return  # somebody else's by now; the local copy would skip what they wrote
        batch = rocksdict.WriteBatch(raw_mode=True)
        if row is None:
            batch.delete(key)
        else:
            batch.put(key, row)
        batch.put(self.data.offset_key, str(offset).encode())
        self.data._db_for_partition(partition).write(batch)

    def disown(self) -> None:
        """Partitions are being dealt out anew. Nothing of their rows is under way."""
        self._deal += 1
        self._dealt_anew.set()
        self._indexed |= {each: self._follows(each) for each in self._owned}
        self._owned = frozenset()

    async def on_stop(self) -> None:
        # A reading that is cut short must not pass for a complete one.
        self._deal += 1
        self._dealt_anew.set()
        await super().on_stop()

    def moved(self) -> bool:
        """Whether rows have been recovered or looked at since the last question."""
        seen, self._seen_progress = self._seen_progress, self._progress.records
        return seen != self._seen_progress

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """Faust calls this for every deal, lets it run on when the next one has begun, and
        does not look at its errors: the worker would stay a member and do nothing."""
        deal = self._deal
        try:
            await super().on_recovery_completed(active_tps, standby_tps)
            # A thread of the deal before may still be writing its last batch.
            async with self._taking_over:
                if deal == self._deal:
                    await self._take_over(frozenset(tp.partition for tp in active_tps), deal)
        except Exception as error:
            if deal == self._deal:
                self._failed(error)
            raise

    async def _take_over(self, partitions: frozenset[int], deal: int) -> None:
        """Fetch what the rows lack and build the index of what is due, before the first event
        is let in."""
        began = self._clock.now()
        log.info("taking over", partitions=sorted(partitions))
        self._dealt_anew = threading.Event()
        catch_up = CatchUp(
            self._bootstrap,
            self.changelog_topic_name,
            {each: self.data._db_for_partition(each) for each in partitions},
            self.data.offset_key,
            self._progress,
        )
        before = self._progress.records
        await asyncio.to_thread(catch_up.run, began, self._dealt_anew)
        recovered = self._progress.records - before
        caught_up = self._clock.now()
        # What did not change while it was nobody's or somebody else's is still indexed right.
        for partition in tuple(self._indexed):
            if partition not in partitions or self._indexed[partition] != self._follows(partition):
                del self._indexed[partition]
        self._due.keep(self._indexed)
        rows = 0
        for partition in partitions - self._indexed.keys():
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

    def _follows(self, partition: int) -> bytes | None:
        """The offset that the local rows of a partition follow."""
        found: bytes | None = self.data._db_for_partition(partition).get(self.data.offset_key)
        return found

    async def _index(self, partition: int, deal: int) -> int:
        """Note what is due for each row; how many rows those were."""
        number = 0
        for key, row in self.data._visible_items(self.data._db_for_partition(partition)):
            if number % ROWS_A_BREATH == 0:
                await asyncio.sleep(0)
                if deal != self._deal:
                    return number
            number += 1
            self._progress.records += 1
            head = rowcodec.header(row)
            if head.due_ms or head.held:
                self._due.put(partition, key, head.due_ms, held=head.held)
        self._indexed[partition] = self._follows(partition)
        return number
