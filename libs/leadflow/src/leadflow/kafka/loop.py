"""The consumer loop: read a batch, let its effects become durable, commit, go on.

Failure, by the place where a process may die:

- before the handler returns: nothing is committed; whoever is next repeats the batch, and
  every effect knows its id;
- between the handler and the commit: the same;
- after the commit: nothing to repeat.

A record that cannot be processed goes to the dead-letter topic and its partition moves on.
If even that fails the loop raises, and the process ends rather than skip it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from leadflow import metrics
from leadflow.clock import Clock
from leadflow.errors import CodecError, RecordRefused, is_retryable, public_reason
from leadflow.health import Health
from leadflow.kafka.dead_letters import DeadLetter, DeadLetters
from leadflow.kafka.port import Consumer, Message, TopicPartition
from leadflow.kafka.replay import is_for
from leadflow.records import Record

log = structlog.get_logger()

POLL_SECONDS = 0.5
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded record with the message that brought it."""

    message: Message
    record: Record


class Handler(Protocol):
    """What a service does with records."""

    async def handle(self, batch: Sequence[Received]) -> Sequence[DeadLetter] | None:
        """Return once every effect of the batch is durable; be ready to see it again.

        A handler that settles each record by itself may return those that it refused: they go
        to the dead-letter topic, and the rest of the batch is done.
        Raise RecordRefused (or let any error that a retry cannot help escape) and the loop
        repeats the batch record by record, so that only the culprit goes to the dead-letter
        topic. Raise what a retry can help (`errors.is_retryable`) and the batch is repeated
        until it succeeds.
        """

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions are ours from now on."""

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These partitions are somebody else's from now on."""


class Stateless:
    """A handler's answer to rebalances where it keeps nothing for a partition."""

    def assigned(self, partitions: Sequence[TopicPartition]) -> None:
        pass

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        pass


Gate = Callable[[Message], datetime | None]


