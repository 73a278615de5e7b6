"""The sequencer's own pipeline over a fake log and fake rows: one life of its process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crm_sync.sync import Synchronizer
from leadflow.errors import BrokerError
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.port import Message, Outgoing, TopicPartition
from portal_api.projections.handler import Projection
from sequencer.due import DueIndex
from sequencer.lease import Lease
from sequencer.member import LEASE_SECONDS, STREAM_TOPICS, Member
from sequencer.model import Decision, Setting
from sequencer.once import OncePerMessage
from sequencer.owned import OwnedRows
from sequencer.pauses import AutomationPauses
from sequencer.pipeline import Pipeline
from sequencer.processor import TIMER, Draft, Item, LeadProcessor
from sequencer.resuming import Resuming
from sequencer.sequences import PublishedSequences

from .disk import CHANGELOG, Disk
from .durable import CURRENT, PARTITIONS, Durable, LogProducer, Process
from .group import Consumer, Coordinator, Link, Switch
from .intake import MemoryStore
from .sequences import REACTIVATE
from .story import CODEC, COMMANDS, LEAD_EVENTS, MESSAGE_EVENTS, MESSAGES
from .watch import Applied, Decided, Queued, Watch, known, woken

SOURCES = (LEAD_EVENTS, COMMANDS, MESSAGE_EVENTS)


@dataclass(frozen=True)
class Parts:
    """What the sequencer is made of; a mutation puts something worse in place of one."""

    processor: type[LeadProcessor] = LeadProcessor
    pipeline: type[Pipeline] = Pipeline
    index: type[DueIndex] = DueIndex
    intake_store: type[MemoryStore] = MemoryStore
    synchronizer: type[Synchronizer] = Synchronizer
    member: type[Member] = Member
    rows: type[OwnedRows] = OwnedRows
    once: type[OncePerMessage] = OncePerMessage
    lease: type[Lease] = Lease
    switch: type[Switch] = Switch
    projection: type[Projection] = Projection


@dataclass
class Machine:
    """Where workers run, one after the other."""

    number: int
    disk: Disk = field(default_factory=Disk)


@dataclass(frozen=True)
class Views:
    """What everybody is told."""

    sequences: PublishedSequences
    pauses: AutomationPauses

    def changes(self) -> object:
        return self.sequences.changes, self.pauses.changes


class _Producer(LogProducer):
    def __init__(self, durable: Durable, process: Process, worker: Sequencer) -> None:
        super().__init__(durable, process)
        self._worker = worker

    async def send(self, batch: Sequence[Outgoing]) -> None:
        self._worker.given |= {id(each) for each in batch}
        await super().send(batch)

    def _about(self, record: Outgoing) -> Decided | None:
        return self._worker.about.get(id(record))

    def _sent(self, record: Outgoing, about: Decided | None) -> None:
        if record.topic == MESSAGES and record.value is not None and about is not None:
            queued: Any = CODEC.decode(record.value)
            watch = self._worker.watch
            watch.queued.append(Queued(queued, about, self._durable.count))
            if queued.sequence_id != REACTIVATE:  # caused by no record
                watch.enrollments[queued.message_id] = queued.enrollment_id


class _Changelog:
    """Implements `sequencer.owned.Changelog`."""

    def __init__(self, durable: Durable, worker: Sequencer) -> None:
        self._durable = durable
        self._worker = worker

    async def send_one(self, record: Outgoing) -> int:
        key, worker = record.key or b"", self._worker
        applied = worker.drafts[key].applied

        def effect() -> int:
            message = self._durable.append(record)
            for decided, gone in applied:
                worker.watch.applied.append(
                    Applied(key, message.partition, decided, self._durable.count, gone)
                )
            return message.offset

        label = "deletes a row" if record.value is None else "puts a row"
        offset: int = await self._durable.gate(worker.process, label, effect, may_fail=True)
        return offset


class _Clock:
    """The world's; whoever sleeps is woken up by the world."""

    def __init__(self, durable: Durable, process: Process) -> None:
        self._durable = durable
        self._process = process
        self.now = durable.clock.now
        self.monotonic = durable.clock.monotonic

    async def sleep(self, seconds: float) -> None:
        await self._durable.gate(self._process, "has slept")


