"""What keeps a step that is due from going out for now."""

from __future__ import annotations

from datetime import datetime

from sequencer.decide.case import Case
from sequencer.model import Enrollment

DEFINITION_MISSING = "definition_missing"
SEQUENCE_PAUSED = "sequence_paused"
TASK_OPEN = "task_open"


def hold(case: Case, enrollment: Enrollment) -> str:
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


def still_held(case: Case, enrollment: Enrollment) -> bool:
    """Whether what held the next step when it came due holds it still."""
    return enrollment.held_by != "" and enrollment.held_by == hold(case, enrollment)


def named(enrollment: Enrollment) -> str:
    """What holds an enrollment, as its events name it; empty if nothing does. Several things may
    at once: a pause of its own comes first."""
    if enrollment.waits_for and not enrollment.paused_by:
        return TASK_OPEN
    return enrollment.paused_by or enrollment.held_by


def left(enrollment: Enrollment) -> dict[str, object]:
    """For the event that lifts one hold: what goes on holding the enrollment, if anything does."""
    hold = named(enrollment)
    return {"still_held_by": hold} if hold else {}


def is_scope(hold: str) -> bool:
    """Whether a hold is a paused scope of automation."""
    return hold not in (DEFINITION_MISSING, SEQUENCE_PAUSED)


def released(case: Case) -> datetime | None:
    """When a step was due that was held and need not wait any more; None if there is none."""
    return min(
        (
            each.due_at
            for each in case.row.live
            if each.held_by
            and not each.paused_by
            and not each.waits_for
            and not still_held(case, each)
        ),
        default=None,
    )
