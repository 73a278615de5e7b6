"""What many simulated lives come to: rows, counts by day and step, clashes, one hash. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from hashlib import sha256

from leadflow.records import (
    Enrolled,
    EnrollmentCompleted,
    EnrollmentPaused,
    EnrollmentRefused,
    EnrollmentResumed,
    EnrollmentStopped,
    LeadRecord,
    MessageQueued,
    StepScheduled,
    StepSkipped,
)
from sequencer.decide.timing import TO_THE_LEAD
from sequencer.dryrun import Life, digest

SEND, TASK, SKIP, SHIFT, PLAN, REFUSE = "send", "task", "skip", "shift", "plan", "refuse"
_WHAT = {
    Enrolled: "enroll",
    EnrollmentRefused: REFUSE,
    EnrollmentStopped: "stop",
    EnrollmentCompleted: "complete",
    EnrollmentPaused: "pause",
    EnrollmentResumed: "resume",
    StepSkipped: SKIP,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One decision. `at` is when it is made, `due_at` when the step then is due; `zone` is the
    lead's. `what` is send, task, skip, shift (a rule moved the step), plan (its delay alone
    did), refuse, enroll, stop, complete, pause or resume."""

    at: datetime
    what: str
    lead_id: str
    tenant_id: str
    zone: str
    sequence_id: str
    step_id: str
    channel: str
    due_at: datetime | None
    rule: str
    inputs: Mapping[str, str]


def rows(life: Life) -> list[Row]:
    """The decisions about a lead; that a step fires and that its message is queued is one."""
    return [
        _row(life, each)
        for each in life.decisions
        if isinstance(each, (MessageQueued, StepScheduled)) or type(each) in _WHAT
    ]


def _row(life: Life, record: LeadRecord) -> Row:
    if isinstance(record, MessageQueued):
        what = SEND if record.channel in TO_THE_LEAD else TASK
    elif isinstance(record, StepScheduled):
        what = SHIFT if record.rule else PLAN
    else:
        what = _WHAT[type(record)]
    return Row(
        at=record.recorded_at,
        what=what,
        lead_id=life.lead_id,
        tenant_id=life.tenant_id,
        zone=life.zone,
        sequence_id=getattr(record, "sequence_id", None) or "",
        step_id=getattr(record, "step_id", None) or "",
        channel=getattr(record, "channel", ""),
        due_at=getattr(record, "due_at", None),
        rule=getattr(record, "rule", ""),
        inputs=getattr(record, "inputs", {}),
    )


@dataclass(slots=True)
class Report:
    """All lives so far. `tried` are the ids of the sequence that is tried, one a tenant. With
    `keeps_rows` every decision is in `all_rows`.

    Counts without a sequence in their key are those of the tried one. `beside` counts, by
    another sequence: leads that were in both at one time, messages that these got from it, and
    those that got messages of both on one day (UTC).
    """

    tried: frozenset[str]
    keeps_rows: bool = False
    leads: int = 0
    entered: int = 0
    unfinished: int = 0
    all_rows: list[Row] = field(default_factory=list)
    by_day: dict[date, Counter[str]] = field(default_factory=dict)
    steps: dict[str, str] = field(default_factory=dict)  # step to channel, as they came up
    skipped: Counter[tuple[str, str]] = field(default_factory=Counter)  # (step, rule)
    shifted: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    exclusive: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kept out, by)
    superseded: Counter[tuple[str, str]] = field(default_factory=Counter)  # (ended, by)
    capped: Counter[str] = field(default_factory=Counter)  # moved by the cap, by sequence
    in_both: Counter[str] = field(default_factory=Counter)
    messages_beside: Counter[str] = field(default_factory=Counter)
    same_day: Counter[str] = field(default_factory=Counter)
    not_carried_out: Counter[str] = field(default_factory=Counter)
    _digests: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, life: Life) -> None:
        self.leads += 1
        self._digests.append((life.lead_id, digest(life)))
        self.not_carried_out.update(life.refused)
        found = rows(life)
        if self.keeps_rows:
            self.all_rows += found
        self.unfinished += sum(each in self.tried for each in life.live)
        for row in found:
            if row.sequence_id in self.tried:
                self._count(row)
            if row.what == SHIFT and row.rule == "cap":
                self.capped[row.sequence_id] += 1
            elif row.what == REFUSE and row.rule == "exclusive":
                self.exclusive[row.sequence_id, row.inputs.get("held_by", "")] += 1
            elif row.what == "stop" and row.rule == "superseded":
                self.superseded[row.sequence_id, row.inputs.get("by", "")] += 1
        self._look_beside(found)

    def hash(self) -> str:
        """SHA-256 over all decisions, whatever the order in which leads were added."""
        whole = sha256()
        for lead_id, each in sorted(self._digests):
            whole.update(lead_id.encode() + each)
        return whole.hexdigest()

    def _count(self, row: Row) -> None:
        match row.what:
            case "send" | "task":
                self.steps.setdefault(row.step_id, row.channel)
                day = self.by_day.setdefault(row.at.astimezone(UTC).date(), Counter())
                day[row.step_id] += 1
            case "skip":
                self.steps.setdefault(row.step_id, row.channel)
                self.skipped[row.step_id, row.rule] += 1
            case "shift":
                self.steps.setdefault(row.step_id, row.channel)
                self.shifted[row.step_id, row.rule] += 1
            case "plan":
                self.steps.setdefault(row.step_id, row.channel)
            case "refuse":
                self.refused[row.rule] += 1
            case "enroll":
                self.entered += 1
            case "stop":
                self.ended[row.rule] += 1
            case "complete":
                self.ended["completed"] += 1

    def _look_beside(self, found: list[Row]) -> None:
        ours = _passages(row for row in found if row.sequence_id in self.tried)
        if not ours:
            return
        others = {row.sequence_id for row in found} - self.tried
        days = _days(row for row in found if row.sequence_id in self.tried)
        for other in sorted(others):
            theirs = [row for row in found if row.sequence_id == other]
            if any(
                begin <= their_end and their_begin <= end
                for begin, end in ours
                for their_begin, their_end in _passages(theirs)
            ):
                self.in_both[other] += 1
            self.messages_beside[other] += sum(
                row.what == SEND and any(begin <= row.at <= end for begin, end in ours)
                for row in theirs
            )
            self.same_day[other] += bool(days & _days(theirs))


_NEVER = datetime.max.replace(tzinfo=UTC)


def _passages(found: Iterable[Row]) -> list[tuple[datetime, datetime]]:
    """(begin, end) of each passage of one lead, one after the other, through a sequence."""
    passages: list[tuple[datetime, datetime]] = []
    for row in found:
        if row.what == "enroll":
            passages.append((row.at, _NEVER))
        elif row.what in ("stop", "complete") and passages:
            passages[-1] = (passages[-1][0], row.at)
    return passages


def _days(found: Iterable[Row]) -> set[date]:
    return {row.at.astimezone(UTC).date() for row in found if row.what == SEND}
