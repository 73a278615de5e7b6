"""A batch of records into the read models: one transaction, a handful of statements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from sqlalchemy.ext.asyncio import AsyncEngine

from leadflow import ids
from leadflow.kafka.loop import Received, Stateless
from leadflow.records import LeadRecord, Record
from portal_api.live import Broadcaster, changes_of
from portal_api.projections import project
from portal_api.projections.rows import Row, Rows
from portal_api.projections.tables import TIMELINE
from portal_api.projections.timeline import line
from portal_api.store.derived import derive
from portal_api.store.upserts import insert_new, upsert


class Projection(Stateless):
    """Handler of the consumer loop.

    A record about a lead is applied when its line of the timeline is new: a repeat finds its
    event_id there and changes nothing. All other rows have keys of their own and rules under
    which a repeat is the same row again.
    """

    def __init__(self, engine: AsyncEngine, broadcaster: Broadcaster) -> None:
        self._engine = engine
        self._broadcaster = broadcaster

    async def handle(self, batch: Sequence[Received]) -> None:
        lines: dict[str, Row] = {}
        for received in batch:
            if _has_a_story(received.record):
                lines.setdefault(
                    received.record.event_id, line(received.record, received.message.topic)
                )
        async with self._engine.begin() as connection:
            new = await insert_new(
                connection, TIMELINE, sorted(lines.values(), key=lambda row: str(row["event_id"]))
            )
            rows: Rows = project(fresh(batch, new))
            await upsert(connection, rows)
            await derive(connection, rows)
        self._broadcaster.publish(changes_of(rows))


def fresh(batch: Sequence[Received], new: set[str]) -> list[Received]:
    """The records to apply: each new event_id once, and all that are not about a lead."""
    left = set(new)
    chosen: list[Received] = []
    for received in batch:
        if not _has_a_story(received.record):
            chosen.append(received)
        elif received.record.event_id in left:
            left.discard(received.record.event_id)
            chosen.append(received)
    return chosen


def _has_a_story(record: Record) -> TypeGuard[LeadRecord]:
    """A record about a lead; a test is about none."""
    return isinstance(record, LeadRecord) and not ids.is_test_lead(record.lead_id)
