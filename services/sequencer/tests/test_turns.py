"""Records that the consumer passed over are gone back for."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from leadflow.errors import BrokerError
from leadflow.kafka.port import TopicPartition
from sequencer.offsets import Offsets
from sequencer.turns import GO_BACK_SECONDS, ON_THEIR_WAY, Turns

PLACE = TopicPartition("lead-events", 3)
OTHER = TopicPartition("lead-events", 4)


class StillClock:
    """Time passes only when somebody waits for it; others get their turn meanwhile."""

    def __init__(self) -> None:
        self.slept = 0.0

    def now(self) -> datetime:
        return datetime(2026, 11, 2, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        await asyncio.sleep(0)


class FakeReader:
    """A partition's records 0 to `last`; the consumer stands at `at`. The first
    `seeks_without_effect` seeks do nothing, as a seek in the middle of a batch does."""

    def __init__(self, last: int, at: int, seeks_without_effect: int = 0) -> None:
        self.last = last
        self.at = at
        self.seeks: list[int] = []
        self._without_effect = seeks_without_effect
        self.broken: Exception | None = None
        self.asked: asyncio.Event | None = None

    def assignment(self) -> list[TopicPartition]:
        return [PLACE]

    def end(self, place: TopicPartition) -> int | None:
        assert self.at >= 0, "not assigned"
        return self.last + 1 if place == PLACE else None

    async def position(self, place: TopicPartition) -> int:
        if self.asked is not None:
            self.asked.set()
            await asyncio.sleep(0)
            raise OSError("not assigned")
        return self.at

    async def seek(self, place: TopicPartition, offset: int) -> None:
        assert place == PLACE
        self.seeks.append(offset)
        if self.broken is not None:
            raise self.broken
        if len(self.seeks) > self._without_effect:
            self.at = offset


class Worker:
    """Takes what the reader has, from `first` on."""

    def __init__(self, reader: FakeReader, first: int) -> None:
        self.reader = reader
        self.offsets = Offsets()
        self.offsets.start({PLACE: first})
        self.clock = StillClock()
        self.failures: list[Exception] = []
        self.turns = Turns(self.offsets, reader, self.clock, self.failures.append)
        self.taken: list[int] = []

    def hands_over(self, offset: int) -> None:
        if self.turns.is_next(PLACE, offset):
            self.offsets.begin(PLACE, offset).done = True
            self.taken.append(offset)

    async def reads_to_the_end(self) -> None:
        """The consumer hands over what comes next, until nothing moves any more."""
        for _ in range(50):
            if self.reader.at <= self.reader.last:
                self.reader.at += 1
                self.hands_over(self.reader.at - 1)
            await asyncio.sleep(0)


async def test_records_that_were_passed_over_are_fetched_again_and_taken_in_order() -> None:
    worker = Worker(FakeReader(last=9, at=3), first=3)
    worker.hands_over(3)
    worker.reader.at = 6  # 4 and 5 are never handed over
    await worker.reads_to_the_end()
    assert worker.taken == [3, 4, 5, 6, 7, 8, 9]
    assert worker.reader.seeks == [4]
    assert worker.offsets.committable() == {PLACE: 10}
    assert worker.failures == []


async def test_a_seek_that_had_no_effect_is_made_again() -> None:
    worker = Worker(FakeReader(last=9, at=5, seeks_without_effect=2), first=3)
    await worker.reads_to_the_end()
    assert worker.taken == [3, 4, 5, 6, 7, 8, 9]
    assert worker.reader.seeks == [3, 3, 3]
    assert worker.failures == []


async def test_a_record_that_comes_a_second_time_is_not_taken_again() -> None:
    worker = Worker(FakeReader(last=9, at=3), first=3)
    for offset in (3, 4, 3, 4, 5):
        worker.hands_over(offset)
    assert worker.taken == [3, 4, 5]
    assert worker.reader.seeks == []


async def test_a_record_of_a_partition_that_is_not_ours_is_neither_taken_nor_sought() -> None:
    worker = Worker(FakeReader(last=9, at=3), first=3)
    assert not worker.turns.is_next(OTHER, 7)
    await asyncio.sleep(0)
    assert worker.reader.seeks == []


async def test_nothing_is_taken_past_a_record_that_cannot_be_had_and_the_worker_ends() -> None:
    worker = Worker(FakeReader(last=9, at=5, seeks_without_effect=100), first=3)
    await worker.reads_to_the_end()
    assert worker.taken == []
    assert worker.reader.seeks == [3] * len(GO_BACK_SECONDS)
    assert [type(each) for each in worker.failures] == [BrokerError]
    assert worker.offsets.committable() == {}


async def test_a_consumer_that_cannot_seek_ends_the_worker() -> None:
    worker = Worker(FakeReader(last=9, at=5), first=3)
    worker.reader.broken = OSError("gone")
    await worker.reads_to_the_end()
    assert worker.failures[0] is worker.reader.broken
    assert worker.taken == []


async def test_a_way_back_ends_with_the_partition() -> None:
    worker = Worker(FakeReader(last=9, at=5), first=3)
    worker.reader.broken = OSError("not assigned")
    worker.hands_over(5)
    worker.offsets.forget()
    await worker.reads_to_the_end()
    assert worker.failures == []


async def test_records_passed_over_at_the_end_are_missed_at_the_second_look() -> None:
    """No later record comes that could tell: the consumer stands at the end, and 8 and 9 were
    never handed over. A record on its way looks the same, so the first look does nothing."""
    worker = Worker(FakeReader(last=9, at=10), first=8)
    assert await worker.turns.lag() == 2
    await worker.reads_to_the_end()
    assert worker.reader.seeks == []
    assert await worker.turns.lag() == 2
    await worker.reads_to_the_end()
    assert worker.reader.seeks == [8]
    assert worker.taken == [8, 9]
    assert await worker.turns.lag() == 0


@pytest.mark.parametrize("under_way", [True, False])
async def test_while_records_are_under_way_or_still_to_be_fetched_nobody_goes_back(
    under_way: bool,
) -> None:
    worker = Worker(FakeReader(last=9, at=10 if under_way else 8), first=8)
    if under_way:
        worker.offsets.begin(PLACE, 8)
    for _ in range(3):
        await worker.turns.lag()
    await asyncio.sleep(0)
    assert worker.reader.seeks == []


async def test_records_passed_over_at_the_end_are_missed_while_other_partitions_are_busy() -> None:
    """What may have been before them in the buffer has arrived, and they have not."""
    worker = Worker(FakeReader(last=9, at=10), first=8)
    worker.offsets.begin(PLACE, 7)
    await worker.turns.lag()
    for _ in range(ON_THEIR_WAY):
        worker.turns.is_next(OTHER, 0)
    await worker.turns.lag()
    await asyncio.sleep(0)
    assert worker.reader.seeks == []
    worker.turns.is_next(OTHER, 0)
    await worker.turns.lag()
    await worker.reads_to_the_end()
    assert worker.reader.seeks == [8]
    assert worker.taken == [8, 9]


async def test_a_partition_that_is_lost_while_its_place_is_asked_for_ends_nobody() -> None:
    worker = Worker(FakeReader(last=9, at=10), first=8)
    worker.reader.asked = asyncio.Event()
    looking = asyncio.ensure_future(worker.turns.lag())
    await worker.reader.asked.wait()
    worker.offsets.close()
    assert await looking == 2


async def test_nothing_is_asked_about_a_partition_that_is_not_ours_any_more() -> None:
    worker = Worker(FakeReader(last=9, at=-1), first=8)
    worker.offsets.close()
    assert await worker.turns.lag() == 0


async def test_a_way_back_does_not_run_out_of_patience_with_the_next_deal() -> None:
    worker = Worker(FakeReader(last=9, at=5, seeks_without_effect=100), first=3)
    worker.hands_over(5)
    for _ in range(50):
        if len(worker.reader.seeks) == len(GO_BACK_SECONDS):
            break
        await asyncio.sleep(0)
    worker.offsets.close()
    worker.turns.forget()
    worker.offsets.start({PLACE: 3})
    for _ in range(10):
        await asyncio.sleep(0)
    assert worker.failures == []
    worker.reader.seeks.clear()
    worker.hands_over(5)
    await asyncio.sleep(0)
    assert worker.reader.seeks == [3], "the new deal goes its own way"
