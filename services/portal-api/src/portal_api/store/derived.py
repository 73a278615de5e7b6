"""What follows from rows of several topics, whichever was read first."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.projections.rows import Rows
from portal_api.projections.tables import ENROLLMENTS, MESSAGES, REPLIES, STAGE_MOVES

# What a stopped enrollment had still planned will not be sent.
CANCEL = """
UPDATE messages SET state = 'cancelled', rank = 1
WHERE enrollment_id = ANY(CAST(:enrollments AS text[])) AND state = 'scheduled'
"""

# The first stage that a lead moved to after it was enrolled; lost and dormant are no progress.
MOVED = """
UPDATE enrollments e SET moved_to = m.to_stage, moved_at = m.at
FROM (
    SELECT DISTINCT ON (e.enrollment_id) e.enrollment_id, s.to_stage, s.at
    FROM enrollments e JOIN stage_moves s
      ON s.lead_id = e.lead_id AND s.at >= e.enrolled_at
    WHERE e.lead_id = ANY(CAST(:leads AS text[])) AND s.to_stage NOT IN ('lost', 'dormant')
    ORDER BY e.enrollment_id, s.at, s.event_id
) AS m
WHERE e.enrollment_id = m.enrollment_id AND e.moved_at IS DISTINCT FROM m.at
"""

# A reply that names no message answers the last one that was sent before it.
ANSWERED = """
UPDATE messages m SET replied_at = a.at
FROM (
    SELECT DISTINCT ON (r.event_id) s.message_id, r.at
    FROM replies r JOIN messages s
      ON s.lead_id = r.lead_id AND s.state = 'sent' AND s.sent_at <= r.at
    WHERE r.lead_id = ANY(CAST(:leads AS text[])) AND r.message_id IS NULL AND NOT r.automatic
    ORDER BY r.event_id, s.sent_at DESC, s.message_id
) AS a
WHERE m.message_id = a.message_id AND (m.replied_at IS NULL OR m.replied_at > a.at)
"""


async def derive(connection: AsyncConnection, rows: Rows) -> None:
    """Bring what depends on the rows of this batch up to date; the rows are already stored."""
    enrollments = rows.of(ENROLLMENTS)
    ended = [row["enrollment_id"] for row in enrollments if row.get("ended_at") is not None]
    if ended:
        await connection.execute(text(CANCEL), {"enrollments": ended})
    enrolled = (row["lead_id"] for row in enrollments if row.get("enrolled_at") is not None)
    if leads := _distinct(enrolled, (row["lead_id"] for row in rows.of(STAGE_MOVES))):
        await connection.execute(text(MOVED), {"leads": leads})
    sent = (row["lead_id"] for row in rows.of(MESSAGES) if row.get("sent_at") is not None)
    if leads := _distinct(sent, (row["lead_id"] for row in rows.of(REPLIES))):
        await connection.execute(text(ANSWERED), {"leads": leads})


def _distinct(*groups: Iterable[str]) -> list[str]:
    return sorted({each for group in groups for each in group if each})
