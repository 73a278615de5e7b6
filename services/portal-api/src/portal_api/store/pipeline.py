"""The whole way of the leads in numbers."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import row, rows

# Name in the answer → name of the counter.
TOTALS = {
    "received": "received",
    "normalized": "normalized",
    "merged": "merged",
    "quarantined": "quarantined",
    "dlq": "dlq",
    "enrolled": "enrolled",
    "messages_accepted": "sent",
    "messages_recorded": "recorded",
    "suppressed": "suppressed",
    "held": "held",
    "failed": "failed",
    "unknown": "unknown",
    "summaries_pending": "summaries_pending",
    "summaries_approved": "summaries_approved",
}


async def totals(connection: AsyncConnection, tenant: str | None) -> dict[str, int]:
    """Every total; a raw event that intake has not decided on is received and nothing else."""
    found = await rows(
        connection,
        "SELECT name, sum(n)::bigint AS n FROM counters "
        "WHERE CAST(:tenant AS text) IS NULL OR tenant_id = :tenant GROUP BY name",
        {"tenant": tenant},
    )
    by_name = {each["name"]: int(each["n"]) for each in found}
    return {name: by_name.get(counter, 0) for name, counter in TOTALS.items()}


async def latency(connection: AsyncConnection, tenant: str | None) -> dict[str, Any]:
    """{p50, p99, leads}: ms from the broker's time of the raw event that created a lead to the
    acceptance of the first message to that lead. None where nothing was accepted yet."""
    found = await row(
        connection,
        """
        SELECT count(*) AS leads,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS p50,
               percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99
        FROM (
            SELECT extract(epoch FROM f.accepted_at - r.received_at)::float8 * 1000 AS ms
            FROM raw_events r JOIN first_touches f ON f.lead_id = r.created_lead_id
            WHERE r.received_at IS NOT NULL AND f.accepted_at IS NOT NULL
              AND (CAST(:tenant AS text) IS NULL OR r.tenant_id = :tenant)
        ) AS latencies
        """,
        {"tenant": tenant},
    )
    assert found is not None
    return {
        "p50": None if found["p50"] is None else round(found["p50"], 1),
        "p99": None if found["p99"] is None else round(found["p99"], 1),
        "leads": int(found["leads"]),
    }
