"""The one place that knows Faust: the app, its topics, its table, its rebalances.

Faust brings the group, the assignment, the table's recovery and the stream. Acknowledging and
committing offsets is ours (docs/adr/0010): Faust's own counting commits past records that
are not done when these are finished out of order.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import structlog

from leadflow import ids, metrics, topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.health import Health
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.port import Message, Outgoing, TopicPartition
from leadflow.records import Tick
from sequencer import rowcodec
from sequencer.causes import CausesFirst
from sequencer.due import DueIndex
from sequencer.fetching import BriskConsumer
from sequencer.lease import Lease
from sequencer.model import Setting
from sequencer.once import OncePerMessage
from sequencer.pauses import AutomationPauses
from sequencer.pipeline import Pipeline
from sequencer.processor import LOOP, LeadProcessor
from sequencer.resuming import Resuming
from sequencer.rocks import DEFAULT_MEMORY_MB, Databases
from sequencer.sequences import PublishedSequences
from sequencer.spill import SpillOnDisk
from sequencer.table import CHANGELOG_CONFIG, LeadTable, Tables
from sequencer.turns import Turns

log = structlog.get_logger()

TICKS = topics.SEQUENCER_TICKS.name
STREAM_TOPICS = (
    topics.LEAD_EVENTS.name,
    topics.ENROLLMENT_COMMANDS.name,
    topics.MESSAGE_EVENTS.name,
    TICKS,
)
TICK_SECONDS = 1.0
COMMIT_SECONDS = 1.0
DRAIN_SECONDS = 25.0
# A member that is not heard of for so long loses its partitions: a killed worker's stand still
# this long, no longer. While it holds any, a worker lives on for LEASE_SECONDS from the last
# request that the group has answered, and ends in good order if it comes close to that.
SESSION_SECONDS = 10.0
LEASE_SECONDS = 9.0
LEASE_ENDS_SECONDS = 2.0
PART = "events"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told: its group (also the prefix of its changelog), where its local
    copy of the rows is, how much memory that may take, and the brokers."""

    group: str
    data_dir: Path
    bootstrap: str
    replication: int
    memory_mb: int = DEFAULT_MEMORY_MB


