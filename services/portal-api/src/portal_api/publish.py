"""Publishes the shipped library for each tenant that does not have it yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog

from leadflow import topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.health import Health
from leadflow.kafka.compacted import CompactedTopic
from leadflow.kafka.port import Outgoing, Producer
from leadflow.records import SequencePublished
from leadflow.tenants import Tenant
from portal_api import library

log = structlog.get_logger()


def to_publish(
    shipped: Iterable[SequencePublished], held: Mapping[str, SequencePublished]
) -> list[SequencePublished]:
    """What of the shipped sequences is to be published; `held` is the newest of each id.

    A sequence that nobody has is published; a newer shipped version too, as long as what is
    held was shipped: what people edited is theirs.
    """
    chosen = []
    for sequence in shipped:
        newest = held.get(sequence.sequence_id)
        if newest is None or (
            newest.source == library.SOURCE and newest.version < sequence.version
        ):
            chosen.append(sequence)
    return chosen


async def publish_library(
    *,
    folder: Path,
    tenants: Mapping[str, Tenant],
    bootstrap: str,
    producer: Producer,
    codec: Codec,
    clock: Clock,
    health: Health,
) -> int:
    """Read what the topic has, publish what it lacks; return how many sequences that were.

    Raises SettingError if the library is missing or broken, BrokerError if Kafka does not
    answer.
    """
    if not tenants:
        return 0
    entries, templates = library.load(folder)
    held: dict[str, SequencePublished] = {}

    def apply(_key: bytes, value: bytes | None) -> None:
        try:
            record = codec.decode(value)
        except CodecError:
            return
        if isinstance(record, SequencePublished):
            known = held.get(record.sequence_id)
            if known is None or known.version < record.version:
                held[record.sequence_id] = record

    topic = CompactedTopic(
        bootstrap,
        topics.SEQUENCE_DEFINITIONS.name,
        apply,
        client_id="portal-api-library",
        health=health,
    )
    await topic.start()
    await topic.close()
    now = clock.now()
    shipped = [
        library.sequence_of(entry, templates, tenant, now)
        for tenant in tenants.values()
        for entry in entries
    ]
    chosen = to_publish(shipped, held)
    await producer.send(
        [
            Outgoing(
                topics.SEQUENCE_DEFINITIONS.name,
                f"{sequence.sequence_id}:{sequence.version}".encode(),
                codec.encode(sequence),
            )
            for sequence in chosen
        ]
    )
    if chosen:
        log.info("library published", sequences=len(chosen), tenants=len(tenants))
    return len(chosen)
