"""Creates the topics of the catalogue."""

from __future__ import annotations

import threading
import time

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from leadflow import topics
from leadflow.errors import BrokerError
from leadflow.kafka.confluent import MAX_MESSAGE_BYTES
from leadflow.topic import Topic

LEADER_SECONDS = 30.0
MAX_BATCH = "max.message.bytes"


def topic_config(topic: Topic) -> dict[str, str]:
    """The broker's settings for a topic."""
    return {**_kept(topic), **_room(topic)}


def _room(topic: Topic) -> dict[str, str]:
    """What topics of raw records hold was in another one before, and has headers now that say so:
    what fitted there has to fit here."""
    return {} if topic.records else {MAX_BATCH: str(MAX_MESSAGE_BYTES)}


def _kept(topic: Topic) -> dict[str, str]:
    if topic.compacted:
        return {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1"}
    kept = topic.retention_time
    milliseconds = -1 if kept is None else int(kept.total_seconds() * 1000)
    return {"cleanup.policy": "delete", "retention.ms": str(milliseconds)}


def ensure_topics(bootstrap: str, *, replication: int = -1) -> list[str]:
    """Create the topics that are missing; return their names. Those that hold other topics'
    records are given room for them. Blocks.

    Raises BrokerError if the broker cannot be reached, or if a topic that exists has another
    number of partitions: keys would no longer meet where the services expect them.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 3})
    try:
        existing = admin.list_topics(timeout=20).topics
    except KafkaException as error:
        raise BrokerError(f"no Kafka broker answers at {bootstrap}") from error
    for topic in topics.ALL:
        if topic.name in existing and len(existing[topic.name].partitions) != topic.partitions:
            raise BrokerError(
                f"topic {topic.name} has {len(existing[topic.name].partitions)} partitions, "
                f"the catalogue says {topic.partitions}"
            )
    _widen(admin, [topic for topic in topics.ALL if topic.name in existing and _room(topic)])
    missing = [topic for topic in topics.ALL if topic.name not in existing]
    if not missing:
        return []
    created = admin.create_topics(
        [
            NewTopic(topic.name, topic.partitions, replication, config=topic_config(topic))
            for topic in missing
        ]
    )
    for name, future in created.items():
        try:
            future.result(timeout=30)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise BrokerError(f"topic {name} was not created: {error.args[0].str()}") from error
    _wait_for_leaders(admin, missing)
    return [topic.name for topic in missing]


def _widen(admin: AdminClient, present: list[Topic]) -> None:
    """Topics of an earlier version of the catalogue."""
    if not present:
        return
    wanted = [
        ConfigResource(
            ResourceType.TOPIC,
            topic.name,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in _room(topic).items()
            ],
        )
        for topic in present
    ]
    for resource, future in admin.incremental_alter_configs(wanted).items():
        try:
            future.result(timeout=30)
        except KafkaException as error:
            reason = error.args[0].str()
            raise BrokerError(f"topic {resource.name} was not given room: {reason}") from error


def _wait_for_leaders(admin: AdminClient, created: list[Topic]) -> None:
    """Return once every partition answers: a broker says that a topic is there a moment before
    it leads its partitions."""
    asked = {
        TopicPartition(topic.name, number): OffsetSpec.earliest()  # type: ignore[no-untyped-call]
        for topic in created
        for number in range(topic.partitions)
    }
    deadline = time.monotonic() + LEADER_SECONDS
    pause = threading.Event()
    while True:
        try:
            for future in admin.list_offsets(asked, request_timeout=10).values():
                future.result(timeout=15)
        except KafkaException as error:
            if time.monotonic() > deadline:
                reason = error.args[0].str()
                raise BrokerError(f"new topics have no leaders: {reason}") from error
            pause.wait(0.1)
        else:
            return