class Worker:
    """One sequencer process."""

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        codec: Codec,
        producer: ConfluentProducer,
        sequences: PublishedSequences,
        pauses: AutomationPauses,
        setting: Setting,
        clock: Clock,
        health: Health,
        lease: Lease,
    ) -> None:
        self._settings = settings
        self._lease = lease
        self._codec = codec
        self._producer = producer
        self._sequences = sequences
        self._pauses = pauses
        self._clock = clock
        self._health = health
        databases = Databases(settings.memory_mb)
        self._due = DueIndex(SpillOnDisk(settings.data_dir / "due", databases))
        self._deal = 0
        self.app = make_app(settings)
        self.app.transport.Consumer = BriskConsumer
        self.table: Any = LeadTable(
            self.app,
            name="leads",
            partitions=topics.LEAD_EVENTS.partitions,
            key_type=bytes,
            value_type=bytes,
            extra_topic_configs=CHANGELOG_CONFIG,
        )
        self.app.tables.add(self.table)
        self.table.use(
            producer,
            self._due,
            databases,
            settings.bootstrap,
            clock,
            recovered=self._recovered,
            failed=self._fail,
        )
        rows = _TableRows(self.table)
        self._resuming = Resuming(
            self._due, rows, pauses, setting, partitions=topics.LEAD_EVENTS.partitions
        )
        self._effects = OncePerMessage(producer, codec, settings.bootstrap)
        self._processor = LeadProcessor(
            codec=codec,
            rows=rows,
            producer=self._effects,
            dead_letters=DeadLetters("sequencer", producer, clock),
            due=self._due,
            setting=setting,
            clock=clock,
        )
        self._pipeline = Pipeline(self._processor, self._due)
        self._causes = CausesFirst(STREAM_TOPICS[:-1])
        self._turns = Turns(
            self._pipeline.offsets, _FaustReader(self.app), clock, self._pipeline.fail
        )
        # acks=False: Faust neither counts nor commits what it reads here.
        stream = self.app.topic(
            *STREAM_TOPICS, key_type=bytes, value_type=bytes, value_serializer="raw", acks=False
        )
        self.app.agent(stream, name="leads")(self._consume)
        self.app.on_partitions_revoked.connect(self._revoked)

    @property
    def handled(self) -> int:
        """Records done since the start."""
        return self._pipeline.handled

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then finish what is under way and leave the group.

        Raises whatever made going on impossible.
        """
        await self.app.start()
        # Faust's own figures are for its web server, which is off.
        self.app.sensors.remove(self.app.monitor)
        crashed = asyncio.ensure_future(self.app._crashed.wait())
        jobs = [
            asyncio.ensure_future(job)
            for job in (stop.wait(), self._tick(), self._commit_regularly(), self._watch())
        ]
        try:
            await asyncio.wait(
                [*jobs, crashed, self._pipeline.failed], return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            self._health.not_ready(PART, "stopping")
            crashed.cancel()
            for job in jobs[1:]:
                job.cancel()
            ended = await asyncio.gather(*jobs[1:], return_exceptions=True)
        if self._pipeline.failed.done():
            self._pipeline.failed.result()
        for result in ended:
            if isinstance(result, Exception):
                raise result
        if self.app._crashed.is_set():
            raise BrokerError("the stream ended") from self.app.crash_reason
        self.app.consumer.pause_partitions(self.app.consumer.assignment())
        await self._settle()
        self._lease.let_go()
        await self.app.stop()

    async def _consume(self, stream: Any) -> None:
        async for event in stream.noack().events():
            raw = event.message
            if not self._turns.is_next(TopicPartition(raw.topic, raw.partition), raw.offset):
                continue
            message = Message(
                raw.topic,
                raw.partition,
                raw.offset,
                raw.key,
                raw.value,
                tuple(raw.headers),
                round(raw.timestamp * 1000),
            )
            if self._causes.is_behind(raw.partition):
                await self._catch_up(message)
            elif raw.topic == TICKS:
                self._pipeline.tick(message, self._now_ms())
            else:
                await self._pipeline.event(message)

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

    async def _revoked(self, _app: Any, revoked: Any, **_rest: Any) -> None:
        """Finish what is under way before anybody else may own these partitions. Called before
        the group is joined for the first time, too."""
        self._health.not_ready(PART, "partitions are being dealt out")
        self._lease.follow(self.app.consumer._thread._consumer._coordinator)
        await self._settle()
        self._causes.forget()
        self._processor.forget()
        self.table.disown()
        self._lease.let_go()

    async def _settle(self) -> None:
        # What is still handed over, or waits for its cause, would begin behind the drain's back;
        # so would everything, if a takeover that is under way came to its end.
        self._deal += 1
        self._pipeline.offsets.close()
        self._turns.forget()
        try:
            await asyncio.wait_for(self._pipeline.drain(), DRAIN_SECONDS)
        except TimeoutError as error:
            # Somebody else will own these rows in a moment: end rather than write to them.
            failure = BrokerError("records under way were not done when partitions were revoked")
            self._pipeline.fail(failure)
            raise failure from error
        await self._commit()
        self._pipeline.offsets.forget()

    async def _recovered(self) -> None:
        """The rows are there: read on from where the group has committed."""
        deal, consumer = self._deal, self.app.consumer
        places = {tp for tp in consumer.assignment() if tp.topic in STREAM_TOPICS}
        committed = await consumer.seek_to_committed()
        earliest = await consumer.earliest_offsets(*places)
        starts = {tp: max(committed.get(tp) or 0, earliest[tp]) for tp in places}
        ends = await consumer.highwaters(*places)
        await self._effects.look({tp.partition for tp in places})
        await consumer.seek_wait(starts)
        if deal != self._deal:
            return  # dealt out anew meanwhile
        self._lease.hold()
        begins = {TopicPartition(*tp): at for tp, at in starts.items()}
        self._causes.start(begins, {TopicPartition(*tp): at for tp, at in ends.items()})
        self._pipeline.offsets.start(begins)
        log.info("assigned", group=self._settings.group, pending=len(self._due))
        self._health.ready(PART)

    def _fail(self, error: Exception) -> None:
        self._pipeline.fail(error)

    async def _commit(self) -> None:
        moved = self._pipeline.offsets.committable()
        if not moved:
            return
        offsets = {faust.types.TP(*place): offset for place, offset in moved.items()}
        if await self.app.consumer._commit(offsets):
            self._pipeline.offsets.committed(moved)

    async def _commit_regularly(self) -> None:
        handled = 0
        while True:
            await self._clock.sleep(COMMIT_SECONDS)
            if self._lease.left() < LEASE_ENDS_SECONDS:
                raise BrokerError("the group does not answer: somebody else may work here soon")
            await self._commit()
            metrics.RECORDS.labels(LOOP).inc(self._pipeline.handled - handled)
            handled = self._pipeline.handled

    async def _tick(self) -> None:
        """Send a tick to each partition on which something is due: it comes back to whoever
        owns the partition, after every event that was there before it."""
        while True:
            await self._clock.sleep(TICK_SECONDS)
            now = self._clock.now()
            now_ms = rowcodec.to_ms(now)
            changes = (self._sequences.changes, self._pauses.changes)
            self._resuming.round(now, self.table.owned, changes)
            await self._producer.send(
                [
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
            )

    async def _watch(self) -> None:
        """Report progress to the watchdog unless there are records and none is being done."""
        done = -1
        while True:
            idle = False
            if not self.app.rebalancing:
                lag = await self._turns.lag()
                metrics.LAG.labels(LOOP).set(lag)
                idle = lag == 0 and self._pipeline.offsets.unfinished() == 0
            if idle or self._pipeline.handled != done or self.table.moved():
                self._health.progress(PART)
            done = self._pipeline.handled
            await self._clock.sleep(5.0)

    def _now_ms(self) -> int:
        return rowcodec.to_ms(self._clock.now())


class _FaustReader:
    """Faust's consumer, as the turns want it."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition(*tp) for tp in self._app.consumer.assignment()]

    def end(self, place: TopicPartition) -> int | None:
        end: int | None = self._app.consumer.highwater(faust.types.TP(*place))
        return end

    async def position(self, place: TopicPartition) -> int:
        return await self._app.consumer.position(faust.types.TP(*place)) or 0

    async def seek(self, place: TopicPartition, offset: int) -> None:
        await self._app.consumer.seek_wait({faust.types.TP(*place): offset})


class _TableRows:
    """The table as the processor wants it."""

    def __init__(self, table: LeadTable) -> None:
        self._table = table
        self.name: str = table.changelog_topic_name

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._table.get_row(partition, key)

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        await self._table.put_row(partition, key, row)

    async def delete(self, partition: int, key: bytes) -> None:
        await self._table.delete_row(partition, key)


def make_app(settings: WorkerSettings) -> Any:
    """The Faust app, with nothing in it yet."""
    return faust.App(
        settings.group,
        broker=[f"kafka://{each}" for each in settings.bootstrap.split(",")],
        datadir=str(settings.data_dir),
        store="rocksdb://",
        TableManager=Tables,
        topic_partitions=topics.LEAD_EVENTS.partitions,
        topic_replication_factor=settings.replication,
        table_standby_replicas=0,
        key_serializer="raw",
        value_serializer="raw",
        producer_acks=-1,
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=2.0,
        broker_rebalance_timeout=60.0,
        stream_wait_empty=False,
        stream_buffer_maxsize=4096,
        web_enabled=False,
        autodiscover=False,
        worker_redirect_stdouts=False,
    )
