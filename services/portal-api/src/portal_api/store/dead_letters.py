"""Dead letters in the read models: by cause, one by one, and what was done about them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow.kafka.replay import letter_id, place_of
from leadflow.kafka.reviews import Filter
from portal_api.store.connection import row, rows

# A review may be read before its letter: such a row is not one yet.
FITS = """
    d.service IS NOT NULL
    AND (CAST(:tenant AS text) IS NULL OR d.tenant_id = :tenant)
    AND (CAST(:service AS text) IS NULL OR d.service = :service)
    AND (CAST(:reason AS text) IS NULL OR :reason IN (d.cause, d.error)
         OR d.cause = d.error || ': ' || :reason)
    AND (CAST(:since AS timestamptz) IS NULL OR d.at >= :since)
    AND (CAST(:until AS timestamptz) IS NULL OR d.at < :until)
    AND (CAST(:ids AS text[]) IS NULL
         OR d.topic || ':' || d.partition || ':' || d."offset" = ANY(CAST(:ids AS text[])))
"""
_COUNTS = """
    count(*) FILTER (WHERE d.state IS NULL) AS open,
    count(*) FILTER (WHERE d.state = 'replayed') AS replayed,
    count(*) FILTER (WHERE d.state = 'discarded') AS discarded,
    count(*) FILTER (WHERE d.state IS NULL AND d.replay_of IS NOT NULL) AS came_back,
    count(*) FILTER (WHERE d.state IS NULL AND d.stuck IS NOT NULL) AS stuck
"""


def asked(chosen: Filter) -> dict[str, Any]:
    """The parameters of FITS."""
    return {
        "tenant": chosen.tenant,
        "service": chosen.service,
        "reason": chosen.reason,
        "since": chosen.since,
        "until": chosen.until,
        "ids": list(chosen.letter_ids) or None,
    }


async def groups(
    connection: AsyncConnection,
    chosen: Filter,
    *,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` causes by service, the one with the latest letter first."""
    return await rows(
        connection,
        f"""
        SELECT * FROM (
            SELECT d.service, d.cause, {_COUNTS}, min(d.at) AS oldest_at, max(d.at) AS newest_at,
                   min(d.at) FILTER (WHERE d.state IS NULL) AS open_since,
                   (array_agg(d.reason ORDER BY d.at DESC))[1] AS reason,
                   array_agg(DISTINCT d.origin_topic) AS origin_topics
            FROM dead_letters d WHERE {FITS} GROUP BY d.service, d.cause
        ) g
        WHERE CAST(:at AS timestamptz) IS NULL
           OR (g.newest_at, g.service || ' ' || g.cause) < (:at, :key)
        ORDER BY g.newest_at DESC, g.service || ' ' || g.cause DESC LIMIT :limit
        """,  # noqa: S608
        {**asked(chosen), "at": after[0], "key": after[1], "limit": limit + 1},
    )


async def letters(
    connection: AsyncConnection,
    chosen: Filter,
    *,
    state: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` letters in one state, open, replayed or discarded, the latest first."""
    topic, partition, offset = place_of(after[1]) if after[0] else ("", 0, 0)
    return await rows(
        connection,
        f"""
        SELECT d.* FROM dead_letters d
        WHERE {FITS} AND (CAST(:state AS text) IS NULL OR coalesce(d.state, 'open') = :state)
          AND (CAST(:at AS timestamptz) IS NULL
               OR (d.at, d.topic, d.partition, d."offset") < (:at, :topic, :partition, :offset))
        ORDER BY d.at DESC, d.topic DESC, d.partition DESC, d."offset" DESC LIMIT :limit
        """,  # noqa: S608
        {
            **asked(chosen),
            "state": state,
            "at": after[0],
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "limit": limit + 1,
        },
    )


async def letter(connection: AsyncConnection, place: tuple[str, int, int]) -> dict[str, Any] | None:
    return await row(
        connection,
        "SELECT * FROM dead_letters d WHERE service IS NOT NULL "
        'AND topic = :topic AND partition = :partition AND "offset" = :offset',
        dict(zip(("topic", "partition", "offset"), place, strict=True)),
    )


async def reviews(connection: AsyncConnection, place: tuple[str, int, int]) -> list[dict[str, Any]]:
    """What was done about a letter, oldest first."""
    return await rows(
        connection,
        "SELECT action, at, reviewed_by, reason, chosen, run_id FROM dead_letter_reviews "
        'WHERE topic = :topic AND partition = :partition AND "offset" = :offset '
        "ORDER BY at, event_id",
        dict(zip(("topic", "partition", "offset"), place, strict=True)),
    )


async def totals(connection: AsyncConnection, chosen: Filter) -> dict[str, Any]:
    """How many letters fit, by state, and over which time the open ones reach."""
    found = await row(
        connection,
        f"""
        SELECT {_COUNTS}, min(d.at) FILTER (WHERE d.state IS NULL) AS oldest_at,
               max(d.at) FILTER (WHERE d.state IS NULL) AS newest_at,
               count(*) FILTER (WHERE d.stuck IS NOT NULL) AS all_stuck
        FROM dead_letters d WHERE {FITS}
        """,  # noqa: S608
        asked(chosen),
    )
    return found or {}


def id_of(found: dict[str, Any]) -> str:
    return letter_id(found["topic"], found["partition"], found["offset"])
