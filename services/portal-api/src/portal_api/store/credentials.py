"""API keys, sessions and tickets."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from portal_api.auth import BOUND_ROLES, Principal, Role, new_key, new_ticket, secret_hash
from portal_api.store.connection import row


async def create_key(
    connection: AsyncConnection, role: Role, tenant_id: str | None, subject: str, now: datetime
) -> str:
    """A new API key, told once. Raises ValueError if the role needs a tenant and has none."""
    key = new_key()
    await _create(connection, "key", secret_hash(key), role, tenant_id, subject, now, None)
    return key


async def create_ticket(
    connection: AsyncConnection,
    role: Role,
    tenant_id: str | None,
    subject: str,
    now: datetime,
    lasts: timedelta,
) -> str:
    """A new sign-in ticket, told once. Raises ValueError as `create_key`."""
    ticket = new_ticket()
    await _create(
        connection, "ticket", secret_hash(ticket), role, tenant_id, subject, now, now + lasts
    )
    return ticket


async def create_session(
    connection: AsyncConnection, principal: Principal, now: datetime, lasts: timedelta
) -> str:
    """The id of a new session; it has no secret, the signed cookie names it."""
    return await _create(
        connection,
        "session",
        None,
        principal.role,
        principal.tenant_id,
        principal.subject,
        now,
        now + lasts,
    )


async def by_key(connection: AsyncConnection, key: str, now: datetime) -> Principal | None:
    return await _find(connection, "key", "secret_hash", secret_hash(key), now)


async def by_session(
    connection: AsyncConnection, credential_id: str, now: datetime
) -> Principal | None:
    return await _find(connection, "session", "credential_id", credential_id, now)


async def use_ticket(connection: AsyncConnection, ticket: str, now: datetime) -> Principal | None:
    """Whoever the ticket is for, the first time; None afterwards, and when it is too old."""
    found = await row(
        connection,
        """
        UPDATE credentials SET used_at = :now
        WHERE kind = 'ticket' AND secret_hash = :hash AND used_at IS NULL
          AND revoked_at IS NULL AND expires_at > :now
        RETURNING credential_id, role, tenant_id, subject
        """,
        {"hash": secret_hash(ticket), "now": now},
    )
    return None if found is None else _principal(found)


async def end_session(connection: AsyncConnection, credential_id: str, now: datetime) -> None:
    """End a session; an API key of that id is left alone."""
    await connection.execute(
        text(
            "UPDATE credentials SET revoked_at = :now "
            "WHERE credential_id = :id AND kind = 'session'"
        ),
        {"id": credential_id, "now": now},
    )


async def _create(
    connection: AsyncConnection,
    kind: str,
    hashed: str | None,
    role: Role,
    tenant_id: str | None,
    subject: str,
    now: datetime,
    expires_at: datetime | None,
) -> str:
    if role in BOUND_ROLES and not tenant_id:
        raise ValueError(f"a {role} needs a tenant")
    credential_id = secrets.token_urlsafe(12)
    await connection.execute(
        text(
            """
            INSERT INTO credentials
                (credential_id, kind, secret_hash, role, tenant_id, subject, created_at, expires_at)
            VALUES (:id, :kind, :hash, :role, :tenant, :subject, :now, :expires)
            """
        ),
        {
            "id": credential_id,
            "kind": kind,
            "hash": hashed,
            "role": role.value,
            "tenant": tenant_id,
            "subject": subject,
            "now": now,
            "expires": expires_at,
        },
    )
    return credential_id


async def _find(
    connection: AsyncConnection, kind: str, column: str, value: str, now: datetime
) -> Principal | None:
    found = await row(
        connection,
        f"""
        SELECT credential_id, role, tenant_id, subject FROM credentials
        WHERE kind = :kind AND {column} = :value AND revoked_at IS NULL
          AND (expires_at IS NULL OR expires_at > :now)
        """,  # noqa: S608
        {"kind": kind, "value": value, "now": now},
    )
    return None if found is None else _principal(found)


def _principal(found: dict[str, str]) -> Principal:
    return Principal(
        found["credential_id"], Role(found["role"]), found["tenant_id"], found["subject"]
    )
