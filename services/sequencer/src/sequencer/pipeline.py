"""The keyed pipeline: many leads at a time, one after the other for each lead.

Events, commands, results and timers of a lead wait for each other in the order in which they
were read; other leads do not wait. How many are under way is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from leadflow.kafka.port import Message
from sequencer.due import DueIndex
from sequencer.offsets import Offsets, Reading
from sequencer.processor import Durable, LeadProcessor

Decide = Callable[[], Durable | None]

IN_FLIGHT = 1_000
"""Bounds memory and what a crash repeats; a hundred cost a tenth of the rate."""
FIRING = 100
"""Of what is due, fewer at a time: a burst of it must not keep events waiting."""
BREATH = 20


class Pipeline:
    """Runs `processor` over what it is given. `failed` carries the first error, after which
    the process has to end: nothing is committed past a record that was not done."""

    def __init__(self, processor: LeadProcessor, due: DueIndex) -> None:
        self.offsets = Offsets()
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.handled = 0
        self._processor = processor
        self._due = due
        self._deal = 0
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._firing_room = asyncio.Semaphore(FIRING)
        self._chains: dict[bytes, asyncio.Task[None]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._ticking: dict[int, asyncio.Task[None]] = {}

    async def event(self, message: Message) -> None:
        """Begin with a record; wait only while too many are under way. Nothing is begun of a
        partition of which nothing is taken any more."""
        if self.offsets.next(message.place) is None:
            return
        reading = self.offsets.begin(message.place, message.offset)
        deal = self._deal
        await self._room.acquire()
        if deal != self._deal:
            self._room.release()  # read before the partitions were dealt out anew
            return
        self._begin(message.key or b"", partial(self._processor.event, message), reading)

    def tick(self, message: Message, now_ms: int) -> None:
        """Begin with what is due on the tick's partition. A tick is only a clock: what is due
        stands in the rows, so the tick is done as soon as it was heard."""
        self.offsets.begin(message.place, message.offset).done = True
        partition = message.partition
        if partition not in self._ticking:
            task = asyncio.create_task(self._fire(partition, now_ms))
            self._ticking[partition] = task
            task.add_done_callback(self._tick_ended)

    async def drain(self) -> None:
        """Return when nothing is under way any more. What waits for room is not begun."""
        self._deal += 1
        for task in self._ticking.values():
            task.cancel()
        while self._running or self._ticking:
            await asyncio.wait({*self._running, *self._ticking.values()})

    async def _fire(self, partition: int, now_ms: int) -> None:
        taken = 0
        while self._due.due(partition, now_ms):
            # Room first, then the lead: a tick that is cancelled takes none out of the index.
            await self._firing_room.acquire()
            key = self._due.pop(partition, now_ms)
            if key is None:
                self._firing_room.release()
                return
            self._begin(key, partial(self._processor.due, partition, key), None)
            taken += 1
            if taken % BREATH == 0:  # leads of which nothing follows leave their room at once
                await asyncio.sleep(0)

    def _begin(self, key: bytes, decide: Decide, reading: Reading | None) -> None:
        """Decide at once if nothing of the lead is under way, else after that. The room for
        one has been taken. No task is made for a record from which nothing follows."""
        room = self._room_for(reading)
        before = self._chains.get(key)
        if before is None:
            try:
                work = None if self.failed.done() else decide()
            except Exception as error:
                self.fail(error)
                room.release()
                return
            if work is None:
                room.release()
                self._done(reading)
                return
            task = asyncio.create_task(self._finish(key, work, reading))
        else:
            task = asyncio.create_task(self._follow(key, before, decide, reading))
        self._chains[key] = task
        self._running.add(task)

    async def _follow(
        self,
        key: bytes,
        before: asyncio.Task[None],
        decide: Decide,
        reading: Reading | None,
    ) -> None:
        await before
        work: Durable | None = None
        try:
            if not self.failed.done():
                work = decide()
        except Exception as error:
            self.fail(error)
        await self._finish(key, work, reading)

    async def _finish(self, key: bytes, work: Durable | None, reading: Reading | None) -> None:
        try:
            if work is not None:
                await work
            self._done(reading)
        except Exception as error:
            self.fail(error)
        finally:
            task = asyncio.current_task()
            if task is not None:
                self._running.discard(task)
            if self._chains.get(key) is task:
                del self._chains[key]
            self._room_for(reading).release()

    def _room_for(self, reading: Reading | None) -> asyncio.Semaphore:
        """Where a record has its room; what is due comes of no record."""
        return self._firing_room if reading is None else self._room

    def _done(self, reading: Reading | None) -> None:
        """A record is done; after a failure none is any more, for its order may be broken."""
        if reading is not None and not self.failed.done():
            reading.done = True
            self.handled += 1

    def fail(self, error: BaseException) -> None:
        """Nothing is begun or counted as done any more."""
        if not self.failed.done():
            self.failed.set_exception(error)

    def _tick_ended(self, task: asyncio.Task[None]) -> None:
        for partition, each in tuple(self._ticking.items()):
            if each is task:
                del self._ticking[partition]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)
