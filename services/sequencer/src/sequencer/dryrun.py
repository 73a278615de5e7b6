"""A lead's passage through sequences in simulated time, by the decisions that the worker makes.

Pure: the events are given, the clock is the next event or the next due step, nothing is written
and nobody is called. What a provider or a person would answer is assumed:

- every message is accepted at once, and nobody reacts to it but by the events that are given;
- a task that blocks is done at once;
- nothing in automation is paused.

Leads do not know of each other here, as in the worker, so they may be lived in any order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from heapq import heapify, heappop, heappush

from leadflow import ids
from leadflow.errors import RecordRefused
from leadflow.records import (
    EnrollmentPaused,
    EnrollRequested,
    LeadCreated,
    LeadRecord,
    MessageQueued,
    MessageSent,
    SequencePublished,
    TaskCompleted,
)
from sequencer.decide import decide, fire, timing
from sequencer.decide.case import Case
from sequencer.model import Decision, LeadRow, Setting

NOBODY = "dry-run"


@dataclass(frozen=True, slots=True)
class Period:
    """The simulated time: what is before `begin` is known but starts nothing; `end` is not in
    it any more."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Life:
    """What was decided about one lead in the period, in order, and what was left at its end."""

    lead_id: str
    tenant_id: str
    zone: str  # where times are the lead's own, as the rules take it
    decisions: tuple[LeadRecord, ...]
    live: tuple[str, ...]  # sequences that it still is in
    refused: tuple[str, ...]  # types of commands that could not be carried out


class NoPauses:
    """Nothing is paused."""

    def last_word(self, scope: str) -> str:
        return ""

    def holding(self, tenant_id: str, sequence_id: str, channel: str) -> str | None:
        return None


class _NoSequences:
    """Nothing is published: what happens then are facts, and no more."""

    def get(self, sequence_id: str, version: int) -> SequencePublished | None:
        return None

    def active(self, sequence_id: str) -> SequencePublished | None:
        return None

    def triggered(self, tenant_id: str, kind: str, value: str) -> Sequence[SequencePublished]:
        return ()


def live(events: Iterable[LeadRecord], setting: Setting, period: Period) -> Life | None:
    """Live the life of the one lead that `events` are about, each at its `recorded_at`; None
    without any event before the period's end."""
    told = [each for each in events if each.recorded_at < period.end]
    if not told:
        return None
    passage = _Passage(told[0], told, setting, period)
    passage.run()
    row = passage.row
    return Life(
        lead_id=row.lead_id,
        tenant_id=row.tenant_id,
        zone=timing.zone_of(Case(row, setting, period.begin)),
        decisions=tuple(passage.decisions),
        live=tuple(each.sequence_id for each in row.live),
        refused=tuple(passage.refused),
    )


class _Passage:
    """One lead while its time goes by."""

    def __init__(
        self, first: LeadRecord, events: list[LeadRecord], setting: Setting, period: Period
    ) -> None:
        self.row = LeadRow(lead_id=first.lead_id, tenant_id=first.tenant_id)
        self._gone = True  # there is no row before its first event, nor after it is forgotten
        self.decisions: list[LeadRecord] = []
        self.refused: list[str] = []
        self._setting = setting
        self._before = Setting(_NoSequences(), setting.pauses, setting.tenants)
        self._period = period
        # (when, in which order of those at the same time, what)
        self._coming = [(each.recorded_at, place, each) for place, each in enumerate(events)]
        self._places = len(events)
        heapify(self._coming)

    def run(self) -> None:
        while True:
            due = None if self._gone else self.row.next_due()
            if self._coming and (due is None or self._coming[0][0] <= due):
                at, _, event = heappop(self._coming)
                self._happens(event, at)
            elif due is not None and due < self._period.end:
                decision = fire(self.row, due, self._at(due))
                if not (decision.changed or decision.gone):
                    raise AssertionError(f"{self.row.lead_id} is due at {due} and nothing follows")
                self._follow(decision, due)
            else:
                return

    def _at(self, moment: datetime) -> Setting:
        return self._setting if moment >= self._period.begin else self._before

    def _happens(self, event: LeadRecord, at: datetime) -> None:
        try:
            decision = decide(None if self._gone else self.row, event, at, self._at(at))
        except RecordRefused:
            self.refused.append(event.TYPE)
        else:
            self._follow(decision, at)

    def _follow(self, decision: Decision, at: datetime) -> None:
        self.row, self._gone = decision.row, decision.gone
        for effect in decision.effects:
            self.decisions.append(effect)
            if isinstance(effect, MessageQueued) and effect.channel in timing.TO_THE_LEAD:
                self._comes(_sent(effect, at))
            elif isinstance(effect, EnrollmentPaused) and effect.rule == "task_open":
                self._comes(_done(effect, at))

    def _comes(self, event: LeadRecord) -> None:
        heappush(self._coming, (event.recorded_at, self._places, event))
        self._places += 1


def by_hand(
    events: Sequence[LeadRecord], sequence_id: str, period: Period
) -> tuple[LeadRecord, ...]:
    """The events, and somebody who enrolls the lead in a sequence as soon as it is known and
    the period has begun: how a sequence without a trigger is tried."""
    created = next((each for each in events if isinstance(each, LeadCreated)), None)
    if created is None:
        return tuple(events)
    at = max(created.recorded_at, period.begin)
    asked = EnrollRequested(
        event_id=ids.derived_id(NOBODY, "EnrollRequested", created.lead_id, sequence_id),
        tenant_id=created.tenant_id,
        occurred_at=at,
        recorded_at=at,
        source=NOBODY,
        lead_id=created.lead_id,
        sequence_id=sequence_id,
        requested_by=NOBODY,
    )
    return (*events, asked)


def digest(life: Life) -> bytes:
    """SHA-256 over every decision about a lead, the same on whatever machine it was made."""
    whole = sha256()
    for decision in life.decisions:
        text = _CANONICAL.encode({"type": decision.TYPE, **decision.to_avro()})
        whole.update(text.encode() + b"\n")
    return whole.digest()


def _as_text(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"a {type(value).__name__} in a decision")
    return value.astimezone(UTC).isoformat(timespec="milliseconds")


_CANONICAL = json.JSONEncoder(
    default=_as_text, ensure_ascii=False, separators=(",", ":"), sort_keys=True
)


def _sent(queued: MessageQueued, at: datetime) -> MessageSent:
    return MessageSent(
        event_id=ids.derived_id(NOBODY, "MessageSent", queued.message_id),
        tenant_id=queued.tenant_id,
        occurred_at=at,
        recorded_at=at,
        source=NOBODY,
        lead_id=queued.lead_id,
        owner=queued.owner,
        message_id=queued.message_id,
        enrollment_id=queued.enrollment_id,
        sequence_id=queued.sequence_id,
        step_id=queued.step_id,
        channel=queued.channel,
        provider=NOBODY,
        body_hash="",
        accepted_at=at,
        epoch=0,
    )


def _done(paused: EnrollmentPaused, at: datetime) -> TaskCompleted:
    message_id = ids.message_id(paused.enrollment_id, paused.inputs["step"])
    return TaskCompleted(
        event_id=ids.derived_id(NOBODY, "TaskCompleted", message_id),
        tenant_id=paused.tenant_id,
        occurred_at=at,
        recorded_at=at,
        source=NOBODY,
        lead_id=paused.lead_id,
        message_id=message_id,
        completed_by=NOBODY,
    )
