"""When the next step is due, and what its event says of it."""

from __future__ import annotations

from datetime import datetime

from leadflow import ids
from leadflow.records import EnrollmentCompleted, SequencePublished, StepScheduled
from leadflow.records.base import changed
from leadflow.records.common import SequenceStep
from sequencer.decide import recipients, timing
from sequencer.decide.case import Case, inputs
from sequencer.decide.messages import Text, queue
from sequencer.model import Enrollment

OWNER_TASK = "owner-task"


def schedule(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    index: int,
    *,
    after: datetime,
    begins: bool = False,
    anew: str = "",
) -> Enrollment | None:
    """Make step `index` the next one; None if there is no such step and all is done. `begins`:
    it is the first of an enrollment that has just begun. `anew` is the event because of which a
    step is planned that may have been planned before; it is due from now on then.

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
    earliest = max(after, case.now) if anew else after
    slot = timing.due(case, enrollment, sequence, step, after, earliest)
    enrollment = changed(enrollment, step_index=index, due_at=slot.at, held_by="", stepped_at=after)
    _told(case, enrollment, step, slot, (step.step_id, anew) if anew else (step.step_id,))
    if begins and index == 0 and slot.rule in ("quiet_hours", "window"):
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
    queue(
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
