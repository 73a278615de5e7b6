"""Incidents, their history, and what is still to be said in automation-controls."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import row, rows

_COLUMNS = """
    incident_id, tenant_id, kind, scope, workflow, reason, owner, rollback, rule, subject,
    evidence, opened_at, opened_by, task, task_note, task_done_at, task_done_by, closed_at,
    closed_by, close_reason, rate_per_minute
"""
_CHANGEABLE = frozenset({"owner", "rollback", "task", "reason", "kind"})


async def lock(connection: AsyncConnection, scope: str) -> None:
    """Until the transaction ends nobody else opens or closes on this scope."""
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtext('incidents on ' || :scope))"), {"scope": scope}
    )


async def insert(connection: AsyncConnection, incident: Mapping[str, Any]) -> bool:
    """False if it is there already, or if its rule has one open on this scope."""
    done = await connection.execute(
        text(
            """
            INSERT INTO incidents (incident_id, tenant_id, kind, scope, workflow, reason, owner,
                rollback, rule, subject, evidence, opened_at, opened_by, task)
            VALUES (:incident_id, :tenant_id, :kind, :scope, :workflow, :reason, :owner,
                :rollback, :rule, :subject, CAST(CAST(:evidence AS text) AS jsonb), :opened_at,
                :opened_by, :task)
            ON CONFLICT DO NOTHING
            """
        ),
        {**incident, "evidence": json.dumps(dict(incident["evidence"]))},
    )
    return done.rowcount == 1


async def one(connection: AsyncConnection, incident_id: str) -> dict[str, Any] | None:
    return await row(
        connection,
        f"SELECT {_COLUMNS} FROM incidents WHERE incident_id = :id",  # noqa: S608
        {"id": incident_id},
    )


async def open_on(connection: AsyncConnection, scope: str) -> list[dict[str, Any]]:
    """The open incidents of exactly this scope, the oldest first."""
    return await rows(
        connection,
        f"SELECT {_COLUMNS} FROM incidents WHERE scope = :scope AND closed_at IS NULL "  # noqa: S608
        "ORDER BY opened_at, incident_id",
        {"scope": scope},
    )


async def open_by_rule(connection: AsyncConnection) -> set[tuple[str, str]]:
    """The (rule, scope) of the incidents that rules opened and nobody closed."""
    found = await rows(
        connection, "SELECT rule, scope FROM incidents WHERE rule <> '' AND closed_at IS NULL"
    )
    return {(each["rule"], each["scope"]) for each in found}


async def find(
    connection: AsyncConnection,
    *,
    tenant: str | None,
    state: str,
    scope: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` incidents behind `after`, the newest first. `state` is open, closed or
    all. What is about everything is everybody's."""
    return await rows(
        connection,
        f"""
        SELECT {_COLUMNS} FROM incidents
        WHERE (CAST(:tenant AS text) IS NULL OR tenant_id IN ('', :tenant))
          AND (:state = 'all' OR (closed_at IS NULL) = (:state = 'open'))
          AND (CAST(:scope AS text) IS NULL OR scope = :scope)
          AND (CAST(:at AS timestamptz) IS NULL OR (opened_at, incident_id) < (:at, :id))
        ORDER BY opened_at DESC, incident_id DESC LIMIT :limit
        """,  # noqa: S608
        {
            "tenant": tenant,
            "state": state,
            "scope": scope,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def change(connection: AsyncConnection, incident_id: str, changes: Mapping[str, str]) -> None:
    """Put new words in place of old ones: owner, rollback, task, reason, kind."""
    names = sorted(_CHANGEABLE & changes.keys())
    if names:
        put = ", ".join(f"{name} = :{name}" for name in names)
        await connection.execute(
            text(f"UPDATE incidents SET {put} WHERE incident_id = :id"),  # noqa: S608
            {"id": incident_id, **{name: changes[name] for name in names}},
        )


async def set_task(
    connection: AsyncConnection,
    incident_id: str,
    *,
    done_at: datetime | None,
    done_by: str | None,
    note: str | None,
) -> None:
    """The verification was done, or (None) is to be done again."""
    await connection.execute(
        text(
            "UPDATE incidents SET task_done_at = :at, task_done_by = :by, task_note = :note "
            "WHERE incident_id = :id"
        ),
        {"id": incident_id, "at": done_at, "by": done_by, "note": note},
    )


async def close(
    connection: AsyncConnection,
    incident_id: str,
    *,
    at: datetime,
    by: str,
    reason: str,
    rate_per_minute: int | None,
) -> None:
    await connection.execute(
        text(
            "UPDATE incidents SET closed_at = :at, closed_by = :by, close_reason = :reason, "
            "rate_per_minute = :rate WHERE incident_id = :id"
        ),
        {"id": incident_id, "at": at, "by": by, "reason": reason, "rate": rate_per_minute},
    )


async def note(
    connection: AsyncConnection,
    incident_id: str,
    at: datetime,
    by: str,
    what: str,
    detail: Mapping[str, Any],
) -> None:
    """Add a line to the incident's history."""
    await connection.execute(
        text(
            "INSERT INTO incident_history (incident_id, at, by, what, detail) "
            "VALUES (:id, :at, :by, :what, CAST(CAST(:detail AS text) AS jsonb))"
        ),
        {"id": incident_id, "at": at, "by": by, "what": what, "detail": json.dumps(dict(detail))},
    )


async def history(connection: AsyncConnection, incident_id: str) -> list[dict[str, Any]]:
    return await rows(
        connection,
        "SELECT at, by, what, detail FROM incident_history WHERE incident_id = :id "
        "ORDER BY position",
        {"id": incident_id},
    )


async def to_say(connection: AsyncConnection, scope: str, value: bytes) -> None:
    """Have a control said to the log, after those that are waiting to be."""
    await connection.execute(
        text("INSERT INTO controls_to_say (scope, value) VALUES (:scope, :value)"),
        {"scope": scope, "value": value},
    )


async def unsaid(connection: AsyncConnection) -> Sequence[dict[str, Any]]:
    """What is to be said, in its order; nobody else says it until the transaction ends."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('controls to say'))"))
    return await rows(
        connection, "SELECT position, scope, value FROM controls_to_say ORDER BY position"
    )


async def said(connection: AsyncConnection, positions: Collection[int]) -> None:
    await connection.execute(
        text("DELETE FROM controls_to_say WHERE position = ANY(CAST(:said AS bigint[]))"),
        {"said": list(positions)},
    )
