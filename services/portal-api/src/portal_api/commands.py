"""What a person asks of the sequencer about one lead, as the records that say so. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leadflow.records import (
    EnrollmentMigrateRequested,
    EnrollmentPauseRequested,
    EnrollmentResumeRequested,
    EnrollmentStopRequested,
    EnrollRequested,
    LeadRecord,
    RawEvent,
)
from portal_api.once import Write
from portal_api.optout import opt_out
from portal_api.projections.enrollments import UNSUBSCRIBE_REASON

SOURCE = "portal-api"


def enroll(
    write: Write, lead_id: str, *, tenant_id: str, sequence_id: str, by: str, reason: str | None
) -> EnrollRequested:
    """To enroll a lead in a sequence."""
    return EnrollRequested(
        event_id=write.event_id("enroll", sequence_id, lead_id),
        tenant_id=tenant_id,
        occurred_at=write.now,
        recorded_at=write.now,
        source=SOURCE,
        lead_id=lead_id,
        sequence_id=sequence_id,
        requested_by=by,
        reason=reason,
    )


def change(
    write: Write,
    action: str,
    row: Mapping[str, Any],
    *,
    tenant_id: str,
    by: str,
    reason: str | None = None,
    to_version: int | None = None,
) -> tuple[LeadRecord, RawEvent | None]:
    """To pause, resume, migrate or unsubscribe an enrollment, `row` of the read models. Who is
    unsubscribed says no to e-mail as well: the raw event."""
    common: dict[str, Any] = {
        "event_id": write.event_id(action, row["enrollment_id"]),
        "tenant_id": tenant_id,
        "occurred_at": write.now,
        "recorded_at": write.now,
        "source": SOURCE,
        "lead_id": row["lead_id"],
        "owner": row["owner"],
        "enrollment_id": row["enrollment_id"],
        "requested_by": by,
    }
    if action == "pause":
        return EnrollmentPauseRequested(**common, reason=reason), None
    if action == "resume":
        return EnrollmentResumeRequested(**common, reason=reason), None
    if action == "migrate":
        version = to_version or row["sequence_version"]
        return EnrollmentMigrateRequested(**common, to_version=version, reason=reason), None
    said = opt_out(
        tenant_id=tenant_id,
        lead_id=row["lead_id"],
        channel="email",
        evidence=f"{UNSUBSCRIBE_REASON}: {by}",
        event_id=write.event_id("opt-out", row["enrollment_id"]),
        now=write.now,
    )
    return EnrollmentStopRequested(**common, reason=UNSUBSCRIBE_REASON), said
