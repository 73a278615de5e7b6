"""What an answer to "why" is read off: a lead's decisions, and the steps of its sequences."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import rows


async def decisions(connection: AsyncConnection, lead_id: str) -> list[dict[str, Any]]:
    """The lines of a lead's timeline about enrollments, steps and messages."""
    return await rows(
        connection,
        """
        SELECT type, recorded_at, data FROM timeline
        WHERE lead_id = :lead AND type ~ '^(Enroll|Step|Message|CommandRefused)'
        ORDER BY recorded_at, event_id
        """,
        {"lead": lead_id},
    )


async def steps(
    connection: AsyncConnection, lead_id: str
) -> dict[tuple[str, int], tuple[tuple[str, str], ...]]:
    """(step_id, channel) in order, by sequence and version, of every sequence that the lead was
    in."""
    found = await rows(
        connection,
        """
        SELECT sequence_id, version, definition FROM sequences
        WHERE sequence_id IN (SELECT sequence_id FROM enrollments WHERE lead_id = :lead)
        """,
        {"lead": lead_id},
    )
    return {
        (each["sequence_id"], each["version"]): tuple(
            (step["step_id"], step["channel"]) for step in each["definition"]["steps"]
        )
        for each in found
    }
