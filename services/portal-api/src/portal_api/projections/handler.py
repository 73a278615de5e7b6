"""A batch of records into the read models: one transaction, a handful of statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeGuard

from leadflow import ids, topics
from leadflow.kafka.loop import Received, Stateless
from leadflow.records import LeadRecord, Record, SyncRunRecorded
from portal_api.live import Broadcaster, changes_of
from portal_api.projections import project
from portal_api.projections.rows import Row, Rows, Table
from portal_api.projections.tables import TIMELINE
from portal_api.projections.timeline import line


class Changes(Protocol):
    """A transaction on the read models."""

    async def insert_new(self, table: Table, rows: Sequence[Row]) -> set[str]:
        """Insert the rows whose key is not there yet; return the keys of those."""

    async def retold(self, times: Mapping[str, datetime]) -> Mapping[str, datetime]:
        """Raise when these lines of the timeline were recorded; return when they had been."""

    async def merge(self, changed: Rows) -> None:
        """Insert every row, or merge it into the one that is there; then what follows from it."""


class Models(Protocol):
    """The read models' tables."""

    def transaction(self) -> AbstractAsyncContextManager[Changes]:
        """All of it happens at its end, or nothing."""


class Projection(Stateless):
    """Handler of the consumer loop.

    A record about a lead is applied when its line of the timeline is new: a repeat finds its
    event_id there and changes nothing. All other rows have keys of their own and rules under
    which a repeat is the same row again.

    One repeat is news: a sequencer was killed after it had told of a decision and before it had
    kept it, and the next one decided anew, perhaps otherwise. What it tells then has the same ids
    and was recorded later, and what an enrollment is follows from what was told last.
    """

    def __init__(self, models: Models, broadcaster: Broadcaster) -> None:
        self._models = models
        self._broadcaster = broadcaster

    async def handle(self, batch: Sequence[Received]) -> None:
        lines: dict[str, Row] = {}
        for received in batch:
            if _has_a_story(received.record):
                lines.setdefault(
                    received.record.event_id, line(received.record, received.message.topic)
                )
        async with self._models.transaction() as changes:
            new = await changes.insert_new(
                TIMELINE, sorted(lines.values(), key=lambda row: str(row["event_id"]))
            )
            again = told_again(batch, new)
            before = await changes.retold(again) if again else {}
            rows: Rows = project(fresh(batch, new, before))
            await changes.merge(rows)
        self._broadcaster.publish(changes_of(rows))


def told_again(batch: Sequence[Received], new: set[str]) -> dict[str, datetime]:
    """Of what the sequencer tells again: when it recorded it last."""
    seen: dict[str, datetime] = {}
    again: dict[str, datetime] = {}
    for received in batch:
        event_id, at = received.record.event_id, received.record.recorded_at
        if received.message.topic != topics.ENROLLMENT_EVENTS.name:
            continue
        if event_id not in new or event_id in seen:
            again[event_id] = max(at, again.get(event_id, at))
        seen[event_id] = at
    return again


def fresh(
    batch: Sequence[Received], new: set[str], before: Mapping[str, datetime] | None = None
) -> list[Received]:
    """The records to apply: each new event_id once, all that are not about a lead, and what was
    decided anew. `before` is when a record that is told again had been recorded."""
    told = {} if before is None else {key: at for key, at in before.items() if key not in new}
    left = set(new)
    chosen: list[Received] = []
    for received in batch:
        event_id, at = received.record.event_id, received.record.recorded_at
        if not _has_a_story(received.record):
            chosen.append(received)
        elif event_id in left or (
            received.message.topic == topics.ENROLLMENT_EVENTS.name
            and event_id in told
            and at > told[event_id]
        ):
            left.discard(event_id)
            chosen.append(received)
            told[event_id] = at
    return chosen


def _has_a_story(record: Record) -> TypeGuard[LeadRecord]:
    """A record about a lead: none of a test, and none of how a CRM was told."""
    return (
        isinstance(record, LeadRecord)
        and not isinstance(record, SyncRunRecorded)
        and not ids.is_test_lead(record.lead_id)
    )
