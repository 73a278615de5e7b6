"""Steps: when the next one is due, whether it goes out, and what then is sent."""

from __future__ import annotations

from datetime import datetime, timedelta

from leadflow import ids
from leadflow.records import (
    EnrollmentCompleted,
    EnrollmentPaused,
    EnrollmentResumed,
    MessageQueued,
    SequencePublished,
    StepFired,
    StepScheduled,
    StepSkipped,
)
from leadflow.records.base import changed
from leadflow.records.common import SequenceStep
from sequencer.decide import conditions, recipients
from sequencer.decide.case import Case, inputs
from sequencer.model import Enrollment

DEFINITION_MISSING = "definition_missing"
SEQUENCE_PAUSED = "sequence_paused"


def schedule(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    index: int,
    *,
    after: datetime,
) -> Enrollment | None:
    """Make step `index` the next one; None if there is no such step and all is done.

    `after` is when the step before it was done, or the enrollment began. A step is never due
    before that, so steps keep their order whatever their delays say.
    """
    if index >= len(sequence.steps):
        case.tell_of(EnrollmentCompleted, enrollment, (), case.now)
        case.end(enrollment, "completed")
        return None
    step = sequence.steps[index]
    start = after if step.delay_from == "previous" else enrollment.enrolled_at
    due = max(after, start + timedelta(minutes=step.delay_minutes))
    enrollment = changed(enrollment, step_index=index, due_at=due, held_by="")
    case.change(enrollment)
    case.tell_of(
        StepScheduled,
        enrollment,
        (step.step_id,),
        case.now,
        step_id=step.step_id,
        step_index=index,
        channel=step.channel,
        due_at=due,
    )
    return enrollment


def fire_due(case: Case) -> None:
    """Work off every step that is due by now, the longest due first."""
    while True:
        due = [
            each
            for each in case.row.live
            if each.due_at <= case.now and not each.paused_by and not _still_held(case, each)
        ]
        if not due:
            return
        _advance(case, min(due, key=lambda each: (each.due_at, each.enrollment_id)))


def _still_held(case: Case, enrollment: Enrollment) -> bool:
    return enrollment.held_by != "" and enrollment.held_by == _hold(case, enrollment)


def _hold(case: Case, enrollment: Enrollment) -> str:
    """What keeps the next step from going out at all for now; empty if nothing does."""
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    if sequence is None:
        return DEFINITION_MISSING
    if sequence.status == "paused":
        return SEQUENCE_PAUSED
    if enrollment.step_index >= len(sequence.steps):
        return ""
    channel = sequence.steps[enrollment.step_index].channel
    scope = case.setting.pauses.holding(case.row.tenant_id, enrollment.sequence_id, channel)
    return scope or ""


def _is_scope(hold: str) -> bool:
    return hold not in (DEFINITION_MISSING, SEQUENCE_PAUSED)


def _advance(case: Case, enrollment: Enrollment) -> None:
    hold = _hold(case, enrollment)
    if hold:
        case.change(changed(enrollment, held_by=hold))
        case.tell_of(
            EnrollmentPaused,
            enrollment,
            (enrollment.step_index, hold),
            case.now,
            rule="automation_paused" if _is_scope(hold) else hold,
            inputs=inputs({"scope": hold, "due_at": enrollment.due_at.isoformat()}),
        )
        return
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    if sequence is None:
        return  # _hold has just said that there is one
    if enrollment.held_by:
        case.tell_of(
            EnrollmentResumed,
            enrollment,
            (enrollment.step_index, enrollment.held_by),
            case.now,
            rule="automation_resumed",
            inputs=inputs({"scope": enrollment.held_by}),
            next_due_at=enrollment.due_at,
        )
    if enrollment.step_index < len(sequence.steps):
        _run(case, enrollment, sequence, sequence.steps[enrollment.step_index])
    schedule(
        case, enrollment, sequence, enrollment.step_index + 1, after=_done_at(case, enrollment)
    )


def _done_at(case: Case, enrollment: Enrollment) -> datetime:
    """When a step counts as done: when it went out, not when it should have."""
    return max(case.now, enrollment.due_at)


def _run(
    case: Case, enrollment: Enrollment, sequence: SequencePublished, step: SequenceStep
) -> None:
    if (skip := conditions.unmet(case.row, step)) is not None:
        _skip(case, enrollment, step, "condition", skip)
        return
    if step.channel == "wait":
        return
    found = recipients.find(case.row, sequence, step.channel, case.setting)
    if isinstance(found, recipients.Nobody):
        _skip(case, enrollment, step, found.rule, found.looked_at)
        return
    message_id = ids.message_id(enrollment.enrollment_id, step.step_id)
    case.tell_of(
        StepFired,
        enrollment,
        (step.step_id,),
        case.now,
        step_id=step.step_id,
        step_index=enrollment.step_index,
        channel=step.channel,
        message_id=message_id,
        due_at=enrollment.due_at,
    )
    case.tell(
        MessageQueued,
        (message_id,),
        case.now,
        message_id=message_id,
        enrollment_id=enrollment.enrollment_id,
        sequence_id=enrollment.sequence_id,
        step_id=step.step_id,
        channel=step.channel,
        attempt=1,
        recipient=found.address,
        template_name=step.template_name,
        subject=step.subject,
        body=step.body,
        variables=recipients.variables(case.row, case.setting.tenant(case.row.tenant_id)),
        compliance_note=found.basis,
        send_state="queued",
        enrolled_at=enrollment.enrolled_at,
        stop_on=sequence.stop_on,
        due_at=enrollment.due_at,
    )


def _skip(
    case: Case,
    enrollment: Enrollment,
    step: SequenceStep,
    rule: str,
    looked_at: dict[str, object],
) -> None:
    case.tell_of(
        StepSkipped,
        enrollment,
        (step.step_id,),
        case.now,
        step_id=step.step_id,
        step_index=enrollment.step_index,
        channel=step.channel,
        rule=rule,
        inputs=inputs(looked_at),
    )
