"""Runs that replay or discard dead letters. An item goes from waiting to done, gone, skipped or
cancelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow.kafka.reviews import Filter
from portal_api.store.connection import row, rows
from portal_api.store.dead_letters import FITS, asked

LARGEST = 100_000


async def create(
    connection: AsyncConnection, run: Mapping[str, Any], chosen: Filter, *, again: bool
) -> None:
    """Insert a run with what it takes now, the oldest letter first; nothing if there is one of
    this id. Letters that cannot go back are not taken to be replayed."""
    made = await row(
        connection,
        """
        INSERT INTO dead_letter_runs (run_id, tenant_id, action, chosen, again, reason,
            requested_by, rate_per_minute, total, created_at)
        VALUES (:run_id, :tenant_id, :action, :chosen, :again, :reason, :requested_by,
            :rate_per_minute, 0, :created_at)
        ON CONFLICT DO NOTHING RETURNING run_id
        """,
        {**run, "again": again},
    )
    if made is None:
        return
    await connection.execute(
        text(
            f"""
            INSERT INTO dead_letter_items (run_id, position, topic, partition, "offset", state)
            SELECT :run_id, row_number() OVER (ORDER BY d.at, d.topic, d.partition, d."offset"),
                   d.topic, d.partition, d."offset", 'waiting'
            FROM dead_letters d
            WHERE {FITS} AND (d.state IS NULL OR :again)
              AND (d.stuck IS NULL OR :action = 'discarded')
            ORDER BY d.at, d.topic, d.partition, d."offset" LIMIT :largest
            """  # noqa: S608
        ),
        {
            **asked(chosen),
            "run_id": run["run_id"],
            "action": run["action"],
            "again": again,
            "largest": LARGEST,
        },
    )
    await connection.execute(
        text(
            "UPDATE dead_letter_runs SET total = "
            "(SELECT count(*) FROM dead_letter_items WHERE run_id = :id) WHERE run_id = :id"
        ),
        {"id": run["run_id"]},
    )


_RUN = """
SELECT r.*, i.* FROM dead_letter_runs r CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting,
           count(*) FILTER (WHERE state = 'done') AS done,
           count(*) FILTER (WHERE state = 'gone') AS gone,
           count(*) FILTER (WHERE state = 'skipped') AS skipped,
           count(*) FILTER (WHERE state = 'cancelled') AS cancelled
    FROM dead_letter_items WHERE run_id = r.run_id
) i
"""


async def run(connection: AsyncConnection, run_id: str) -> dict[str, Any] | None:
    """A run with how many of its items are in which state."""
    return await row(connection, f"{_RUN} WHERE r.run_id = :id", {"id": run_id})


async def runs(
    connection: AsyncConnection,
    *,
    tenant: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` runs, newest first."""
    return await rows(
        connection,
        f"""{_RUN}
        WHERE (CAST(:tenant AS text) IS NULL OR r.tenant_id = :tenant)
          AND (CAST(:at AS timestamptz) IS NULL OR (r.created_at, r.run_id) < (:at, :id))
        ORDER BY r.created_at DESC, r.run_id DESC LIMIT :limit
        """,
        {"tenant": tenant, "at": after[0], "id": after[1], "limit": limit + 1},
    )


async def open_runs(connection: AsyncConnection) -> list[str]:
    found = await rows(
        connection,
        "SELECT run_id FROM dead_letter_runs WHERE finished_at IS NULL ORDER BY created_at",
    )
    return [each["run_id"] for each in found]


async def lock(connection: AsyncConnection, run_id: str) -> dict[str, Any] | None:
    """The run, for this transaction alone; None if it is over or in other hands."""
    return await row(
        connection,
        "SELECT * FROM dead_letter_runs WHERE run_id = :id AND finished_at IS NULL "
        "FOR UPDATE SKIP LOCKED",
        {"id": run_id},
    )


async def waiting(connection: AsyncConnection, run_id: str, limit: int) -> list[dict[str, Any]]:
    """The next items, each with what is known of its letter."""
    return await rows(
        connection,
        """
        SELECT i.position, d.* FROM dead_letter_items i
        JOIN dead_letters d USING (topic, partition, "offset")
        WHERE i.run_id = :id AND i.state = 'waiting' ORDER BY i.position LIMIT :limit
        """,
        {"id": run_id, "limit": limit},
    )


async def settle(
    connection: AsyncConnection, run_id: str, states: Mapping[str, Sequence[int]]
) -> None:
    """Move these positions to these states."""
    for state, positions in states.items():
        await connection.execute(
            text(
                "UPDATE dead_letter_items SET state = :state "
                "WHERE run_id = :id AND position = ANY(CAST(:positions AS integer[]))"
            ),
            {"id": run_id, "state": state, "positions": list(positions)},
        )


async def paced(connection: AsyncConnection, run_id: str, until: datetime) -> None:
    await connection.execute(
        text("UPDATE dead_letter_runs SET paced_at = :until WHERE run_id = :id"),
        {"id": run_id, "until": until},
    )


async def finish(connection: AsyncConnection, run_id: str, now: datetime) -> None:
    """End the run if nothing of it waits."""
    await connection.execute(
        text(
            "UPDATE dead_letter_runs SET finished_at = :now WHERE run_id = :id AND NOT EXISTS "
            "(SELECT 1 FROM dead_letter_items WHERE run_id = :id AND state = 'waiting')"
        ),
        {"id": run_id, "now": now},
    )


async def cancel(connection: AsyncConnection, run_id: str, by: str, now: datetime) -> bool:
    """Keep what waits from being done; False if the run is over. Waits for the batch at hand."""
    found = await row(
        connection,
        "UPDATE dead_letter_runs SET cancelled_at = :now, cancelled_by = :by, finished_at = :now "
        "WHERE run_id = :id AND finished_at IS NULL RETURNING run_id",
        {"id": run_id, "by": by, "now": now},
    )
    if found is None:
        return False
    await connection.execute(
        text(
            "UPDATE dead_letter_items SET state = 'cancelled' "
            "WHERE run_id = :id AND state = 'waiting'"
        ),
        {"id": run_id},
    )
    return True
