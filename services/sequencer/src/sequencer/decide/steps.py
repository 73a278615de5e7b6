"""Steps: when the next one is due, whether it goes out, and what then is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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
from leadflow.records.common import Arm, SequenceStep
from sequencer.decide import calendar, conditions, recipients, stops, timing
from sequencer.decide.case import Case, inputs
from sequencer.model import Enrollment

DEFINITION_MISSING = "definition_missing"
SEQUENCE_PAUSED = "sequence_paused"
OWNER_TASK = "owner-task"


@dataclass(frozen=True, slots=True)
class Text:
    """What a message is made of."""

    template_name: str
    subject: str
    body: str


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
    while index < len(sequence.steps) and sequence.steps[index].step_id in enrollment.passed:
        index += 1  # behind it since before it was migrated
    if index >= len(sequence.steps):
        case.tell_of(EnrollmentCompleted, enrollment, (), case.now)
        case.end(enrollment, "completed")
        return None
    step = sequence.steps[index]
    slot = timing.due(case, enrollment, sequence, step, after)
    enrollment = changed(enrollment, step_index=index, due_at=slot.at, held_by="")
    _told(case, enrollment, step, slot, (step.step_id,))
    if index == 0 and slot.rule in ("quiet_hours", "window"):
        _tell_owner(case, enrollment, sequence, step, slot)
    return enrollment


def shifted(
    case: Case, enrollment: Enrollment, step: SequenceStep, slot: timing.Slot, cause: str
) -> None:
    """The next step waits for a later time, because of the slot's rule."""
    moved = changed(enrollment, due_at=slot.at, held_by="")
    _told(case, moved, step, slot, (step.step_id, cause))


def _told(
    case: Case,
    enrollment: Enrollment,
    step: SequenceStep,
    slot: timing.Slot,
    identity: tuple[str, ...],
) -> None:
    case.change(enrollment)
    case.tell_of(
        StepScheduled,
        enrollment,
        identity,
        case.now,
        step_id=step.step_id,
        step_index=enrollment.step_index,
        channel=step.channel,
        due_at=slot.at,
        rule=slot.rule,
        inputs=inputs(slot.inputs),
    )


def _tell_owner(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    step: SequenceStep,
    slot: timing.Slot,
) -> None:
    """The first touch waits for the morning: a person hears of the lead meanwhile (product.md,
    "The first touch in five minutes against quiet hours")."""
    to = recipients.find(case.row, sequence, step.channel, case.setting, case.now)
    if step.channel not in timing.TO_THE_LEAD or isinstance(to, recipients.Nobody):
        return
    owner = recipients.owner_of(case.row, case.setting.tenant(case.row.tenant_id), case.now)
    _queue(
        case,
        enrollment,
        sequence,
        owner,
        message_id=ids.message_id(enrollment.enrollment_id, f"{step.step_id}:{OWNER_TASK}"),
        step_id=f"{step.step_id}:{OWNER_TASK}",
        channel="task",
        text=Text(
            OWNER_TASK,
            f"A new lead waits: the first {step.channel} goes out later",
            "The first message waits for the hours in which this lead may be written to "
            f"({slot.rule}). Look whether somebody should call before.",
        ),
        due_at=case.now,
    )


def fire_due(case: Case) -> None:
    """Work off every step that is due by now."""
    while True:
        due = [
            each
            for each in case.row.live
            if each.due_at <= case.now
            and not each.paused_by
            and not each.waits_for
            and not _still_held(case, each)
        ]
        if not due:
            return
        _advance(case, min(due, key=lambda each: _turn(case, each)))


def _turn(case: Case, enrollment: Enrollment) -> tuple[int, datetime, str]:
    """The higher priority goes first: the cap may leave room for one of them only."""
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    priority = 0 if sequence is None else sequence.priority
    return -priority, enrollment.due_at, enrollment.enrollment_id


