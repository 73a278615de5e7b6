"""An enrollment goes on in another version of its sequence.

Where it goes on, with the steps before it in its old version behind it for good:

1. at the step that it stands on, wherever the new version has that;
2. if that step was removed, at the first later step of the old version that the new one has;
3. if there is none, after the last step behind it that the new version has, or at its start.

From there on steps that are behind it are passed over, so that nobody gets one twice. Steps before
that place which the lead never had, added there or moved there, are not made up for: each is told
as skipped by the migration.

Its next step keeps its time where nothing changed of what that depends on, its text may. Else its
delay counts as ever: from the enrollment, or from when the step above went out, not from now. A
task that it waits for, and that the new version has no more or lets nobody wait for, is waited for
no longer.
"""

from __future__ import annotations

from leadflow.records import EnrollmentMigrated, EnrollmentMigrateRequested, SequencePublished
from leadflow.records.base import changed
from leadflow.records.common import SequenceStep
from sequencer.decide import firing, scheduling
from sequencer.decide.case import Case, inputs
from sequencer.model import Enrollment

LEFT_BEHIND = "left_behind"
TASK_GONE = "task_gone"
TIMING = (
    "step_id",
    "channel",
    "delay_minutes",
    "delay_days",
    "delay_business_days",
    "delay_from",
    "spread_minutes",
)


def migrate(case: Case, event: EnrollmentMigrateRequested, enrollment: Enrollment) -> int | None:
    """Move a live enrollment to another version; or the one of the two that is not published, and
    nothing is changed."""
    versions = case.setting.sequences
    old = versions.get(enrollment.sequence_id, enrollment.version)
    new = versions.get(enrollment.sequence_id, event.to_version)
    if old is None:
        return enrollment.version
    if new is None or new.status == "draft":
        return event.to_version
    behind = {*enrollment.passed, *(each.step_id for each in old.steps[: enrollment.step_index])}
    index = place(old, new, enrollment.step_index, behind)
    standing = old.steps[enrollment.step_index] if enrollment.step_index < len(old.steps) else None
    moved = changed(
        enrollment, version=new.version, passed=tuple(sorted(behind)), held_by="", step_index=index
    )
    case.change(moved)
    while index < len(new.steps) and new.steps[index].step_id in behind:
        index += 1
    following = new.steps[index] if index < len(new.steps) else None
    case.tell_of(
        EnrollmentMigrated,
        moved,
        (event.event_id,),
        event.occurred_at,
        from_version=enrollment.version,
        next_step_id=None if following is None else following.step_id,
        rule="manual",
        inputs=inputs({"requested_by": event.requested_by}),
    )
    looked_at: dict[str, object] = {"from_version": old.version, "to_version": new.version}
    for number, each in enumerate(new.steps[:index]):
        if each.step_id not in behind:
            firing.skip(case, changed(moved, step_index=number), each, LEFT_BEHIND, looked_at)
    if moved.waits_for and any(e.step_id == moved.waits_for and e.blocks for e in new.steps):
        case.change(changed(moved, step_index=index))
    elif moved.waits_for:
        firing.go_on(case, moved, new, index, TASK_GONE, looked_at, event.event_id)
    elif following is not None and (old.window, _timing(following)) == (
        new.window,
        _timing(standing),
    ):
        case.change(changed(moved, step_index=index))  # nothing changed for its time
    else:
        after = moved.stepped_at or case.now
        scheduling.schedule(case, moved, new, index, after=after, anew=event.event_id)
    return None


def _timing(step: SequenceStep | None) -> tuple[object, ...] | None:
    """All of a step that its time depends on, and which it is."""
    return None if step is None else tuple(getattr(step, name) for name in TIMING)


def place(old: SequencePublished, new: SequencePublished, index: int, behind: set[str]) -> int:
    """The index in `new` at which an enrollment goes on that stands on `index` of `old`."""
    there = {each.step_id: number for number, each in enumerate(new.steps)}
    for each in old.steps[index:]:
        if each.step_id in there and each.step_id not in behind:
            return there[each.step_id]
    return 1 + max((there[each] for each in behind if each in there), default=-1)
