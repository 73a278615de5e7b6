"""Enrollments and messages of a sequence, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import ids
from leadflow.records import CommandRefused
from portal_api.store.connection import row, rows

_LEAD = "l.first_name, l.last_name, l.email, l.phone, l.owner, l.stage"


async def enrollments(
    connection: AsyncConnection,
    sequence_id: str,
    *,
    status: str | None,
    owner: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` enrollments behind `after`; `owner` None shows everybody's."""
    return await rows(
        connection,
        f"""
        SELECT e.*, {_LEAD} FROM enrollments e LEFT JOIN leads l USING (lead_id)
        WHERE e.sequence_id = :sequence AND e.enrolled_at IS NOT NULL
          AND (CAST(:status AS text) IS NULL OR e.status = :status)
          AND (CAST(:owner AS text) IS NULL OR l.owner = :owner)
          AND (CAST(:at AS timestamptz) IS NULL OR (e.enrolled_at, e.enrollment_id) < (:at, :id))
        ORDER BY e.enrolled_at DESC, e.enrollment_id DESC LIMIT :limit
        """,  # noqa: S608
        {
            "sequence": sequence_id,
            "status": status,
            "owner": owner,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def enrollment(connection: AsyncConnection, enrollment_id: str) -> dict[str, Any] | None:
    return await row(
        connection,
        f"SELECT e.*, {_LEAD} FROM enrollments e LEFT JOIN leads l USING (lead_id) "  # noqa: S608
        "WHERE e.enrollment_id = :id",
        {"id": enrollment_id},
    )


async def refused_command(connection: AsyncConnection, command_id: str) -> dict[str, Any] | None:
    """{rule, inputs} with which the sequencer refused a command; None if it did not, or not yet."""
    found = await row(
        connection,
        "SELECT data FROM timeline WHERE event_id = :id",
        {"id": ids.derived_id(CommandRefused.TYPE, command_id)},
    )
    return None if found is None else dict(found["data"])


async def running(
    connection: AsyncConnection, sequence_id: str, lead_ids: Sequence[str]
) -> set[str]:
    """Which of the leads are in the sequence now."""
    found = await rows(
        connection,
        "SELECT lead_id FROM enrollments WHERE sequence_id = :sequence "
        "AND lead_id = ANY(CAST(:leads AS text[])) AND status IN ('active', 'paused')",
        {"sequence": sequence_id, "leads": list(lead_ids)},
    )
    return {each["lead_id"] for each in found}


async def answers(connection: AsyncConnection, event_ids: Sequence[str]) -> dict[str, Any]:
    """What the sequencer decided about these commands, by their event_id."""
    found = await rows(
        connection,
        """
        SELECT trigger_event_id, enrollment_id, NULL AS rule FROM enrollments
        WHERE trigger_event_id = ANY(CAST(:ids AS text[]))
        UNION ALL
        SELECT trigger_event_id, NULL, rule FROM refusals
        WHERE trigger_event_id = ANY(CAST(:ids AS text[]))
        """,
        {"ids": list(event_ids)},
    )
    return {each["trigger_event_id"]: each for each in found}


async def messages(
    connection: AsyncConnection,
    sequence_id: str,
    *,
    state: str | None,
    owner: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` messages behind `after`, latest due first."""
    return await rows(
        connection,
        f"""
        SELECT m.*, {_LEAD} FROM messages m LEFT JOIN leads l USING (lead_id)
        WHERE m.sequence_id = :sequence AND m.scheduled_for IS NOT NULL
          AND (CAST(:state AS text) IS NULL OR m.state = :state)
          AND (CAST(:owner AS text) IS NULL OR l.owner = :owner)
          AND (CAST(:at AS timestamptz) IS NULL OR (m.scheduled_for, m.message_id) < (:at, :id))
        ORDER BY m.scheduled_for DESC, m.message_id DESC LIMIT :limit
        """,  # noqa: S608
        {
            "sequence": sequence_id,
            "state": state,
            "owner": owner,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def messages_in_state(
    connection: AsyncConnection,
    state: str,
    *,
    tenant_id: str | None,
    owner: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` messages of all sequences behind `after`, latest due first."""
    return await rows(
        connection,
        f"""
        SELECT m.*, {_LEAD} FROM messages m LEFT JOIN leads l USING (lead_id)
        WHERE m.state = :state AND m.scheduled_for IS NOT NULL
          AND (CAST(:tenant AS text) IS NULL OR m.tenant_id = :tenant)
          AND (CAST(:owner AS text) IS NULL OR l.owner = :owner)
          AND (CAST(:at AS timestamptz) IS NULL OR (m.scheduled_for, m.message_id) < (:at, :id))
        ORDER BY m.scheduled_for DESC, m.message_id DESC LIMIT :limit
        """,  # noqa: S608
        {
            "state": state,
            "tenant": tenant_id,
            "owner": owner,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def message(connection: AsyncConnection, message_id: str) -> dict[str, Any] | None:
    return await row(
        connection,
        f"SELECT m.*, {_LEAD} FROM messages m LEFT JOIN leads l USING (lead_id) "  # noqa: S608
        "WHERE m.message_id = :id",
        {"id": message_id},
    )
