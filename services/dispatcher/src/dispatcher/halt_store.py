"""The topic `enrollment-events` into the table `halts`, and what is let go or forgotten by it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dispatcher.halts import Halted, halted
from dispatcher.model import NOT_HALTED, Halt
from leadflow.kafka.loop import Received, Stateless

# `halts.Halted.and_then` says why. What is no news changes a row and makes none: whoever reads the
# end of an enrollment has read before it what was said of that.
REMEMBER = text("""
    INSERT INTO halts AS h (enrollment_id, lead_id, stopped_by, stopped_at, inputs, paused_by,
        word_partition, word_offset, noted_at)
    SELECT enrollment_id, lead_id, stopped_by, stopped_at, inputs, paused_by, word_partition,
        word_offset, now()
    FROM json_to_recordset(CAST(:rows AS json)) AS r (
        enrollment_id text, lead_id text, stopped_by text, stopped_at timestamptz, inputs json,
        paused_by text, word_partition integer, word_offset bigint, news boolean)
    WHERE r.news OR EXISTS (SELECT FROM halts k WHERE k.enrollment_id = r.enrollment_id)
    ORDER BY enrollment_id
    ON CONFLICT (enrollment_id) DO UPDATE SET
        (stopped_by, stopped_at, inputs) = (
            SELECT s.stopped_by, s.stopped_at, s.inputs
            FROM (VALUES
                (1, h.stopped_by, h.stopped_at, h.inputs),
                (2, excluded.stopped_by, excluded.stopped_at, excluded.inputs)
            ) AS s (ord, stopped_by, stopped_at, inputs)
            ORDER BY s.stopped_by IS NULL, s.ord LIMIT 1
        ),
        (paused_by, word_partition, word_offset) = (
            SELECT w.paused_by, w.word_partition, w.word_offset
            FROM (VALUES
                (1, h.paused_by, h.word_partition, h.word_offset),
                (2, excluded.paused_by, excluded.word_partition, excluded.word_offset)
            ) AS w (ord, paused_by, word_partition, word_offset)
            ORDER BY w.word_offset IS NULL,
                CASE WHEN h.word_partition = excluded.word_partition THEN w.word_offset END DESC,
                w.ord DESC
            LIMIT 1
        ),
        noted_at = excluded.noted_at
""")

# Nothing is queued any more of what was stopped or paused so long ago. What waits all the same is
# not let out by being forgotten.
FORGET = text("""
    DELETE FROM halts WHERE enrollment_id IN (
        SELECT h.enrollment_id FROM halts h
        WHERE h.noted_at < now() - CAST(:kept AS interval)
            AND NOT EXISTS (SELECT FROM ledger l
                WHERE l.lead_id = h.lead_id AND l.state IN ('queued', 'claimed')
                    AND l.enrollment_id = h.enrollment_id)
            AND NOT EXISTS (SELECT FROM ledger l
                WHERE l.enrollment_id = h.enrollment_id AND l.state = 'held')
        ORDER BY h.noted_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")
KEPT = timedelta(days=30)


class HaltHandler(Stateless):
    """Returns once the batch is committed: what is looked up after that sees it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def handle(self, batch: Sequence[Received]) -> None:
        found = halted(batch)
        if found:
            async with self._engine.begin() as connection:
                await remember(connection, found)


async def remember(connection: AsyncConnection, found: Sequence[Halted]) -> None:
    """Take over what is said of enrollments, each of them once; repeats change nothing."""
    rows = json.dumps([_row(each) for each in found])
    await connection.execute(REMEMBER, {"rows": rows})


async def forget(connection: AsyncConnection, *, limit: int) -> int:
    """Drop up to `limit` enrollments of which nothing can go out any more; returns how many."""
    return (await connection.execute(FORGET, {"kept": KEPT, "limit": limit})).rowcount


def halt_of(row: Row[Any]) -> Halt:
    """Of `stopped_by`, `stopped_at`, `halt_inputs` and `paused_by`."""
    if row.stopped_by is None and row.paused_by is None:
        return NOT_HALTED
    inputs = row.halt_inputs
    return Halt(
        stopped_by=row.stopped_by,
        stopped_at=row.stopped_at,
        inputs=json.loads(inputs) if isinstance(inputs, str) else inputs or {},
        paused_by=row.paused_by,
    )


def _row(each: Halted) -> dict[str, Any]:
    word = each.word
    return {
        "enrollment_id": each.enrollment_id,
        "lead_id": each.lead_id,
        "stopped_by": each.stopped_by,
        "stopped_at": None if each.stopped_at is None else each.stopped_at.isoformat(),
        "inputs": dict(each.inputs),
        "paused_by": None if word is None else word.paused_by,
        "word_partition": None if word is None else word.partition,
        "word_offset": None if word is None else word.offset,
        "news": each.news,
    }
