"""A member's steps around a deal, without Faust and without a broker."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from leadflow.kafka.port import TopicPartition
from sequencer.lease import Lease
from sequencer.member import STREAM_TOPICS, Member
from sequencer.offsets import Offsets

EVENTS = STREAM_TOPICS[0]


class FakeSwitch:
    def now(self) -> float:
        return 100.0

    def set(self, at: float) -> None: ...

    def clear(self) -> None: ...


class FakeGroup:
    """Partition 3 of the events: records 0 to 9, of which 5 are committed."""

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(EVENTS, 3)}

    async def committed(self) -> dict[TopicPartition, int]:
        return {TopicPartition(EVENTS, 3): 5}

    async def earliest(self, _places: Any) -> dict[TopicPartition, int]:
        return {TopicPartition(EVENTS, 3): 0}

    async def ends(self, _places: Any) -> dict[TopicPartition, int]:
        return {TopicPartition(EVENTS, 3): 10}

    async def seek_all(self, _starts: Any) -> None: ...


class FakePipeline:
    def __init__(self) -> None:
        self.offsets = Offsets()

    def fail(self, error: BaseException) -> None:
        raise error

    async def drain(self) -> None: ...


class FakeEffects:
    """Looks for as long as `gate` is closed."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.looking = asyncio.Event()

    async def look(self, _partitions: Any) -> None:
        self.looking.set()
        await self.gate.wait()


class Bench:
    def __init__(self) -> None:
        self.pipeline: Any = FakePipeline()
        self.effects: Any = FakeEffects()
        self.lease = Lease(9.0, FakeSwitch())
        self.lease.confirmed(100.0)
        anything: Any = None
        group: Any = FakeGroup()
        self.member = Member(
            group=group,
            pipeline=self.pipeline,
            processor=anything,
            effects=self.effects,
            rows=anything,
            due=anything,
            resuming=anything,
            changes=lambda: None,
            lease=self.lease,
            codec=anything,
            clock=anything,
        )


async def test_a_takeover_reads_on_from_where_the_group_has_committed() -> None:
    bench = Bench()
    bench.effects.gate.set()
    assert await bench.member.begin()
    assert bench.pipeline.offsets.next(TopicPartition(EVENTS, 3)) == 5
    assert bench.member.is_behind(3)
    assert bench.lease.left() == 9.0


async def test_a_takeover_that_ends_after_the_worker_has_settled_takes_nothing() -> None:
    """Stopped meanwhile, or dealt out anew: nobody would finish or commit what it began."""
    bench = Bench()
    beginning = asyncio.ensure_future(bench.member.begin())
    await bench.effects.looking.wait()
    await bench.member.settle()
    bench.effects.gate.set()
    assert not await beginning
    assert bench.pipeline.offsets.next(TopicPartition(EVENTS, 3)) is None
    assert bench.lease.left() == math.inf
