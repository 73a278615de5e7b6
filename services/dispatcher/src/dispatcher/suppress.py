"""The suppression list: what is put on it or lifted, and who has to be told of it.

A change that did not come from the topic `suppressions` is told to it through the outbox, in the
transaction of the change (ADR 20).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.facts import Suppression
from leadflow import ids, topics
from leadflow.codec import Codec
from leadflow.records import SuppressionChanged

# One at a time: which of two wins depends on the first. The later one counts, and at the same
# moment the suppression. A yes that has nothing to lift is kept, for an older no may still come,
# and nobody has to be told; what only `lifts` is not even kept.
APPLY = text("""
    INSERT INTO suppressions AS s (
        tenant_id, channel, address, reason, active, cause_id, changed_at, source, note, told)
    SELECT tenant_id, channel, address, reason, r.active, cause_id, at, source, note,
        told OR known.active IS NULL AND NOT r.active
    FROM json_to_record(CAST(:row AS json)) AS r (
        tenant_id text, channel text, address text, reason text, active boolean, cause_id text,
        at timestamptz, source text, note text, told boolean, lifts boolean)
    LEFT JOIN LATERAL (
        SELECT o.active FROM suppressions o
        WHERE (o.tenant_id, o.channel, o.address, o.reason)
            = (r.tenant_id, r.channel, r.address, r.reason)
    ) AS known ON true
    WHERE r.active OR NOT lifts OR known.active
    ON CONFLICT (tenant_id, channel, address, reason) DO UPDATE SET
        active = excluded.active, cause_id = excluded.cause_id, changed_at = excluded.changed_at,
        source = excluded.source, note = excluded.note, told = excluded.told
    WHERE excluded.changed_at > s.changed_at
        OR excluded.changed_at = s.changed_at AND excluded.active AND NOT s.active
""")

UNTOLD = text("""
    UPDATE suppressions s SET told = true
    FROM (
        SELECT tenant_id, channel, address, reason FROM suppressions WHERE NOT told
        ORDER BY tenant_id, channel, address, reason LIMIT :limit FOR UPDATE SKIP LOCKED
    ) AS u
    WHERE (s.tenant_id, s.channel, s.address, s.reason)
        = (u.tenant_id, u.channel, u.address, u.reason)
    RETURNING s.tenant_id, s.channel, s.address, s.reason, s.active, s.cause_id, s.changed_at,
        s.source, s.note
""")

TELL = text("""
    INSERT INTO outbox (topic, key, value)
    SELECT :topic, key, value
    FROM unnest(CAST(:keys AS text[]), CAST(:values AS bytea[])) AS r (key, value)
""")

LONGEST_NOTE = 500


async def apply(connection: AsyncConnection, suppressions: Sequence[Suppression]) -> None:
    """Take changes over; older ones and repeats change nothing."""
    ordered = sorted(
        suppressions,
        # Two workers that write the same addresses take their locks in the same order.
        key=lambda each: (each.tenant_id, each.channel, each.address, each.reason, each.at),
    )
    if ordered:
        rows = [{"row": json.dumps(_row(each))} for each in ordered]
        await connection.execute(APPLY, rows)


def _row(change: Suppression) -> dict[str, Any]:
    return {
        "tenant_id": change.tenant_id,
        "channel": change.channel,
        "address": change.address,
        "reason": change.reason,
        "active": change.active,
        "cause_id": change.cause_id,
        "at": change.at.isoformat(),
        "source": change.source,
        "note": (change.note or "")[:LONGEST_NOTE].replace("\x00", "") or None,
        "told": change.told,
        "lifts": change.lifts,
    }


async def tell(
    connection: AsyncConnection, codec: Codec, now: datetime, *, limit: int = 1_000
) -> int:
    """Put what nobody has been told of into the outbox; returns how many entries that were."""
    rows = (await connection.execute(UNTOLD, {"limit": limit})).all()
    if not rows:
        return 0
    records = [
        SuppressionChanged(
            event_id=ids.derived_id("SuppressionChanged", row.cause_id, entry, str(row.active)),
            tenant_id=row.tenant_id,
            occurred_at=row.changed_at,
            recorded_at=now,
            source=row.source,
            suppression_id=entry,
            channel=row.channel,
            address=row.address,
            reason=row.reason,
            active=row.active,
            note=row.note,
            cause_id=row.cause_id,
        )
        for row in rows
        for entry in [ids.suppression_id(row.tenant_id, row.channel, row.address, row.reason)]
    ]
    await connection.execute(
        TELL,
        {
            "topic": topics.SUPPRESSIONS.name,
            "keys": [record.suppression_id for record in records],
            "values": [codec.encode(record) for record in records],
        },
    )
    return len(rows)