class ConsumerLoop:
    """Runs one consumer with one handler until it is told to stop.

    `decode` makes a record of a message or raises CodecError. What is not `wanted`, which may
    raise it too, is passed over undecoded. `gate` may name the time before
    which a message must not be handled: its partition is then paused, and everything behind
    it waits in order, while the others go on. What was replayed for another service is passed
    over, as this one has had the record, but with `all_replays`.
    """

    def __init__(
        self,
        *,
        name: str,
        consumer: Consumer,
        topics: Sequence[str],
        decode: Callable[[Message], Record],
        handler: Handler,
        dead_letters: DeadLetters,
        clock: Clock,
        health: Health,
        max_batch: int = 500,
        gate: Gate | None = None,
        all_replays: bool = False,
        wanted: Callable[[Message], bool] | None = None,
    ) -> None:
        self._name = name
        self._consumer = consumer
        self._topics = topics
        self._decode = decode
        self._handler = handler
        self._dead_letters = dead_letters
        self._clock = clock
        self._health = health
        self._max_batch = max_batch
        self._gate = gate
        self._all_replays = all_replays
        self._wanted = wanted
        self._paused_until: dict[TopicPartition, datetime] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set and the batch in hand is done, then leave the group."""
        self._consumer.subscribe(self._topics, assigned=self._assigned, revoked=self._revoked)
        try:
            while not stop.is_set():
                self._resume_what_is_due()
                messages = await self._consumer.poll(self._max_batch, POLL_SECONDS)
                if messages:
                    await self._process(messages, stop)
                self._report_progress(bool(messages))
        finally:
            self._health.not_ready(self._name, "stopped")
            await self._consumer.close()

    async def _process(self, messages: Sequence[Message], stop: asyncio.Event) -> None:
        messages = self._hold_back(messages)
        if not messages:
            return
        batch: list[Received] = []
        letters: list[DeadLetter] = []
        for message in messages:
            if not self._all_replays and not is_for(message, self._dead_letters.service):
                continue
            try:
                if self._wanted is None or self._wanted(message):
                    batch.append(Received(message, self._decode(message)))
            except CodecError as error:
                letters.append(DeadLetter(message, error))
        started = self._clock.monotonic()
        if batch and not await self._handle(batch, letters, stop):
            return  # stopped while retrying: nothing of this batch is committed
        if letters:
            await self._dead_letters.bury(letters)
            metrics.DEAD_LETTERS.labels(self._name).inc(len(letters))
            for name, count in _counted(letters):
                log.warning("dead letters", loop=self._name, error=name, records=count)
        await self._consumer.commit(_next_offsets(messages))
        metrics.RECORDS.labels(self._name).inc(len(messages))
        metrics.BATCH_SECONDS.labels(self._name).observe(self._clock.monotonic() - started)

    async def _handle(
        self, batch: Sequence[Received], letters: list[DeadLetter], stop: asyncio.Event
    ) -> bool:
        """True once the batch is handled, False if told to stop before that."""
        wait = FIRST_RETRY_SECONDS
        while True:
            try:
                refused = await self._handler.handle(batch)
            except Exception as error:
                if not is_retryable(error):
                    return await self._one_by_one(batch, error, letters, stop)
                self._health.not_ready(self._name, public_reason(error))
                metrics.RETRIES.labels(self._name).inc()
                log.warning("will retry", loop=self._name, error=public_reason(error), seconds=wait)
                if not await self._wait(wait, stop):
                    return False
                wait = min(wait * 2, LONGEST_RETRY_SECONDS)
            else:
                letters.extend(refused or ())
                self._health.ready(self._name)
                return True

    async def _one_by_one(
        self,
        batch: Sequence[Received],
        error: Exception,
        letters: list[DeadLetter],
        stop: asyncio.Event,
    ) -> bool:
        if len(batch) == 1:
            if not isinstance(error, RecordRefused):
                log.error("record failed", loop=self._name, exc_info=error)
            letters.append(DeadLetter(batch[0].message, error))
            return True
        for received in batch:
            if not await self._handle([received], letters, stop):
                return False
        return True

    async def _wait(self, seconds: float, stop: asyncio.Event) -> bool:
        """Wait, staying a member of the group meanwhile; False as soon as `stop` is set."""
        until = self._clock.monotonic() + seconds
        held = self._consumer.assignment()
        self._consumer.pause(held)
        try:
            while self._clock.monotonic() < until:
                if stop.is_set():
                    return False
                for message in await self._consumer.poll(1, min(POLL_SECONDS, seconds)):
                    # Assigned while we waited: not paused yet, so give it back.
                    self._consumer.seek(message.place, message.offset)
                    self._consumer.pause([message.place])
                    held.add(message.place)
                self._health.progress(self._name)
        finally:
            self._consumer.resume(held - set(self._paused_until))
        return not stop.is_set()

    def _hold_back(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Drop what is not due, and all behind it; its partition pauses until it is."""
        if self._gate is None:
            return messages
        now = self._clock.now()
        due: list[Message] = []
        for message in messages:
            if message.place in self._paused_until:
                continue
            at = self._gate(message)
            if at is None or at <= now:
                due.append(message)
                continue
            self._paused_until[message.place] = at
            self._consumer.pause([message.place])
            self._consumer.seek(message.place, message.offset)
        return due

    def _resume_what_is_due(self) -> None:
        now = self._clock.now()
        due = [place for place, at in self._paused_until.items() if at <= now]
        for place in due:
            del self._paused_until[place]
        self._consumer.resume(due)

    def _assigned(self, partitions: Sequence[TopicPartition]) -> None:
        log.info("assigned", loop=self._name, partitions=_readable(partitions))
        self._handler.assigned(partitions)
        self._health.ready(self._name)

    def _revoked(self, partitions: Sequence[TopicPartition]) -> None:
        log.info("revoked", loop=self._name, partitions=_readable(partitions))
        for place in partitions:
            self._paused_until.pop(place, None)
        self._handler.revoked(partitions)

    def _report_progress(self, read: bool) -> None:
        behind = self._consumer.lag()
        metrics.LAG.labels(self._name).set(sum(behind.values()))
        # Records to read and none that come: that is a stall, unless we paused them ourselves.
        waited_for = any(lag for place, lag in behind.items() if place not in self._paused_until)
        if read or not waited_for:
            self._health.progress(self._name)


def _next_offsets(messages: Sequence[Message]) -> dict[TopicPartition, int]:
    """Where to read on after these messages, which are in order within a partition."""
    return {message.place: message.offset + 1 for message in messages}


def _counted(letters: Sequence[DeadLetter]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for letter in letters:
        name = type(letter.error).__name__
        counts[name] = counts.get(name, 0) + 1
    return sorted(counts.items())


def _readable(partitions: Sequence[TopicPartition]) -> str:
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        topics.setdefault(topic, []).append(partition)
    return " ".join(f"{topic}{numbers}" for topic, numbers in topics.items())
