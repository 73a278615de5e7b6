"""What makes a write safe to repeat and possible to trace: idempotency keys, claims, audit."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.auth import Principal
from portal_api.store.connection import row

# A write that has not ended after so long died with its process: the next may try again.
ABANDONED_AFTER = timedelta(seconds=60)


async def begin(
    connection: AsyncConnection, subject: str, key: str, request_hash: str, now: datetime
) -> dict[str, Any] | None:
    """Take an idempotency key; None if it is ours now, else the row of whoever had it first."""
    taken = await row(
        connection,
        """
        INSERT INTO idempotency_keys AS t (subject, key, request_hash, begun_at)
        VALUES (:subject, :key, :hash, :now)
        ON CONFLICT (subject, key) DO UPDATE SET begun_at = excluded.begun_at
        WHERE t.status IS NULL AND t.begun_at < :abandoned AND t.request_hash = :hash
        RETURNING key
        """,
        {
            "subject": subject,
            "key": key,
            "hash": request_hash,
            "now": now,
            "abandoned": now - ABANDONED_AFTER,
        },
    )
    if taken is not None:
        return None
    return await row(
        connection,
        "SELECT request_hash, status, body FROM idempotency_keys "
        "WHERE subject = :subject AND key = :key",
        {"subject": subject, "key": key},
    )


async def finish(
    connection: AsyncConnection, subject: str, key: str, status: int, body: Any
) -> None:
    """Keep the answer, for whoever repeats the request."""
    await connection.execute(
        text(
            "UPDATE idempotency_keys "
            "SET status = :status, body = CAST(CAST(:body AS text) AS jsonb) "
            "WHERE subject = :subject AND key = :key"
        ),
        {"subject": subject, "key": key, "status": status, "body": json.dumps(body, default=str)},
    )


async def give_back(connection: AsyncConnection, subject: str, key: str) -> None:
    """Free a key whose request was refused: the corrected request may use it."""
    await connection.execute(
        text(
            "DELETE FROM idempotency_keys "
            "WHERE subject = :subject AND key = :key AND status IS NULL"
        ),
        {"subject": subject, "key": key},
    )


async def claim(connection: AsyncConnection, name: str, holder: str, now: datetime) -> bool:
    """Take a name that only one may act under; True if it is `holder`'s now."""
    taken = await row(
        connection,
        """
        INSERT INTO claims AS t (name, holder, at) VALUES (:name, :holder, :now)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, at = excluded.at
        WHERE t.holder = excluded.holder OR t.at < :abandoned
        RETURNING name
        """,
        {"name": name, "holder": holder, "now": now, "abandoned": now - ABANDONED_AFTER},
    )
    return taken is not None


async def audit(
    connection: AsyncConnection,
    principal: Principal,
    action: str,
    target: str,
    status: int,
    detail: dict[str, Any],
    now: datetime,
) -> None:
    """Note who did what; `detail` holds no personal data."""
    await connection.execute(
        text(
            "INSERT INTO audit_log (at, role, subject, tenant_id, action, target, status, detail) "
            "VALUES (:now, :role, :subject, :tenant, :action, :target, :status, "
            "CAST(CAST(:detail AS text) AS jsonb))"
        ),
        {
            "now": now,
            "role": principal.role.value,
            "subject": principal.subject,
            "tenant": principal.tenant_id,
            "action": action,
            "target": target,
            "status": status,
            "detail": json.dumps(detail),
        },
    )
