"""How far a consumer group has come in a topic, asked from outside the group."""

from __future__ import annotations

from typing import NamedTuple

import confluent_kafka
from confluent_kafka import KafkaException

from leadflow.errors import BrokerError

TIMEOUT_SECONDS = 10.0


class Reach(NamedTuple):
    """Offsets of a partition: `next` is what the group reads next, `end` what is written next."""

    next: int
    end: int


def reach_of(bootstrap: str, group: str, topic: str) -> dict[int, Reach]:
    """The group's reach in each partition of the topic. Blocks; joins no group.

    Where the group has committed nothing, or what it committed has been deleted since, it reads
    from the oldest record that there is. Raises BrokerError if the broker does not answer.
    """
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "log_level": 3,
        }
    )
    try:
        found = consumer.list_topics(topic, TIMEOUT_SECONDS).topics[topic]
        if found.error is not None:
            raise BrokerError(f"cannot read {topic}: {found.error.str()}")
        places = [confluent_kafka.TopicPartition(topic, number) for number in found.partitions]
        reached: dict[int, Reach] = {}
        for place in consumer.committed(places, TIMEOUT_SECONDS):
            if place.error is not None:
                raise BrokerError(f"cannot read offsets of {topic}: {place.error.str()}")
            oldest, end = consumer.get_watermark_offsets(place, TIMEOUT_SECONDS)
            reached[place.partition] = Reach(max(place.offset, oldest), end)
        return reached
    except KafkaException as error:
        raise BrokerError(f"cannot read offsets of {topic}: {error.args[0].str()}") from error
    finally:
        consumer.close()
