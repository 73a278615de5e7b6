"""The read models in PostgreSQL, as the projection changes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from portal_api.projections.rows import Row, Rows, Table
from portal_api.store.connection import rows
from portal_api.store.derived import derive
from portal_api.store.upserts import as_json, insert_new, upsert

LOCK = """
SELECT event_id, recorded_at FROM timeline WHERE event_id = ANY(CAST(:ids AS text[]))
ORDER BY event_id FOR UPDATE
"""
RAISE = """
UPDATE timeline t SET recorded_at = l.recorded_at
FROM json_populate_recordset(NULL::timeline, CAST(CAST(:told AS text) AS json)) AS l
WHERE t.event_id = l.event_id AND t.recorded_at < l.recorded_at
"""


class _Changes:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def insert_new(self, table: Table, rows: Sequence[Row]) -> set[str]:
        return await insert_new(self._connection, table, rows)

    async def retold(self, times: Mapping[str, datetime]) -> Mapping[str, datetime]:
        ids = {"ids": sorted(times)}
        there = await rows(self._connection, LOCK, ids)
        told = [{"event_id": key, "recorded_at": at} for key, at in times.items()]
        await self._connection.execute(text(RAISE), {"told": as_json(told)})
        return {row["event_id"]: row["recorded_at"] for row in there}

    async def merge(self, changed: Rows) -> None:
        await upsert(self._connection, changed)
        await derive(self._connection, changed)


class ReadModels:
    """Implements `portal_api.projections.handler.Models`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_Changes]:
        async with self._engine.begin() as connection:
            yield _Changes(connection)
