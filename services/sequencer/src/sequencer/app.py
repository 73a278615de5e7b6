"""The one place that knows Faust: the app, its topics, its table, its rebalances.

Faust brings the group, the assignment, what is fetched and the table. Acknowledging and
committing offsets is ours (docs/adr/0010): Faust's own counting commits past records that
are not done when these are finished out of order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import faust
import structlog
from aiokafka.errors import IllegalStateError

from leadflow import metrics, topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.health import Health
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.port import Message, TopicPartition
from sequencer.due import DueIndex
from sequencer.fetching import BriskConsumer
from sequencer.lease import Lease
from sequencer.member import SESSION_SECONDS, STREAM_TOPICS, Member
from sequencer.model import Setting
from sequencer.once import OncePerMessage, last_records
from sequencer.owned import OwnedRows
from sequencer.pauses import AutomationPauses
from sequencer.pipeline import Pipeline
from sequencer.processor import LOOP, LeadProcessor
from sequencer.resuming import Resuming
from sequencer.rocks import DEFAULT_MEMORY_MB, Databases
from sequencer.sequences import PublishedSequences
from sequencer.spill import SpillOnDisk
from sequencer.table import CHANGELOG_CONFIG, LeadTable, Tables

log = structlog.get_logger()

Offset = TypeVar("Offset", int, "int | None")
TICK_SECONDS = 1.0
COMMIT_SECONDS = 1.0
# To take rows over may last longer than any limit on the time between two fetches, and a member
# that left its group meanwhile would begin anew for ever. Whether it gets on is the watchdog's
# to see, whether it is there at all the session's.
POLL_SECONDS = 7 * 86_400.0
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
        self._producer = producer
        self._clock = clock
        self._health = health
        databases = Databases(settings.memory_mb)
        self._due = DueIndex(SpillOnDisk(settings.data_dir / "due", databases))
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
            failed=lambda error: self._pipeline.fail(error),
        )
        rows: OwnedRows = self.table.rows
        group = _FaustGroup(self.app)
        resuming = Resuming(
            self._due, rows, pauses, setting, partitions=topics.LEAD_EVENTS.partitions
        )
        effects = OncePerMessage(producer, codec, partial(last_records, settings.bootstrap))
        processor = LeadProcessor(
            codec=codec,
            rows=rows,
            producer=effects,
            dead_letters=DeadLetters("sequencer", producer, clock),
            due=self._due,
            setting=setting,
            clock=clock,
        )
        self._pipeline = Pipeline(processor, self._due)
        self._member = Member(
            group=group,
            pipeline=self._pipeline,
            processor=processor,
            effects=effects,
            rows=rows,
            due=self._due,
            resuming=resuming,
            changes=lambda: (sequences.changes, pauses.changes),
            lease=lease,
            codec=codec,
            clock=clock,
        )
        # acks=False: Faust neither counts nor commits what it reads here.
        self.app.topics.add(self.app.topic(*STREAM_TOPICS, acks=False))
        # Handed over at once: a stream costs each record a queue and a turn of the loop.
        self.app.topics.on_message = self._arrived
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
        await self._member.settle()
        self._lease.let_go()
        await self.app.stop()

    async def _arrived(self, raw: Any) -> None:
        if self._member.turns.is_next(TopicPartition(raw.topic, raw.partition), raw.offset):
            await self._member.take(
                Message(
                    raw.topic,
                    raw.partition,
                    raw.offset,
                    raw.key,
                    raw.value,
                    tuple(raw.headers),
                    round(raw.timestamp * 1000),
                )
            )

    async def _revoked(self, _app: Any, revoked: Any, **_rest: Any) -> None:
        """Called before the group is joined for the first time, too."""
        self._health.not_ready(PART, "partitions are being dealt out")
        self._lease.follow(self.app.consumer._thread._consumer._coordinator)
        await self._member.give_back()

    async def _recovered(self) -> None:
        try:
            begun = await self._member.begin()
        except IllegalStateError:
            # Partitions are being dealt out anew: whoever gets them then begins.
            begun = False
        if begun:
            log.info("assigned", group=self._settings.group, pending=len(self._due))
            self._health.ready(PART)

    async def _commit_regularly(self) -> None:
        handled = 0
        while True:
            await self._clock.sleep(COMMIT_SECONDS)
            await self._member.commit()
            metrics.RECORDS.labels(LOOP).inc(self._pipeline.handled - handled)
            handled = self._pipeline.handled

    async def _tick(self) -> None:
        while True:
            await self._clock.sleep(TICK_SECONDS)
            await self._producer.send(self._member.ticks())

    async def _watch(self) -> None:
        """Report progress to the watchdog unless there are records and none is being done."""
        done = -1
        while True:
            idle = False
            if not self.app.rebalancing:
                lag = await self._member.look()
                metrics.LAG.labels(LOOP).set(lag)
                idle = lag == 0 and self._pipeline.offsets.unfinished() == 0
            if idle or self._pipeline.handled != done or self.table.moved():
                self._health.progress(PART)
            done = self._pipeline.handled
            await self._clock.sleep(5.0)


class _FaustGroup:
    """Faust's consumer as `sequencer.member.Group`."""

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
        await self.seek_all({place: offset})

    async def seek_all(self, starts: Mapping[TopicPartition, int]) -> None:
        await self._app.consumer.seek_wait(_theirs(starts))

    async def committed(self) -> Mapping[TopicPartition, int | None]:
        return _ours(await self._app.consumer.seek_to_committed())

    async def earliest(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return _ours(await self._app.consumer.earliest_offsets(*_tps(places)))

    async def ends(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        return _ours(await self._app.consumer.highwaters(*_tps(places)))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> bool:
        return bool(await self._app.consumer._commit(_theirs(offsets)))


def _tps(places: Iterable[TopicPartition]) -> list[faust.types.TP]:
    return [faust.types.TP(*place) for place in places]


def _theirs(offsets: Mapping[TopicPartition, int]) -> dict[faust.types.TP, int]:
    return {faust.types.TP(*place): offset for place, offset in offsets.items()}


def _ours(offsets: Mapping[faust.types.TP, Offset]) -> dict[TopicPartition, Offset]:
    return {TopicPartition(*tp): offset for tp, offset in offsets.items()}


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
        broker_max_poll_interval=POLL_SECONDS,
        stream_wait_empty=False,
        web_enabled=False,
        autodiscover=False,
        worker_redirect_stdouts=False,
    )
