"""What the rules of incidents count, from the read models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.incidents.rules import Count, Rule
from portal_api.store.connection import rows

# What was said before an incident of this rule and subject was closed is no evidence any more.
_SINCE = """
WITH closed AS (
    SELECT * FROM json_to_recordset(CAST(CAST(:closed AS text) AS json))
        AS c (tenant_id text, subject text, at timestamptz)
)
"""
_REFUSED_CREDENTIAL = "coalesce(m.reason ~ '(answered (401|403)|answered 5(30|34|35))$', false)"
_STOP_GRACE = "interval '1 minute'"

_BY_CHANNEL = """
SELECT m.tenant_id, m.channel AS subject,
    count(*) FILTER (WHERE {total}) AS total, count(*) FILTER (WHERE {bad}) AS bad
FROM (
    SELECT m.*, greatest(CAST(:since AS timestamptz), c.at) AS floor
    FROM messages m LEFT JOIN closed c ON c.tenant_id = m.tenant_id AND c.subject = m.channel
    WHERE m.updated_at >= :since AND m.channel IS NOT NULL
) AS m
GROUP BY m.tenant_id, m.channel
"""
_SENT = "(m.state = 'sent' AND m.sent_at > m.floor)"
_ENDED_BADLY = "(m.state IN ('failed', 'unknown') AND m.updated_at > m.floor)"
# What a provider refuses because of us is held by the dispatcher, not lost.
_HELD_FOR_US = """(m.state = 'held' AND m.updated_at > m.floor
    AND m.rule IN ('credential_refused', 'provider_refuses'))"""
_BOUNCED = "coalesce(m.bounced_at > m.floor, false)"
# What was never queued answers a keyword by itself: a HELP is answered after a STOP, too.
_STOPPED_BEFORE = f"""{_SENT} AND m.queued_at IS NOT NULL AND EXISTS (
    SELECT 1 FROM consents s
    WHERE s.lead_id = m.lead_id AND s.channel IN (m.channel, 'all') AND NOT s.granted
      AND s.as_of + {_STOP_GRACE} < m.sent_at
      AND NOT EXISTS (SELECT 1 FROM consents y
          WHERE y.lead_id = m.lead_id AND y.channel = m.channel AND y.granted
            AND y.as_of > s.as_of))
"""  # noqa: S608

_BY_SOURCE = """
SELECT r.tenant_id, r.source AS subject,
    count(*) FILTER (WHERE {total}) AS total, count(*) FILTER (WHERE {bad}) AS bad
FROM raw_events r LEFT JOIN closed c ON c.tenant_id = r.tenant_id AND c.subject = r.source
WHERE r.received_at >= :since AND r.source IS NOT NULL AND r.outcome IS NOT NULL
  AND (c.at IS NULL OR r.received_at > c.at)
GROUP BY r.tenant_id, r.source
"""
# A source that is silent since before its incident was closed was silent when somebody looked.
# Reports about messages are an echo: who is paused hears none, and is not to be paused for that.
_SILENCE = """
SELECT r.tenant_id, r.source AS subject,
    count(DISTINCT date_trunc('day', r.received_at)) AS total,
    CASE WHEN max(r.received_at) < :since AND (max(c.at) IS NULL OR max(r.received_at) > max(c.at))
        THEN 1 ELSE 0 END AS bad
FROM raw_events r LEFT JOIN closed c ON c.tenant_id = r.tenant_id AND c.subject = r.source
WHERE r.received_at >= CAST(:since AS timestamptz) - interval '7 days' AND r.source IS NOT NULL
    AND r.kind <> ALL (ARRAY['delivered', 'opened', 'clicked', 'bounced', 'complained'])
GROUP BY r.tenant_id, r.source
"""

# A reply of a stranger, or an opt-out of somebody who is nobody's lead, was read and understood:
# it ends in the dead letters because it is about no lead. Anybody can send such a thing. So does a
# mail of our own that comes back.
_OF_A_STRANGER = """(r.outcome = 'dlq' AND EXISTS (
    SELECT 1 FROM dead_letters d
    WHERE d.event_id = r.event_id AND d.tenant_id = r.tenant_id AND d.service = 'intake'
      AND d.reason LIKE ANY (ARRAY['unknown_lead:%', 'own_message:%'])))
"""

_QUERIES: Mapping[str, str] = {
    "delivery": _BY_CHANNEL.format(
        total=f"NOT {_REFUSED_CREDENTIAL} AND ({_SENT} OR {_ENDED_BADLY} OR {_BOUNCED})",
        bad=f"NOT {_REFUSED_CREDENTIAL} AND ({_ENDED_BADLY} OR {_BOUNCED})",
    ),
    "credential": _BY_CHANNEL.format(
        total=f"{_SENT} OR {_ENDED_BADLY} OR {_HELD_FOR_US}",
        bad=f"({_ENDED_BADLY} AND {_REFUSED_CREDENTIAL}) OR {_HELD_FOR_US}",
    ),
    "complaints": _BY_CHANNEL.format(total=_SENT, bad="coalesce(m.complained_at > m.floor, false)"),
    "stop_ignored": _BY_CHANNEL.format(total=_SENT, bad=_STOPPED_BEFORE),
    "webhook": _BY_SOURCE.format(
        total=f"NOT {_OF_A_STRANGER}", bad=f"r.outcome = 'dlq' AND NOT {_OF_A_STRANGER}"
    ),
    "quarantine": _BY_SOURCE.format(total="r.outcome <> 'dlq'", bad="r.outcome = 'quarantined'"),
    "silence": _SILENCE,
}


async def count(
    connection: AsyncConnection,
    name: str,
    rule: Rule,
    now: datetime,
    closed: Iterable[Mapping[str, Any]],
) -> list[Count]:
    """What the rule of this name looks at, of every tenant; `closed` are the incidents that it
    opened and that were closed lately: rule, tenant_id, subject, at."""
    before = [{**each, "at": each["at"].isoformat()} for each in closed if each["rule"] == name]
    found = await rows(
        connection,
        _SINCE + _QUERIES[name],
        {"since": now - rule.window, "closed": json.dumps(before)},
    )
    return [
        Count(name, each["tenant_id"], each["subject"], int(each["total"]), int(each["bad"]))
        for each in found
        if each["tenant_id"]
    ]


async def closed_lately(
    connection: AsyncConnection, now: datetime, longest: timedelta
) -> Sequence[dict[str, Any]]:
    """When the last incident of each rule and subject was closed."""
    return await rows(
        connection,
        "SELECT rule, tenant_id, subject, max(closed_at) AS at FROM incidents "
        "WHERE rule <> '' AND closed_at > :since GROUP BY rule, tenant_id, subject",
        {"since": now - longest},
    )


async def feeds(connection: AsyncConnection) -> dict[tuple[str, str], list[str]]:
    """The active sequences that name a source as theirs, by tenant and source."""
    found = await rows(
        connection,
        """
        SELECT tenant_id, sequence_id, definition ->> 'trigger_source' AS source FROM (
            SELECT DISTINCT ON (sequence_id) * FROM sequences ORDER BY sequence_id, version DESC
        ) AS s
        WHERE status = 'active' AND definition ->> 'trigger_source' NOT IN ('', 'any')
        ORDER BY sequence_id
        """,
    )
    fed: dict[tuple[str, str], list[str]] = {}
    for each in found:
        fed.setdefault((each["tenant_id"], each["source"]), []).append(each["sequence_id"])
    return fed
