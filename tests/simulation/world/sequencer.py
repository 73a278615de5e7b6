"""The sequencer's own pipeline over a fake log and fake rows: one life of its process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from crm_sync.sync import Synchronizer
from leadflow import topics
from leadflow.errors import BrokerError
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.port import Message, Outgoing, TopicPartition
from leadflow.records import LeadRecord, MessageQueued
from sequencer import rowcodec
from sequencer.due import DueIndex
from sequencer.model import Setting
from sequencer.pauses import AutomationPauses
from sequencer.pipeline import Pipeline
from sequencer.processor import Durable as Work
from sequencer.processor import LeadProcessor
from sequencer.resuming import Resuming
from sequencer.sequences import PublishedSequences

from .durable import CURRENT, PARTITIONS, Durable, LogProducer, Process
from .intake import MemoryStore
from .story import CODEC, COMMANDS, LEAD_EVENTS, MESSAGE_EVENTS, MESSAGES

TICKS = topics.SEQUENCER_TICKS.name
CHANGELOG = "leads-changelog"
GROUP = "sequencer"
OWNED = frozenset(range(PARTITIONS))
SOURCES = (LEAD_EVENTS, COMMANDS, MESSAGE_EVENTS)
PLACES = tuple(
    TopicPartition(topic, number) for topic in (*SOURCES, TICKS) for number in range(PARTITIONS)
)


@dataclass(frozen=True)
class Parts:
    """What the sequencer is made of; a mutation puts something worse in place of one."""

    processor: type[LeadProcessor] = LeadProcessor
    pipeline: type[Pipeline] = Pipeline
    index: type[DueIndex] = DueIndex
    intake_store: type[MemoryStore] = MemoryStore
    synchronizer: type[Synchronizer] = Synchronizer


class Decided(NamedTuple):
    """When and about what a decision was made: a record, or a timer. `serial` is the number of
    the last effect before it."""

    cause: Message | None
    record: LeadRecord | None
    at: datetime
    paused: frozenset[str]
    published: frozenset[str]
    serial: int


class Applied(NamedTuple):
    """A decision whose row became durable, as effect number `serial`."""

    key: bytes
    partition: int
    decided: Decided
    serial: int


class Queued(NamedTuple):
    """A record in `messages` and the decision that it is of."""

    record: MessageQueued
    decided: Decided
    serial: int


class Watch:
    """What the simulation sees of the decisions, over all lives of the sequencer; and what is
    paused and published at the moment."""

    def __init__(self) -> None:
        self.paused: frozenset[str] = frozenset()
        self.published: frozenset[str] = frozenset()
        self.deciding: dict[bytes, Decided] = {}
        self.applied: list[Applied] = []
        self.queued: list[Queued] = []


class _Producer(LogProducer):
    def __init__(self, durable: Durable, process: Process, watch: Watch) -> None:
        super().__init__(durable, process)
        self._watch = watch

    def _about(self, key: bytes) -> Decided | None:
        return self._watch.deciding.get(key)

    def _sent(self, record: Outgoing, about: Decided | None) -> None:
        if record.topic == MESSAGES and record.value is not None and about is not None:
            queued: Any = CODEC.decode(record.value)
            self._watch.queued.append(Queued(queued, about, self._durable.count))


class _Rows:
    name = CHANGELOG

    def __init__(self, durable: Durable, process: Process, watch: Watch) -> None:
        self._durable = durable
        self._process = process
        self._watch = watch
        self.local: dict[bytes, bytes] = {}

    def recover(self, due: DueIndex) -> None:
        """Read the changelog; build the index from the headers."""
        for partition in range(PARTITIONS):
            rows: dict[bytes, bytes] = {}
            for record in self._durable.logs.get(TopicPartition(CHANGELOG, partition), ()):
                if record.value is None:
                    rows.pop(record.key or b"", None)
                else:
                    rows[record.key or b""] = record.value
            self.local |= rows
            for key, row in rows.items():
                head = rowcodec.header(row)
                if head.due_ms or head.held:
                    due.put(partition, key, head.due_ms, held=head.held)

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.local.get(key)

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        await self._write(partition, key, row)
        self.local[key] = row

    async def delete(self, partition: int, key: bytes) -> None:
        await self._write(partition, key, None)
        self.local.pop(key, None)

    async def _write(self, partition: int, key: bytes, row: bytes | None) -> None:
        decided = self._watch.deciding[key]

        def effect() -> None:
            self._durable.append(Outgoing(CHANGELOG, key, row, partition=partition))
            self._watch.applied.append(Applied(key, partition, decided, self._durable.count))

        label = "deletes a row" if row is None else "puts a row"
        await self._durable.gate(self._process, label, effect, may_fail=True)


class Sequencer:
    """Reads, ticks, commits when the world says so."""

    def __init__(
        self,
        durable: Durable,
        watch: Watch,
        setting: Setting,
        sequences: PublishedSequences,
        pauses: AutomationPauses,
        parts: Parts,
    ) -> None:
        self.process = Process("sequencer")
        self._durable = durable
        self._watch = watch
        self._sequences = sequences
        self._pauses = pauses
        self._committing = False
        self._due = parts.index(room=durable.rng.choice((2, 8_192)))
        self.rows = rows = _Rows(durable, self.process, watch)
        producer = _Producer(durable, self.process, watch)
        self.processor = _watched(parts.processor, watch, durable)(
            codec=CODEC,
            rows=rows,
            producer=producer,
            dead_letters=DeadLetters("sequencer", producer, durable.clock),
            due=self._due,
            setting=setting,
            clock=durable.clock,
        )
        self.pipeline = parts.pipeline(self.processor, self._due)
        rows.recover(self._due)
        self._resuming = Resuming(self._due, rows, pauses, setting, PARTITIONS)
        self.pipeline.offsets.start(
            {place: durable.committed.get((GROUP, place), 0) for place in PLACES}
        )

    def readable(self) -> list[TopicPartition]:
        """Partitions with a record that was not read yet."""
        offsets = self.pipeline.offsets
        return [place for place in PLACES if (offsets.next(place) or 0) < self._durable.end(place)]

    async def read(self, place: TopicPartition) -> None:
        """Begin with the next record of a partition."""
        message = self._durable.logs[place][self.pipeline.offsets.next(place) or 0]
        self._durable.note("sequencer reads", place.topic, place.partition, message.offset)
        CURRENT.set(self.process)
        if place.topic == TICKS:
            self.pipeline.tick(message, rowcodec.to_ms(self._durable.clock.now()))
        else:
            await self.pipeline.event(message)

    def tick(self) -> None:
        """As the worker does it every second."""
        now_ms = rowcodec.to_ms(self._durable.clock.now())
        changes = (self._sequences.changes, self._pauses.changes)
        self._resuming.round(self._durable.clock.now(), OWNED, changes)
        for partition in range(PARTITIONS):
            if self._due.due(partition, now_ms):
                self._durable.append(Outgoing(TICKS, b"", b"tick", partition=partition))

    def commit(self) -> None:
        """Begin to commit what may be committed."""
        moved = self.pipeline.offsets.committable()
        if moved and not self._committing:
            self._committing = True
            self.process.start(self._commit(moved))

    async def _commit(self, moved: dict[TopicPartition, int]) -> None:
        def effect() -> None:
            for place, offset in moved.items():
                self._durable.committed[GROUP, place] = offset

        await self._durable.gate(self.process, "commits", effect)
        self.pipeline.offsets.committed(moved)
        self._committing = False

    def failed(self) -> bool:
        """Whether it has to end. Raises what it should not have met."""
        if not self.pipeline.failed.done():
            return False
        error = self.pipeline.failed.exception()
        if error is not None and not isinstance(error, BrokerError):
            raise error
        return True


def _watched(processor: type[LeadProcessor], watch: Watch, durable: Durable) -> type[LeadProcessor]:
    """The processor, telling the watch what it decides about, and when."""

    def note(key: bytes, cause: Message | None) -> None:
        record: Any = None if cause is None else CODEC.decode(cause.value or b"")
        watch.deciding[key] = Decided(
            cause, record, durable.clock.now(), watch.paused, watch.published, durable.count
        )

    class Watched(processor):  # type: ignore[valid-type, misc]
        def event(self, message: Message) -> Work | None:
            note(message.key or b"", message)
            work: Work | None = super().event(message)
            return work

        def due(self, partition: int, key: bytes) -> Work | None:
            note(key, None)
            work: Work | None = super().due(partition, key)
            return work

    return Watched
