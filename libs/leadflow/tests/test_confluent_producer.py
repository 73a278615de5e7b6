"""What a send comes to when the broker is away. No socket: librdkafka's producer is a fake."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import confluent_kafka
import pytest

from leadflow.errors import BrokerError
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing


class TimedOut:
    def str(self) -> str:
        return "timed out"


class FullProducer:
    """Room for one record; what is in it times out at the next poll."""

    def __init__(self, _config: dict[str, Any]) -> None:
        self.queued: list[Callable[[Any, Any], None]] = []

    def produce(self, _topic: str, _value: bytes, **arguments: Any) -> None:
        if self.queued:
            raise BufferError
        self.queued.append(arguments["on_delivery"])

    def poll(self, timeout: float) -> None:
        threading.Event().wait(min(timeout, 0.005))
        queued, self.queued = self.queued, []
        for delivered in queued:
            delivered(TimedOut(), None)

    def flush(self, _timeout: float) -> int:
        return len(self.queued)


async def test_a_send_ends_when_a_record_fails_while_others_wait_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(confluent_kafka, "Producer", FullProducer)
    producer = ConfluentProducer("nobody:9092", "test")
    async with asyncio.timeout(5):
        with pytest.raises(BrokerError, match="timed out"):
            await producer.send([Outgoing("t", b"k", b"%d" % number) for number in range(4)])
        await producer.close()
