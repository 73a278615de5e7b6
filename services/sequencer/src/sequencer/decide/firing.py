"""Steps that are due: whether they go out, and what then is sent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from leadflow import ids
from leadflow.records import (
    EnrollmentPaused,
    EnrollmentResumed,
    SequencePublished,
    StepFired,
    StepSkipped,
)
from leadflow.records.base import changed
from leadflow.records.common import SequenceStep
from sequencer.decide import conditions, holds, messages, recipients, stops, timing
from sequencer.decide.case import Case, inputs
from sequencer.decide.scheduling import schedule, shifted
from sequencer.model import Enrollment


def fire_due(case: Case) -> None:
    """Work off every step that is due by now."""
    while True:
        due = [
            each
            for each in case.row.live
            if each.due_at <= case.now
            and not each.paused_by
            and not each.waits_for
            and not holds.still_held(case, each)
        ]
        if not due:
            return
        _advance(case, min(due, key=lambda each: _turn(case, each)))


def _turn(case: Case, enrollment: Enrollment) -> tuple[int, datetime, str]:
    """The higher priority goes first: the cap may leave room for one of them only."""
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    priority = 0 if sequence is None else sequence.priority
    return -priority, enrollment.due_at, enrollment.enrollment_id


def _advance(case: Case, enrollment: Enrollment) -> None:
    hold = holds.hold(case, enrollment)
    if hold:
        case.change(changed(enrollment, held_by=hold))
        case.tell_of(
            EnrollmentPaused,
            enrollment,
            (enrollment.step_index, hold, *_word_on(case, hold)),
            case.now,
            rule="automation_paused" if holds.is_scope(hold) else hold,
            inputs=inputs({"scope": hold, "due_at": enrollment.due_at.isoformat()}),
        )
        return
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    if sequence is None:
        return  # holds.hold has just said that there is one
    if enrollment.held_by:
        case.tell_of(
            EnrollmentResumed,
            enrollment,
            (enrollment.step_index, enrollment.held_by, *_word_on(case, enrollment.held_by)),
            case.now,
            rule="automation_resumed",
            inputs=inputs({"scope": enrollment.held_by}),
            next_due_at=enrollment.due_at,
        )
        enrollment = changed(enrollment, held_by="")
        case.change(enrollment)
    if enrollment.step_index >= len(sequence.steps):
        schedule(case, enrollment, sequence, enrollment.step_index, after=case.now)
        return
    step = sequence.steps[enrollment.step_index]
    unmet = conditions.unmet(case.row, enrollment, step)
    if unmet is None and (slot := timing.shift(case, enrollment, sequence, step)) is not None:
        shifted(case, enrollment, step, slot, slot.at.isoformat())
        return
    _go_on(case, enrollment, sequence, step, unmet)


def _word_on(case: Case, hold: str) -> tuple[str, ...]:
    """What makes a hold for a second pause, or its end, another event than for the first."""
    word = case.setting.pauses.last_word(hold)
    return (word,) if word else ()


def _go_on(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    step: SequenceStep,
    unmet: dict[str, object] | None,
) -> None:
    """Do a step or pass it over, and schedule what comes after it."""
    after = enrollment.step_index + 1
    if unmet is not None:
        skip(case, enrollment, step, "condition", unmet)
        if step.channel == "condition":
            target = _otherwise(sequence, step, after)
            if target is None:
                stops.finish(case, enrollment, "condition", unmet)
                return
            for index, each in enumerate(sequence.steps[after:target], after):
                if each.step_id not in enrollment.passed:
                    jumped = changed(enrollment, step_index=index)
                    skip(case, jumped, each, "jumped_over", {"from": step.step_id})
            after = target
    elif step.channel == "stop":
        stops.finish(case, enrollment, "stop_step", {"step": step.step_id})
        return
    elif step.channel not in ("wait", "condition"):
        fired = _run(case, enrollment, sequence, step)
        open_task = fired and step.blocks and step.channel in recipients.FOR_PEOPLE
        enrollment = fired or enrollment
        if open_task and _done(step) not in enrollment.outcomes:
            _wait_for_task(case, enrollment, step, after)
            return
    schedule(case, enrollment, sequence, after, after=_done_at(case, enrollment))


def _otherwise(sequence: SequencePublished, step: SequenceStep, after: int) -> int | None:
    """Where a condition that does not hold leads to: a later step, or out."""
    return next(
        (
            index
            for index, each in enumerate(sequence.steps)
            if index >= after and each.step_id == step.otherwise
        ),
        None,
    )


def _wait_for_task(case: Case, enrollment: Enrollment, step: SequenceStep, after: int) -> None:
    waiting = changed(enrollment, step_index=after, waits_for=step.step_id)
    case.change(waiting)
    case.tell_of(
        EnrollmentPaused,
        waiting,
        (step.step_id, holds.TASK_OPEN),
        case.now,
        rule=holds.TASK_OPEN,
        inputs=inputs({"step": step.step_id}),
    )


def task_done(case: Case, message_id: str, by: str) -> None:
    """A person did a task: what waited for it goes on."""
    for enrollment in case.row.live:
        step_id = enrollment.waits_for
        if not step_id or message_id != ids.message_id(enrollment.enrollment_id, step_id):
            _note_done(case, enrollment, message_id)
            continue
        sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
        go_on(case, enrollment, sequence, enrollment.step_index, "task_done", {"by": by})
        return


def go_on(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished | None,
    index: int,
    rule: str,
    looked_at: Mapping[str, object],
    *cause: str,
) -> None:
    """A task that the enrollment waits for is waited for no longer: step `index` is next."""
    step_id = enrollment.waits_for
    freed = changed(enrollment, waits_for="")
    if sequence is None:
        # Held as soon as it is looked at, until its definition is there again.
        freed = changed(freed, due_at=case.now)
        case.change(freed)
    else:
        following = schedule(case, freed, sequence, index, after=case.now)
        if following is None:
            return
        freed = following
    case.tell_of(
        EnrollmentResumed,
        freed,
        (step_id, rule, *cause),
        case.now,
        rule=rule,
        inputs=inputs({"step": step_id, **looked_at, **holds.left(freed)}),
        next_due_at=freed.due_at,
    )


def _note_done(case: Case, enrollment: Enrollment, message_id: str) -> None:
    """A task may be done before its step counts as done here: its message went out, and the
    worker died before the row was written. Who did it is not asked to do it again."""
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    for step in sequence.steps[enrollment.step_index :] if sequence is not None else ():
        if step.blocks and message_id == ids.message_id(enrollment.enrollment_id, step.step_id):
            outcomes = (*enrollment.outcomes, _done(step))
            case.change(changed(enrollment, outcomes=outcomes))
            return


def _done(step: SequenceStep) -> str:
    return f"{step.step_id}:done"


def _done_at(case: Case, enrollment: Enrollment) -> datetime:
    """When a step counts as done: when it went out, not when it should have."""
    return max(case.now, enrollment.due_at)


def _run(
    case: Case, enrollment: Enrollment, sequence: SequencePublished, step: SequenceStep
) -> Enrollment | None:
    """Queue the step's message, or say why not; the enrollment with the arm that it keeps from now
    on, None if nothing was queued."""
    found = recipients.find(case.row, sequence, step.channel, case.setting, case.now)
    if isinstance(found, recipients.Nobody):
        skip(case, enrollment, step, found.rule, found.looked_at)
        return None
    message_id = ids.message_id(enrollment.enrollment_id, step.step_id)
    arm = messages.arm_of(case, enrollment.arms, sequence, step)
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
        arm="" if arm is None else arm.name,
    )
    messages.queue(
        case,
        enrollment,
        sequence,
        found,
        message_id=message_id,
        step_id=step.step_id,
        channel=step.channel,
        text=messages.text_of(step, arm),
        due_at=enrollment.due_at,
    )
    timing.count(case, step.channel)
    enrollment = changed(enrollment, arms=messages.keeping(enrollment.arms, step, arm))
    case.change(enrollment)
    return enrollment


def skip(
    case: Case,
    enrollment: Enrollment,
    step: SequenceStep,
    rule: str,
    looked_at: dict[str, object],
    *cause: str,
) -> None:
    """Say that a step is passed over, or, because of that cause, not done once more."""
    case.tell_of(
        StepSkipped,
        enrollment,
        (step.step_id, *cause),
        case.now,
        step_id=step.step_id,
        step_index=enrollment.step_index,
        channel=step.channel,
        rule=rule,
        inputs=inputs(looked_at),
    )
