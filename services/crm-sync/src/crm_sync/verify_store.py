"""SQL of the comparison: which records are dead, which writes were left behind, and which
objects the CRM told of."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

DEAD = text("SELECT event_id FROM sync_runs WHERE result = 'dead'")
LEFT_BEHIND = text(
    """
    SELECT lead_id FROM contacts
    WHERE account_id = :account_id AND lead_id = ANY(:leads)
        AND pending IS NOT NULL AND updated_at < CAST(:before AS timestamptz)
    """
)

NOTICED = text("SELECT object, crm_id FROM notices WHERE account_id = :account_id")


class VerifyStore:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def dead(self) -> set[str]:
        """The ids of all records that ended in the dead letters and were not replayed since."""
        async with self._engine.connect() as connection:
            return {row.event_id for row in await connection.execute(DEAD)}

    async def left_behind(
        self, account_id: str, lead_ids: Collection[str], before: datetime
    ) -> set[str]:
        """Of these leads those whose pending write is older than `before`."""
        values = {"account_id": account_id, "leads": sorted(lead_ids), "before": before}
        async with self._engine.connect() as connection:
            return {row.lead_id for row in await connection.execute(LEFT_BEHIND, values)}

    async def noticed(self, account_id: str) -> dict[str, list[str]]:
        """By kind of object, the CRM's ids of those that it told of and nobody has looked at."""
        found: dict[str, list[str]] = {}
        async with self._engine.connect() as connection:
            for row in await connection.execute(NOTICED, {"account_id": account_id}):
                found.setdefault(row.object, []).append(row.crm_id)
        return found
