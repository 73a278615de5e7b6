"""The local copies of rows on one machine, and how they are brought up to the changelog's end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from threading import Event

from leadflow.kafka.port import Message, TopicPartition
from sequencer.changelog import TOMBSTONES_KEPT, gap

from .durable import Durable, Process

CHANGELOG = "leads-changelog"


@dataclass
class _Copy:
    rows: dict[bytes, bytes] = field(default_factory=dict)
    follows: int | None = None


class Disk:
    """Implements `sequencer.owned.Copies`; survives its process."""

    def __init__(self) -> None:
        self._copies: dict[int, _Copy] = {}

    def _copy(self, partition: int) -> _Copy:
        return self._copies.setdefault(partition, _Copy())

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._copy(partition).rows.get(key)

    def write(self, partition: int, key: bytes, row: bytes | None, offset: int) -> None:
        copy = self._copy(partition)
        if row is None:
            copy.rows.pop(key, None)
        else:
            copy.rows[key] = row
        copy.follows = offset

    def follows(self, partition: int) -> bytes | None:
        follows = self._copy(partition).follows
        return None if follows is None else str(follows).encode()

    def rows(self, partition: int) -> Iterable[tuple[bytes, bytes]]:
        return list(self._copy(partition).rows.items())

    async def catch_up(
        self,
        durable: Durable,
        process: Process,
        partitions: frozenset[int],
        now: datetime,
        stopped: Event,
    ) -> None:
        """Read what is missing, in two batches."""
        told = int((now - TOMBSTONES_KEPT / 2).timestamp() * 1_000)
        for partition in sorted(partitions):
            place = TopicPartition(CHANGELOG, partition)
            log, copy = durable.logs.get(place, []), self._copy(partition)
            lacks = gap(copy.follows, 0, len(log), partial(_first_since, log, told))
            if lacks is None:
                continue
            if lacks.anew:
                self._copies[partition] = _Copy()
            end = len(log)
            middle = durable.rng.randint(lacks.at, end)
            for begin, until in ((lacks.at, middle), (middle, end)):
                await durable.gate(process, "reads the changelog")
                if stopped.is_set():
                    return
                for message in log[begin:until]:
                    if not durable.is_compacted(message):
                        self.write(partition, message.key or b"", message.value, message.offset)
                if begin < until:  # the last ones may be gone
                    self._copy(partition).follows = until - 1


def _first_since(log: list[Message], told: int) -> int:
    """As `offsets_for_times`: below 0 if all are older."""
    return next((each.offset for each in log if each.timestamp_ms >= told), -1)
