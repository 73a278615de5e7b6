"""SQL for what providers report about messages: kept, looked at when it is due, settled."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dispatcher.callbacks import Callback, Reported
from dispatcher.engagement import Standing
from dispatcher.model import State
from dispatcher.store import reported
from leadflow.tenants import Tenant

# One worker at a time judges reports: what was told of a message so far is then all there is.
LOCK = text("SELECT pg_try_advisory_xact_lock(7360)")

RECEIVE = text("""
    INSERT INTO callbacks (
        event_id, tenant_id, source, kind, message_id, provider_id, occurred_at, details, ready_at)
    SELECT event_id, tenant_id, source, kind, message_id, provider_id, occurred_at, details,
        now() + make_interval(secs => hold_seconds)
    FROM json_to_recordset(CAST(:rows AS json)) AS r (
        event_id text, tenant_id text, source text, kind text, message_id text, provider_id text,
        occurred_at timestamptz, details json, hold_seconds double precision)
    ON CONFLICT (event_id) DO NOTHING
""")

# A provider's id is its own: another provider may have given the same. Each message is looked up
# by an index, row by row: with the figures of a queue that was empty when it was measured a join
# would read the whole ledger, or the whole table of reports.
OF_MESSAGE = """
    SELECT message_id, tenant_id, lead_id, owner, enrollment_id, sequence_id, step_id, channel,
        recipient, provider, provider_id, state, in_doubt, created_at, changed_at
    FROM ledger l
