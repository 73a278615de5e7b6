"""Records are taken in their turn, and those that were passed over are gone back for.

Around a rebalance Faust's consumer passes over records that it had fetched (docs/adr/0010).
Nothing says so: the next record is simply a later one, or there is none and the partition's end
is further on than what was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Protocol

import structlog

from leadflow.clock import Clock
from leadflow.errors import BrokerError
from leadflow.kafka.port import TopicPartition
from sequencer.offsets import Offsets

log = structlog.get_logger()

GO_BACK_SECONDS = (0.5, 0.5, 1.0, 2.0, 4.0, 8.0)
ON_THEIR_WAY = 10_000
"""More records than can come before one that the consumer has fetched: what it has fetched is
handed over from all partitions in turn."""


class Reader(Protocol):
    """The consumer, as far as it can be sent back."""

    def assignment(self) -> Iterable[TopicPartition]: ...

    def end(self, place: TopicPartition) -> int | None:
        """The offset behind the partition's last record, as far as it is known."""

    async def position(self, place: TopicPartition) -> int:
        """The offset of the record that will be fetched next."""

    async def seek(self, place: TopicPartition, offset: int) -> None:
        """Fetch on from there. What was fetched already may still arrive before it."""


class Turns:
    """`fail` is told when a record cannot be had again: the process has to end."""

    def __init__(
        self, offsets: Offsets, reader: Reader, clock: Clock, fail: Callable[[Exception], None]
    ) -> None:
        self._offsets = offsets
        self._reader = reader
        self._clock = clock
        self._fail = fail
        self._going_back: dict[TopicPartition, asyncio.Task[None]] = {}
        # The record that was wanted, and how many had arrived, when its partition was first seen
        # with the consumer past it.
        self._waited_for: dict[TopicPartition, tuple[int, int]] = {}
        self._arrived = 0

    def is_next(self, place: TopicPartition, offset: int) -> bool:
        """Whether this record is the next one of its partition; it is dropped if not. If records
        before it were passed over, the consumer is sent back to them."""
        self._arrived += 1
        wanted = self._offsets.next(place)
        if wanted is not None and offset > wanted:
            self._go_back(place, wanted, offset)
        return offset == wanted

    async def lag(self) -> int:
        """Records behind the ends of the partitions that are ours. Where the consumer is past
        a record that was never handed over it is sent back, unless the record may be on its way
        here: at the second call that finds it so with nothing under way, or when as many others
        have arrived since the first as can have been before it."""
        waited_for, self._waited_for = self._waited_for, {}
        lag = 0
        for place in self._reader.assignment():
            wanted = self._offsets.next(place)
            end = None if wanted is None else self._reader.end(place)
            if wanted is None or end is None or end <= wanted:
                continue
            lag += end - wanted
            if not await self._is_past(place, wanted):
                continue
            since = waited_for.get(place)
            if since is None or since[0] != wanted:
                self._waited_for[place] = wanted, self._arrived
                continue
            self._waited_for[place] = since
            if not self._offsets.unfinished() or self._arrived - since[1] > ON_THEIR_WAY:
                self._go_back(place, wanted, end)
        return lag

    async def _is_past(self, place: TopicPartition, wanted: int) -> bool:
        try:
            return await self._reader.position(place) > wanted
        except Exception:
            if self._offsets.next(place) == wanted:
                raise
            return False  # dealt out anew meanwhile

    def forget(self) -> None:
        """The partitions are being dealt out anew: who is under way to a record gives up, or it
        would run out of patience with the same record in the next deal."""
        for task in self._going_back.values():
            task.cancel()
        self._going_back.clear()

    def _go_back(self, place: TopicPartition, wanted: int, found: int) -> None:
        if place in self._going_back:
            return  # on its way there: what was fetched before arrives in between
        log.warning(
            "records were passed over: going back",
            topic=place.topic,
            partition=place.partition,
            wanted=wanted,
            found=found,
        )
        task = asyncio.create_task(self._seek(place, wanted))
        self._going_back[place] = task
        task.add_done_callback(lambda done: self._arrived_back(place, done))

    def _arrived_back(self, place: TopicPartition, task: asyncio.Task[None]) -> None:
        if self._going_back.get(place) is task:
            del self._going_back[place]

    async def _seek(self, place: TopicPartition, wanted: int) -> None:
        """Seek until the record arrives. A seek in the middle of a batch is without effect:
        Faust then goes on behind the batch, and drops what comes from before it."""
        try:
            for pause in GO_BACK_SECONDS:
                await self._reader.seek(place, wanted)
                await self._clock.sleep(pause)
                if self._offsets.next(place) != wanted:
                    return
            raise BrokerError(f"{place.topic} {place.partition}: {wanted} cannot be read again")
        except Exception as error:
            if self._offsets.next(place) == wanted:
                self._fail(error)
