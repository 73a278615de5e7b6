"""What became of a message, as far as a later step depends on it, and automatic answers."""

from __future__ import annotations

from datetime import timedelta

from leadflow import ids
from leadflow.records import ReplyReceived
from leadflow.records.base import changed
from sequencer.decide import conditions, scheduling, stops, timing
from sequencer.decide.case import Case

OUT_OF_OFFICE = timedelta(days=3)
"""How long an automatic answer holds what would go out sooner."""


def note(case: Case, message_id: str | None, what: str) -> bool:
    """Remember it if a condition of its enrollment's sequence asks; whether one does."""
    for enrollment in case.row.live:
        sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
        for step in sequence.steps if sequence is not None else ():
            if (
                sequence is None
                or not conditions.asks_about(sequence, step.step_id)
                or message_id != ids.message_id(enrollment.enrollment_id, step.step_id)
            ):
                continue
            outcome = f"{step.step_id}:{what}"
            if outcome not in enrollment.outcomes:
                case.change(changed(enrollment, outcomes=(*enrollment.outcomes, outcome)))
            return True
    return False


def out_of_office(case: Case, event: ReplyReceived) -> None:
    """An automatic answer is no reply: it stops nothing, but what would go out in the next days
    waits, in every sequence that a real reply would stop."""
    until = event.occurred_at + OUT_OF_OFFICE
    for enrollment in case.row.live:
        sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
        if (
            sequence is None
            or enrollment.waits_for
            or enrollment.due_at >= until
            or enrollment.step_index >= len(sequence.steps)
            or not stops.stops_on(case, enrollment, "reply")
        ):
            continue
        step = sequence.steps[enrollment.step_index]
        slot = timing.Slot(until, "out_of_office", {"due_at": enrollment.due_at.isoformat()})
        scheduling.shifted(case, enrollment, step, slot, event.event_id)
