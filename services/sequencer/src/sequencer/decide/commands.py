"""What people and rules ask for by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from leadflow.errors import RecordRefused
from leadflow.records import (
    CommandRefused,
    EnrollmentMigrateRequested,
    EnrollmentPaused,
    EnrollmentPauseRequested,
    EnrollmentResumed,
    EnrollmentResumeRequested,
    EnrollmentStopRequested,
    EnrollRequested,
)
from leadflow.records.base import changed
from sequencer.decide import ahead, facts, holds, migration, resending, stops, triggers
from sequencer.decide.case import Case, inputs
from sequencer.model import Enrollment

BY_HAND = "manual"
ENTRIES_BACK = 1_000
"""Of how many of the last passages it is told that they are over; a name of nobody's costs
as many hashes."""
Command = (
    EnrollmentPauseRequested
    | EnrollmentResumeRequested
    | EnrollmentStopRequested
    | EnrollmentMigrateRequested
)


def enroll(case: Case, event: EnrollRequested) -> None:
    """Any active sequence takes leads by hand, whatever its trigger."""
    sequence = case.setting.sequences.active(event.sequence_id)
    if sequence is None:
        triggers.refuse(case, event, event.sequence_id, "sequence_not_active", {})
    elif sequence.tenant_id != event.tenant_id:
        raise RecordRefused("other_tenant", "the sequence belongs to another tenant")
    else:
        triggers.enroll(case, event, sequence, by="manual")


def pause(case: Case, event: EnrollmentPauseRequested) -> None:
    """Hold it until somebody resumes it. What holds it otherwise (an incident, an open task)
    goes on holding it: each is lifted on its own."""
    enrollment = _live(case, event, "pause")
    if enrollment is None:
        return
    if enrollment.paused_by == BY_HAND:
        _refuse(case, event, "pause", "already_paused", {})
        return
    case.change(changed(enrollment, paused_by=BY_HAND))
    case.tell_of(
        EnrollmentPaused,
        enrollment,
        (event.event_id,),
        event.occurred_at,
        rule=BY_HAND,
        inputs=inputs({"requested_by": event.requested_by}),
    )


def resume(case: Case, event: EnrollmentResumeRequested) -> None:
    """Go on where it was: what came due meanwhile goes out now, unless something else holds it. A
    lead that was merged away or quarantined since waits for that to be undone, like any other."""
    enrollment = _live(case, event, "resume")
    if enrollment is None:
        return
    if enrollment.paused_by != BY_HAND:
        looked_at = {"held_by": hold} if (hold := holds.named(enrollment)) else {}
        _refuse(case, event, "resume", "not_paused", looked_at)
        return
    resumed = changed(enrollment, paused_by="")
    case.change(resumed)
    case.tell_of(
        EnrollmentResumed,
        enrollment,
        (event.event_id,),
        event.occurred_at,
        rule=BY_HAND,
        inputs=inputs({"requested_by": event.requested_by, **holds.left(resumed)}),
        next_due_at=enrollment.due_at,
    )
    facts.follow_status(case, event)


def stop(case: Case, event: EnrollmentStopRequested) -> None:
    """End it. Of one that never began the stop is kept, though it is refused: whoever asked saw
    an enrollment that is to be made again."""
    enrollment = _live(case, event, "stop", never=lambda: ahead.keep(case, event))
    if enrollment is not None:
        stops.end(case, event, enrollment, BY_HAND, {"requested_by": event.requested_by})


def migrate(case: Case, event: EnrollmentMigrateRequested) -> None:
    enrollment = _live(case, event, "migrate")
    if enrollment is None:
        return
    if event.to_version == enrollment.version:
        _refuse(case, event, "migrate", "same_version", {"version": enrollment.version})
        return
    missing = migration.migrate(case, event, enrollment)
    if missing is not None:
        _refuse(case, event, "migrate", "unknown_version", {"version": missing})


def _live(
    case: Case,
    event: Command,
    command: str,
    never: Callable[[], Mapping[str, object]] = dict,
) -> Enrollment | None:
    """The enrollment that a command is about, if it is still live; the command of any other is
    refused, with how that ended as far as it is remembered. `never`: what is done about one that
    never was, and is to be told of it."""
    for each in case.row.live:
        if each.enrollment_id == event.enrollment_id:
            return each
    over = next(
        (
            passage
            for passage, _ in resending.passages(case, back=ENTRIES_BACK)
            if passage.enrollment_id == event.enrollment_id
        ),
        None,
    )
    if over is None:
        _refuse(case, event, command, "not_enrolled", never())
        return None
    looked_at = {"sequence_id": over.sequence_id}
    for line in case.row.finished:
        if (line.sequence_id, line.entries) == (over.sequence_id, over.entry):
            looked_at["outcome"] = line.outcome
    _refuse(case, event, command, "enrollment_over", looked_at)
    return None


def _refuse(
    case: Case, event: Command, command: str, rule: str, looked_at: Mapping[str, object]
) -> None:
    """Say that there was nothing to do."""
    case.tell(
        CommandRefused,
        (event.event_id,),
        event.occurred_at,
        command_id=event.event_id,
        command=command,
        enrollment_id=event.enrollment_id,
        requested_by=event.requested_by,
        rule=rule,
        inputs=inputs(looked_at),
    )
