"""An enrollment goes on in another version of its sequence.

Where it goes on, with the steps before it in its old version behind it for good:

1. at the step that it stands on, wherever the new version has that;
2. if that step was removed, at the first later step of the old version that the new one has;
3. if there is none, after the last step behind it that the new version has, or at its start.

From there on steps that are behind it are passed over, so that nobody gets one twice. Steps before
that place which the lead never had, added there or moved there, are not made up for: each is told
as skipped by the migration.
"""

from __future__ import annotations

from leadflow.records import EnrollmentMigrated, EnrollmentMigrateRequested, SequencePublished
from leadflow.records.base import changed
from sequencer.decide import firing, scheduling
from sequencer.decide.case import Case, inputs
from sequencer.model import Enrollment

LEFT_BEHIND = "left_behind"


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
    if moved.waits_for:
        case.change(changed(moved, step_index=index))
    elif following is not None and following == standing:
        case.change(changed(moved, step_index=index))  # nothing changed for it, nor its time
    else:
        scheduling.schedule(case, moved, new, index, after=case.now)
    return None


def place(old: SequencePublished, new: SequencePublished, index: int, behind: set[str]) -> int:
    """The index in `new` at which an enrollment goes on that stands on `index` of `old`."""
    there = {each.step_id: number for number, each in enumerate(new.steps)}
    for each in old.steps[index:]:
        if each.step_id in there and each.step_id not in behind:
            return there[each.step_id]
    return 1 + max((there[each] for each in behind if each in there), default=-1)
