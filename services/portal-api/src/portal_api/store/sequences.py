"""Sequences as they are now, with what was counted about them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import row, rows

# The newest version of each sequence, and how many steps the versions of its runs have.
_NEWEST = """
SELECT s.*, f.created_at FROM (
    SELECT DISTINCT ON (sequence_id) * FROM sequences
    WHERE (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)
      AND (CAST(:sequence AS text) IS NULL OR sequence_id = :sequence)
    ORDER BY sequence_id, version DESC
) AS s
JOIN LATERAL (
    SELECT min(published_at) AS created_at FROM sequences o WHERE o.sequence_id = s.sequence_id
) AS f ON true
"""


async def all_of(connection: AsyncConnection, tenant: str | None) -> list[dict[str, Any]]:
    """The newest version of every sequence, in order of name."""
    return await rows(
        connection, _NEWEST + "ORDER BY s.name, s.sequence_id", {"tenant": tenant, "sequence": None}
    )


async def one(connection: AsyncConnection, sequence_id: str) -> dict[str, Any] | None:
    return await row(connection, _NEWEST, {"tenant": None, "sequence": sequence_id})


async def exists(connection: AsyncConnection, sequence_id: str, version: int) -> bool:
    return (
        await row(
            connection,
            "SELECT 1 FROM sequences WHERE sequence_id = :sequence AND version = :version",
            {"sequence": sequence_id, "version": version},
        )
        is not None
    )


async def counters(
    connection: AsyncConnection, tenant: str | None, sequence_id: str | None = None
) -> list[dict[str, Any]]:
    """{sequence_id, step_id, name, n}; step_id is empty for what is counted by enrollment."""
    return await rows(
        connection,
        """
        SELECT sequence_id, step_id, name, n FROM counters
        WHERE sequence_id <> '' AND n <> 0
          AND (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)
          AND (CAST(:sequence AS text) IS NULL OR sequence_id = :sequence)
        """,
        {"tenant": tenant, "sequence": sequence_id},
    )


async def paused_scopes(connection: AsyncConnection) -> dict[str, dict[str, Any]]:
    """The controls that say "paused" now, by scope."""
    found = await rows(connection, "SELECT * FROM controls WHERE paused")
    return {each["scope"]: each for each in found}


async def tenants(connection: AsyncConnection) -> list[str]:
    """Every tenant that has a sequence or a lead."""
    found = await rows(
        connection,
        "SELECT DISTINCT tenant_id FROM counters WHERE tenant_id <> '' "
        "UNION SELECT DISTINCT tenant_id FROM sequences ORDER BY 1",
    )
    return [each["tenant_id"] for each in found]
