"""The dispatcher's ledger as its statements say, and what it was told of leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dispatcher.caps import Cap, Others
from dispatcher.content import Identity, Writer
from dispatcher.facts import Consent, Fact, Stop, Suppression, address_key
from dispatcher.halts import Halted
from dispatcher.ledger import Settled
from dispatcher.model import NOT_HALTED, TRANSITIONS, Arrival, Content, Entry, Halt, Known, State
from leadflow.records import MessageQueued
from leadflow.tokens import Sealer

from .durable import START, Durable, Process

WRITER = Writer(Identity(), Sealer("only for the simulation"))
OPEN = (State.QUEUED, State.CLAIMED)
MAY_BE_OUT = (State.SENT, State.UNKNOWN)


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
    doubt_since: datetime = START
    changed_at: datetime = START


def _turn(line: Line) -> tuple[bool, datetime]:
    """What may be out already comes first, the earliest doubt before the others."""
    return not line.in_doubt, line.doubt_since if line.in_doubt else START


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


class FakeLedger:
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
            for line in sorted(self._tables.lines.values(), key=_turn):
                arrival = line.arrival
                if arrival.channel != channel or line.state not in OPEN:
                    continue
                if arrival.lead_id in first:
                    continue  # of one lead only the first
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
            line.provider, line.doubt_since = provider, now
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

    async def others(self, caps: Mapping[str, Cap]) -> dict[str, Others]:
        def effect() -> dict[str, Others]:
            return {each: self._others(self._tables.lines[each]) for each in caps}

        found: dict[str, Others] = await self._durable.gate(self._process, "asks the cap", effect)
        return found

    def _others(self, line: Line) -> Others:
        lines = list(self._tables.lines.values())
        before = set(map(id, lines[: lines.index(line)]))
        rest = [
            each
            for each in lines
            if each is not line
            and each.arrival.lead_id == line.arrival.lead_id
            and each.arrival.channel == "email"
        ]
        claimed = [each for each in rest if each.state is State.CLAIMED]
        waiting = [each for each in rest if each.state in (State.QUEUED, State.HELD)]
        return Others(
            asked_at=self._durable.clock.now(),
            accepted=tuple(each.changed_at for each in rest if each.state in MAY_BE_OUT),
            claimed=len(claimed),
            ahead=sum(id(each) in before for each in claimed),
            doubts=sum(
                each.in_doubt
                and (each.doubt_since, id(each) not in before) < (line.doubt_since, True)
                for each in waiting
            ),
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
        line.changed_at = self._durable.clock.now()
        line.ready_at = line.changed_at + timedelta(seconds=decision.delay_seconds)
        line.attempts += decision.presented
        if outcome.event is not None:
            key = outcome.entry.lead_id.encode()
            self._tables.outbox.append((key, outcome.event))
        return True
