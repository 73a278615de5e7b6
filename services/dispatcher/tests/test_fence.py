"""What was said up to a claim is known before the call, or the lead has to wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest

from dispatcher.fence import Fence, Followed
from leadflow.kafka.murmur2 import partition_of

PARTITIONS = 12
LEADS = [f"lead-{number}" for number in range(40)]


class Said:
    """A log that grows, and a group that reads it, by a step at every pause."""

    def __init__(self, end: int = 0, reached: int = 0, partition: int = 3) -> None:
        self.end = {partition: end}
        self.read = {partition: reached}
        self.asked_ends = 0

    async def partitions(self) -> int:
        return PARTITIONS

    async def ends(self) -> Mapping[int, int]:
        self.asked_ends += 1
        return {number: self.end.get(number, 0) for number in range(PARTITIONS)}

    async def reached(self) -> Mapping[int, int]:
        return {number: self.read.get(number, 0) for number in range(PARTITIONS)}


class Clock:
    def __init__(self) -> None:
        self.at = 0.0
        self.step: Callable[[], None] = lambda: None

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds
        self.step()


def on_partition(number: int) -> set[str]:
    return {each for each in LEADS if partition_of(each.encode(), PARTITIONS) == number}


async def test_nobody_waits_where_everything_has_been_read() -> None:
    assert await Fence([Said(7, 7)], [Said(2, 2)], Clock()).behind(LEADS, 1.0) == frozenset()


async def test_only_leads_of_the_partition_that_is_behind_have_to_wait() -> None:
    clock = Clock()
    behind = await Fence([Said(7, 6)], [], clock).behind(LEADS, 1.0)
    assert behind == on_partition(3)
    assert behind
    assert behind != set(LEADS)
    assert clock.at <= 1.0


async def test_what_was_said_of_an_enrollment_is_waited_for_as_well() -> None:
    topics = [Said(7, 7), Said(5, 4, partition=3)]
    assert await Fence(topics, [], Clock()).behind(LEADS, 0.1) == on_partition(3)
    topics = [Said(7, 6, partition=2), Said(5, 4, partition=3)]
    behind = await Fence(topics, [], Clock()).behind(LEADS, 0.1)
    assert behind == on_partition(2) | on_partition(3)


async def test_it_is_over_as_soon_as_what_was_there_at_the_call_has_been_read() -> None:
    """What comes meanwhile is behind the claim: under load there would always be something."""
    said, clock = Said(9, 6), Clock()

    def step() -> None:
        said.read[3] += 1
        said.end[3] += 1

    clock.step = step
    assert await Fence([said], [], clock).behind(LEADS, 1.0) == frozenset()
    assert said.read[3] == 9
    assert said.asked_ends == 1


async def test_a_list_or_a_pause_that_is_not_known_yet_may_be_about_anybody() -> None:
    lists = Said(5, 4, partition=0)
    assert await Fence([Said(7, 7)], [lists], Clock()).behind(LEADS, 1.0) == frozenset(LEADS)


async def test_what_the_process_follows_by_itself_counts_as_it_was_applied() -> None:
    class Topic:
        reached: Mapping[int, int] = {0: 4}

    pauses = Followed(Topic(), Said(5, 99, partition=0))
    assert await Fence([Said()], [pauses], Clock()).behind(["a"], 0.1) == {"a"}
    Topic.reached = {0: 5}
    assert await Fence([Said()], [pauses], Clock()).behind(["a"], 0.1) == frozenset()


async def test_a_partition_of_which_nothing_is_known_to_be_read_is_behind() -> None:
    class Nothing(Said):
        async def reached(self) -> Mapping[int, int]:
            return {}

    assert await Fence([Nothing(1)], [], Clock()).behind(LEADS, 0.1) == on_partition(3)


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.5])
async def test_it_never_waits_longer_than_it_may(seconds: float) -> None:
    clock = Clock()
    await Fence([Said(7, 6)], [], clock).behind(LEADS, seconds)
    assert clock.at <= seconds
