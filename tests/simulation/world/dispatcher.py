"""The dispatcher's own send loop and decisions over a fake ledger and a fake provider."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from dispatcher.content import Identity, Writer
from dispatcher.controls import Controls
from dispatcher.decide import Retries
from dispatcher.facts import Consent, Fact, Stop, Suppression, address_key, facts_of
from dispatcher.halts import Halted, halted, is_wanted
from dispatcher.ledger import Settled
from dispatcher.model import (
    NOT_HALTED,
    TRANSITIONS,
    Accepted,
    Answer,
    Arrival,
    Content,
    Entry,
    Halt,
    Known,
    State,
)
from dispatcher.pace import Wakeup
from dispatcher.providers.base import Busy, NoAnswer, Outbound
from dispatcher.worker import Pace, Route, Sender
from leadflow import topics
from leadflow.health import Health
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Outgoing, TopicPartition
from leadflow.records import MessageQueued
from leadflow.tokens import Sealer

from .durable import PARTITIONS, Durable, Process
from .story import CODEC, LEAD_EVENTS, MESSAGE_EVENTS, MESSAGES

GROUP = "dispatcher"
ENROLLMENT_EVENTS = topics.ENROLLMENT_EVENTS.name
WRITER = Writer(Identity(), Sealer("only for the simulation"))
PLACES = tuple(
    TopicPartition(topic, number)
    for topic in (LEAD_EVENTS, ENROLLMENT_EVENTS, MESSAGES)
    for number in range(PARTITIONS)
)
OPEN = (State.QUEUED, State.CLAIMED)
LEASE_SECONDS = 60.0


@dataclass(eq=False)
class Line:
    """A row of the ledger."""

    arrival: Arrival
    content: Content
    ready_at: datetime
    state: State = State.QUEUED
    epoch: int = 0
    attempts: int = 0
    in_doubt: bool = False
    provider: str | None = None
    scope: str = ""


@dataclass
class Tables:
    """The dispatcher's database: survives every crash."""

    lines: dict[str, Line] = field(default_factory=dict)
    stops: dict[tuple[str, str], datetime] = field(default_factory=dict)
    consents: dict[tuple[str, str], Consent] = field(default_factory=dict)
    suppressions: dict[tuple[str, str], str] = field(default_factory=dict)
    outbox: list[tuple[bytes, bytes]] = field(default_factory=list)
    claims: dict[tuple[str, int], int] = field(default_factory=dict)  # id and epoch: the effect
    heard: list[tuple[int, Fact]] = field(default_factory=list)  # with the effect's number
    halts: dict[str, Halted] = field(default_factory=dict)
    halts_heard: list[tuple[int, Halted]] = field(default_factory=list)  # with the effect's number

    def halt(self, count: int, words: Sequence[Halted]) -> None:
        for each in words:
            self.halts_heard.append((count, each))
            before = self.halts.get(each.enrollment_id)
            self.halts[each.enrollment_id] = each if before is None else before.and_then(each)

    def halt_of(self, enrollment_id: str | None) -> Halt:
        found = self.halts.get(enrollment_id or "")
        return NOT_HALTED if found is None else found.halt

    def remember(self, count: int, facts: Sequence[Fact]) -> None:
        for fact in facts:
            self.heard.append((count, fact))
            match fact:
                case Stop():
                    place = (fact.lead_id, fact.stop)
                    self.stops[place] = max(self.stops.get(place, fact.at), fact.at)
                case Consent():
                    old = self.consents.get((fact.lead_id, fact.channel))
                    if old is None or fact.at >= old.at:
                        self.consents[fact.lead_id, fact.channel] = fact
                case Suppression():
                    self.suppressions[fact.channel, fact.address] = fact.reason

    def arrive(self, record: MessageQueued) -> None:
        """On conflict do nothing."""
        arrival = WRITER.arrive(record)
        assert arrival.content is not None
        line = Line(arrival, arrival.content, arrival.due_at)
        self.lines.setdefault(arrival.message_id, line)

    def known(self, arrival: Arrival) -> Known:
        consent = self.consents.get((arrival.lead_id, arrival.channel))
        address = address_key(arrival.channel, arrival.recipient)
        return Known(
            suppressed_by=self.suppressions.get((arrival.channel, address)),
            stops={stop: at for (lead, stop), at in self.stops.items() if lead == arrival.lead_id},
            consent=None if consent is None else consent.granted,
            halt=self.halt_of(arrival.enrollment_id),
        )


