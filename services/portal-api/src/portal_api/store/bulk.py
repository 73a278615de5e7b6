"""Bulk jobs and their items. An item goes from waiting to requested to done or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.store.connection import row, rows
from portal_api.store.upserts import as_json

_COMMAND = "position, lead_id, owner, enrollment_id"
# For when the next step of an enrollment was due when the job was made.
_DUE_AT = "CAST(plan->>'due_at' AS timestamptz)"
_IS_OVERDUE = f"coalesce({_DUE_AT} <= :now, true)"


async def create(connection: AsyncConnection, job: Mapping[str, Any]) -> bool:
    """Insert a job; False if there is one of this id."""
    found = await row(
        connection,
        """
        INSERT INTO bulk_jobs SELECT * FROM
            json_populate_record(NULL::bulk_jobs, CAST(CAST(:job AS text) AS json))
        ON CONFLICT DO NOTHING RETURNING bulk_id
        """,
        {"job": as_json([dict(job)])[1:-1]},
    )
    return found is not None


async def add_items(connection: AsyncConnection, items: Sequence[dict[str, Any]]) -> None:
    await connection.execute(
        text(
            "INSERT INTO bulk_items SELECT * FROM "
            "json_populate_recordset(NULL::bulk_items, CAST(CAST(:items AS text) AS json))"
        ),
        {"items": as_json(items)},
    )


async def set_total(connection: AsyncConnection, bulk_id: str, total: int) -> None:
    await connection.execute(
        text("UPDATE bulk_jobs SET total = :total WHERE bulk_id = :id"),
        {"id": bulk_id, "total": total},
    )


async def job(connection: AsyncConnection, bulk_id: str) -> dict[str, Any] | None:
    return await row(connection, "SELECT * FROM bulk_jobs WHERE bulk_id = :id", {"id": bulk_id})


async def jobs(
    connection: AsyncConnection,
    *,
    tenant: str | None,
    sequence_id: str | None,
    own_leads_of: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` started jobs behind `after`, newest first."""
    return await rows(
        connection,
        """
        SELECT * FROM bulk_jobs
        WHERE started_at IS NOT NULL
          AND (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)
          AND (CAST(:sequence AS text) IS NULL OR sequence_id = :sequence)
          AND (CAST(:own AS text) IS NULL OR own_leads_of = :own)
          AND (CAST(:at AS timestamptz) IS NULL OR (created_at, bulk_id) < (:at, :id))
        ORDER BY created_at DESC, bulk_id DESC LIMIT :limit
        """,
        {
            "tenant": tenant,
            "sequence": sequence_id,
            "own": own_leads_of,
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def counts(connection: AsyncConnection, bulk_ids: Sequence[str]) -> list[dict[str, Any]]:
    """How many items a job has by state, rule, and what was expected of them."""
    return await rows(
        connection,
        """
        SELECT bulk_id, state, rule, expected, expected_rule, plan->>'rule' AS plan_rule,
               plan->>'skipped' AS skipped, plan->>'held_by' AS held_by,
               plan->>'next_step' AS next_step, count(*) AS n
        FROM bulk_items WHERE bulk_id = ANY(CAST(:ids AS text[]))
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
        """,
        {"ids": list(bulk_ids)},
    )


async def items(
    connection: AsyncConnection,
    bulk_id: str,
    *,
    state: str | None = None,
    expected: str | None = None,
    after: int = -1,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` items behind the position `after`, with who the lead is, and whose:
    `lead_tenant_id` and `lead_owner`."""
    return await rows(
        connection,
        """
        SELECT i.*, l.first_name, l.last_name, l.email, l.phone, l.stage,
               l.tenant_id AS lead_tenant_id, l.owner AS lead_owner
        FROM bulk_items i LEFT JOIN leads l USING (lead_id)
        WHERE i.bulk_id = :id AND i.position > :after
          AND (CAST(:state AS text) IS NULL OR i.state = :state)
          AND (CAST(:expected AS text) IS NULL OR i.expected = :expected)
        ORDER BY i.position LIMIT :limit
        """,
        {"id": bulk_id, "after": after, "state": state, "expected": expected, "limit": limit + 1},
    )


async def start(connection: AsyncConnection, bulk_id: str, now: datetime) -> bool:
    """Let a previewed job run; False if it is none."""
    found = await row(
        connection,
        "UPDATE bulk_jobs SET state = 'running', started_at = :now "
        "WHERE bulk_id = :id AND state = 'previewed' RETURNING bulk_id",
        {"id": bulk_id, "now": now},
    )
    return found is not None


async def cancel(connection: AsyncConnection, bulk_id: str, by: str, now: datetime) -> int | None:
    """Keep what was not sent yet from being sent, return how much that was; None if the job does
    not run. Waits for the batch that is being sent."""
    found = await row(
        connection,
        "UPDATE bulk_jobs SET state = 'cancelled', cancelled_at = :now, cancelled_by = :by "
        "WHERE bulk_id = :id AND state IN ('running', 'previewed') RETURNING bulk_id",
        {"id": bulk_id, "by": by, "now": now},
    )
    if found is None:
        return None
    done = await connection.execute(
        text(
            "UPDATE bulk_items SET state = 'cancelled', decided_at = :now, decided_by = :by "
            "WHERE bulk_id = :id AND state = 'waiting'"
        ),
        {"id": bulk_id, "by": by, "now": now},
    )
    return int(done.rowcount)


async def open_jobs(connection: AsyncConnection) -> list[str]:
    """The started jobs that wait for anything, oldest first."""
    found = await rows(
        connection,
        "SELECT bulk_id FROM bulk_jobs WHERE started_at IS NOT NULL AND finished_at IS NULL "
        "ORDER BY created_at, bulk_id",
    )
    return [each["bulk_id"] for each in found]


async def lock(connection: AsyncConnection, bulk_id: str) -> dict[str, Any] | None:
    """The job, ours until the transaction ends; None while another process has it."""
    return await row(
        connection,
        "SELECT * FROM bulk_jobs WHERE bulk_id = :id AND finished_at IS NULL "
        "FOR UPDATE SKIP LOCKED",
        {"id": bulk_id},
    )


async def waiting(connection: AsyncConnection, bulk_id: str, limit: int) -> list[dict[str, Any]]:
    return await rows(
        connection,
        f"SELECT {_COMMAND} FROM bulk_items "  # noqa: S608
        "WHERE bulk_id = :id AND state = 'waiting' ORDER BY position LIMIT :limit",
        {"id": bulk_id, "limit": limit},
    )


async def not_overdue(
    connection: AsyncConnection, bulk_id: str, now: datetime, limit: int
) -> list[dict[str, Any]]:
    """Waiting items of a resume whose next step is still to come due."""
    return await rows(
        connection,
        f"SELECT {_COMMAND} FROM bulk_items WHERE bulk_id = :id AND state = 'waiting' "  # noqa: S608
        f"AND NOT {_IS_OVERDUE} "
        "ORDER BY position LIMIT :limit",
        {"id": bulk_id, "now": now, "limit": limit},
    )


async def overdue(
    connection: AsyncConnection, bulk_id: str, now: datetime, limit: int
) -> list[dict[str, Any]]:
    """Waiting items of a resume whose next step would go out at once, the longest waiting first."""
    return await rows(
        connection,
        f"SELECT {_COMMAND} FROM bulk_items WHERE bulk_id = :id AND state = 'waiting' "  # noqa: S608
        f"AND {_IS_OVERDUE} ORDER BY {_DUE_AT}, position LIMIT :limit",
        {"id": bulk_id, "now": now, "limit": limit},
    )


async def unanswered(connection: AsyncConnection, bulk_id: str, started_at: datetime) -> int:
    """How many of the overdue were let go, and the log has not said yet what came of it."""
    found = await row(
        connection,
        "SELECT count(*) AS n FROM bulk_items "  # noqa: S608
        f"WHERE bulk_id = :id AND state = 'requested' AND {_IS_OVERDUE}",
        {"id": bulk_id, "now": started_at},
    )
    return 0 if found is None else int(found["n"])


async def paced(connection: AsyncConnection, bulk_id: str, used_until: datetime) -> None:
    """Note until when the rate of a resume is used up."""
    await connection.execute(
        text("UPDATE bulk_jobs SET paced_at = :at WHERE bulk_id = :id"),
        {"id": bulk_id, "at": used_until},
    )


async def requested(connection: AsyncConnection, bulk_id: str, positions: Sequence[int]) -> None:
    """The commands of these items are in the log."""
    await connection.execute(
        text(
            "UPDATE bulk_items SET state = 'requested' "
            "WHERE bulk_id = :id AND position = ANY(CAST(:positions AS int[]))"
        ),
        {"id": bulk_id, "positions": list(positions)},
    )


async def finish(connection: AsyncConnection, bulk_id: str, now: datetime) -> None:
    """Close a job of which everything is decided."""
    await connection.execute(
        text(
            """
            UPDATE bulk_jobs j SET finished_at = :now,
                state = CASE WHEN state = 'running' THEN 'finished' ELSE state END
            WHERE bulk_id = :id AND NOT EXISTS (
                SELECT 1 FROM bulk_items i
                WHERE i.bulk_id = j.bulk_id AND i.state IN ('waiting', 'requested'))
            """
        ),
        {"id": bulk_id, "now": now},
    )


async def forget_previews(connection: AsyncConnection, before: datetime) -> None:
    """Drop previews that nobody started."""
    await connection.execute(
        text("DELETE FROM bulk_jobs WHERE started_at IS NULL AND created_at < :before"),
        {"before": before},
    )
