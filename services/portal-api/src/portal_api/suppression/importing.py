"""Imports: what of a file is new, and the task that tells it to the log, a batch at a time.

A batch is told while the import's row is locked: first the log has it, then the row says so.
Whoever dies in between tells the same again, with the same ids and times.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import ids, topics
from leadflow.errors import is_retryable, public_reason
from portal_api.context import Context
from portal_api.store import suppressions as store
from portal_api.suppression.files import Listed, Refused, Row
from portal_api.suppression.records import IMPORT, added

log = structlog.get_logger()

BATCH = 1_000
IDLE_SECONDS = 5.0
Entry = dict[str, Any]


async def plan(
    connection: AsyncConnection, tenant_id: str, listed: Listed, now: datetime
) -> tuple[list[Entry], int, list[Refused]]:
    """(entries that are new, how many stand on the list already, refused lines).

    What a person lifted after the time that a line names stays lifted.
    """
    new: list[Entry] = []
    refused = list(listed.refused)
    entries = {_id(tenant_id, row): row for row in listed.rows}
    standing = await store.standing_of(connection, list(entries))
    for entry, row in entries.items():
        active, since = standing.get(entry, (False, None))
        at = row.at or now
        if active:
            continue
        if since is not None and since > at:
            why = f"it was lifted on {since:%Y-%m-%d}, after the time of this line"
            refused.append(Refused(line=row.line, address=row.place.address, why=why))
            continue
        new.append(
            {
                "channel": row.place.channel,
                "address": row.place.address,
                "reason": row.reason,
                "note": row.note,
                "at": at.isoformat(),
            }
        )
    known = sum(active for active, _ in standing.values())
    return new, known, sorted(refused, key=lambda each: each.line)


def _id(tenant_id: str, row: Row) -> str:
    return ids.suppression_id(tenant_id, row.place.channel, row.place.address, row.reason)


class ImportRunner:
    """Tells the imports of all tenants to the log, the oldest first."""

    def __init__(self, context: Context, batch: int = BATCH) -> None:
        self._context = context
        self._batch = batch

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`. What fails is tried again: all of it is in the database."""
        while not stop.is_set():
            self._context.import_waits.clear()
            try:
                more = await self.advance()
            except Exception as error:
                if not isinstance(error, DBAPIError) and not is_retryable(error):
                    raise
                log.warning("imports wait", reason=public_reason(error))
                more = False
            if not more:
                await self._rest(stop)

    async def advance(self) -> bool:
        """Tell one batch of the oldest import; False if there is none."""
        context = self._context
        async with context.engine.begin() as connection:
            row = await store.open_import(connection, self._batch)
            if row is None:
                return False
            now = context.clock.now()
            records = [
                added(
                    row["tenant_id"],
                    each["channel"],
                    each["address"],
                    each["reason"],
                    source=IMPORT,
                    by=row["begun_by"],
                    note=each["note"] or row["file"],
                    cause_id=row["import_id"],
                    at=datetime.fromisoformat(each["at"]),
                    now=now,
                )
                for each in row["entries"]
            ]
            await context.publish(
                topics.SUPPRESSIONS, [(each.suppression_id, each) for each in records]
            )
            told = row["told"] + len(row["entries"])
            ended = now if told >= row["accepted"] else None
            await store.told(connection, row["import_id"], told, ended)
        return True

    async def _rest(self, stop: asyncio.Event) -> None:
        waiting = [
            asyncio.ensure_future(each.wait()) for each in (stop, self._context.import_waits)
        ]
        try:
            await asyncio.wait(waiting, timeout=IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()
                with suppress(asyncio.CancelledError):
                    await each
