"""What became of the messages of an enrollment, and automatic answers.

All of it is kept, not only what a condition asks about: the enrollment may be migrated to a version
that asks. What becomes of a message that repeats one counts as what became of that one.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from leadflow import ids
from leadflow.records import ReplyReceived
from leadflow.records.base import changed
from sequencer.decide import calendar, scheduling, stops, timing
from sequencer.decide.case import Case
from sequencer.model import Enrollment

UNKNOWN_ABSENCE = timedelta(days=3)
"""How long an automatic answer holds what would go out sooner, if it does not name a day."""
LONGEST_ABSENCE = timedelta(days=60)
MORNING = 9


def note(case: Case, message_id: str | None, what: str) -> None:
    """Remember it while the enrollment of the message is live. To note it again changes nothing."""
    for enrollment in case.row.live if message_id else ():
        step_id = _step_of(case, enrollment, message_id)
        outcome = f"{step_id}:{what}"
        if step_id is not None and outcome not in enrollment.outcomes:
            case.change(changed(enrollment, outcomes=(*enrollment.outcomes, outcome)))


def _step_of(case: Case, enrollment: Enrollment, message_id: str | None) -> str | None:
    """The step of an enrollment that a message is of, also one that its version has no more."""
    for each in enrollment.resent:
        if each.message_id == message_id:
            return each.step_id
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    steps = () if sequence is None else sequence.steps
    for step_id in (*(each.step_id for each in steps), *enrollment.passed):
        if message_id == ids.message_id(enrollment.enrollment_id, step_id):
            return step_id
    return None


def out_of_office(case: Case, event: ReplyReceived) -> None:
    """An automatic answer is no reply: it stops nothing, but what would go out before the person
    is back waits, in every sequence that a real reply would stop: what is planned already, and
    what is planned until then (`decide/timing.py`). Of two answers the later return counts."""
    until = _back_at(case, event)
    if case.row.away_until is None or until > case.row.away_until:
        case.row = changed(case.row, away_until=until)
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
        looked_at: dict[str, object] = {"due_at": enrollment.due_at.isoformat()}
        if event.returns_on:
            looked_at["returns_on"] = event.returns_on
        at = timing.opened(case, sequence, step, until).at
        slot = timing.Slot(at, timing.OUT_OF_OFFICE, looked_at)
        scheduling.shifted(case, enrollment, step, slot, event.event_id)


def _back_at(case: Case, event: ReplyReceived) -> datetime:
    """The morning of the day that the answer names, where the lead is."""
    try:
        day = date.fromisoformat(event.returns_on or "")
    except ValueError:
        return event.occurred_at + UNKNOWN_ABSENCE
    longest = event.occurred_at + LONGEST_ABSENCE
    if day > longest.date() + timedelta(days=1):
        return longest  # whatever the zone, and even where the calendar ends
    back = calendar.on_day(day, timing.zone_of(case), MORNING)
    if back <= event.occurred_at:
        return event.occurred_at + UNKNOWN_ABSENCE  # an answer that somebody forgot to turn off
    return min(back, longest)
