"""The portal's database: transactions that happen as a whole or not at all, at one gate each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from portal_api.once import Done
from portal_api.projections.rows import Row, Rows, Table
from portal_api.projections.tables import ENROLLMENTS, REFUSALS, TIMELINE
from portal_api.store.writes import ABANDONED_AFTER

from .durable import Durable, Process

Keyed = dict[tuple[Any, ...], Row]
ENDS = {"stop": "EnrollmentStopped", "pause": "EnrollmentPaused"}


@dataclass
class PortalTables:
    """Survives every crash. `locked` are the jobs that a transaction has."""

    models: dict[str, Keyed] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    items: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)

    def of(self, table: Table) -> Keyed:
        return self.models.setdefault(table.name, {})

    def merge(self, table: Table, rows: Sequence[Row]) -> None:
        there = self.of(table)
        for row in rows:
            key = tuple(row[part] for part in table.key)
            held = there.get(key)
            there[key] = dict(row) if held is None else table.merge(held, row)


class _Transaction:
    """Reads what is committed, keeps what it writes to itself."""

    def __init__(self, tables: PortalTables) -> None:
        self.tables = tables
        self.writes: list[Callable[[], None]] = []
        self.locked: set[str] = set()

    async def insert_new(self, table: Table, rows: Sequence[Row]) -> set[str]:
        there = self.tables.of(table)
        (key,) = table.key
        new = [row for row in rows if (row[key],) not in there]
        self.writes.append(partial(self.tables.merge, table, new))
        return {row[key] for row in new}

    async def retold(self, times: Mapping[str, datetime]) -> Mapping[str, datetime]:
        there = self.tables.of(TIMELINE)
        for key, at in times.items():
            self.writes.append(partial(self._raise, key, at))
        return {key: there[key,]["recorded_at"] for key in times if (key,) in there}

    def _raise(self, key: str, at: datetime) -> None:
        row = self.tables.of(TIMELINE)[key,]
        row["recorded_at"] = max(row["recorded_at"], at)

    async def merge(self, changed: Rows) -> None:
        for table in changed.tables():
            self.writes.append(partial(self.tables.merge, table, changed.of(table)))


class Database:
    """What `portal_api.projections.handler.Models` and `Context.engine` are to the portal."""

    def __init__(self, durable: Durable, process: Process, tables: PortalTables) -> None:
        self._durable = durable
        self._process = process
        self._tables = tables

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[_Transaction]:
        transaction = _Transaction(self._tables)
        try:
            yield transaction
            if transaction.writes:
                await self.does(lambda: [write() for write in transaction.writes])
        finally:
            self._tables.locked -= transaction.locked

    begin = transaction

    async def does(self, effect: Callable[[], Any]) -> Any:
        return await self._durable.gate(self._process, "commits to the portal's tables", effect)


class Keys:
    """Implements `portal_api.once.Keys`, as `portal_api.store.writes` says it in SQL."""

    def __init__(self, database: Database, tables: PortalTables) -> None:
        self._database = database
        self._tables = tables

    async def begin(self, key: str, request_hash: str, now: datetime) -> Mapping[str, Any] | None:
        def effect() -> Mapping[str, Any] | None:
            held = self._tables.keys.get(key)
            if held is not None and (
                held["status"] is not None
                or held["begun_at"] >= now - ABANDONED_AFTER
                or held["request_hash"] != request_hash
            ):
                return held
            fresh = {"request_hash": request_hash, "status": None, "body": None, "begun_at": now}
            self._tables.keys[key] = fresh
            return None

        found: Mapping[str, Any] | None = await self._database.does(effect)
        return found

    async def refused(self, key: str, status: int, now: datetime) -> None:
        def effect() -> None:
            if self._tables.keys.get(key, {"status": 1})["status"] is None:
                del self._tables.keys[key]

        await self._database.does(effect)

    async def done(self, key: str, done: Done, body: Any, now: datetime) -> None:
        def effect() -> None:
            self._tables.keys[key] |= {"status": done.status, "body": body}

        await self._database.does(effect)


class Jobs:
    """What `portal_api.store.bulk` and `portal_api.store.answers` are to the runner."""

    async def lock(self, connection: _Transaction, bulk_id: str) -> dict[str, Any] | None:
        tables = connection.tables
        job = tables.jobs[bulk_id]
        if bulk_id in tables.locked or job["finished_at"] is not None:
            return None
        tables.locked.add(bulk_id)
        connection.locked.add(bulk_id)
        return dict(job)

    async def waiting(
        self, connection: _Transaction, bulk_id: str, limit: int
    ) -> list[dict[str, Any]]:
        items = connection.tables.items[bulk_id]
        return [each for each in items if each["state"] == "waiting"][:limit]

    async def requested(
        self, connection: _Transaction, bulk_id: str, positions: Sequence[int]
    ) -> None:
        items = connection.tables.items[bulk_id]
        for position in positions:
            connection.writes.append(partial(items[position].update, state="requested"))

    async def collect(
        self, connection: _Transaction, bulk_id: str, action: str, started_at: datetime
    ) -> int:
        """Of what is committed: what was requested in this very transaction waits for the next."""
        found = 0
        for item in connection.tables.items[bulk_id]:
            state = _answer(connection.tables, item, action, started_at)
            if item["state"] == "requested" and state:
                found += 1
                connection.writes.append(partial(item.update, state=state))
        return found

    async def finish(self, connection: _Transaction, bulk_id: str, now: datetime) -> None:
        job, items = connection.tables.jobs[bulk_id], connection.tables.items[bulk_id]

        def effect() -> None:
            if all(each["state"] in ("done", "refused") for each in items):
                job.update(state="finished", finished_at=now)

        connection.writes.append(effect)


def _answer(
    tables: PortalTables, item: Mapping[str, Any], action: str, started_at: datetime
) -> str:
    """What the read models say became of an item's command."""
    event_id = item["event_id"]
    if action == "enroll":
        if any(r.get("trigger_event_id") == event_id for r in tables.of(ENROLLMENTS).values()):
            return "done"
        refused = any(r["trigger_event_id"] == event_id for r in tables.of(REFUSALS).values())
        return "refused" if refused else ""
    for row in tables.of(TIMELINE).values():
        data = row["data"]
        if row["type"] == "CommandRefused" and data["command_id"] == event_id:
            return "refused"
        if (
            row["type"] == ENDS[action]
            and row["occurred_at"] == started_at
            and data["rule"] == "manual"
            and data["enrollment_id"] == item["enrollment_id"]
        ):
            return "done"
    return ""


TAKEN_OVER_AFTER = ABANDONED_AFTER + timedelta(seconds=1)
