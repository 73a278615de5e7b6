"""The sequencer's pipeline over fakes that note what becomes durable, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from leadflow.codec import Codec
from leadflow.errors import BrokerError
from leadflow.kafka.dead_letters import DeadLetters
from leadflow.kafka.port import Headers, Message, Outgoing, TopicPartition
from sequencer.due import DueIndex
from sequencer.pipeline import Pipeline
from sequencer.processor import LeadProcessor

CODEC = Codec()
PLACE = TopicPartition("lead-events", 0)
COMMANDS = TopicPartition("enrollment-commands", 0)
TICKS = TopicPartition("sequencer-ticks", 0)


class StillClock:
    def __init__(self, now: Any) -> None:
        self.time = now

    def now(self) -> Any:
        return self.time

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class Broker:
    """Notes what becomes durable, in order; may be told to wait or to fail."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.sent: list[Outgoing] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.refuse: set[str] = set()

    async def send(self, batch: Sequence[Outgoing]) -> None:
        await self.gate.wait()
        for each in batch:
            if each.topic in self.refuse:
                raise BrokerError("not acknowledged")
            self.sent.append(each)
            self.log.append(each.topic)

    async def close(self) -> None: ...


class FakeRows:
    name = "leads-changelog"

    def __init__(self, broker: Broker) -> None:
        self.rows: dict[bytes, bytes] = {}
        self.home: dict[bytes, int] = {}
        self.broker = broker
        self._last_after = ("", 0)

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.rows.get(key) if self.home.get(key) == partition else None

    def last_row_after(self, topic: str) -> None:
        """No row is taken any more once a record of that topic was sent."""
        self._last_after = (topic, len(self.broker.sent))

    async def put(self, partition: int, key: bytes, row: bytes) -> None:
        await self.broker.gate.wait()
        topic, start = self._last_after
        if any(each.topic == topic for each in self.broker.sent[start:]):
            raise BrokerError("dead")
        if self.name in self.broker.refuse:
            raise BrokerError("not acknowledged")
        self.rows[key] = row
        self.home[key] = partition
        self.broker.log.append("row")

    async def delete(self, partition: int, key: bytes) -> None:
        await self.broker.gate.wait()
        del self.rows[key]
        self.broker.log.append("no row")


class Bench:
    """A pipeline over fakes."""

    def __init__(self, story: Any, words: Any) -> None:
        self.broker = Broker()
        self.rows = FakeRows(self.broker)
        self.clock = StillClock(words.at(0))
        self.setting = story.setting
        self.index = DueIndex()
        self.partitions = 1
        self.pipeline = self.made({PLACE: 0, COMMANDS: 0, TICKS: 7})
        self.offset = 0

    def made(self, places: dict[TopicPartition, int]) -> Pipeline:
        processor = LeadProcessor(
            codec=CODEC,
            rows=self.rows,
            producer=self.broker,
            dead_letters=DeadLetters("sequencer", self.broker, self.clock),
            due=self.index,
            setting=self.setting,
            clock=self.clock,
            partitions=self.partitions,
        )
        pipeline = Pipeline(processor, self.index)
        pipeline.offsets.start(places)
        return pipeline

    def successor(self, places: dict[TopicPartition, int]) -> Pipeline:
        """Who goes on after a death, with the rows that there are."""
        self.rows.last_row_after("")
        self.index = DueIndex()
        return self.made(places)

    async def feed(self, value: bytes, key: bytes, headers: Headers = (("h", b"1"),)) -> None:
        message = Message("lead-events", 0, self.offset, key, value, headers, -1)
        self.offset += 1
        await self.pipeline.event(message)

    async def happens(self, event: Any) -> None:
        await self.feed(CODEC.encode(event), event.lead_id.encode())

    def committable(self) -> int | None:
        return self.pipeline.offsets.committable().get(PLACE)
