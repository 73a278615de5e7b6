"""What Faust's consumer awaits for each record, when it is begun by hand."""

import asyncio
from typing import Any

import pytest

from sequencer.fetching import BriskConsumer, _Begun


class Waiting(BriskConsumer):
    """Only the waiting of a consumer: no broker."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._crashed = asyncio.Event()
        self._crash_reason = None


async def test_what_ends_at_once_costs_no_task() -> None:
    before = asyncio.all_tasks()

    async def hand_over() -> str:
        assert asyncio.all_tasks() == before
        return "handed over"

    never = asyncio.Event()
    result = await Waiting().wait_first(hand_over(), never.wait())
    assert result.results == ["handed over"]
    assert not result.stopped


async def test_what_has_to_wait_is_finished_where_it_was_begun() -> None:
    room = asyncio.Event()
    seen: list[str] = []

    async def hand_over() -> None:
        seen.append("begun")
        await room.wait()
        await asyncio.sleep(0)
        seen.append("ended")

    waiting = asyncio.ensure_future(Waiting().wait_first(hand_over(), asyncio.Event().wait()))
    await asyncio.sleep(0.01)
    assert seen == ["begun"]
    assert not waiting.done()
    room.set()
    assert not (await waiting).stopped
    assert seen == ["begun", "ended"]


@pytest.mark.parametrize("why", ["suspended", "stopped"])
async def test_what_waits_is_given_up_for_a_reason_to_stop(why: str) -> None:
    suspended = asyncio.Event()
    consumer = Waiting()
    ended: list[str] = []

    async def hand_over() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("given up")

    waiting = asyncio.ensure_future(consumer.wait_first(hand_over(), suspended.wait()))
    await asyncio.sleep(0.01)
    (suspended if why == "suspended" else consumer._stopped).set()
    await waiting
    await asyncio.sleep(0)
    assert ended == ["given up"]


async def test_what_is_given_up_gives_back_the_room_that_it_was_handed_at_that_moment() -> None:
    room = asyncio.Semaphore(0)
    acquire = room.acquire()
    waiting = asyncio.ensure_future(_Begun(acquire, acquire.send(None)))
    await asyncio.sleep(0)
    room.release()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not room.locked()


async def test_an_error_is_raised_and_nothing_is_left_waiting() -> None:
    async def hand_over() -> None:
        raise ValueError("no such channel")

    def other() -> Any:
        return asyncio.Event().wait()

    with pytest.raises(ValueError, match="no such channel"):
        await Waiting().wait_first(hand_over(), other())
