"""What the log answered to the commands of a bulk job.

Each statement looks at one snapshot, so that an enrollment's end is never seen without what
came before it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.bulk.model import ENROLL, MIGRATE, PAUSE, RESUME, STOP

# A command that the sequencer could not carry out stands in its dead letters.
_BURIED = """
SELECT i.position, 'refused' AS state, 'not_carried_out' AS rule,
       jsonb_build_object('error', d.error, 'reason', d.reason) AS inputs,
       NULL AS enrollment_id, d.event_id AS decided_by, d.at AS decided_at
FROM bulk_items i JOIN dead_letters d ON d.event_id = i.event_id AND d.service = 'sequencer'
WHERE i.bulk_id = :id AND i.state = 'requested'
"""

_ENROLLED = """
SELECT i.position, 'done' AS state, NULL AS rule, NULL::jsonb AS inputs, e.enrollment_id,
       i.event_id AS decided_by, e.enrolled_at AS decided_at
FROM bulk_items i JOIN enrollments e ON e.trigger_event_id = i.event_id
WHERE i.bulk_id = :id AND i.state = 'requested'
UNION ALL
SELECT i.position, 'refused', r.rule, r.inputs, NULL, r.event_id, r.at
FROM bulk_items i JOIN refusals r ON r.trigger_event_id = i.event_id
WHERE i.bulk_id = :id AND i.state = 'requested'
UNION ALL
"""

# What follows from a command by hand carries the time of the command. A command that finds
# nothing to do has no event: then the enrollment stands as asked, or is over.
_CHANGED = """
SELECT i.position,
       CASE WHEN t.event_id IS NOT NULL OR {stands} THEN 'done' ELSE 'refused' END AS state,
       CASE WHEN t.event_id IS NULL AND NOT {stands} THEN 'enrollment_over' END AS rule,
       CASE WHEN t.event_id IS NULL THEN jsonb_strip_nulls(jsonb_build_object(
           'status', e.status, 'stop_rule', e.stop_rule)) END AS inputs,
       i.enrollment_id, t.event_id AS decided_by,
       coalesce(t.recorded_at, e.updated_at) AS decided_at
FROM bulk_items i
JOIN enrollments e ON e.enrollment_id = i.enrollment_id
LEFT JOIN LATERAL (
    SELECT t.event_id, t.recorded_at FROM timeline t
    WHERE t.lead_id = i.lead_id AND t.occurred_at = :at AND t.type = :type
      AND t.data->>'enrollment_id' = i.enrollment_id AND t.data->>'rule' = 'manual'
    LIMIT 1
) AS t ON true
WHERE i.bulk_id = :id AND i.state = 'requested'
  AND (t.event_id IS NOT NULL OR {stands} OR e.status NOT IN ('active', 'paused'))
UNION ALL
"""

_EVENTS = {
    MIGRATE: ("EnrollmentMigrated", "e.sequence_version = :version"),
    PAUSE: ("EnrollmentPaused", "e.status = 'paused'"),
    RESUME: ("EnrollmentResumed", "e.status = 'active'"),
    STOP: ("EnrollmentStopped", "false"),
}

_UPDATE = """
UPDATE bulk_items AS kept
SET state = a.state, rule = a.rule, inputs = a.inputs, decided_by = a.decided_by,
    decided_at = a.decided_at, enrollment_id = coalesce(a.enrollment_id, kept.enrollment_id)
FROM (SELECT DISTINCT ON (position) * FROM ({answers}) AS every ORDER BY position, state) AS a
WHERE kept.bulk_id = :id AND kept.position = a.position
"""


async def collect(
    connection: AsyncConnection,
    bulk_id: str,
    action: str,
    started_at: datetime,
    to_version: int | None,
) -> int:
    """Settle the items whose answer the read models have; returns how many that were."""
    values: dict[str, Any] = {"id": bulk_id}
    if action == ENROLL:
        answers = _ENROLLED + _BURIED
    else:
        event_type, stands = _EVENTS[action]
        answers = _CHANGED.format(stands=f"({stands})") + _BURIED
        values |= {"at": started_at, "type": event_type}
        if action == MIGRATE:
            values["version"] = to_version
    done = await connection.execute(text(_UPDATE.format(answers=answers)), values)
    return int(done.rowcount)
