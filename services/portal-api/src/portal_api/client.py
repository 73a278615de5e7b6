"""What a client may read, by a connection that can read nothing else.

The engine is connected as the role `portal_client`, whose only rights are on the views of
migration 0001: approved bytes and counts. The views show the tenant that the transaction
names in `leadflow.tenant`; which one that is, is decided here, from the key.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from portal_api.store.connection import rows


class ClientReader:
    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def summaries(
        self, tenant_id: str, after: tuple[datetime | None, str], limit: int
    ) -> list[dict[str, Any]]:
        """Approved summaries of the tenant behind `after`, newest first; up to `limit + 1`."""
        return await self._read(
            tenant_id,
            """
            SELECT project_id, summary_id, text, approved_at FROM portal.client_summaries
            WHERE CAST(:at AS timestamptz) IS NULL OR (approved_at, summary_id) < (:at, :id)
            ORDER BY approved_at DESC, summary_id DESC LIMIT :limit
            """,
            {"at": after[0], "id": after[1], "limit": limit + 1},
        )

    async def metrics(self, tenant_id: str) -> list[dict[str, Any]]:
        """{name, n} of the tenant."""
        return await self._read(
            tenant_id, "SELECT name, n FROM portal.client_metrics ORDER BY name", {}
        )

    async def _read(self, tenant_id: str, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        async with self._engine.begin() as connection:
            # For this transaction only: the next one to use the connection names its own.
            await connection.execute(
                text("SELECT set_config('leadflow.tenant', :tenant, true)"), {"tenant": tenant_id}
            )
            return await rows(connection, sql, values)
