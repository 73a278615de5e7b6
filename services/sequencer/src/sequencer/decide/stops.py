"""What ends an enrollment before its last step."""

from __future__ import annotations

from leadflow.records import EnrollmentStopped, LeadRecord
from sequencer.decide.case import Case, Cause, inputs
from sequencer.model import Enrollment

CLOSING_STAGES = frozenset({"won", "lost"})
ALWAYS = frozenset({"opt_out", "bounce", "complaint", "manual"})
"""Stops that a sequence cannot switch off: they are the person's, or the law's."""


WITHOUT_DEFINITION = ("reply", "booking", "won", "lost", "account_reply")


def stop(
    case: Case, event: LeadRecord, rule: str, looked_at: dict[str, object] | None = None
) -> None:
    """End every live enrollment whose sequence stops on `rule`."""
    for enrollment in case.row.live:
        if stops_on(case, enrollment, rule):
            end(case, event, enrollment, rule, looked_at or {})


def stage_left(case: Case, event: LeadRecord, left: str, entered: str) -> None:
    """End what was triggered by the stage that the lead has left, where it asks for that."""
    for enrollment in case.row.live:
        sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
        if (
            sequence is not None
            and "stage_left" in sequence.stop_on
            and sequence.trigger.kind == "stage"
            and sequence.trigger.value == left
        ):
            end(case, event, enrollment, "stage_left", {"from": left, "to": entered})


def end(
    case: Case,
    event: LeadRecord | Cause,
    enrollment: Enrollment,
    rule: str,
    looked_at: dict[str, object],
) -> None:
    """End one enrollment; no further step of it goes out."""
    case.tell_of(
        EnrollmentStopped,
        enrollment,
        (),
        event.occurred_at,
        rule=rule,
        inputs=inputs({**looked_at, "event_id": event.event_id}),
    )
    case.end(enrollment, rule)


def finish(case: Case, enrollment: Enrollment, rule: str, looked_at: dict[str, object]) -> None:
    """End one enrollment by a rule of its own sequence, or by another sequence."""
    case.tell_of(EnrollmentStopped, enrollment, (), case.now, rule=rule, inputs=inputs(looked_at))
    case.end(enrollment, rule)


def stops_on(case: Case, enrollment: Enrollment, rule: str) -> bool:
    """Whether `rule` ends this enrollment."""
    return rule in ALWAYS or rule in _stop_on(case, enrollment)


def _stop_on(case: Case, enrollment: Enrollment) -> tuple[str, ...]:
    sequence = case.setting.sequences.get(enrollment.sequence_id, enrollment.version)
    # Without its definition we cannot know: to stop too much is the error that hurts less.
    return sequence.stop_on if sequence is not None else WITHOUT_DEFINITION
