"""What outlives a crash, and the places where a crash can strike.

Everything that becomes durable goes through a gate: the caller waits, the world decides whether
and when the effect happens, whether the caller hears of it, or dies before or after.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from leadflow.errors import BrokerError
from leadflow.kafka.murmur2 import partition_of
from leadflow.kafka.port import Message, Outgoing, TopicPartition

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PARTITIONS = 2


class FakeClock:
    """Goes on when it is told to; waits for nothing."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return (self.time - START).total_seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)

    def advance(self, seconds: int) -> None:
        self.time += timedelta(seconds=seconds)


@dataclass(eq=False)
class Process:
    """One life of a process. Dead, it has no more effects; failed, it has to be ended; frozen, it
    hears of nothing until it goes on (`unheard`)."""

    name: str
    alive: bool = True
    failed: bool = False
    frozen: bool = False
    unheard: list[Callable[[], None]] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    newest: asyncio.Future[Any] | None = None

    def start(self, work: Coroutine[Any, Any, Any]) -> None:
        CURRENT.set(self)
        self.newest = asyncio.ensure_future(work)

    def hear(self, news: Callable[[], None]) -> None:
        """Let it know, as soon as it can."""
        if self.frozen:
            self.unheard.append(news)
        elif self.alive:
            news()

    def thaw(self) -> None:
        self.frozen = False
        unheard, self.unheard = self.unheard, []
        for news in unheard:
            self.hear(news)

    def kill(self) -> None:
        """It does nothing from here on, not even what it is in the middle of."""
        self.alive, self.failed = False, True
        raise asyncio.CancelledError


CURRENT: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose tasks are made now; a task hands it on to those that it makes."""


def note_owner(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """A task factory: every task is in the list of its process."""
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
    if (process := CURRENT.get()) is not None:
        process.tasks.append(task)
    return task


@dataclass(eq=False)
class _Gate:
    process: Process
    label: str
    effect: Callable[[], Any]
    passed: asyncio.Future[Any]
    may_fail: bool


class Durable:
    """The log, and the gates in front of all that is durable. `count` numbers the effects."""

    def __init__(self, rng: Random, *, tracing: bool) -> None:
        self.rng = rng
        self.clock = FakeClock()
        self.logs: dict[TopicPartition, list[Message]] = {}
        self.committed: dict[tuple[str, TopicPartition], int] = {}
        self.count = 0
        self.waiting: list[_Gate] = []
        self.errors: list[str] = []
        self._compacted: set[tuple[TopicPartition, int]] = set()
        self.trace: list[str] = []
        self._tracing = tracing

    def note(self, *words: object) -> None:
        if self._tracing:
            when = self.clock.time - START
            self.trace.append(f"{self.count:5} {when!s:>17}  {' '.join(map(str, words))}")

    def append(self, record: Outgoing) -> Message:
        number = record.partition
        if number is None:
            number = partition_of(record.key, PARTITIONS)
        log = self.logs.setdefault(TopicPartition(record.topic, number), [])
        at_ms = int(self.clock.time.timestamp() * 1000)
        message = Message(
            record.topic, number, len(log), record.key, record.value, record.headers, at_ms
        )
        log.append(message)
        return message

    def is_compacted(self, message: Message) -> bool:
        """Whether the broker has removed it, as the last of its key is never."""
        return (message.place, message.offset) in self._compacted

    def compact(self, place: TopicPartition, tombstones_kept: timedelta) -> None:
        """Remove all but the last record of each key, and old deletions."""
        old = self.clock.time - tombstones_kept
        last: dict[bytes | None, Message] = {}
        for message in self.logs.get(place, ()):
            before = last.get(message.key)
            if before is not None:
                self._compacted.add((place, before.offset))
            last[message.key] = message
        for message in last.values():
            if message.value is None and message.timestamp_ms < old.timestamp() * 1000:
                self._compacted.add((place, message.offset))

    def end(self, place: TopicPartition) -> int:
        return len(self.logs.get(place, ()))

    async def gate(
        self,
        process: Process,
        label: str,
        effect: Callable[[], Any] = lambda: None,
        *,
        may_fail: bool = False,
    ) -> Any:
        """Return what `effect` returns once the world has let it happen. `may_fail`: the world
        may also let the caller hear of a BrokerError."""
        if not process.alive:
            raise asyncio.CancelledError
        passed = asyncio.get_running_loop().create_future()
        gate = _Gate(process, label, effect, passed, may_fail)
        self.waiting.append(gate)
        try:
            return await gate.passed
        finally:
            if gate in self.waiting:  # given up
                self.waiting.remove(gate)

    def release(self, gate: _Gate, *, fail: bool = False) -> None:
        """Let one effect happen and its process hear of it. `fail`: it hears a failure."""
        self.waiting.remove(gate)
        if fail:
            if self.rng.random() < 0.5:
                self._happen(gate)
            self.note(gate.process.name, gate.label, "FAILS")
            error = BrokerError("not acknowledged")
            gate.process.hear(lambda: gate.passed.set_exception(error))
            return
        result = self._happen(gate)
        gate.process.hear(lambda: gate.passed.set_result(result))

    def _happen(self, gate: _Gate) -> Any:
        self.count += 1
        self.note(gate.process.name, gate.label)
        return gate.effect()

    def freeze(self, process: Process) -> None:
        """Stop a process. What the kernel has of it already still happens."""
        self.note("FREEZE", process.name)
        process.frozen = True
        for gate in [each for each in self.waiting if each.process is process]:
            if self.rng.random() < 0.3:
                self.release(gate)

    async def crash(self, process: Process) -> None:
        """End a process. What it had under way happened or did not: it never hears."""
        self.note("CRASH", process.name)
        process.alive = process.frozen = False
        process.unheard.clear()
        for gate in [each for each in self.waiting if each.process is process]:
            self.waiting.remove(gate)
            if self.rng.random() < 0.4:
                self._happen(gate)
        # Every task of a process waits, in the end, at one of its gates.
        for task in process.tasks:
            task.cancel()
        await asyncio.gather(*process.tasks, return_exceptions=True)
        for task in process.tasks:
            # What a task has returned may be an error too: that one was caught.
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception) and not isinstance(error, BrokerError):
                self.errors.append(f"ERROR in {process.name}: {error!r}")
        process.tasks.clear()


class LogProducer:
    """Writes to the log, one gate a record. Implements `leadflow.kafka.port.Producer`."""

    def __init__(self, durable: Durable, process: Process) -> None:
        self._durable = durable
        self._process = process

    async def send(self, batch: Sequence[Outgoing]) -> None:
        """Each topic keeps its order; between topics any record may be the first."""
        queues: dict[str, deque[Outgoing]] = {}
        for each in batch:
            queues.setdefault(each.topic, deque()).append(each)
        while queues:
            topic = self._durable.rng.choice(list(queues))
            await self._send(queues[topic].popleft())
            if not queues[topic]:
                del queues[topic]

    async def _send(self, record: Outgoing) -> None:
        about = self._about(record)

        def effect() -> None:
            self._durable.append(record)
            self._sent(record, about)

        label = f"sends to {record.topic}"
        await self._durable.gate(self._process, label, effect, may_fail=True)

    def _about(self, record: Outgoing) -> Any:
        """What is handed on to `_sent`, as it is when the record is given to the producer."""

    def _sent(self, record: Outgoing, about: Any) -> None:
        """The log has it."""

    async def close(self) -> None: ...
