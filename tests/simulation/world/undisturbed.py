"""The same history without a crash, a repeat or a delay: which rows come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.port import TopicPartition
from leadflow.records import SequencePublished
from sequencer.due import DueIndex
from sequencer.model import Setting
from sequencer.processor import LeadProcessor
from sequencer.sequences import PublishedSequences

from .checks import Outcome
from .disk import CHANGELOG
from .durable import PARTITIONS, FakeClock
from .sequencer import SOURCES
from .story import CODEC


class _Rows:
    name = CHANGELOG

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.rows.get(key)

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        self.rows[key] = row

    async def delete(self, partition: int, key: bytes) -> None:
        self.rows.pop(key, None)


class _Nowhere:
    async def send(self, batch: object) -> None: ...

    async def close(self) -> None: ...


class _Pauses:
    """The pauses of the moment that is gone through again."""

    def __init__(self) -> None:
        self.scopes: frozenset[str] = frozenset()

    def last_word(self, scope: str) -> str:
        return ""

    def holding(self, tenant_id: str, sequence_id: str, channel: str) -> str | None:
        for scope in (
            "everything",
            f"tenant:{tenant_id}",
            f"channel:{tenant_id}:{channel}",
            f"sequence:{tenant_id}:{sequence_id}",
        ):
            if scope in self.scopes:
                return scope
        return None


class _Sequences:
    """What was published at the moment that is gone through again."""

    def __init__(self, outcome: Outcome) -> None:
        self.published = frozenset(outcome.definitions)
        self._definitions = outcome.definitions
        self._lookups: dict[frozenset[str], PublishedSequences] = {}

    def get(self, sequence_id: str, version: int) -> SequencePublished | None:
        return self._then.get(sequence_id, version)

    def active(self, sequence_id: str) -> SequencePublished | None:
        return self._then.active(sequence_id)

    def triggered(self, tenant_id: str, kind: str, value: str) -> Sequence[SequencePublished]:
        return self._then.triggered(tenant_id, kind, value)

    @property
    def _then(self) -> PublishedSequences:
        found = self._lookups.get(self.published)
        if found is None:
            found = self._lookups[self.published] = PublishedSequences(CODEC)
            for name in self.published:
                found.apply(name.encode(), CODEC.encode(self._definitions[name]))
        return found


async def rows_of(outcome: Outcome) -> dict[bytes, bytes]:
    """Go through what became durable, once for each record; then through every source record
    that left no trace, which must not leave one now, not even as if it had just been written."""
    sequences = _Sequences(outcome)
    rows, pauses, clock = _Rows(), _Pauses(), FakeClock()
    processor = LeadProcessor(
        codec=CODEC,
        rows=rows,
        producer=_Nowhere(),
        dead_letters=DeadLetters("sequencer", _Nowhere(), clock),
        due=DueIndex(),
        setting=Setting(sequences, pauses, outcome.features.tenants()),
        clock=clock,
        partitions=PARTITIONS,
    )
    seen: set[str] = set()
    for key, partition, decided, _, _ in outcome.watch.applied:
        clock.time, pauses.scopes = decided.at, decided.paused
        sequences.published = decided.published
        if decided.record is not None:
            seen.add(decided.record.event_id)
        _, work = processor.decide(partition, key, (decided.cause,))
        if work is not None:
            await work
    pauses.scopes, sequences.published = frozenset(), frozenset(outcome.definitions)
    for topic in SOURCES:
        for number in range(PARTITIONS):
            log = outcome.durable.logs.get(TopicPartition(topic, number), ())
            for message in log:
                if CODEC.decode(message.value or b"").event_id not in seen:
                    later = replace(message, offset=len(log) + message.offset)
                    _, work = processor.decide(number, message.key or b"", (later,))
                    if work is not None:
                        await work
    return rows.rows