class Sequencer:
    """One life of a worker: reads, ticks, commits, gives back when the world says so."""

    def __init__(
        self,
        durable: Durable,
        watch: Watch,
        group: Coordinator,
        setting: Setting,
        views: Views,
        parts: Parts,
        machine: Machine,
    ) -> None:
        self.process = Process(f"sequencer-{machine.number}")
        self.machine = machine
        self.watch = watch
        self.drafts: dict[bytes, WatchedDraft] = {}
        self.about: dict[int, Decided] = {}  # of records that are on their way
        self.given: set[int] = set()
        self.group = group
        self._durable = durable
        self._busy: set[str] = set()
        self.has_joined = False
        self._due = parts.index(room=durable.rng.choice((2, 8_192)))
        self.switch = parts.switch(durable, self.process)
        self.lease = parts.lease(LEASE_SECONDS, self.switch, lambda _: self.process.kill())
        self.link = Link(durable, self.process, group)
        self.lease.follow(self.link)
        self.consumer = Consumer(durable, self.process, group)
        self.rows = parts.rows(
            CHANGELOG,
            _Changelog(durable, self),
            machine.disk,
            self._due,
            durable.clock,
            read=partial(machine.disk.catch_up, durable, self.process),
            recovered=self._begin,
        )
        producer = _Producer(durable, self.process, self)
        self._once = parts.once(producer, CODEC, self._last_records)
        processor = _watched(parts.processor, self, durable)(
            codec=CODEC,
            rows=self.rows,
            producer=self,
            dead_letters=DeadLetters("sequencer", producer, durable.clock),
            due=self._due,
            setting=setting,
            clock=durable.clock,
            partitions=PARTITIONS,
        )
        self.pipeline = parts.pipeline(processor, self._due)
        self.member = parts.member(
            group=self.consumer,
            pipeline=self.pipeline,
            processor=processor,
            effects=self._once,
            rows=self.rows,
            due=self._due,
            resuming=Resuming(self._due, self.rows, views.pauses, setting, PARTITIONS),
            changes=views.changes,
            lease=self.lease,
            codec=CODEC,
            clock=_Clock(durable, self.process),
        )

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Implements `leadflow.kafka.port.Producer`: what is queued once more is noted, too."""
        await self._once.send(batch)
        for record in batch:
            about = self.about.pop(id(record), None)
            given = id(record) in self.given
            self.given.discard(id(record))
            if record.topic == MESSAGES and about is not None and not given:
                again: Any = CODEC.decode(record.value or b"")
                self.watch.again.append(Queued(again, about, self._durable.count))

    async def close(self) -> None: ...

    @property
    def awake(self) -> bool:
        return self.process.alive and not self.process.frozen

    def join(self) -> None:
        """Give back what it has, then wait to be dealt to; one at a time."""
        self._start("joins", self._join)

    async def _join(self) -> None:
        await self.member.give_back()
        self._durable.note(self.process.name, "joins")
        self.has_joined = True
        self.group.join(self.process, self._dealt)

    def _dealt(self, partitions: frozenset[int]) -> None:
        asked_at = self.switch.now()
        self.process.hear(lambda: self._take_over(partitions, asked_at))

    def _take_over(self, partitions: frozenset[int], asked_at: float) -> None:
        if self.group.wants(self.process):
            return  # dealt out anew before it heard of it
        self.consumer.assign(STREAM_TOPICS, partitions)
        self.lease.confirmed(asked_at)
        self.process.start(self._guarded(partial(self.rows.dealt, partitions)))

    async def _begin(self) -> None:
        if await self.member.begin():
            self._durable.note(self.process.name, "is ready")

    def _last_records(
        self, topic: str, partitions: Sequence[int], depth: int
    ) -> list[tuple[bytes, bytes | None]]:
        return [
            (message.key or b"", message.value)
            for number in partitions
            for message in self._durable.logs.get(TopicPartition(topic, number), [])[-depth:]
        ]

    def readable(self) -> list[TopicPartition]:
        """Partitions of which a record can be fetched that has not been."""
        offsets = self.pipeline.offsets
        return [
            place
            for place, position in self.consumer.positions.items()
            if offsets.next(place) is not None and position < self._durable.end(place)
        ]

    def has_passed_over(self) -> bool:
        """Whether a record was never handed over."""
        if not self.consumer.jumped:
            return False
        offsets = self.pipeline.offsets
        return any(
            (wanted := offsets.next(place)) is not None and wanted < position
            for place, position in self.consumer.positions.items()
        )

    async def read(self, place: TopicPartition) -> None:
        """Begin with the next record of a partition."""
        position = self.consumer.positions[place]
        self.consumer.positions[place] = position + 1
        CURRENT.set(self.process)
        if self.member.turns.is_next(place, position):
            note = self._durable.note
            note(self.process.name, "reads", place.topic, place.partition, position)
            await self.member.take(self._durable.logs[place][position])

    def look_for_cause(self, answer: Message) -> None:
        """Whoever is told what became of a message knows of its enrollment."""
        record: Any = CODEC.decode(answer.value or b"")
        enrollment_id = self.watch.enrollments.get(record.message_id)
        row = self.drafts[answer.key or b""].decoded()
        if enrollment_id is None or enrollment_id in known(row):
            return
        self.watch.too_soon.append(f"BEFORE ITS CAUSE: {record.TYPE} of {record.message_id}")

    def tick(self) -> None:
        """As the worker does it every second."""
        CURRENT.set(self.process)
        for record in self.member.ticks():
            self._durable.append(record)

    def commit(self) -> None:
        """As the worker does it every second."""
        self._start("commits", self.member.commit)

    def look_for_passed_over(self) -> None:
        """As the worker does it every five seconds."""
        self._start("looks", self._look)

    async def _look(self) -> None:
        await self.member.turns.lag()

    def beat(self) -> None:
        if self.has_joined:
            self._start("beats", self.link.beat)

    def _start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin with it unless it is under way."""
        if name not in self._busy:
            self._busy.add(name)
            self.process.start(self._guarded(work, name))

    async def _guarded(self, work: Callable[[], Awaitable[None]], name: str = "") -> None:
        """Ends the worker with its failure."""
        try:
            await work()
        except Exception as error:
            self.pipeline.fail(error)
        self._busy.discard(name)

    def failed(self) -> bool:
        """Whether it has to end. Raises what it should not have met."""
        failed = self.pipeline.failed
        if not failed.done() or failed.cancelled():
            return self.process.failed
        error = failed.exception()
        if error is not None and not isinstance(error, BrokerError):
            raise error
        return True


