"""enrollment-events into enrollments, refusals and the messages that are still to come."""

from __future__ import annotations

from typing import Any

from leadflow import ids
from leadflow.records import (
    Enrolled,
    EnrollmentCompleted,
    EnrollmentMigrated,
    EnrollmentPaused,
    EnrollmentRefused,
    EnrollmentResumed,
    EnrollmentStopped,
    LeadRecord,
    StepFired,
    StepScheduled,
    StepSkipped,
)
from portal_api.projections.messages import RANKS
from portal_api.projections.rows import Rows
from portal_api.projections.tables import ENROLLMENTS, MESSAGES, REFUSALS

# The rules of a stop that mean: this person does not want to hear from us.
OPT_OUT_RULES = ("opt_out", "complaint", "unsubscribe", "unsubscribed")
UNSUBSCRIBE_REASON = "unsubscribed by a person in the portal"

# Steps of these kinds have no message, and never will.
WITHOUT_MESSAGE = ("wait", "condition", "stop")

Step = StepScheduled | StepSkipped | StepFired


def project(record: LeadRecord, into: Rows) -> None:
    """Add what a record of enrollment-events says."""
    match record:
        case EnrollmentRefused():
            into.put(
                REFUSALS,
                event_id=record.event_id,
                tenant_id=record.tenant_id,
                lead_id=record.lead_id,
                sequence_id=record.sequence_id,
                trigger_event_id=record.trigger_event_id,
                rule=record.rule,
                inputs=dict(record.inputs),
                at=record.occurred_at,
            )
        case Enrolled():
            into.put(
                ENROLLMENTS,
                **_enrollment(record),
                entry=record.entry,
                enrolled_at=record.occurred_at,
                enrolled_by=record.enrolled_by,
                trigger_event_id=record.trigger_event_id,
                status="active",
                steps_done=0,
            )
        case StepScheduled():
            into.put(ENROLLMENTS, **_enrollment(record), next_due_at=record.due_at)
            _message(record, into, "scheduled", scheduled_for=record.due_at)
        case StepFired():
            into.put(ENROLLMENTS, **_enrollment(record), steps_done=record.step_index + 1)
            _message(record, into, "scheduled", scheduled_for=record.due_at)
        case StepSkipped() if "resend_of" in record.inputs:
            # A resend was refused: what became of the message before is as it was.
            return
        case StepSkipped():
            into.put(ENROLLMENTS, **_enrollment(record), steps_done=record.step_index + 1)
            _message(record, into, "skipped", rule=record.rule, inputs=dict(record.inputs))
        case EnrollmentMigrated():
            into.put(ENROLLMENTS, **_enrollment(record))
        case EnrollmentPaused():
            held_by = record.inputs.get("scope") or record.rule
            into.put(ENROLLMENTS, **_enrollment(record), status="paused", held_by=held_by)
        case EnrollmentResumed():
            # Several things may hold it: each is lifted on its own.
            still = record.inputs.get("still_held_by", "")
            into.put(
                ENROLLMENTS,
                **_enrollment(record),
                status="paused" if still else "active",
                held_by=still,
                next_due_at=record.next_due_at,
            )
        case EnrollmentStopped():
            into.put(
                ENROLLMENTS,
                **_enrollment(record),
                status=stopped_status(record),
                stop_rule=record.rule,
                stop_inputs=dict(record.inputs),
                ended_at=record.occurred_at,
            )
        case EnrollmentCompleted():
            into.put(
                ENROLLMENTS, **_enrollment(record), status="completed", ended_at=record.occurred_at
            )


def stopped_status(record: EnrollmentStopped) -> str:
    """`unsubscribed` where the person asked for quiet, else `stopped`."""
    asked = record.rule in OPT_OUT_RULES or UNSUBSCRIBE_REASON in record.inputs.values()
    return "unsubscribed" if asked else "stopped"


def _enrollment(record: LeadRecord) -> dict[str, Any]:
    return {
        "enrollment_id": record.enrollment_id,  # type: ignore[attr-defined]
        "tenant_id": record.tenant_id,
        "lead_id": record.lead_id,
        "sequence_id": record.sequence_id,  # type: ignore[attr-defined]
        "sequence_version": record.sequence_version,  # type: ignore[attr-defined]
        "updated_at": record.recorded_at,
    }


def _message(record: Step, into: Rows, state: str, **more: Any) -> None:
    if record.channel in WITHOUT_MESSAGE:
        return
    into.put(
        MESSAGES,
        message_id=ids.message_id(record.enrollment_id, record.step_id),
        tenant_id=record.tenant_id,
        lead_id=record.lead_id,
        enrollment_id=record.enrollment_id,
        sequence_id=record.sequence_id,
        step_id=record.step_id,
        channel=record.channel,
        state=state,
        rank=RANKS[state],
        updated_at=record.recorded_at,
        **more,
    )
