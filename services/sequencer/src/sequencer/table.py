"""The table of leads: a Faust table whose writes are ours.

Faust writes the local copy first and lets the changelog record follow; how it is done instead
says `owned.py`. What a partition that was dealt to this worker lacks is read in bulk, not by
Faust (docs/adr/0014).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any

import faust
import rocksdict
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery

from leadflow.clock import Clock
from leadflow.kafka.confluent import ConfluentProducer
from sequencer.changelog import TOMBSTONES_KEPT, CatchUp
from sequencer.due import DueIndex
from sequencer.owned import OwnedRows
from sequencer.rocks import Databases

CHANGELOG_CONFIG = {
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(int(TOMBSTONES_KEPT.total_seconds() * 1_000)),
}


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

    `use` has to be called before the app starts; `rows` is what there is to read and write then.
    """

    rows: OwnedRows
    _bootstrap: str
    _failed: Callable[[Exception], None]
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
        self._bootstrap = bootstrap
        self._failed = failed
        self._seen_progress = 0
        self.data.rocksdb_options = databases
        self.rows = OwnedRows(
            self.changelog_topic_name,
            producer,
            _Copies(self.data),
            due,
            clock,
            read=self._read,
            recovered=recovered,
        )

    async def on_stop(self) -> None:
        self.rows.stop()
        await super().on_stop()

    def moved(self) -> bool:
        """Whether rows have been recovered or looked at since the last question."""
        seen, self._seen_progress = self._seen_progress, self.rows.progress.records
        return seen != self._seen_progress

    async def on_recovery_completed(self, active_tps: Any, standby_tps: Any) -> None:
        """Faust calls this for every deal, lets it run on when the next one has begun, and
        does not look at its errors: the worker would stay a member and do nothing."""
        deal = self.rows.deal
        try:
            await super().on_recovery_completed(active_tps, standby_tps)
            if deal == self.rows.deal:
                await self.rows.dealt(frozenset(tp.partition for tp in active_tps))
        except Exception as error:
            if deal == self.rows.deal:
                self._failed(error)
            raise

    async def _read(
        self, partitions: frozenset[int], now: datetime, stopped: threading.Event
    ) -> None:
        catch_up = CatchUp(
            self._bootstrap,
            self.changelog_topic_name,
            {each: self.data._db_for_partition(each) for each in partitions},
            self.data.offset_key,
            self.rows.progress,
        )
        await asyncio.to_thread(catch_up.run, now, stopped)


class _Copies:
    """Faust's databases as `sequencer.owned.Copies`."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def get(self, partition: int, key: bytes) -> bytes | None:
        row: bytes | None = self._data._db_for_partition(partition).get(key)
        return row

    def write(self, partition: int, key: bytes, row: bytes | None, offset: int) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        if row is None:
            batch.delete(key)
        else:
            batch.put(key, row)
        batch.put(self._data.offset_key, str(offset).encode())
        self._data._db_for_partition(partition).write(batch)

    def follows(self, partition: int) -> bytes | None:
        found: bytes | None = self._data._db_for_partition(partition).get(self._data.offset_key)
        return found

    def rows(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        found: Iterable[tuple[bytes, bytes]] = self._data._visible_items(
            self._data._db_for_partition(partition)
        )
        return found
