"""The command for one lead of a bulk job: the same bytes however often it is made."""

from __future__ import annotations

from typing import Any

from leadflow import ids
from leadflow.records import (
    EnrollmentMigrateRequested,
    EnrollmentPauseRequested,
    EnrollmentResumeRequested,
    EnrollmentStopRequested,
    EnrollRequested,
    LeadRecord,
)
from portal_api.bulk.model import ENROLL, MIGRATE, PAUSE, RESUME, STOP, Job


def event_id(bulk_id: str, lead_id: str) -> str:
    """The id of the one command that a job has for a lead."""
    return ids.derived_id("bulk", bulk_id, lead_id)


def command(
    job: Job, lead_id: str, enrollment_id: str | None = None, owner: str | None = None
) -> LeadRecord:
    """What the sequencer is asked to do. Raises ValueError for a job that was never started, an
    enrollment that is not named, or a migration to nowhere."""
    if job.started_at is None:
        raise ValueError(f"bulk job {job.bulk_id} was not started")
    common: dict[str, Any] = {
        "event_id": event_id(job.bulk_id, lead_id),
        "tenant_id": job.tenant_id,
        "occurred_at": job.started_at,
        "recorded_at": job.started_at,
        "source": "portal-api",
        "lead_id": lead_id,
        "owner": owner,
        "requested_by": job.requested_by,
        "reason": job.reason,
    }
    if job.action == ENROLL:
        return EnrollRequested(**common, sequence_id=job.sequence_id)
    if enrollment_id is None:
        raise ValueError(f"lead {lead_id} of bulk job {job.bulk_id} has no enrollment")
    common["enrollment_id"] = enrollment_id
    if job.action == MIGRATE and job.to_version is not None:
        return EnrollmentMigrateRequested(**common, to_version=job.to_version)
    if job.action == PAUSE:
        return EnrollmentPauseRequested(**common)
    if job.action == RESUME:
        return EnrollmentResumeRequested(**common)
    if job.action == STOP:
        return EnrollmentStopRequested(**common)
    raise ValueError(f"bulk job {job.bulk_id}: {job.action} to {job.to_version}")
