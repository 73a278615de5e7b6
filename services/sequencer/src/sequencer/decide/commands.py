"""What people and rules ask for by hand."""

from __future__ import annotations

from leadflow.errors import RecordRefused
from leadflow.records import (
    EnrollmentMigrateRequested,
    EnrollmentPaused,
    EnrollmentPauseRequested,
    EnrollmentResumed,
    EnrollmentResumeRequested,
    EnrollmentStopRequested,
    EnrollRequested,
)
from leadflow.records.base import changed
from sequencer.decide import facts, migration, stops, triggers
from sequencer.decide.case import Case, inputs
from sequencer.model import Enrollment


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
    enrollment = _live(case, event.enrollment_id)
    if enrollment is None or enrollment.paused_by == "manual":
        return
    case.change(changed(enrollment, paused_by="manual", held_by=""))
    case.tell_of(
        EnrollmentPaused,
        enrollment,
        (event.event_id,),
        event.occurred_at,
        rule="manual",
        inputs=inputs({"requested_by": event.requested_by}),
    )


def resume(case: Case, event: EnrollmentResumeRequested) -> None:
    """Go on where it was: what came due meanwhile goes out now. A lead that was merged away or
    quarantined since waits for that to be undone, like any other."""
    enrollment = _live(case, event.enrollment_id)
    if enrollment is None or enrollment.paused_by != "manual":
        return
    case.change(changed(enrollment, paused_by=""))
    case.tell_of(
        EnrollmentResumed,
        enrollment,
        (event.event_id,),
        event.occurred_at,
        rule="manual",
        inputs=inputs({"requested_by": event.requested_by}),
        next_due_at=enrollment.due_at,
    )
    facts.follow_status(case, event)


def stop(case: Case, event: EnrollmentStopRequested) -> None:
    enrollment = _live(case, event.enrollment_id)
    if enrollment is not None:
        stops.end(case, event, enrollment, "manual", {"requested_by": event.requested_by})


def migrate(case: Case, event: EnrollmentMigrateRequested) -> None:
    enrollment = _live(case, event.enrollment_id)
    if enrollment is not None:
        migration.migrate(case, event, enrollment)


def _live(case: Case, enrollment_id: str) -> Enrollment | None:
    """The enrollment, if it is still live. A command for one that is over changes nothing:
    the event that ended it is already in the lead's story."""
    return next((each for each in case.row.live if each.enrollment_id == enrollment_id), None)
