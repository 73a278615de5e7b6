"""Brings the local copies of rows up to the end of the changelog.

Faust hands each record through an event, two queues and a buffer, about 12,000 a second. Here
librdkafka's batches go to RocksDB as they are, several times as fast.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import confluent_kafka
import rocksdict
from confluent_kafka import KafkaError, TopicPartition

from leadflow.errors import BrokerError

TOMBSTONES_KEPT = timedelta(days=1)
"""How long the changelog keeps the mark that a row was deleted (`delete.retention.ms`)."""
BATCH = 5_000
POLL_SECONDS = 0.5
ANSWER_SECONDS = 30.0
ALL_KEYS = (b"", b"\xff" * 64)


@dataclass(slots=True)
class Progress:
    """Records applied so far; written by one thread, read by any."""

    records: int = 0


class Gap(NamedTuple):
    """What a copy lacks: it is to be read from `at` on. `anew`: what is there goes first."""

    at: int
    anew: bool


def gap(follows: int | None, low: int, end: int, young: Callable[[], int]) -> Gap | None:
    """What a copy lacks that has seen `follows` last of a changelog from `low` to before `end`;
    None: nothing. `young` is the first offset that is younger than half the time for which the
    changelog tells of deletions, below 0 for none: a deletion that is missing here and that the
    changelog no longer tells would leave a row that nobody else has.

    Raises BrokerError if the copy has seen what the changelog does not have."""
    if follows is not None and follows >= end:
        raise BrokerError(
            f"the copy of the rows has seen record {follows} of a changelog that ends at {end}: "
            "that was made anew, or has lost records. If it is right, delete the copy "
            "(LEADFLOW_DATA_DIR)"
        )
    at = low if follows is None else follows + 1
    if at >= end:
        return None
    if follows is not None:
        first = young()
        if first < 0 or at < first:
            return Gap(low, anew=True)
    return Gap(max(at, low), anew=False)


class CatchUp:
    """Follows the partitions of `topic` that have a database in `databases`. `offset_key` is
    the key under which each of them says which record it has seen last."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        databases: Mapping[int, Any],
        offset_key: bytes,
        progress: Progress,
    ) -> None:
        self._bootstrap = bootstrap
        self._topic = topic
        self._databases = databases
        self._offset_key = offset_key
        self._progress = progress

    def run(self, now: datetime, stopped: threading.Event) -> None:
        """Return when every record has been applied that was committed at the beginning, or
        soon after `stopped` was set. Blocks: for a thread of its own, and only one of them may
        write to a database at a time.

        Rows and the offset that they follow are written together: whoever is stopped or killed
        in between goes on from there. Raises BrokerError.
        """
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                # librdkafka wants a name; nothing is ever committed under it.
                "group.id": f"reads-{self._topic}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "queued.min.messages": 50_000,
                "queued.max.messages.kbytes": 32_768,
                "log_level": 3,
            }
        )
        try:
            ends, starts = self._behind(consumer, now)
            if ends:
                consumer.assign(starts)
            while ends and not stopped.is_set():
                self._apply(consumer.consume(BATCH, POLL_SECONDS), ends)
        except confluent_kafka.KafkaException as error:
            raise BrokerError(f"{self._topic} cannot be read: {error.args[0].str()}") from error
        finally:
            consumer.close()

    def _behind(
        self, consumer: Any, now: datetime
    ) -> tuple[dict[int, int], list[confluent_kafka.TopicPartition]]:
        """The ends to reach, by partition, and where to begin."""
        ends, starts = {}, []
        told = int((now - TOMBSTONES_KEPT / 2).timestamp() * 1_000)
        for partition, database in self._databases.items():
            place = TopicPartition(self._topic, partition)
            low, end = consumer.get_watermark_offsets(place, ANSWER_SECONDS)

            def young(asked: TopicPartition) -> int:
                (found,) = consumer.offsets_for_times([asked], ANSWER_SECONDS)
                return int(found.offset)

            stored = database.get(self._offset_key)
            lacks = gap(
                None if stored is None else int(stored),
                low,
                end,
                partial(young, TopicPartition(self._topic, partition, told)),
            )
            if lacks is None:
                continue
            if lacks.anew:
                database.delete_range(*ALL_KEYS)
            ends[partition] = end
            starts.append(TopicPartition(self._topic, partition, lacks.at))
        return ends, starts

    def _apply(self, messages: list[Any], ends: dict[int, int]) -> None:
        """Write what was read; take out of `ends` what has been reached."""
        batches: dict[int, rocksdict.WriteBatch] = {}
        seen: dict[int, int] = {}
        for message in messages:
            partition, offset = message.partition(), message.offset()
            if partition not in ends:
                continue
            if (error := message.error()) is not None:
                if error.code() == KafkaError._PARTITION_EOF:
                    if offset < ends[partition]:
                        raise BrokerError(
                            f"{self._topic} {partition} ends at {offset} and did at "
                            f"{ends[partition]}: it has lost records"
                        )
                    # The last offsets of a partition may be gone, or be no records.
                    seen[partition] = max(seen.get(partition, -1), offset - 1)
                elif error.fatal():
                    raise BrokerError(f"{self._topic} cannot be read: {error.str()}")
                continue  # librdkafka tries again by itself
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = rocksdict.WriteBatch(raw_mode=True)
            value = message.value()
            if value is None:
                batch.delete(message.key())
            else:
                batch.put(message.key(), value)
            seen[partition] = offset
            self._progress.records += 1
        for partition, offset in seen.items():
            batch = batches.get(partition) or rocksdict.WriteBatch(raw_mode=True)
            batch.put(self._offset_key, str(offset).encode())
            self._databases[partition].write(batch)
            if offset >= ends[partition] - 1:
                del ends[partition]
