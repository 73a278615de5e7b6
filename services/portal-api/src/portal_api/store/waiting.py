"""What waits for a resume, and when it goes out at a given rate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import rows
from portal_api.store.unsendable import BESIDE, RULE

# Leads whose steps the sequencer holds go on at the rate, each with all of its steps, and so do
# messages that the dispatcher holds: two queues, each by the times for which they were due.
_WAITING = f"""
WITH waiting AS (
    SELECT 'step' AS held_at, m.lead_id AS goes, m.message_id, m.tenant_id, m.sequence_id,
        m.channel, m.scheduled_for, m.lead_id, m.enrollment_id
    FROM enrollments e JOIN messages m USING (enrollment_id)
    WHERE e.held_by = :scope AND e.status = 'paused' AND m.state = 'scheduled'
    UNION ALL
    SELECT 'message', m.message_id, m.message_id, m.tenant_id, m.sequence_id, m.channel,
        m.scheduled_for, m.lead_id, m.enrollment_id
    FROM messages m
    WHERE m.state = 'held' AND m.rule = 'paused' AND m.inputs ->> 'scope' = :scope
), free AS (
    SELECT *, min(scheduled_for) OVER (PARTITION BY held_at, goes) AS goes_by
    FROM waiting w
    WHERE NOT ARRAY[
        'everything', 'tenant:' || w.tenant_id, 'channel:' || w.tenant_id || ':' || w.channel,
        'sequence:' || w.tenant_id || ':' || w.sequence_id
    ] && CAST(:others AS text[])
), turns AS (
    SELECT *, dense_rank() OVER (PARTITION BY held_at ORDER BY goes_by, goes) AS turn FROM free
), ruled AS (
    SELECT w.*, {RULE} AS rule FROM turns w {BESIDE}
    WHERE CAST(:tenant AS text) IS NULL OR w.tenant_id = :tenant
)
SELECT sequence_id, channel, rule, count(*) AS n, min(turn) AS first, max(turn) AS last,
    min(scheduled_for) AS due_first, max(scheduled_for) AS due_last
FROM ruled GROUP BY sequence_id, channel, rule ORDER BY min(turn), sequence_id, channel
"""  # noqa: S608
# What goes out when the enrollments of a bulk resume go on: what is overdue at the rate, the
# longest waiting first, and the rest when it is due.
_RESUMED = f"""
WITH waiting AS (
    SELECT 'step' AS held_at, i.position, m.tenant_id, m.sequence_id, m.channel,
        m.scheduled_for, m.lead_id, m.enrollment_id,
        coalesce(CAST(i.plan->>'due_at' AS timestamptz), CAST(:now AS timestamptz)) AS due_at
    FROM bulk_items i LEFT JOIN messages m
        ON m.enrollment_id = i.enrollment_id AND m.state = 'scheduled'
    WHERE i.bulk_id = :id AND i.expected = 'done' AND i.state = 'waiting'
), turns AS (
    SELECT *, dense_rank() OVER (ORDER BY due_at, position) AS turn FROM waiting
    WHERE due_at <= CAST(:now AS timestamptz)
    UNION ALL
    SELECT *, 0 FROM waiting WHERE due_at > CAST(:now AS timestamptz)
), goes AS (
    SELECT *, greatest(
        scheduled_for, CAST(:now AS timestamptz) + turn * CAST(:apart AS interval)) AS at
    FROM turns w
    WHERE sequence_id IS NOT NULL AND NOT ARRAY[
        'everything', 'tenant:' || w.tenant_id, 'channel:' || w.tenant_id || ':' || w.channel,
        'sequence:' || w.tenant_id || ':' || w.sequence_id
    ] && CAST(:paused AS text[])
), ruled AS (
    SELECT w.*, {RULE} AS rule FROM goes w {BESIDE}
)
SELECT sequence_id, channel, rule, count(*) AS n, count(*) FILTER (WHERE turn > 0) AS overdue,
    min(scheduled_for) AS due_first, max(scheduled_for) AS due_last,
    min(at) AS first_at, max(at) AS last_at
FROM ruled GROUP BY sequence_id, channel, rule ORDER BY min(at), sequence_id, channel
"""  # noqa: S608
_HELD = """
SELECT (SELECT count(*) FROM enrollments WHERE held_by = :scope AND status = 'paused'
        AND (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant))
    + (SELECT count(*) FROM messages
        WHERE state = 'held' AND rule = 'paused' AND inputs ->> 'scope' = :scope
        AND (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)) AS held
"""


async def preview(
    connection: AsyncConnection,
    scope: str,
    *,
    tenant: str | None,
    paused: Collection[str],
    rate_per_minute: int,
    now: datetime,
) -> dict[str, Any]:
    """{scope, rate_per_minute, messages, skipped, held, first_at, last_at, groups}: how many
    messages a resume lets go, by sequence and channel, and when the first and the last may be
    sent. `skipped` are those that take a turn and reach nobody, by the rule.

    Of other tenants than `tenant` nothing is said but the turns that they take; None sees all.
    `paused` are all paused scopes: what another one covers stays, and is in `held` only, as are
    steps that send nothing. The times are the earliest: windows and quiet hours are asked when
    a step's turn has come.
    """
    others = [each for each in paused if each != scope]
    found = await rows(connection, _WAITING, {"scope": scope, "tenant": tenant, "others": others})
    held = await rows(connection, _HELD, {"scope": scope, "tenant": tenant})
    apart = timedelta(minutes=1) / rate_per_minute
    groups = [
        {
            "sequence_id": each["sequence_id"],
            "channel": each["channel"],
            "messages": int(each["n"]),
            "due_first": each["due_first"],
            "due_last": each["due_last"],
            "first_at": now + int(each["first"]) * apart,
            "last_at": now + int(each["last"]) * apart,
        }
        for each in found
        if not each["rule"]
    ]
    return {
        "scope": scope,
        "rate_per_minute": rate_per_minute,
        "messages": sum(each["messages"] for each in groups),
        "skipped": _skipped(found),
        "held": int(held[0]["held"]),
        "first_at": min((each["first_at"] for each in groups), default=None),
        "last_at": max((each["last_at"] for each in groups), default=None),
        "groups": groups,
    }


async def preview_of_bulk(
    connection: AsyncConnection,
    bulk_id: str,
    *,
    paused: Collection[str],
    rate_per_minute: int,
    now: datetime,
) -> dict[str, Any]:
    """{rate_per_minute, messages, skipped, overdue, first_at, last_at, groups}: what the waiting
    items of a bulk resume let go, as `preview` says it of a scope. What is paused otherwise
    stays."""
    found = await rows(
        connection,
        _RESUMED,
        {
            "id": bulk_id,
            "paused": list(paused),
            "apart": timedelta(minutes=1) / rate_per_minute,
            "now": now,
        },
    )
    groups = [
        {
            "sequence_id": each["sequence_id"],
            "channel": each["channel"],
            "messages": int(each["n"]),
            "overdue": int(each["overdue"]),
            **{name: each[name] for name in ("due_first", "due_last", "first_at", "last_at")},
        }
        for each in found
        if not each["rule"]
    ]
    return {
        "rate_per_minute": rate_per_minute,
        "messages": sum(each["messages"] for each in groups),
        "skipped": _skipped(found),
        "overdue": sum(each["overdue"] for each in groups),
        "first_at": min((each["first_at"] for each in groups), default=None),
        "last_at": max((each["last_at"] for each in groups), default=None),
        "groups": groups,
    }


def _skipped(found: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for each in found:
        if each["rule"]:
            counted[each["rule"]] += int(each["n"])
    return dict(counted)
