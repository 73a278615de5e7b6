"""The port over confluent-kafka (librdkafka)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from leadflow.errors import BrokerError
from leadflow.kafka.port import Message, Outgoing, Rebalanced, TopicPartition

FULL_QUEUE_WAIT_SECONDS = 0.01
GATHER_BYTES = 65_536
MAX_MESSAGE_BYTES = 2 * 1024 * 1024
"""What topics of raw records take; others take what a broker takes by itself, 1 MiB."""


class ConfluentProducer:
    """One producer a process: librdkafka batches what all its tasks send."""

    def __init__(self, bootstrap: str, client_id: str, *, linger_ms: int = 5) -> None:
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": client_id,
                "acks": "all",
                "enable.idempotence": True,
                # librdkafka's own default places keys elsewhere than Java and aiokafka do.
                "partitioner": "murmur2_random",
                "linger.ms": linger_ms,
                "compression.type": "lz4",
                "delivery.timeout.ms": 30_000,
                # Topics are created before a service starts: one that is missing stays missing.
                "topic.metadata.propagation.max.ms": 3_000,
                "message.max.bytes": MAX_MESSAGE_BYTES,
                "queue.buffering.max.messages": 100_000,
                "queue.buffering.max.kbytes": 65_536,
                "log_level": 3,
            }
        )
        self._open = True
        self._poller = threading.Thread(target=self._poll, name="producer-poll", daemon=True)
        self._poller.start()

    def _poll(self) -> None:
        while self._open:
            self._producer.poll(0.2)

    async def send(self, batch: Sequence[Outgoing]) -> None:
        if not batch:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        waiting = len(batch)
        failure: Exception | None = None
        lock = threading.Lock()

        def settle() -> None:
            if done.done():
                return
            if failure is None:
                done.set_result(None)
            else:
                done.set_exception(failure)

        def count_down(by: int, error: Any) -> None:
            nonlocal waiting, failure
            with lock:
                waiting -= by
                if error is not None:
                    failure = BrokerError(f"not acknowledged: {error.str()}")
                last = waiting == 0
            # One wake-up a batch, not one a record: crossing threads is what costs.
            if last:
                loop.call_soon_threadsafe(settle)

        def delivered(error: Any, _message: Any) -> None:
            count_down(1, error)

        for index, record in enumerate(batch):
            arguments: dict[str, Any] = {"key": record.key, "on_delivery": delivered}
            if record.partition is not None:
                arguments["partition"] = record.partition
            if record.headers:
                arguments["headers"] = list(record.headers)
            while True:
                try:
                    self._producer.produce(record.topic, record.value, **arguments)
                    break
                except BufferError:  # the bounded queue is full: wait for the broker
                    await asyncio.sleep(FULL_QUEUE_WAIT_SECONDS)
                except KafkaException as error:
                    count_down(1, error.args[0])
                    break
            if failure is not None:  # this one, or one before it while this one waited for room
                count_down(len(batch) - index - 1, None)
                break
        await done

    async def send_one(self, record: Outgoing) -> int:
        """Return the record's offset once the broker has acknowledged it. Needs its partition.

        Raises BrokerError if it was not acknowledged.
        """
        if record.partition is None:
            raise ValueError("an offset means something in a known partition only")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()

        def settle(error: Any, offset: int) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(offset)
            else:
                done.set_exception(BrokerError(f"not acknowledged: {error.str()}"))

        def delivered(error: Any, message: Any) -> None:
            loop.call_soon_threadsafe(settle, error, message.offset())

        while True:
            try:
                self._producer.produce(
                    record.topic,
                    record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                    on_delivery=delivered,
                )
                break
            except BufferError:  # the bounded queue is full: wait for the broker
                await asyncio.sleep(FULL_QUEUE_WAIT_SECONDS)
            except KafkaException as error:
                raise BrokerError(f"not accepted: {error.args[0].str()}") from error
        return await done

    async def close(self) -> None:
        left = await asyncio.to_thread(self._producer.flush, 30)
        self._open = False
        await asyncio.to_thread(self._poller.join)
        if left:
            raise BrokerError(f"{left} records were not acknowledged within 30 s")


class ConfluentConsumer:
    """A group member whose blocking calls run on one thread of its own.

    `assignor` is "range" where topics must share partition numbers, else
    "cooperative-sticky". `gather_ms` is how long the broker may gather records before it
    answers a fetch with less than GATHER_BYTES: each answer costs the broker and whoever
    handles the batch, so whoever need not be quick says so. 0 answers at the first record.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        *,
        client_id: str,
        assignor: Literal["range", "cooperative-sticky"] = "range",
        session_timeout_ms: int = 10_000,
        max_poll_interval_ms: int = 300_000,
        gather_ms: int = 0,
    ) -> None:
        self._cooperative = assignor == "cooperative-sticky"
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "client.id": client_id,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": assignor,
                # A killed worker's partitions stand still this long, no longer.
                "session.timeout.ms": session_timeout_ms,
                "heartbeat.interval.ms": session_timeout_ms // 4,
                "max.poll.interval.ms": max_poll_interval_ms,
                "fetch.min.bytes": GATHER_BYTES if gather_ms else 1,
                "fetch.wait.max.ms": gather_ms or 500,
                "queued.max.messages.kbytes": 16_384,
                "topic.metadata.refresh.interval.ms": 10_000,
                "log_level": 3,
            }
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="consumer")
        self._changes: list[tuple[bool, list[TopicPartition]]] = []
        self._assigned_to: Rebalanced = _nobody
        self._revoked_from: Rebalanced = _nobody
        self._assignment: set[TopicPartition] = set()
        self._closed = False
        self._positions: dict[TopicPartition, int] = {}

    def subscribe(
        self, topics: Iterable[str], *, assigned: Rebalanced, revoked: Rebalanced
    ) -> None:
        self._assigned_to, self._revoked_from = assigned, revoked
        self._consumer.subscribe(
            list(topics),
            on_assign=lambda _consumer, parts: self._changes.append((True, _places(parts))),
            on_revoke=lambda _consumer, parts: self._changes.append((False, _places(parts))),
            on_lost=lambda _consumer, parts: self._changes.append((False, _places(parts))),
        )

    def _fetch(self, max_records: int, timeout: float) -> list[Any]:
        # consume(n, t) waits until it has n or t is over; this waits for the first only.
        first = self._consumer.poll(timeout)
        if first is None:
            return []
        return [first, *self._consumer.consume(max_records - 1, 0)]

    async def poll(self, max_records: int, timeout: float) -> list[Message]:
        loop = asyncio.get_running_loop()
        fetched = await loop.run_in_executor(self._thread, self._fetch, max_records, timeout)
        self._tell_changes()
        messages: list[Message] = []
        for raw in fetched:
            if (error := raw.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    continue
                if error.fatal():
                    raise BrokerError(f"the consumer cannot go on: {error.str()}")
                continue  # librdkafka retries by itself and goes on
            message = Message(
                raw.topic(),
                raw.partition(),
                raw.offset(),
                raw.key(),
                raw.value(),
                tuple(raw.headers() or ()),
                raw.timestamp()[1],
            )
            if message.place in self._assignment:
                self._positions[message.place] = message.offset + 1
                messages.append(message)
        return messages

    def _tell_changes(self) -> None:
        changes, self._changes = self._changes, []
        for gained, partitions in changes:
            if gained:
                self._assignment.update(partitions)
                # librdkafka keeps a partition paused that comes back to the same member.
                self._consumer.resume(self._owned(partitions))
                self._assigned_to(partitions)
            else:
                self._assignment.difference_update(partitions)
                for place in partitions:
                    self._positions.pop(place, None)
                self._revoked_from(partitions)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        wanted = [
            confluent_kafka.TopicPartition(place.topic, place.partition, offset)
            for place, offset in offsets.items()
            if place in self._assignment
        ]
        if not wanted:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(
                self._thread, lambda: self._consumer.commit(offsets=wanted, asynchronous=False)
            )
        except KafkaException as error:
            code = error.args[0].code()
            if code in LOST_PARTITION:
                return  # whoever owns them now repeats these records; effects know their ids
            raise BrokerError(f"offsets were not committed: {error.args[0].str()}") from error

    def assignment(self) -> set[TopicPartition]:
        return set(self._assignment)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.pause(self._owned(partitions))

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._consumer.resume(self._owned(partitions))

    def seek(self, partition: TopicPartition, offset: int) -> None:
        if partition in self._assignment:
            self._consumer.seek(confluent_kafka.TopicPartition(*partition, offset))
            self._positions[partition] = offset

    def lag(self) -> dict[TopicPartition, int]:
        behind = {}
        for place, position in self._positions.items():
            _, end = self._consumer.get_watermark_offsets(
                confluent_kafka.TopicPartition(*place), cached=True
            )
            behind[place] = max(0, end - position)
        return behind

    def _owned(self, partitions: Iterable[TopicPartition]) -> list[Any]:
        return [
            confluent_kafka.TopicPartition(*place)
            for place in partitions
            if place in self._assignment
        ]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._consumer.close)
        self._thread.shutdown()


LOST_PARTITION = (
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._ASSIGNMENT_LOST,
    KafkaError._NO_OFFSET,
)


def _places(partitions: Iterable[Any]) -> list[TopicPartition]:
    return [TopicPartition(each.topic, each.partition) for each in partitions]


def _nobody(_partitions: Sequence[TopicPartition]) -> None:
    """Nobody asked to be told."""
