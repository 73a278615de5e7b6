"""What a worker does as a member of its group, whatever client it is one with.

Partitions are dealt to it: it takes their records in turn, after a takeover in the order in which
they were written, and hands them to the pipeline. Before they are dealt out anew it finishes and
commits what is under way. The lease says how long they are surely its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from leadflow import ids, topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.kafka.port import Message, Outgoing, TopicPartition
from leadflow.records import Tick
from sequencer import rowcodec, turns
from sequencer.causes import CausesFirst
from sequencer.due import DueIndex
from sequencer.lease import Lease
from sequencer.once import OncePerMessage
from sequencer.owned import OwnedRows
from sequencer.pipeline import Pipeline
from sequencer.processor import LeadProcessor
from sequencer.resuming import Resuming

TICKS = topics.SEQUENCER_TICKS.name
STREAM_TOPICS = (
    topics.LEAD_EVENTS.name,
    topics.ENROLLMENT_COMMANDS.name,
    topics.MESSAGE_EVENTS.name,
    TICKS,
)
DRAIN_SECONDS = 25.0
# A member that is not heard of for so long loses its partitions: a killed worker's stand still
# this long, no longer. While it holds any, a worker lives on for LEASE_SECONDS from the last
# request that the group has answered, and ends in good order if it comes close to that.
SESSION_SECONDS = 10.0
LEASE_SECONDS = 9.0
LEASE_ENDS_SECONDS = 2.0
# A broker that has just begun to lead a partition may not know its end for a moment: pauses
# before it is asked again, and looks in a row that find a log too short.
ASK_AGAIN_SECONDS = (0.5, 1.0, 2.0, 4.0)
SHORT_LOOKS = 3


class Group(turns.Reader, Protocol):
    """The group and its consumer. What is asked for concerns the assignment."""

    async def committed(self) -> Mapping[TopicPartition, int | None]:
        """Where the group has committed."""

    async def earliest(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The first offsets that are still there."""

    async def ends(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """The offsets behind the last records, as the broker says."""

    async def seek_all(self, starts: Mapping[TopicPartition, int]) -> None:
        """Read on from there."""

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        """Whether the group has taken these."""


class Member:
    """Joins the parts. `changes` differs from the last time when a pause or a sequence did."""

    def __init__(
        self,
        *,
        group: Group,
        pipeline: Pipeline,
        processor: LeadProcessor,
        effects: OncePerMessage,
        rows: OwnedRows,
        due: DueIndex,
        resuming: Resuming,
        changes: Callable[[], object],
        lease: Lease,
        codec: Codec,
        clock: Clock,
    ) -> None:
        self.turns = turns.Turns(pipeline.offsets, group, clock, pipeline.fail)
        self._causes = CausesFirst(STREAM_TOPICS[:-1])
        self._group = group
        self._pipeline = pipeline
        self._processor = processor
        self._effects = effects
        self._rows = rows
        self._due = due
        self._resuming = resuming
        self._changes = changes
        self._lease = lease
        self._codec = codec
        self._clock = clock
        self._deal = 0
        # Logs that were found shorter than they have been, and how often in a row.
        self._short: dict[TopicPartition, int] = {}

    async def take(self, message: Message) -> None:
        """Begin with the next record of a partition (`turns.is_next`); wait while too many are
        under way."""
        if self._causes.is_behind(message.partition):
            await self._catch_up(message)
        elif message.topic == TICKS:
            self._pipeline.tick(message, rowcodec.to_ms(self._clock.now()))
        else:
            await self._pipeline.event(message)

    def is_behind(self, partition: int) -> bool:
        """Whether something from before the takeover is still to be handled."""
        return self._causes.is_behind(partition)

    async def _catch_up(self, message: Message) -> None:
        """Handle what lies in the log in the order in which it was written, and let no step go
        out before: what stops it may be among that."""
        offsets = self._pipeline.offsets
        if message.topic == TICKS:
            offsets.begin(message.place, message.offset).done = True
            return
        offsets.taken(message.place, message.offset)
        self._causes.put(message)
        while (first := self._causes.pop(message.partition)) is not None:
            await self._pipeline.event(first)

    async def begin(self) -> bool:
        """The rows of the assignment are there: read on from where the group has committed.
        False if it was dealt out anew meanwhile. Raises BrokerError if a log ends before that:
        what it will get up to there would be taken for what is done already."""
        deal, group = self._deal, self._group
        places = {place for place in group.assignment() if place.topic in STREAM_TOPICS}
        committed = await group.committed()
        earliest = await group.earliest(places)
        starts = {each: max(committed.get(each) or 0, earliest[each]) for each in places}
        ends = await self._ends(starts)
        await self._effects.look({each.partition for each in places})
        await group.seek_all(starts)
        if deal != self._deal:
            return False
        self._lease.hold()
        self._causes.start(starts, ends)
        self._pipeline.offsets.start(starts)
        return True

    async def _ends(self, starts: Mapping[TopicPartition, int]) -> Mapping[TopicPartition, int]:
        pauses = iter(ASK_AGAIN_SECONDS)
        while True:
            ends = await self._group.ends(starts)
            short = next((each for each in starts if ends[each] < starts[each]), None)
            if short is None:
                return ends
            if (pause := next(pauses, None)) is None:
                raise BrokerError(
                    f"{short.topic} {short.partition} ends at {ends[short]}, and the group has "
                    f"committed {starts[short]}: it was made anew, or has lost records. Say where "
                    f"to read on (kafka-consumer-groups --reset-offsets --topic {short.topic})"
                )
            await self._clock.sleep(pause)

    async def look(self) -> int:
        """To be called every few seconds: records behind the ends of the partitions that are
        ours. Raises BrokerError if a log stays shorter than what was read of it, or than it was
        when it was taken over: the next member begins with what there is."""
        lag = await self.turns.lag()
        offsets, awaited = self._pipeline.offsets, self._causes.awaited()
        read = {
            each: max(offset, awaited.get(each, 0))
            for each in self._group.assignment()
            if (offset := offsets.next(each)) is not None
        }
        ends = await self._group.ends(read) if read else {}
        self._short = {
            each: self._short.get(each, 0) + 1 for each, end in ends.items() if end < read[each]
        }
        for place, times in self._short.items():
            if times == SHORT_LOOKS:
                raise BrokerError(
                    f"{place.topic} {place.partition} ends at {ends[place]} and did at "
                    f"{read[place]}: it has lost records"
                )
        return lag

    async def give_back(self) -> None:
        """Finish what is under way before anybody else may own these partitions."""
        await self.settle()
        self._causes.forget()
        self._processor.forget()
        self._rows.disown()
        self._lease.let_go()

    async def settle(self) -> None:
        """Take nothing more, finish and commit what is under way. Raises BrokerError if that
        takes too long."""
        # What is still handed over, or waits for its cause, would begin behind the drain's back;
        # so would everything, if a takeover that is under way came to its end.
        self._deal += 1
        self._pipeline.offsets.close()
        self.turns.forget()
        try:
            await asyncio.wait_for(self._pipeline.drain(), DRAIN_SECONDS)
        except TimeoutError as error:
            # Somebody else will own these rows in a moment: end rather than write to them.
            failure = BrokerError("records under way were not done when partitions were revoked")
            self._pipeline.fail(failure)
            raise failure from error
        await self._commit()
        self._pipeline.offsets.forget()

    async def commit(self) -> None:
        """To be called every second. Raises BrokerError when the partitions may soon be
        somebody else's."""
        if self._lease.left() < LEASE_ENDS_SECONDS:
            raise BrokerError("the group does not answer: somebody else may work here soon")
        await self._commit()

    async def _commit(self) -> None:
        moved = self._pipeline.offsets.committable()
        if moved and await self._group.commit(moved):
            self._pipeline.offsets.committed(moved)

    def ticks(self) -> list[Outgoing]:
        """To be called every second: a tick for each partition on which something is due. It
        comes back to whoever owns the partition, after every event that was there before it."""
        now = self._clock.now()
        now_ms = rowcodec.to_ms(now)
        self._resuming.round(now, self._rows.owned, self._changes())
        return [
            Outgoing(
                TICKS,
                str(partition).encode(),
                self._codec.encode(
                    Tick(
                        event_id=ids.derived_id("Tick", partition, now_ms),
                        tenant_id="",
                        occurred_at=now,
                        recorded_at=now,
                        source="sequencer",
                        partition=partition,
                    )
                ),
                partition=partition,
            )
            for partition in range(topics.SEQUENCER_TICKS.partitions)
            if self._due.due(partition, now_ms)
        ]