class _Ledger:
    """Claim and settle, as the statements of `dispatcher.ledger` say."""

    def __init__(self, durable: Durable, process: Process, tables: Tables) -> None:
        self._durable = durable
        self._process = process
        self._tables = tables

    async def claim(
        self, channel: str, provider: str, *, limit: int, lease_seconds: float
    ) -> list[Entry]:
        def effect() -> list[Entry]:
            now = self._durable.clock.now()
            claimed: list[Entry] = []
            first: set[str] = set()
            for line in self._tables.lines.values():
                arrival = line.arrival
                if arrival.channel != channel or line.state not in OPEN:
                    continue
                if arrival.lead_id in first:
                    continue  # of one lead only the earliest
                first.add(arrival.lead_id)
                if line.ready_at <= now and len(claimed) < limit:
                    claimed.append(self._claim(line, provider, now, lease_seconds))
            return claimed

        found: list[Entry] = await self._durable.gate(self._process, f"claims {channel}", effect)
        return found

    def _claim(self, line: Line, provider: str, now: datetime, lease_seconds: float) -> Entry:
        in_doubt = line.in_doubt or line.state is State.CLAIMED
        last_provider = line.provider
        if not in_doubt:
            line.provider = provider
        line.state, line.in_doubt = State.CLAIMED, True
        line.epoch += 1
        line.ready_at = now + timedelta(seconds=lease_seconds)
        arrival = line.arrival
        self._tables.claims[arrival.message_id, line.epoch] = self._durable.count
        return Entry(
            message_id=arrival.message_id,
            tenant_id=arrival.tenant_id,
            lead_id=arrival.lead_id,
            owner=arrival.owner,
            enrollment_id=arrival.enrollment_id,
            sequence_id=arrival.sequence_id,
            step_id=arrival.step_id,
            channel=arrival.channel,
            recipient=arrival.recipient,
            enrolled_at=arrival.enrolled_at,
            stop_on=arrival.stop_on,
            content=line.content,
            epoch=line.epoch,
            attempts=line.attempts,
            resent=arrival.first_message_id is not None,
            in_doubt=in_doubt,
            provider=last_provider,
            known=self._tables.known(arrival),
        )

    async def settle(self, outcomes: Sequence[Settled]) -> int:
        def effect() -> int:
            return sum(self._settle(outcome) for outcome in outcomes)

        count: int = await self._durable.gate(self._process, "settles", effect)
        return count

    def _settle(self, outcome: Settled) -> bool:
        line, decision = self._tables.lines[outcome.entry.message_id], outcome.decision
        if line.epoch != outcome.entry.epoch or line.state is not State.CLAIMED:
            return False
        assert decision.state in TRANSITIONS[line.state]
        line.state, line.in_doubt = decision.state, decision.in_doubt
        line.scope = decision.inputs.get("scope", "")
        line.ready_at = self._durable.clock.now() + timedelta(seconds=decision.delay_seconds)
        line.attempts += decision.presented
        if outcome.event is not None:
            key = outcome.entry.lead_id.encode()
            self._tables.outbox.append((key, outcome.event))
        return True


@dataclass(frozen=True)
class Taken:
    """What a provider accepted, as effect number `count`, of a claim of `claimed_at`."""

    message_id: str
    lead_id: str
    claimed_at: int
    count: int


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
            taken = Taken(message.message_id, message.lead_id, claimed_at, self._durable.count)
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
        self, durable: Durable, tables: Tables, provider: FakeProvider, controls: Controls
    ) -> None:
        self.process = provider.process = Process("dispatcher")
        self._durable = durable
        self._tables = tables
        self._controls = controls
        self._next = {place: durable.committed.get((GROUP, place), 0) for place in PLACES}
        self._reading: set[TopicPartition] = set()
        self._rounds = 0
        self._publishing = False
        ledger: Any = _Ledger(durable, self.process, tables)
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
