"""Who enters a sequence, who does not, and why."""

from __future__ import annotations

from datetime import datetime, timedelta

from leadflow import ids
from leadflow.records import Enrolled, EnrollmentRefused, LeadRecord, SequencePublished
from sequencer.decide import ahead, scheduling, stops
from sequencer.decide.case import Case, Cause, inputs
from sequencer.model import Consent, Enrollment, Finished, LeadRow, digest

ANY_SOURCE = ("", "any")


def on_stage(case: Case, event: LeadRecord, stage: str) -> None:
    """The lead entered a stage."""
    _trigger(case, event, "stage", stage)


def on_event(case: Case, event: LeadRecord, name: str) -> None:
    """Something happened that sequences may wait for."""
    _trigger(case, event, "event", name)


def _trigger(case: Case, event: LeadRecord, kind: str, value: str) -> None:
    row = case.row
    if row.status not in ("", "active"):
        return  # quarantined and merged leads trigger nothing
    for sequence in case.setting.sequences.triggered(event.tenant_id, kind, value):
        if takes(sequence, event.source):
            enroll(case, event, sequence, by="trigger")


def takes(sequence: SequencePublished, source: str) -> bool:
    """Whether the sequence is for leads, or events, of that source."""
    return sequence.trigger_source in ANY_SOURCE or sequence.trigger_source == source


def enroll(case: Case, event: LeadRecord | Cause, sequence: SequencePublished, *, by: str) -> None:
    """Enroll the lead, or say why not. Its first step is due from when the cause was recorded,
    so that a repeat, however late, means the same times. Nothing, if this cause has enrolled it
    before: a repeat from so long ago that only the enrollment tells."""
    cause = digest(event.event_id)
    passages: tuple[Enrollment | Finished, ...] = (*case.row.live, *case.row.finished)
    if any(each.sequence_id == sequence.sequence_id and each.cause == cause for each in passages):
        return
    at = min(event.recorded_at, case.now)
    if (refusal := _refusal(case, sequence, at)) is not None:
        rule, looked_at = refusal
        refuse(case, event, sequence.sequence_id, rule, looked_at)
        return
    for each in _rivals(case, sequence):
        winner: dict[str, object] = {"by": sequence.sequence_id, "group": sequence.exclusive_group}
        stops.finish(case, each, "superseded", winner)
    entry = 1 + next(
        (f.entries for f in case.row.finished if f.sequence_id == sequence.sequence_id),
        case.row.entries_before,
    )
    enrollment = Enrollment(
        enrollment_id=ids.enrollment_id(case.row.lead_id, sequence.sequence_id, entry),
        sequence_id=sequence.sequence_id,
        version=sequence.version,
        entry=entry,
        enrolled_at=at,
        step_index=0,
        due_at=at,
        cause=cause,
    )
    case.begin(enrollment)
    case.tell_of(
        Enrolled,
        enrollment,
        (),
        event.occurred_at,
        entry=entry,
        enrolled_by=by,
        trigger_event_id=event.event_id,
    )
    if not ahead.ends(case, enrollment):
        scheduling.schedule(case, enrollment, sequence, 0, after=at, begins=True)


def refuse(
    case: Case,
    event: LeadRecord | Cause,
    sequence_id: str,
    rule: str,
    looked_at: dict[str, object],
) -> None:
    """Say that the lead does not enter a sequence."""
    case.tell(
        EnrollmentRefused,
        (event.event_id, sequence_id),
        event.occurred_at,
        sequence_id=sequence_id,
        trigger_event_id=event.event_id,
        rule=rule,
        inputs=inputs(looked_at),
    )


def _refusal(
    case: Case, sequence: SequencePublished, at: datetime
) -> tuple[str, dict[str, object]] | None:
    row = case.row
    if not row.created:
        return "unknown_lead", {}
    if row.status != "active":
        return "lead_not_active", {"status": row.status}
    sequence_id = sequence.sequence_id
    if live := next((each for each in row.live if each.sequence_id == sequence_id), None):
        return "already_active", {"enrollment_id": live.enrollment_id}
    for rival in _rivals(case, sequence):
        holder = case.setting.sequences.get(rival.sequence_id, rival.version)
        if holder is not None and holder.priority >= sequence.priority:
            return "exclusive", {
                "group": sequence.exclusive_group,
                "held_by": rival.sequence_id,
                "priority": sequence.priority,
                "their_priority": holder.priority,
            }
    if sequence.consent_rule != "internal" and (refused := _refused_everything(row)) is not None:
        return "consent_refused", {"channel": "all", "at": refused.at.isoformat()}
    past = next((each for each in row.finished if each.sequence_id == sequence_id), None)
    if past is None or sequence.reentry_rule == "always":
        return None
    looked_at: dict[str, object] = {
        "reentry": sequence.reentry_rule,
        "entries": past.entries,
        "ended_at": past.ended_at.isoformat(),
    }
    if sequence.reentry_rule == "after_days":
        looked_at["days"] = sequence.reentry_days
        if at >= past.ended_at + timedelta(days=sequence.reentry_days):
            return None
    return "reentry", looked_at


def _rivals(case: Case, sequence: SequencePublished) -> list[Enrollment]:
    """Live enrollments in other sequences of the same exclusive group."""
    if not sequence.exclusive_group:
        return []
    found = []
    for each in case.row.live:
        other = case.setting.sequences.get(each.sequence_id, each.version)
        if (
            other is not None
            and other.sequence_id != sequence.sequence_id
            and other.exclusive_group == sequence.exclusive_group
        ):
            found.append(each)
    return found


def _refused_everything(row: LeadRow) -> Consent | None:
    """The refusal of all channels, unless some channel was allowed after it."""
    word = row.consent_for("all")
    if word is None or word.granted:
        return None
    return None if any(each.granted and each.at > word.at for each in row.consent) else word
