"""When sending may begin: not before the stops from before the start are known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime

import pytest

from dispatcher.catch_up import STOPS, CatchUp
from leadflow.errors import BrokerError
from leadflow.health import Health
from leadflow.kafka.progress import Reach


class Group:
    """Answers one after the other; at the last the process is told to stop."""

    def __init__(self, *answers: Mapping[int, Reach] | BrokerError) -> None:
        self.health = Health((STOPS,))
        self.stop = asyncio.Event()
        self.ready: list[bool] = []
        self._answers = list(answers)
        self._loop = asyncio.get_running_loop()

    def reach(self) -> Mapping[int, Reach]:
        self.ready.append(not self.health.waiting())
        answer = self._answers.pop(0)
        if not self._answers:
            self._loop.call_soon_threadsafe(self.stop.set)
        if isinstance(answer, BrokerError):
            raise answer
        return answer

    def now(self) -> datetime:
        raise AssertionError("the wall clock is not asked")

    def monotonic(self) -> float:
        raise AssertionError("no time is measured")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    async def run(self) -> bool:
        await CatchUp(self.reach, clock=self, health=self.health).run(self.stop)
        return not self.health.waiting()


async def test_it_waits_until_the_group_has_read_what_was_there_at_the_start() -> None:
    group = Group(
        {0: Reach(5, 9), 1: Reach(3, 3)},
        {0: Reach(8, 12), 1: Reach(3, 4)},
        # What came since is read in its turn: under load there would always be something.
        {0: Reach(9, 20), 1: Reach(3, 5)},
    )
    assert await group.run()
    assert group.ready == [False, False, False]


async def test_where_nothing_was_missed_sending_begins_at_once() -> None:
    assert await Group({0: Reach(0, 0), 1: Reach(7, 7)}).run()


@pytest.mark.parametrize("last", [{0: Reach(8, 9)}, BrokerError("no answer")])
async def test_it_does_not_begin_while_stops_are_unread_or_nobody_knows(
    last: Mapping[int, Reach] | BrokerError,
) -> None:
    assert not await Group(BrokerError("no answer"), {0: Reach(5, 9)}, last).run()
