"""Never more than the cap within its days: over random arrivals, pauses, deaths and lost answers,
with several claims of a lead at once, on a ledger of a few lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from dispatcher.caps import Cap, Others, cap_for, full
from dispatcher.decide import Decision, Retries, after_answer, before_sending
from dispatcher.model import Accepted, Entry, Known, Paused, Refused, State
from leadflow.tenants import Tenant

Make = Callable[..., Entry]
START = datetime(2026, 11, 21, 9, tzinfo=UTC)
LEASE = timedelta(seconds=60)
CHANNELS = ("email", "sms", "whatsapp")
RETRIES = Retries(attempts=1000)
ACCEPTED = Accepted(provider_id="p", response="{}")
SILENT = Refused(error_class="NoAnswer", reason="none", retryable=True, maybe_accepted=True)


@dataclass(eq=False)
class Row:
    position: int
    channel: str
    ready_at: datetime
    state: State = State.QUEUED
    epoch: int = 0
    attempts: int = 0
    in_doubt: bool = False
    doubt_since: datetime = START
    changed_at: datetime = START


@dataclass
class Claim:
    row: Row
    entry: Entry
    deadline: datetime
    decision: Decision | None = None


class World:
    """One lead; each of six senders does its next thing when it is drawn, or dies."""

    def __init__(self, rng: Random, make_entry: Make) -> None:
        self.rng, self.make_entry, self.now = rng, make_entry, START
        self.tenant = Tenant(
            tenant_id="acme", message_cap=rng.choice((1, 2, 3)), cap_days=rng.choice((1, 3))
        )
        within = timedelta(days=rng.choice((0, 2, 10)))
        self.rows = [
            Row(number, rng.choice(CHANNELS), START + within * rng.random())
            for number in range(rng.randint(2, 12))
        ]
        self.paused_until = START + timedelta(days=rng.choice((0, 0, 4)) * rng.random())
        self.keyed = rng.random() < 0.7
        self.faulty = rng.random() < 0.7
        self.claims: dict[int, Claim] = {}
        self.accepted: dict[int, datetime] = {}
        self.copies = 0

    def step(self) -> None:
        worker = self.rng.randrange(6)
        claim = self.claims.get(worker)
        if claim is None:
            self._claim(worker, CHANNELS[worker % 3])
        elif self.faulty and self.rng.random() < 0.03:
            del self.claims[worker]  # it died
        elif claim.decision is None:
            claim.decision = self._asked(claim)
        else:
            del self.claims[worker]
            self._settle(claim, claim.decision)
        # While somebody holds a claim time goes slowly, so that claims meet.
        most = 2.0 if self.claims else self.rng.choice((0.5, 5.0, 20_000.0))
        self.now += timedelta(seconds=self.rng.uniform(0, most))

    def _claim(self, worker: int, channel: str) -> None:
        first = next(
            (
                row
                for row in self.rows
                if row.channel == channel and row.state in (State.QUEUED, State.CLAIMED)
            ),
            None,
        )
        if first is None or first.ready_at > self.now:
            return
        in_doubt = first.in_doubt
        if not in_doubt:
            first.doubt_since = self.now
        first.state, first.in_doubt, first.epoch = State.CLAIMED, True, first.epoch + 1
        first.ready_at = first.changed_at = self.now + LEASE
        entry = self.make_entry(
            message_id=str(first.position),
            channel=channel,
            epoch=first.epoch,
            attempts=first.attempts,
            in_doubt=in_doubt,
            provider="p" if in_doubt else None,
            doubt_seconds=(self.now - first.doubt_since).total_seconds(),
            known=Known(consent=True),
        )
        self.claims[worker] = Claim(first, entry, self.now + LEASE)

    def _asked(self, claim: Claim) -> Decision:
        cap = cap_for(self.tenant, claim.entry)
        assert cap is not None
        paused = Paused(frozenset({"everything"} if self.now < self.paused_until else ()))
        found = full(cap, self.others(claim.row, cap))
        return before_sending(
            claim.entry, paused, provider="p", keyed=self.keyed, key_seconds=82_800.0, full=found
        )

    def others(self, row: Row, cap: Cap) -> Others:
        """As `cap_store` asks."""
        rest = [each for each in self.rows if each is not row]
        claimed = [each for each in rest if each.state is State.CLAIMED]
        waiting = [each for each in rest if each.state in (State.QUEUED, State.HELD)]
        taken = [each.changed_at for each in rest if each.state in (State.SENT, State.UNKNOWN)]
        return Others(
            asked_at=self.now,
            accepted=tuple(sorted(taken, reverse=True)[: cap.messages]),
            claimed=len(claimed),
            ahead=sum(each.position < row.position for each in claimed),
            doubts=sum(
                each.in_doubt
                and (each.doubt_since, each.position) < (row.doubt_since, row.position)
                for each in waiting
            ),
        )

    def _settle(self, claim: Claim, decision: Decision) -> None:
        row = claim.row
        if decision.state is State.CLAIMED:
            if self.now + timedelta(seconds=10) > claim.deadline:
                decision = Decision(state=State.QUEUED, in_doubt=claim.entry.in_doubt)
            else:
                chance = self.rng.random() if self.faulty else 1.0
                # Either nothing came of it, or its answer was lost, or it was answered.
                if chance >= 0.1:
                    self.copies += row.position in self.accepted and not self.keyed
                    self.accepted.setdefault(row.position, self.now)
                answer = ACCEPTED if chance >= 0.2 else SILENT
                decision = after_answer(
                    claim.entry, answer, RETRIES, provider="p", keyed=self.keyed
                )
        if row.epoch != claim.entry.epoch or row.state is not State.CLAIMED:
            return
        row.state, row.in_doubt, row.changed_at = decision.state, decision.in_doubt, self.now
        row.attempts += decision.presented
        row.ready_at = self.now + timedelta(seconds=decision.delay_seconds)
        if row.state is State.HELD:  # until the pause is over
            row.state, row.ready_at = State.QUEUED, max(self.paused_until, self.now)

    def broken(self) -> list[datetime]:
        """Where a window with more than the cap begins."""
        times, window = sorted(self.accepted.values()), timedelta(days=self.tenant.cap_days)
        return [
            at
            for at in times
            if sum(at <= each < at + window for each in times) > self.tenant.message_cap
        ]

    def is_over(self) -> bool:
        return all(row.state in (State.SENT, State.UNKNOWN) for row in self.rows)


@pytest.mark.parametrize("seed", range(4))
def test_never_more_than_the_cap_is_accepted_within_its_days_and_all_is_in_the_end(
    make_entry: Make, seed: int
) -> None:
    for number in range(100):
        world = World(Random(f"{seed} {number}"), make_entry)
        for _ in range(20_000):
            if world.is_over():
                break
            world.step()
        assert world.is_over(), number
        assert world.broken() == [], number
        assert world.copies == 0
        if not world.faulty:
            assert len(world.accepted) == len(world.rows)