def released(case: Case) -> datetime | None:
    """When a step was due that was held and need not wait any more; None if there is none."""
    return min(
        (
            each.due_at
            for each in case.row.live
            if each.held_by
            and not each.paused_by
            and not each.waits_for
            and not _still_held(case, each)
        ),
        default=None,
    )


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
            for each in sequence.steps[after:target]:
                skip(case, enrollment, each, "jumped_over", {"from": step.step_id})
            after = target
    elif step.channel == "stop":
        stops.finish(case, enrollment, "stop_step", {"step": step.step_id})
        return
    elif step.channel not in ("wait", "condition"):
        sent = _run(case, enrollment, sequence, step)
        if sent and step.blocks and step.channel in recipients.FOR_PEOPLE:
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
        (step.step_id, "task_open"),
        case.now,
        rule="task_open",
        inputs=inputs({"step": step.step_id}),
    )


def task_done(case: Case, message_id: str, by: str) -> None:
    """A person did a task: what waited for it goes on."""
    for enrollment in case.row.live:
        step_id = enrollment.waits_for
        if not step_id or message_id != ids.message_id(enrollment.enrollment_id, step_id):
            continue
        sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
        freed = changed(enrollment, waits_for="")
        if sequence is None:
            # Held as soon as it is looked at, until its definition is there again.
            freed = changed(freed, due_at=case.now)
            case.change(freed)
        else:
            following = schedule(case, freed, sequence, freed.step_index, after=case.now)
            if following is None:
                return
            freed = following
        case.tell_of(
            EnrollmentResumed,
            freed,
            (step_id, "task_done"),
            case.now,
            rule="task_done",
            inputs=inputs({"step": step_id, "by": by}),
            next_due_at=freed.due_at,
        )
        return


def _done_at(case: Case, enrollment: Enrollment) -> datetime:
    """When a step counts as done: when it went out, not when it should have."""
    return max(case.now, enrollment.due_at)


def _run(
    case: Case, enrollment: Enrollment, sequence: SequencePublished, step: SequenceStep
) -> bool:
    """Queue the step's message, or say why not; whether it was queued."""
    found = recipients.find(case.row, sequence, step.channel, case.setting, case.now)
    if isinstance(found, recipients.Nobody):
        skip(case, enrollment, step, found.rule, found.looked_at)
        return False
    message_id = ids.message_id(enrollment.enrollment_id, step.step_id)
    arm = arm_of(case, sequence, step)
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
    written = step if arm is None else arm
    _queue(
        case,
        enrollment,
        sequence,
        found,
        message_id=message_id,
        step_id=step.step_id,
        channel=step.channel,
        text=Text(written.template_name, written.subject, written.body),
        due_at=enrollment.due_at,
    )
    if step.channel in timing.TO_THE_LEAD and (sent := timing.count(case)) != case.row.sent:
        case.row = changed(case.row, sent=sent)
    return True


def arm_of(case: Case, sequence: SequencePublished, step: SequenceStep) -> Arm | None:
    """The arm of an A/B step that this lead has, in every step with the same weights."""
    if not step.arms:
        return None
    weights = tuple(each.weight for each in step.arms)
    return step.arms[calendar.pick(weights, case.row.lead_id, sequence.sequence_id)]


def _queue(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    to: recipients.Recipient,
    *,
    message_id: str,
    step_id: str,
    channel: str,
    text: Text,
    due_at: datetime,
) -> None:
    case.tell(
        MessageQueued,
        (message_id,),
        case.now,
        message_id=message_id,
        enrollment_id=enrollment.enrollment_id,
        sequence_id=enrollment.sequence_id,
        step_id=step_id,
        channel=channel,
        attempt=1,
        recipient=to.address,
        template_name=text.template_name,
        subject=text.subject,
        body=text.body,
        variables=recipients.variables(case.row, case.setting.tenant(case.row.tenant_id)),
        compliance_note=to.basis,
        send_state="queued",
        enrolled_at=enrollment.enrolled_at,
        stop_on=sequence.stop_on,
        due_at=due_at,
    )


def skip(
    case: Case,
    enrollment: Enrollment,
    step: SequenceStep,
    rule: str,
    looked_at: dict[str, object],
) -> None:
    """Say that a step is passed over."""
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
