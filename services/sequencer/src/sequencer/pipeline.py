"""The keyed pipeline: many leads at a time, one after the other for each lead.

Events, commands, results and timers of a lead wait for each other in the order in which they
were read; other leads do not wait. What has come of a lead in the meantime may be decided
together and its row written once (ADR 34). How many records are under way is bounded.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from leadflow.kafka.port import Message
from sequencer.due import DueIndex
from sequencer.offsets import Offsets, Reading
from sequencer.processor import TIMER, Durable, Item, LeadProcessor

IN_FLIGHT = 1_000
"""Bounds memory and what a crash repeats; a hundred cost a tenth of the rate."""
FIRING = 100
"""Of what is due, fewer at a time: a burst of it must not keep events waiting."""
BREATH = 20


@dataclass(slots=True, eq=False)
class _Lane:
    """A lead of which something is under way, or begins in a moment, and what waits behind it."""

    partition: int
    key: bytes
    waiting: list[tuple[Item, Reading | None]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


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
        # Of a lead in a partition: a record that somebody put elsewhere is none of its lane.
        self._lanes: dict[tuple[int, bytes], _Lane] = {}
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
        self._begin(message.partition, message.key or b"", message, reading)

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
        while self._lanes or self._ticking:
            await asyncio.sleep(0)  # what has just been put in begins
            lanes = {lane.task for lane in self._lanes.values() if lane.task is not None}
            if under_way := {*lanes, *self._ticking.values()}:
                await asyncio.wait(under_way)

    async def _fire(self, partition: int, now_ms: int) -> None:
        taken = 0
        while self._due.due(partition, now_ms):
            # Room first, then the lead: a tick that is cancelled takes none out of the index.
            await self._firing_room.acquire()
            key = self._due.pop(partition, now_ms)
            if key is None:
                self._firing_room.release()
                return
            self._begin(partition, key, TIMER, None)
            taken += 1
            if taken % BREATH == 0:  # leads of which nothing follows leave their room meanwhile
                await asyncio.sleep(0)

    def _begin(self, partition: int, key: bytes, item: Item, reading: Reading | None) -> None:
        """Put it behind what waits of the lead. The room for one has been taken."""
        lane = self._lanes.get((partition, key))
        if lane is None:
            lane = self._lanes[partition, key] = _Lane(partition, key)
            # At the loop's next turn: what was fetched together is decided together.
            asyncio.get_running_loop().call_soon(self._go, lane)
        lane.waiting.append((item, reading))

    def _go(self, lane: _Lane) -> None:
        """Decide what waits. No task is made for records from which nothing follows."""
        readings, work = self._decide(lane)
        if work is not None or lane.waiting:
            lane.task = asyncio.create_task(self._finish(lane, work, readings))
        else:
            self._end(readings)
            del self._lanes[lane.partition, lane.key]

    def _decide(self, lane: _Lane) -> tuple[list[Reading | None], Durable | None]:
        """What waits of the lead, as much of it as may share a write, and what is to be awaited
        then."""
        taken, work = len(lane.waiting), None
        if not self.failed.done():
            try:
                items = [item for item, _ in lane.waiting]
                taken, work = self._processor.decide(lane.partition, lane.key, items)
            except Exception as error:
                self.fail(error)
        begun, lane.waiting = lane.waiting[:taken], lane.waiting[taken:]
        return [reading for _, reading in begun], work

    async def _finish(
        self, lane: _Lane, work: Durable | None, readings: list[Reading | None]
    ) -> None:
        while True:
            try:
                if work is not None:
                    await work
            except asyncio.CancelledError:
                self.failed.cancel()
            except Exception as error:
                self.fail(error)
            self._end(readings)
            if not lane.waiting:
                del self._lanes[lane.partition, lane.key]
                return
            readings, work = self._decide(lane)

    def _end(self, readings: list[Reading | None]) -> None:
        for reading in readings:
            self._done(reading)
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
