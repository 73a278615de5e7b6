"""A member's steps around a deal, without Faust and without a broker."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from leadflow.errors import BrokerError
from leadflow.kafka.port import TopicPartition
from sequencer.lease import Lease
from sequencer.member import ASK_AGAIN_SECONDS, SHORT_LOOKS, STREAM_TOPICS, Member
from sequencer.offsets import Offsets

EVENTS = STREAM_TOPICS[0]
PLACE = TopicPartition(EVENTS, 3)


class FakeSwitch:
    def now(self) -> float:
        return 100.0

    def set(self, at: float) -> None: ...

    def clear(self) -> None: ...


class FakeClock:
    """Nobody waits; how long they would have, is added up."""

    def __init__(self) -> None:
        self.slept = 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.sleep(0)


class FakeGroup:
    """Partition 3 of the events: records 0 to 9, of which 5 are committed. `said` are ends that
    it gives first."""

    def __init__(self) -> None:
        self.log_end = 10
        self.said: list[int] = []

    def end(self, place: TopicPartition) -> int:
        return self.log_end

    async def position(self, place: TopicPartition) -> int:
        return 5

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition(EVENTS, 3)}

    async def committed(self) -> dict[TopicPartition, int]:
        return {TopicPartition(EVENTS, 3): 5}

    async def earliest(self, _places: Any) -> dict[TopicPartition, int]:
        return {TopicPartition(EVENTS, 3): 0}

    async def ends(self, _places: Any) -> dict[TopicPartition, int]:
        return {PLACE: self.said.pop(0) if self.said else self.log_end}

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
        self.group: Any = FakeGroup()
        self.clock: Any = FakeClock()
        self.member = Member(
            group=self.group,
            pipeline=self.pipeline,
            processor=anything,
            effects=self.effects,
            rows=anything,
            due=anything,
            resuming=anything,
            changes=lambda: None,
            lease=self.lease,
            codec=anything,
            clock=self.clock,
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


async def test_a_log_that_ends_before_what_the_group_committed_ends_the_worker_with_advice() -> (
    None
):
    """A topic that was made anew: what it will get up to there would never be handled."""
    bench = Bench()
    bench.effects.gate.set()
    bench.group.log_end = 4
    with pytest.raises(
        BrokerError, match=r"lead-events 3 ends at 4, .* committed 5.*reset-offsets"
    ):
        await bench.member.begin()
    assert bench.pipeline.offsets.next(PLACE) is None
    assert bench.lease.left() == math.inf
    assert bench.clock.slept == sum(ASK_AGAIN_SECONDS)


async def test_a_broker_that_does_not_know_a_logs_end_yet_is_asked_again() -> None:
    bench = Bench()
    bench.effects.gate.set()
    bench.group.said = [4, 4]
    assert await bench.member.begin()
    assert bench.pipeline.offsets.next(PLACE) == 5
    assert bench.clock.slept == sum(ASK_AGAIN_SECONDS[:2])


@pytest.mark.parametrize("end", [7, 4])
async def test_a_log_that_lost_records_after_the_takeover_ends_the_worker(end: int) -> None:
    """7: it would wait for what was there at the takeover until another record comes. 4: the
    next ones would have numbers that were handled already."""
    bench = Bench()
    bench.effects.gate.set()
    await bench.member.begin()
    assert await bench.member.look() == 5
    bench.group.log_end = end
    for _ in range(SHORT_LOOKS - 1):
        await bench.member.look()
    with pytest.raises(BrokerError, match=f"lead-events 3 ends at {end} and did at 10"):
        await bench.member.look()


async def test_a_log_whose_end_is_not_known_for_a_moment_ends_nobody() -> None:
    bench = Bench()
    bench.effects.gate.set()
    await bench.member.begin()
    for _ in range(3):
        bench.group.said = [7] * (SHORT_LOOKS - 1)
        for _ in range(SHORT_LOOKS):
            await bench.member.look()


async def test_nothing_is_asked_about_logs_while_no_partition_is_ours() -> None:
    bench = Bench()
    bench.group.log_end = 0
    for _ in range(SHORT_LOOKS):
        assert await bench.member.look() == 0
