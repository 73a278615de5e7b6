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

# What follows from a command by hand carries the time of the command; a command that finds nothing
# to do is refused by its id.
_CHANGED = """
SELECT i.position, CASE WHEN t.refused THEN 'refused' ELSE 'done' END AS state,
       CASE WHEN t.refused THEN t.data->>'rule' END AS rule,
       CASE WHEN t.refused THEN coalesce(t.data->'inputs', '{}') END AS inputs,
       i.enrollment_id, t.event_id AS decided_by, t.recorded_at AS decided_at
FROM bulk_items i JOIN LATERAL (
    SELECT t.event_id, t.recorded_at, t.data, t.type = 'CommandRefused' AS refused
    FROM timeline t
    WHERE t.lead_id = i.lead_id AND (
        (t.type = :type AND t.occurred_at = :at AND t.data->>'rule' = 'manual'
            AND t.data->>'enrollment_id' = i.enrollment_id)
        OR (t.type = 'CommandRefused' AND t.data->>'command_id' = i.event_id))
    LIMIT 1
) AS t ON true
WHERE i.bulk_id = :id AND i.state = 'requested'
UNION ALL
"""

_EVENTS = {
    MIGRATE: "EnrollmentMigrated",
    PAUSE: "EnrollmentPaused",
    RESUME: "EnrollmentResumed",
    STOP: "EnrollmentStopped",
}

_UPDATE = """
UPDATE bulk_items AS kept
SET state = a.state, rule = a.rule, inputs = a.inputs, decided_by = a.decided_by,
    decided_at = a.decided_at, enrollment_id = coalesce(a.enrollment_id, kept.enrollment_id)
FROM (SELECT DISTINCT ON (position) * FROM ({answers}) AS every ORDER BY position, state) AS a
WHERE kept.bulk_id = :id AND kept.position = a.position
"""


async def collect(
    connection: AsyncConnection, bulk_id: str, action: str, started_at: datetime
) -> int:
    """Settle the items whose answer the read models have; returns how many that were."""
    values: dict[str, Any] = {"id": bulk_id}
    if action == ENROLL:
        answers = _ENROLLED + _BURIED
    else:
        answers = _CHANGED + _BURIED
        values |= {"at": started_at, "type": _EVENTS[action]}
    done = await connection.execute(text(_UPDATE.format(answers=answers)), values)
    return int(done.rowcount)
