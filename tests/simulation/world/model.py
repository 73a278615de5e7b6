"""What must have been queued, worked out from the definitions and from what happened to a lead.

It shares nothing with the sequencer's `decide`: it knows passages, due times and stops, and goes
through what became durable in the order in which that happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from leadflow import ids
from leadflow.records import LeadRecord, SequencePublished

from .story import NURTURE, TENANT, WELCOME

OUT_OF_OFFICE = timedelta(days=3)


@dataclass(eq=False)
class Passage:
    """One enrollment. `ended` is "completed" or the stop, `ended_at` the number of the effect.
    `holds`: from which effect on which step had to wait until when."""

    lead: str
    sequence: SequencePublished
    entry: int
    enrolled_at: datetime
    due: datetime = field(init=False)
    index: int = 0
    paused: bool = False
    ended: str = ""
    ended_at: int = 0
    must: list[str] = field(default_factory=list)
    holds: list[tuple[int, int, datetime]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.due = self.enrolled_at + self.delay(0)

    @property
    def enrollment_id(self) -> str:
        return ids.enrollment_id(self.lead, self.sequence.sequence_id, self.entry)

    def delay(self, index: int) -> timedelta:
        return timedelta(minutes=self.sequence.steps[index].delay_minutes)

    def message_id(self, index: int) -> str:
        return ids.message_id(self.enrollment_id, self.sequence.steps[index].step_id)

    def hold(self, until: datetime, count: int) -> None:
        """An automatic answer: what a reply would stop waits."""
        if "reply" in self.sequence.stop_on and self.due < until:
            self.due = until
            self.holds.append((count, self.index, until))

    def fire(self, now: datetime, paused: frozenset[str], *, mail: bool, count: int) -> None:
        """Everything that is due by now, a step after the other."""
        steps = self.sequence.steps
        while not self.ended and not self.paused and self.due <= now:
            step = steps[self.index]
            if paused & scopes(self.sequence.sequence_id, step.channel):
                return
            if mail or step.channel != "email":
                self.must.append(self.message_id(self.index))
            self.index += 1
            if self.index == len(steps):
                self.ended, self.ended_at = "completed", count
                return
            base = now if steps[self.index].delay_from == "previous" else self.enrolled_at
            self.due = max(now, base + self.delay(self.index))


def scopes(sequence_id: str, channel: str) -> frozenset[str]:
    return frozenset(
        {
            "everything",
            f"tenant:{TENANT}",
            f"channel:{TENANT}:{channel}",
            f"sequence:{TENANT}:{sequence_id}",
        }
    )


class LeadModel:
    """One lead. `refused_at` is the effect with which its e-mail was refused."""

    def __init__(self, lead: str, sequences: Mapping[str, SequencePublished]) -> None:
        self.lead = lead
        self.passages: list[Passage] = []
        self.refused_at: int | None = None
        self._sequences = sequences
        self._created = False
        self._seen: set[str] = set()

    @property
    def live(self) -> list[Passage]:
        return [each for each in self.passages if not each.ended]

    def apply(
        self, record: LeadRecord | None, now: datetime, paused: frozenset[str], count: int
    ) -> None:
        """What was decided at `now` about a record, or a timer, is durable as effect `count`."""
        if record is not None and record.event_id not in self._seen:
            self._seen.add(record.event_id)
            self._happen(record, count)
        for passage in self.live:
            passage.fire(now, paused, mail=self.refused_at is None, count=count)

    def _happen(self, record: LeadRecord, count: int) -> None:
        enrollment_id = getattr(record, "enrollment_id", None)
        match record.TYPE:
            case "LeadCreated":
                if not self._created:
                    self._created = True
                    self._enter(WELCOME, record.recorded_at)
            case "EnrollRequested":
                if self._created and all(
                    each.sequence.sequence_id != NURTURE for each in self.live
                ):
                    self._enter(NURTURE, record.recorded_at)
            case "ReplyReceived" if getattr(record, "automatic", False):
                for passage in self.live:
                    passage.hold(record.occurred_at + OUT_OF_OFFICE, count)
            case "ReplyReceived":
                self._stop("reply", count)
            case "BookingMade":
                self._stop("booking", count)
            case "ConsentChanged":
                self.refused_at = count
                self._stop("opt_out", count)
            case "MessageBounced":
                self._stop("bounce", count)
            case "MessageComplained":
                self._stop("complaint", count)
            case "EnrollmentPauseRequested" | "EnrollmentResumeRequested":
                for passage in self.live:
                    if passage.enrollment_id == enrollment_id:
                        passage.paused = record.TYPE == "EnrollmentPauseRequested"
            case "EnrollmentStopRequested":
                for passage in self.live:
                    if passage.enrollment_id == enrollment_id:
                        passage.ended, passage.ended_at = "manual", count

    def _enter(self, sequence_id: str, at: datetime) -> None:
        entry = 1 + sum(each.sequence.sequence_id == sequence_id for each in self.passages)
        self.passages.append(Passage(self.lead, self._sequences[sequence_id], entry, at))

    def _stop(self, rule: str, count: int) -> None:
        for passage in self.live:
            if rule not in ("reply", "booking") or rule in passage.sequence.stop_on:
                passage.ended, passage.ended_at = rule, count
