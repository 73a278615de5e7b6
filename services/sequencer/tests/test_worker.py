"""A worker's steps around a deal, without Faust and without a broker."""

from __future__ import annotations

import asyncio
import math
from types import SimpleNamespace
from typing import Any

from faust.types import TP

from leadflow.health import Health
from leadflow.kafka.port import TopicPartition
from sequencer.app import STREAM_TOPICS, Worker
from sequencer.causes import CausesFirst
from sequencer.lease import Lease
from sequencer.offsets import Offsets

EVENTS = STREAM_TOPICS[0]


class FakeSwitch:
    def now(self) -> float:
        return 100.0

    def set(self, at: float) -> None: ...

    def clear(self) -> None: ...


class FakeConsumer:
    """Partition 3 of the events: records 0 to 9, of which 5 are committed."""

    def assignment(self) -> set[TP]:
        return {TP(EVENTS, 3)}

    async def seek_to_committed(self) -> dict[TP, int]:
        return {TP(EVENTS, 3): 5}

    async def earliest_offsets(self, *_places: TP) -> dict[TP, int]:
        return {TP(EVENTS, 3): 0}

    async def highwaters(self, *_places: TP) -> dict[TP, int]:
        return {TP(EVENTS, 3): 10}

    async def seek_wait(self, _places: Any) -> None: ...


class FakePipeline:
    def __init__(self) -> None:
        self.offsets = Offsets()

    async def drain(self) -> None: ...


class FakeEffects:
    """Looks for as long as `gate` is closed."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.looking = asyncio.Event()

    async def look(self, _partitions: Any) -> None:
        self.looking.set()
        await self.gate.wait()


def a_worker() -> Any:
    worker: Any = object.__new__(Worker)
    worker.app = SimpleNamespace(consumer=FakeConsumer())
    worker._settings = SimpleNamespace(group="sequencer")
    worker._pipeline = FakePipeline()
    worker._effects = FakeEffects()
    worker._turns = SimpleNamespace(forget=lambda: None)
    worker._causes = CausesFirst(STREAM_TOPICS[:-1])
    worker._lease = Lease(9.0, FakeSwitch())
    worker._lease.confirmed(100.0)
    worker._health = Health()
    worker._due = ()
    worker._deal = 0
    return worker


async def test_a_takeover_reads_on_from_where_the_group_has_committed() -> None:
    worker = a_worker()
    worker._effects.gate.set()
    await worker._recovered()
    assert worker._pipeline.offsets.next(TopicPartition(EVENTS, 3)) == 5
    assert worker._causes.is_behind(3)
    assert worker._lease.left() == 9.0


async def test_a_takeover_that_ends_after_the_worker_has_settled_takes_nothing() -> None:
    """Stopped meanwhile, or dealt out anew: nobody would finish or commit what it began."""
    worker = a_worker()
    recovering = asyncio.ensure_future(worker._recovered())
    await worker._effects.looking.wait()
    await worker._settle()
    worker._effects.gate.set()
    await recovering
    assert worker._pipeline.offsets.next(TopicPartition(EVENTS, 3)) is None
    assert worker._lease.left() == math.inf
