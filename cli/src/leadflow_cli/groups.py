"""How far the services' consumer groups are behind, by the offsets that they committed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException
from confluent_kafka.admin import AdminClient

from leadflow import topics
from leadflow.kafka.port import TopicPartition
from leadflow_cli.errors import CliError

ANSWER_SECONDS = 10.0
# What services work off. Compacted topics are read whole by every worker outside its group, so
# that nothing is committed for them; ticks come for ever and hold no work.
WORK = tuple(
    topic for topic in topics.ALL if not topic.compacted and topic is not topics.SEQUENCER_TICKS
)

Committed = Mapping[str, Mapping[TopicPartition, int]]


class Groups:
    """The consumer groups of a cluster."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def committed(self) -> Committed:
        """The offsets that each group has committed. Raises CliError."""
        try:
            listed = self._admin.list_consumer_groups(request_timeout=ANSWER_SECONDS).result()
            asked = {
                group.group_id: self._admin.list_consumer_group_offsets(
                    [ConsumerGroupTopicPartitions(group.group_id)], request_timeout=ANSWER_SECONDS
                )[group.group_id]
                for group in listed.valid
            }
            return {
                group: {
                    TopicPartition(place.topic, place.partition): place.offset
                    for place in answer.result().topic_partitions
                    if place.offset >= 0
                }
                for group, answer in asked.items()
            }
        except KafkaException as error:
            raise CliError(f"no Kafka broker answers at {self._bootstrap}") from error


@dataclass(frozen=True, slots=True)
class Behind:
    """A service that has not worked off a topic."""

    service: str
    topic: str
    records: int

    def __str__(self) -> str:
        return f"{self.service} is {self.records} records behind on {self.topic}"


def behind(committed: Committed, ends: Mapping[TopicPartition, tuple[int, int]]) -> list[Behind]:
    """Which services the catalogue's topics wait for. A service may use several groups: its
    name, or its name with a suffix; what it has not committed at all it has not read."""
    found = []
    for topic in WORK:
        for service in topic.consumers:
            lag = sum(
                end - _furthest(committed, service, place, low)
                for place, (low, end) in ends.items()
                if place.topic == topic.name
            )
            if lag > 0:
                found.append(Behind(service, topic.name, lag))
    return found


def group_lags(
    committed: Committed, ends: Mapping[TopicPartition, tuple[int, int]]
) -> dict[str, dict[str, int]]:
    """Lag by topic and group, for the groups that have committed something there."""
    lags: dict[str, dict[str, int]] = {}
    for group, offsets in sorted(committed.items()):
        for topic in {place.topic for place in offsets}:
            lags.setdefault(topic, {})[group] = sum(
                max(0, end - offsets.get(place, low))
                for place, (low, end) in ends.items()
                if place.topic == topic
            )
    return lags


def _furthest(committed: Committed, service: str, place: TopicPartition, low: int) -> int:
    return max(
        (
            offsets.get(place, low)
            for group, offsets in committed.items()
            if group == service or group.startswith(f"{service}-")
        ),
        default=low,
    )
