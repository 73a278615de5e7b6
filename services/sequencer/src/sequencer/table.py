"""The table of leads: a Faust table whose writes are ours.

Faust writes the local copy first and lets the changelog record follow. A process killed in
between comes back with a row that no other worker will ever see, and which says that its
event was applied. So here the changelog record is acknowledged first, then the local copy is
written, together with the offset up to which it follows the changelog.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import faust
import rocksdict

from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from sequencer import rowcodec
from sequencer.due import DueIndex

ROCKSDB_OPTIONS = {
    # For each partition's database. Faust's defaults are 2 GiB of cache and 192 MiB of buffers.
    "block_cache_size": 8 * 2**20,
    "write_buffer_size": 8 * 2**20,
    "max_write_buffer_number": 2,
    "target_file_size_base": 16 * 2**20,
    "max_open_files": 64,
}
ROWS_A_BREATH = 2_000


class LeadTable(faust.Table[bytes, bytes]):
    """Rows by lead_id, bytes to bytes, in the partition of the lead's events.

    Implements `sequencer.processor.Rows`. `use` has to be called before the app starts.
    """

    _producer: ConfluentProducer
    _due: DueIndex
    _recovered: Callable[[], Awaitable[None]]
    _failed: Callable[[Exception], None]
    _owned: frozenset[int] = frozenset()
    _deal = 0
    data: Any  # the RocksDB store: its databases are what Faust has no public name for

    def use(
        self,
        producer: ConfluentProducer,
        due: DueIndex,
        recovered: Callable[[], Awaitable[None]],
        failed: Callable[[Exception], None],
    ) -> None:
        """Hand in what the table works with; `recovered` is awaited when its rows are there,
        `failed` is told why they cannot be had."""
        self._producer = producer
        self._due = due
        self._recovered = recovered
        self._failed = failed

    @property
    def owned(self) -> frozenset[int]:
        """The partitions whose rows are here; another object after every deal."""
        return self._owned

    def get_row(self, partition: int, key: bytes) -> bytes | None:
        row: bytes | None = self.data._db_for_partition(partition).get(key)
        return row

    async def put_row(self, partition: int, key: bytes, row: bytes) -> None:
        offset = await self._producer.send_one(
            Outgoing(self.changelog_topic_name, key, row, partition=partition)
        )
        if partition not in self._owned:
            return  # somebody else's by now; the local copy would skip what they wrote
        batch = rocksdict.WriteBatch(raw_mode=True)
        batch.put(key, row)
        batch.put(self.data.offset_key, str(offset).encode())
        self.data._db_for_partition(partition).write(batch)

    def disown(self) -> None:
        """Partitions are being dealt out anew."""
        self._deal += 1
        self._due.clear()
        self._owned = frozenset()

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """Faust calls this for every deal, lets it run on when the next one has begun, and
        does not look at its errors: the worker would stay a member and do nothing."""
        deal = self._deal
        try:
            await self._take_over(active_tps, standby_tps)
        except Exception as error:
            if deal == self._deal:
                self._failed(error)
            raise

    async def _take_over(self, active_tps: Any, standby_tps: Any) -> None:
        """Build the index of what is due, before the first event is let in."""
        deal = self._deal
        await super().on_recovery_completed(active_tps, standby_tps)
        partitions = frozenset(tp.partition for tp in active_tps)
        for partition in partitions:
            await self._index(partition, deal)
        if deal == self._deal:
            self._owned = partitions
            await self._recovered()

    async def _index(self, partition: int, deal: int) -> None:
        rows = self.data._visible_items(self.data._db_for_partition(partition))
        for number, (key, row) in enumerate(rows):
            if number % ROWS_A_BREATH == 0:
                await asyncio.sleep(0)
                if deal != self._deal:
                    return
            head = rowcodec.header(row)
            if head.due_ms or head.held:
                self._due.put(partition, key, head.due_ms, held=head.held)