@dataclass(slots=True)
class WatchedDraft(Draft):
    """A draft, and the decisions that its row is of; True with those after which there is none."""

    worker: Sequencer = field(kw_only=True)
    deciding: Decided = field(init=False)
    applied: list[tuple[Decided, bool]] = field(default_factory=list)

    def add(self, decision: Decision, effects: Sequence[Outgoing]) -> None:
        self.deciding = self.deciding._replace(woken=woken(decision))
        self.worker.about |= {id(each): self.deciding for each in effects}
        if decision.changed or decision.gone:
            self.applied.append((self.deciding, decision.gone))
        Draft.add(self, decision, effects)


def _watched(
    processor: type[LeadProcessor], worker: Sequencer, durable: Durable
) -> type[LeadProcessor]:
    """The processor, telling what it decides about, and when."""

    def note(draft: WatchedDraft, cause: Item) -> None:
        record: Any = None if cause is None else CODEC.decode(cause.value or b"")
        watch = worker.watch
        draft.deciding = Decided(
            cause, record, durable.clock.now(), watch.paused, watch.published, durable.count
        )

    class Watched(processor):  # type: ignore[valid-type, misc]
        def begin(self, partition: int, key: bytes) -> WatchedDraft:
            row = super().begin(partition, key).row
            draft = worker.drafts[key] = WatchedDraft(partition, key, row, worker=worker)
            return draft

        def _take(self, draft: WatchedDraft, item: Item) -> bool:
            note(draft, item)
            if item is not TIMER and item.topic == MESSAGE_EVENTS:
                worker.look_for_cause(item)
            taken: bool = super()._take(draft, item)
            return taken

    return Watched
