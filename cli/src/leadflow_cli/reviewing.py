"""Carries out what was asked for about dead letters: copies first, then the word in the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import confluent_kafka

from leadflow import topics
from leadflow.codec import Codec
from leadflow.kafka.port import Outgoing
from leadflow.kafka.replay import copy_of
from leadflow.kafka.reviews import REPLAYED, Run
from leadflow_cli.dlq import Dead
from leadflow_cli.errors import CliError

ANSWER_SECONDS = 30.0
MINUTE_SECONDS = 60.0

Wait = Callable[[float], object]


class Reviewer:
    """Replays or discards letters one after the other. Whoever ends it in between has done the
    first ones, and the next run passes them over."""

    def __init__(self, bootstrap: str, codec: Codec, wait: Wait) -> None:
        self._codec = codec
        self._wait = wait
        self._refused: list[str] = []
        self._producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": "leadflow-dlq",
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "log_level": 0,
            }
        )

    def carry_out(
        self,
        run: Run,
        letters: Sequence[Dead],
        per_minute: int,
        told: Callable[[int], None],
    ) -> None:
        """`told` hears how many are done. Raises CliError when Kafka does not take a record."""
        began = time.monotonic()
        for number, each in enumerate(letters):
            if run.action == REPLAYED:
                due = began + number * MINUTE_SECONDS / per_minute
                if (left := due - time.monotonic()) > 0:
                    self._wait(left)
                self._put(copy_of(each.letter))
            review = run.review(
                letter_id=each.letter_id,
                tenant_id=each.tenant_id,
                service=each.letter.service,
                cause=each.letter.cause,
                at=datetime.now(UTC),
            )
            value = self._codec.encode(review)
            topic = topics.DEAD_LETTER_REVIEWS.name
            self._put(Outgoing(topic, each.letter_id.encode(), value))
            told(number + 1)

    def _put(self, record: Outgoing) -> None:
        """Return once the broker has it."""
        more: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
        self._producer.produce(
            record.topic,
            value=record.value,
            key=record.key,
            headers=list(record.headers),
            on_delivery=self._delivered,
            **more,
        )
        if self._producer.flush(ANSWER_SECONDS) or self._refused:
            raise CliError(f"Kafka did not take a record for {record.topic}: what is done stays so")

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self._refused.append(str(error))
