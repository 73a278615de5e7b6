"""Enrollments and messages of a sequence, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import ids
from leadflow.records import CommandRefused
from portal_api.store.connection import latest, row, rows

_LEAD = "l.first_name, l.last_name, l.email, l.phone, l.owner, l.stage"
_HELD = "(m.state = 'scheduled' AND coalesce(e.status, '') = 'paused')"
_SHOWN = f"CASE WHEN {_HELD} THEN 'paused' ELSE m.state END"
_MESSAGES = f"""
SELECT m.*, {_SHOWN} AS shown, CASE WHEN {_HELD} THEN e.held_by END AS held_by, {_LEAD}
FROM messages m LEFT JOIN leads l USING (lead_id) LEFT JOIN enrollments e USING (enrollment_id)
"""  # noqa: S608


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
    return await latest(
        connection,
        f"SELECT e.*, {_LEAD} FROM enrollments e LEFT JOIN leads l USING (lead_id)",  # noqa: S608
        ("e.enrolled_at", "e.enrollment_id"),
        {"e.sequence_id": sequence_id, "e.status": status, "l.owner": owner},
        after=after,
        limit=limit,
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
    *,
    sequence_id: str | None = None,
    tenant_id: str | None = None,
    state: str | None,
    owner: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` messages behind `after`, latest due first, as `message` has them."""
    return await latest(
        connection,
        _MESSAGES,
        ("m.scheduled_for", "m.message_id"),
        {
            "m.sequence_id": sequence_id,
            "m.tenant_id": tenant_id,
            "m.state": "scheduled" if state == "paused" else state,
            _HELD: {"paused": True, "scheduled": False}.get(state or ""),
            "l.owner": owner,
        },
        after=after,
        limit=limit,
    )


async def message(connection: AsyncConnection, message_id: str) -> dict[str, Any] | None:
    """`shown` is its state, or `paused` while a pause holds the step: `held_by` says which."""
    return await row(connection, f"{_MESSAGES} WHERE m.message_id = :id", {"id": message_id})
