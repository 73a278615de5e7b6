"""Raw events to Kafka: acknowledged, in order of their keys, at a rate if one is wanted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing, Producer
from leadflow.topics import RAW_EVENTS
from leadflow_cli.lines import Line, key_of

BATCH = 500
TURNS_PER_SECOND = 20

Progress = Callable[[int], None]


@dataclass
class Sent:
    """What was sent: how many lines, which of them are no raw events, in how many seconds."""

    lines: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    seconds: float = 0.0


def send(bootstrap: str, lines: Iterable[Line], *, rate: float | None, progress: Progress) -> Sent:
    """Send every line to raw-events and return once the broker has them all. Blocks.

    `rate` is in lines per second; `progress` is told the number sent so far. Raises BrokerError.
    """

    async def run() -> Sent:
        producer = ConfluentProducer(bootstrap, "leadflow-send")
        try:
            return await send_all(producer, lines, rate=rate, progress=progress)
        finally:
            await producer.close()

    return asyncio.run(run())


async def send_all(
    producer: Producer, lines: Iterable[Line], *, rate: float | None, progress: Progress
) -> Sent:
    """What `send` does, over any producer."""
    sent = Sent()
    began = time.monotonic()
    size = BATCH if rate is None else max(1, min(BATCH, round(rate / TURNS_PER_SECOND)))
    waiting = iter(lines)
    while batch := list(islice(waiting, size)):
        if rate is not None:
            due = began + sent.lines / rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await producer.send(
            [Outgoing(RAW_EVENTS.name, key_of(line.value), line.value) for line in batch]
        )
        sent.lines += len(batch)
        sent.refused += [(line.number, line.problem) for line in batch if line.problem]
        progress(sent.lines)
    sent.seconds = time.monotonic() - began
    return sent
