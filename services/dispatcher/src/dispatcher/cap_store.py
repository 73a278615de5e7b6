"""What a lead got already, for its cap, in SQL."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.caps import TO_THE_LEAD, Cap, Others

# Every claim is committed before it is asked what else is claimed: of two messages of a lead that
# are claimed at once, in two channels, at least one sees the other. Among those that wait in doubt
# the earlier doubt holds the place, or two would wait for each other for good.
OTHERS = text("""
    SELECT l.message_id, now() AS asked_at,
        ARRAY(
            SELECT o.changed_at FROM ledger o
            WHERE o.lead_id = l.lead_id AND o.state IN ('sent', 'unknown')
                AND o.changed_at > now() - make_interval(hours => 24 * r.days)
                AND COUNTED
            ORDER BY o.changed_at DESC LIMIT r.messages
        ) AS accepted,
        others.claimed, others.ahead, others.doubts
    FROM json_to_recordset(CAST(:rows AS json))
        AS r (message_id text, messages integer, days integer)
    JOIN ledger l ON l.message_id = r.message_id
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE o.state = 'claimed') AS claimed,
            count(*) FILTER (WHERE o.state = 'claimed' AND o.position < l.position) AS ahead,
            count(*) FILTER (WHERE o.state <> 'claimed'
                AND (o.doubt_since, o.position) < (l.doubt_since, l.position)) AS doubts
        FROM (
            SELECT * FROM ledger o
            WHERE o.lead_id = l.lead_id AND o.state IN ('queued', 'claimed') AND o.in_doubt
            UNION ALL
            SELECT * FROM ledger o
            WHERE o.lead_id = l.lead_id AND o.state = 'held' AND o.in_doubt
        ) AS o
        WHERE COUNTED
    ) AS others
""".replace(
    "COUNTED",
    "o.tenant_id = l.tenant_id AND o.message_id <> l.message_id AND o.enrollment_id IS NOT NULL"
    f" AND o.channel IN ({', '.join(repr(channel) for channel in sorted(TO_THE_LEAD))})",
))  # fmt: skip


async def others(connection: AsyncConnection, caps: Mapping[str, Cap]) -> dict[str, Others]:
    """What the leads of claimed messages got besides them, by message, for each message's cap."""
    rows = [
        {"message_id": message_id, "messages": cap.messages, "days": cap.days}
        for message_id, cap in caps.items()
    ]
    found = await connection.execute(OTHERS, {"rows": orjson.dumps(rows).decode()})
    return {
        row.message_id: Others(
            asked_at=row.asked_at,
            accepted=tuple(row.accepted),
            claimed=row.claimed,
            ahead=row.ahead,
            doubts=row.doubts,
        )
        for row in found
    }
