"""An enrollment goes on in another version of its sequence.

Where it goes on, with the steps before it in its old version behind it for good:

1. at the step that it stands on, wherever the new version has that;
2. if that step was removed, at the first later step of the old version that the new one has;
3. if there is none, after the last step behind it that the new version has, or at its start.

From there on steps that are behind it are passed over, so that nobody gets one twice; steps that
were added before that place are not made up for.
"""

from __future__ import annotations

from leadflow.errors import RecordRefused
from leadflow.records import EnrollmentMigrated, EnrollmentMigrateRequested, SequencePublished
from leadflow.records.base import changed
from sequencer.decide import scheduling
from sequencer.decide.case import Case, inputs
from sequencer.model import Enrollment


def migrate(case: Case, event: EnrollmentMigrateRequested, enrollment: Enrollment) -> None:
    """Move a live enrollment to another version. Raises RecordRefused if one of the two is not
    published."""
    versions = case.setting.sequences
    old = versions.get(enrollment.sequence_id, enrollment.version)
    new = versions.get(enrollment.sequence_id, event.to_version)
    if old is None or new is None or new.status == "draft":
        missing = event.to_version if old is not None else enrollment.version
        raise RecordRefused("unknown_version", f"version {missing} is not published")
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
    if moved.waits_for:
        case.change(changed(moved, step_index=index))
    elif following is not None and following == standing:
        case.change(changed(moved, step_index=index))  # nothing changed for it, nor its time
    else:
        scheduling.schedule(case, moved, new, index, after=case.now)


def place(old: SequencePublished, new: SequencePublished, index: int, behind: set[str]) -> int:
    """The index in `new` at which an enrollment goes on that stands on `index` of `old`."""
    there = {each.step_id: number for number, each in enumerate(new.steps)}
    for each in old.steps[index:]:
        if each.step_id in there and each.step_id not in behind:
            return there[each.step_id]
    return 1 + max((there[each] for each in behind if each in there), default=-1)