"""
DUE = text(f"""
    WITH due AS MATERIALIZED (
        SELECT event_id, source, kind, occurred_at, received_at, details,
            tenant_id AS told_tenant_id, message_id AS told_message_id,
            provider_id AS told_provider_id
        FROM callbacks
        WHERE applied_at IS NULL AND ready_at <= now()
        ORDER BY ready_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    SELECT d.*, m.* FROM due d
    LEFT JOIN LATERAL (
        ({OF_MESSAGE} WHERE l.message_id = d.told_message_id AND l.tenant_id = d.told_tenant_id
            LIMIT 1)
        UNION ALL
        ({OF_MESSAGE} WHERE d.told_message_id IS NULL AND l.provider_id = d.told_provider_id
            AND l.tenant_id = d.told_tenant_id LIMIT 10)
    ) AS m ON true
    ORDER BY d.received_at, d.event_id
""")  # noqa: S608 - no value stands in it

TOLD = text("""
    SELECT m.about, c.told, c.at FROM unnest(CAST(:ids AS text[])) AS m (about)
    CROSS JOIN LATERAL (
        SELECT told, least(occurred_at, received_at) AS at FROM callbacks
        WHERE about = m.about AND told IS NOT NULL LIMIT 1000
    ) AS c
""")

# What stands beside opens and clicks; more than so much of one message says nothing new.
AROUND = text("""
    SELECT m.about, c.* FROM json_to_recordset(CAST(:messages AS json)) AS m (
        about text, tenant_id text, provider_id text)
    CROSS JOIN LATERAL (
        (SELECT event_id, source, kind, occurred_at, received_at, details,
            tenant_id AS told_tenant_id, message_id AS told_message_id,
            provider_id AS told_provider_id
        FROM callbacks
        WHERE message_id = m.about AND tenant_id = m.tenant_id
            AND kind IN ('delivered', 'opened', 'clicked') LIMIT :most)
        UNION ALL
        (SELECT event_id, source, kind, occurred_at, received_at, details,
            tenant_id, message_id, provider_id
        FROM callbacks
        WHERE provider_id = m.provider_id AND message_id IS NULL AND tenant_id = m.tenant_id
            AND kind IN ('delivered', 'opened', 'clicked') LIMIT :most)
    ) AS c
""")
MOST_AROUND = 500

SETTLE = text("""
    UPDATE callbacks c
    SET applied_at = now(), outcome = r.outcome, about = r.about, told = r.told
    FROM json_to_recordset(CAST(:rows AS json)) AS r (
        event_id text, outcome text, about text, told text)
    WHERE c.event_id = r.event_id
""")

# Each look comes after twice the time, so that what never finds its message costs little.
POSTPONE = text("""
    UPDATE callbacks
    SET ready_at = now() + least(greatest(now() - received_at, :first), :longest)
    WHERE event_id = ANY (CAST(:ids AS text[]))
""")
# Tenant by tenant by probes of an index, however much of other tenants is kept longer.
FORGET = text("""
    WITH RECURSIVE tenants (tenant_id) AS (
        SELECT min(tenant_id) FROM callbacks WHERE applied_at IS NOT NULL
        UNION ALL
        SELECT (SELECT min(c.tenant_id) FROM callbacks c
            WHERE c.applied_at IS NOT NULL AND c.tenant_id > t.tenant_id)
        FROM tenants t WHERE t.tenant_id IS NOT NULL
    ), old AS MATERIALIZED (
        SELECT c.event_id FROM tenants t
        LEFT JOIN json_each_text(CAST(:days AS json)) AS k (tenant_id, days) USING (tenant_id)
        CROSS JOIN LATERAL (
            SELECT event_id FROM callbacks
            WHERE tenant_id = t.tenant_id AND applied_at IS NOT NULL
                AND applied_at < now() - make_interval(days => coalesce(k.days::integer, :others))
            ORDER BY applied_at LIMIT :limit
        ) AS c
        WHERE t.tenant_id IS NOT NULL AND k.days IS DISTINCT FROM '0'
        LIMIT :limit
    )
    DELETE FROM callbacks USING old WHERE callbacks.event_id = old.event_id
""")
# As long as the topic raw-events keeps a report it may be read again, and longer nobody waits.
LEAST_DAYS = 90 + 7

FIRST_WAIT = timedelta(seconds=0.5)
LONGEST_PAUSE = timedelta(minutes=5)

APPLIED = "applied"


@dataclass(frozen=True, slots=True)
class Due:
    """A report to judge, and the messages that it may be about."""

    callback: Callback
    messages: tuple[tuple[Reported, Standing], ...]


@dataclass(frozen=True, slots=True)
class Settlement:
    """`outcome` is APPLIED or the rule that refused it; `told` names it among those `about` the
    same message."""

    event_id: str
    outcome: str
    about: str | None = None
    told: str | None = None


async def receive(connection: AsyncConnection, callbacks: Sequence[tuple[Callback, float]]) -> None:
    """Keep reports, each to be judged after so many seconds. One that is known stays as it is."""
    rows = [
        {
            "event_id": callback.event_id,
            "tenant_id": callback.tenant_id,
            "source": callback.source,
            "kind": callback.kind,
            "message_id": callback.message_id,
            "provider_id": callback.provider_id,
            "occurred_at": callback.occurred_at.isoformat(),
            "details": callback.details,
            "hold_seconds": hold_seconds,
        }
        for callback, hold_seconds in callbacks
    ]
    await connection.execute(RECEIVE, {"rows": json.dumps(rows)})


async def due(connection: AsyncConnection, *, limit: int) -> list[Due]:
    """Reports whose time has come, locked until the commit; none where another worker judges."""
    if not await connection.scalar(LOCK):
        return []
    found: dict[str, tuple[Callback, list[tuple[Reported, Standing]]]] = {}
    for row in await connection.execute(DUE, {"limit": limit}):
        _, messages = found.setdefault(row.event_id, (_callback(row), []))
        if row.message_id is not None:
            messages.append((reported(row), _standing(row)))
    return [Due(callback, tuple(messages)) for callback, messages in found.values()]


async def told_of(
    connection: AsyncConnection, message_ids: Iterable[str]
) -> dict[str, dict[str, datetime]]:
    """What was told of each of these messages so far, and when it had happened."""
    told: dict[str, dict[str, datetime]] = {message_id: {} for message_id in message_ids}
    for row in await connection.execute(TOLD, {"ids": list(told)}):
        told[row.about][row.told] = row.at
    return told


async def around(
    connection: AsyncConnection, messages: Iterable[Reported]
) -> Mapping[str, list[Callback]]:
    """Deliveries, opens and clicks that were reported of each of these messages."""
    wanted = [
        {"about": each.message_id, "tenant_id": each.tenant_id, "provider_id": each.provider_id}
        for each in {each.message_id: each for each in messages}.values()
    ]
    found: dict[str, list[Callback]] = {}
    if wanted:
        rows = await connection.execute(
            AROUND, {"messages": json.dumps(wanted), "most": MOST_AROUND}
        )
        for row in rows:
            found.setdefault(row.about, []).append(_callback(row))
    return found


async def settle(connection: AsyncConnection, settlements: Sequence[Settlement]) -> None:
    rows = [
        {"event_id": each.event_id, "outcome": each.outcome, "about": each.about, "told": each.told}
        for each in settlements
    ]
    await connection.execute(SETTLE, {"rows": json.dumps(rows)})


async def postpone(connection: AsyncConnection, event_ids: Sequence[str]) -> None:
    await connection.execute(
        POSTPONE, {"ids": list(event_ids), "first": FIRST_WAIT, "longest": LONGEST_PAUSE}
    )


def kept_days(tenants: Mapping[str, Tenant]) -> Mapping[str, int]:
    """For how long reports are remembered, by tenant; 0: for good."""
    return {
        tenant_id: tenant.retention_days and max(LEAST_DAYS, tenant.retention_days)
        for tenant_id, tenant in tenants.items()
    }


async def forget(connection: AsyncConnection, days: Mapping[str, int], *, limit: int) -> int:
    """Drop up to `limit` reports that were settled longer ago; returns how many."""
    asked = {
        "days": json.dumps(dict(days)),
        "others": Tenant(tenant_id="").retention_days,
        "limit": limit,
    }
    return (await connection.execute(FORGET, asked)).rowcount


def _callback(row: Row[Any]) -> Callback:
    return Callback(
        event_id=row.event_id,
        tenant_id=row.told_tenant_id,
        source=row.source,
        kind=row.kind,
        message_id=row.told_message_id,
        provider_id=row.told_provider_id,
        occurred_at=row.occurred_at,
        received_at=row.received_at,
        details=row.details if isinstance(row.details, dict) else json.loads(row.details),
    )


def _standing(row: Row[Any]) -> Standing:
    state = State(row.state)
    return Standing(
        state=state,
        in_doubt=row.in_doubt,
        created_at=row.created_at,
        accepted_at=row.changed_at if state is State.SENT else None,
    )
