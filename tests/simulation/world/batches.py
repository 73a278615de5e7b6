"""A process that takes records in batches, as `leadflow.kafka.loop` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from leadflow.errors import DeadLetterError, is_retryable
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.loop import Handler, Received
from leadflow.kafka.port import Message, TopicPartition
from leadflow.records import Record

from .durable import PARTITIONS, Durable, Process

Gate = Callable[[Message], datetime | None]


class Reader:
    """One consumer of a process: reads, handles, buries, commits; one batch at a time of each
    partition number, as a worker would that has that number alone. What a retry can help is
    tried again when the world says so."""

    def __init__(
        self,
        durable: Durable,
        process: Process,
        group: str,
        topics: Sequence[str],
        handler: Handler,
        decode: Callable[[Message], Record],
        dead_letters: DeadLetters,
        gate: Gate | None = None,
    ) -> None:
        self._durable = durable
        self._process = process
        self._group = group
        self._handler = handler
        self._decode = decode
        self._dead_letters = dead_letters
        self._gate = gate
        self._reading: set[int] = set()
        self._next = {
            place: durable.committed.get((group, place), 0)
            for topic in topics
            for place in (TopicPartition(topic, number) for number in range(PARTITIONS))
        }

    def readable(self) -> list[int]:
        """Partition numbers of which a record waits that may be handled now."""
        return [
            number
            for number in range(PARTITIONS)
            if number not in self._reading
            and any(self._is_due(place) for place in self._next if place.partition == number)
        ]

    def waits_until(self) -> list[datetime]:
        """The times that the records wait for which are not due yet."""
        found = []
        for place, offset in self._next.items():
            if offset < self._durable.end(place) and self._gate is not None:
                at = self._gate(self._durable.logs[place][offset])
                if at is not None and at > self._durable.clock.now():
                    found.append(at)
        return found

    def read(self, number: int) -> None:
        """Begin with a batch."""
        self._reading.add(number)
        self._process.start(self._read(number))

    def _is_due(self, place: TopicPartition) -> bool:
        offset = self._next[place]
        if offset >= self._durable.end(place):
            return False
        at = None if self._gate is None else self._gate(self._durable.logs[place][offset])
        return at is None or at <= self._durable.clock.now()

    async def _read(self, number: int) -> None:
        rng = self._durable.rng
        places = [place for place in self._next if place.partition == number]
        rng.shuffle(places)
        after: dict[TopicPartition, int] = {}
        batch: list[Received] = []
        for place in places:
            at = self._next[place]
            for message in self._durable.logs.get(place, ())[at : at + rng.randint(1, 4)]:
                due = None if self._gate is None else self._gate(message)
                if due is not None and due > self._durable.clock.now():
                    break
                batch.append(Received(message, self._decode(message)))
                after[place] = message.offset + 1
        try:
            letters = await self._handler.handle(batch)
            if letters:
                await self._dead_letters.bury(letters)
            await self._durable.gate(
                self._process, f"commits {self._group}", lambda: self._commit(after)
            )
            self._next.update(after)
        except DeadLetterError:
            self._process.failed = True
        except Exception as error:
            if not is_retryable(error):
                raise
        self._reading.discard(number)

    def _commit(self, after: dict[TopicPartition, int]) -> None:
        for place, offset in after.items():
            self._durable.committed[self._group, place] = offset
