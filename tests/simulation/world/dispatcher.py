"""The dispatcher's own send loop and decisions over a fake ledger and a fake provider."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dispatcher.controls import Controls
from dispatcher.decide import Retries
from dispatcher.facts import facts_of
from dispatcher.halts import halted, is_wanted
from dispatcher.model import Accepted, Answer, State
from dispatcher.pace import Wakeup
from dispatcher.providers.base import Busy, NoAnswer, Outbound
from dispatcher.worker import Pace, Route, Sender
from leadflow import topics
from leadflow.health import Health
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Outgoing, TopicPartition
from leadflow.records import MessageQueued
from leadflow.tenants import Tenant

from .durable import PARTITIONS, Durable, Process
from .ledger import FakeLedger, Tables
from .story import CODEC, LEAD_EVENTS, MESSAGE_EVENTS, MESSAGES

GROUP = "dispatcher"
ENROLLMENT_EVENTS = topics.ENROLLMENT_EVENTS.name
PLACES = tuple(
    TopicPartition(topic, number)
    for topic in (LEAD_EVENTS, ENROLLMENT_EVENTS, MESSAGES)
    for number in range(PARTITIONS)
)
LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class Taken:
    """What a provider accepted, as effect number `count`, of a claim of `claimed_at`."""

    message_id: str
    lead_id: str
    claimed_at: int
    count: int
    at: datetime


class FakeProvider:
    """Accepts; with a key, each key once. May be busy, and may keep its answer to itself."""

    name = "fake"
    key_seconds = 23 * 3600.0
    batch = 1
    at_once = 4

    def __init__(self, durable: Durable, tables: Tables, *, keyed: bool) -> None:
        self.keyed = keyed
        self.faulty = True
        self.accepted: list[Taken] = []
        self._payloads: dict[str, bytes] = {}
        self._durable = durable
        self._tables = tables
        self.process = Process("dispatcher")

    async def send(self, messages: Sequence[Outbound]) -> Sequence[Answer]:
        return [await self._send(each) for each in messages]

    async def _send(self, message: Any) -> Answer:
        def effect() -> Answer | Exception:
            chance = self._durable.rng.random() if self.faulty else 1.0
            if chance < 0.05:
                return Busy("later")
            first = self._payloads.setdefault(message.message_id, message.content.payload)
            assert first == message.content.payload, "the same key with other bytes"
            claimed_at = self._tables.claims[message.message_id, message.epoch]
            count, at = self._durable.count, self._durable.clock.now()
            taken = Taken(message.message_id, message.lead_id, claimed_at, count, at)
            if not self.keyed or all(x.message_id != taken.message_id for x in self.accepted):
                self.accepted.append(taken)
            return NoAnswer("none") if chance < 0.15 else Accepted(provider_id="p", response="ok")

        label = f"gives to the provider {message.message_id[:8]}"
        answer = await self._durable.gate(self.process, label, effect)
        if isinstance(answer, Exception):
            raise answer
        result: Answer = answer
        return result

    async def close(self) -> None: ...


class Dispatcher:
    """One life of the process: reads, sends and publishes when the world says so."""

    def __init__(
        self,
        durable: Durable,
        tables: Tables,
        provider: FakeProvider,
        controls: Controls,
        tenants: Mapping[str, Tenant],
    ) -> None:
        self.process = provider.process = Process("dispatcher")
        self._durable = durable
        self._tables = tables
        self._controls = controls
        self._next = {place: durable.committed.get((GROUP, place), 0) for place in PLACES}
        self._reading: set[TopicPartition] = set()
        self._rounds = 0
        self._publishing = False
        ledger: Any = FakeLedger(durable, self.process, tables)
        self._senders = [
            Sender(
                Route(channel=channel, provider=served),
                ledger=ledger,
                controls=controls,
                codec=CODEC,
                clock=durable.clock,
                health=Health(),
                pace=Pace(
                    lease_seconds=LEASE_SECONDS,
                    timeout_seconds=10.0,
                    retries=Retries(attempts=1000),
                ),
                to_send=Wakeup(),
                to_publish=Wakeup(),
                tenants=tenants,
            )
            for channel, served in (("email", provider), ("task", None), ("call", None))
        ]

    def readable(self) -> list[TopicPartition]:
        return [
            place
            for place in PLACES
            if self._next[place] < self._durable.end(place) and place not in self._reading
        ]

    def read(self, place: TopicPartition) -> None:
        """Begin with a batch of a partition."""
        self._reading.add(place)
        self.process.start(self._read(place))

    async def _read(self, place: TopicPartition) -> None:
        start = self._next[place]
        batch = self._durable.logs[place][start : start + 3]
        received = [
            Received(each, CODEC.decode(each.value or b""))
            for each in batch
            if place.topic != ENROLLMENT_EVENTS or is_wanted(CODEC.type_of(each.value))
        ]
        records = [each.record for each in received]

        def effect() -> None:
            self._tables.remember(self._durable.count, facts_of(records))
            self._tables.halt(self._durable.count, halted(received))
            for record in records:
                if isinstance(record, MessageQueued):
                    self._tables.arrive(record)

        def commit() -> None:
            self._durable.committed[GROUP, place] = start + len(batch)

        await self._durable.gate(self.process, f"stores {place.topic}", effect)
        await self._durable.gate(self.process, f"commits {place.topic}", commit)
        self._next[place] = start + len(batch)
        self._reading.discard(place)

    @property
    def channels(self) -> range:
        return range(len(self._senders))

    def send(self, which: int) -> None:
        """Begin a round; up to three at a time."""
        if self._rounds < 3:
            self._rounds += 1
            self.process.start(self._send(self._senders[which]))

    async def _send(self, sender: Sender) -> None:
        await sender.round()
        self._rounds -= 1

    def upkeep(self) -> None:
        """Queue again what no pause covers any more."""
        for line in self._tables.lines.values():
            halt = self._tables.halt_of(line.arrival.enrollment_id)
            if line.scope.startswith("enrollment:"):
                held = halt.paused_by is not None and halt.stopped_by is None
            else:
                held = line.scope in self._controls.paused.scopes
            if line.state is State.HELD and not held:
                line.state, line.ready_at = State.QUEUED, self._durable.clock.now()

    def publish(self) -> None:
        if self._tables.outbox and not self._publishing:
            self._publishing = True
            self.process.start(self._publish())

    async def _publish(self) -> None:
        batch = list(self._tables.outbox)

        def effect() -> None:
            for key, value in batch:
                self._durable.append(Outgoing(MESSAGE_EVENTS, key, value))

        def remove() -> None:
            del self._tables.outbox[: len(batch)]

        await self._durable.gate(self.process, "publishes", effect)
        await self._durable.gate(self.process, "empties the outbox", remove)
        self._publishing = False
