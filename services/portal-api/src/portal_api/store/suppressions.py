"""Suppression lists as people see them, and imports under way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow.addresses import address_key
from portal_api.store.connection import row, rows

_COLUMNS = """
    suppression_id, tenant_id, channel, address, reason, active, source, changed_by, note,
    evidence, cause_id, changed_at
"""
_MATCHING = """
    (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant)
    AND (CAST(:channel AS text) IS NULL OR channel = :channel)
    AND (CAST(:reason AS text) IS NULL OR reason = :reason)
    AND (:state = 'all' OR active = (:state = 'active'))
    AND (CAST(:address AS text) IS NULL OR address LIKE CAST(:address AS text))
"""
_IMPORT = """
    import_id, tenant_id, file, begun_at, begun_by, rows, accepted, told, ended_at,
    jsonb_array_length(refused) AS refused
"""


def beginning(address: str | None) -> str | None:
    """A pattern of LIKE for addresses that begin like this, as they are compared."""
    bare = address_key("email", address or "")
    escaped = bare.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{escaped}%" if escaped else None


async def find(
    connection: AsyncConnection,
    *,
    tenant: str | None,
    channel: str | None,
    reason: str | None,
    state: str,
    address: str | None,
    after: tuple[datetime | None, str],
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit + 1` entries behind `after`, the latest first. `state` is active, lifted or
    all; `address` what addresses begin with."""
    return await rows(
        connection,
        f"""
        SELECT {_COLUMNS} FROM suppressions
        WHERE {_MATCHING}
          AND (CAST(:at AS timestamptz) IS NULL OR (changed_at, suppression_id) < (:at, :id))
        ORDER BY changed_at DESC, suppression_id DESC LIMIT :limit
        """,  # noqa: S608
        {
            "tenant": tenant,
            "channel": channel,
            "reason": reason,
            "state": state,
            "address": beginning(address),
            "at": after[0],
            "id": after[1],
            "limit": limit + 1,
        },
    )


async def every(
    connection: AsyncConnection, *, tenant: str | None, channel: str | None, state: str
) -> AsyncIterator[dict[str, Any]]:
    """Every entry, the oldest first, a few thousand at a time from the server."""
    found = await connection.stream(
        text(
            f"SELECT {_COLUMNS} FROM suppressions WHERE {_MATCHING} "  # noqa: S608
            "ORDER BY changed_at, suppression_id"
        ),
        {"tenant": tenant, "channel": channel, "reason": None, "state": state, "address": None},
    )
    async for each in found.mappings():
        yield dict(each)


async def one(connection: AsyncConnection, suppression_id: str) -> dict[str, Any] | None:
    return await row(
        connection,
        f"SELECT {_COLUMNS} FROM suppressions WHERE suppression_id = :id",  # noqa: S608
        {"id": suppression_id},
    )


async def standing_of(
    connection: AsyncConnection, ids: Sequence[str]
) -> dict[str, tuple[bool, datetime]]:
    """Of those entries that are known, whether they are active and since when."""
    found = await rows(
        connection,
        "SELECT suppression_id, active, changed_at FROM suppressions "
        "WHERE suppression_id = ANY(CAST(:ids AS text[]))",
        {"ids": list(ids)},
    )
    return {each["suppression_id"]: (each["active"], each["changed_at"]) for each in found}


async def is_somebody(connection: AsyncConnection, tenant_id: str, address: str) -> bool:
    """Whether the tenant has a lead with this address or number."""
    found = await row(
        connection,
        "SELECT 1 AS one FROM leads WHERE tenant_id = :tenant "
        "AND (lower(email) = :address OR phone = :address) LIMIT 1",
        {"tenant": tenant_id, "address": address},
    )
    return found is not None


async def begin_import(connection: AsyncConnection, new: Mapping[str, Any]) -> None:
    """`entries` and `refused` are lists; a repeat of the same id changes nothing."""
    await connection.execute(
        text(
            "INSERT INTO suppression_imports (import_id, tenant_id, file, begun_at, begun_by, "
            "rows, accepted, entries, refused) VALUES (:import_id, :tenant_id, :file, :begun_at, "
            ":begun_by, :rows, :accepted, CAST(CAST(:entries AS text) AS jsonb), "
            "CAST(CAST(:refused AS text) AS jsonb)) ON CONFLICT DO NOTHING"
        ),
        {**new, "entries": json.dumps(new["entries"]), "refused": json.dumps(new["refused"])},
    )


async def open_import(connection: AsyncConnection, batch: int) -> dict[str, Any] | None:
    """The oldest import that is not done, locked until the commit, with the next `batch` of its
    entries: to fetch all of them for each would cost more than to tell them."""
    return await row(
        connection,
        "SELECT import_id, tenant_id, file, begun_at, begun_by, accepted, told, "
        "jsonb_path_query_array(entries, CAST("
        "'$[' || told || ' to ' || told + CAST(:batch AS integer) - 1 || ']' AS jsonpath)"
        ") AS entries "
        "FROM suppression_imports WHERE ended_at IS NULL ORDER BY begun_at LIMIT 1 "
        "FOR UPDATE SKIP LOCKED",
        {"batch": batch},
    )


async def told(
    connection: AsyncConnection, import_id: str, number: int, ended_at: datetime | None
) -> None:
    """So many of its entries are in the log. At its end they are let go."""
    await connection.execute(
        text(
            "UPDATE suppression_imports SET told = :number, ended_at = :ended_at, entries = CASE "
            "WHEN CAST(:ended_at AS timestamptz) IS NULL THEN entries ELSE '[]'::jsonb END "
            "WHERE import_id = :id"
        ),
        {"id": import_id, "number": number, "ended_at": ended_at},
    )


async def imports(
    connection: AsyncConnection, tenant: str | None, limit: int
) -> list[dict[str, Any]]:
    """The latest imports."""
    return await rows(
        connection,
        f"SELECT {_IMPORT} FROM suppression_imports "  # noqa: S608
        "WHERE (CAST(:tenant AS text) IS NULL OR tenant_id = :tenant) "
        "ORDER BY begun_at DESC LIMIT :limit",
        {"tenant": tenant, "limit": limit},
    )


async def one_import(connection: AsyncConnection, import_id: str) -> dict[str, Any] | None:
    return await row(
        connection,
        f"SELECT {_IMPORT} FROM suppression_imports WHERE import_id = :id",  # noqa: S608
        {"id": import_id},
    )


async def refused_of(connection: AsyncConnection, import_id: str) -> list[dict[str, Any]]:
    """The refused lines of an import."""
    found = await row(
        connection,
        "SELECT refused FROM suppression_imports WHERE import_id = :id",
        {"id": import_id},
    )
    refused: list[dict[str, Any]] = [] if found is None else found["refused"]
    return refused
