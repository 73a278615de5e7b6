"""Incidents that begin and end with what another service tells: a provider's rest, a CRM account.

That service pauses and resumes by itself and has said so: nothing has to be said again here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import ids
from portal_api.incidents.kinds import KINDS
from portal_api.store import incidents as store

DEFAULT_OWNER = "ops"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The beginning of an incident; `at` is when it began there, not when that was read."""

    rule: str
    kind: str
    scope: str
    tenant_id: str
    subject: str
    reason: str
    at: datetime


async def begin(connection: AsyncConnection, told: Told) -> bool:
    """False if it is there already."""
    kind, by = KINDS[told.kind], f"rule:{told.rule}"
    incident_id = ids.derived_id("incident", told.rule, told.scope, told.at.isoformat())
    await store.lock(connection, told.scope)
    opened = await store.insert(
        connection,
        {
            "incident_id": incident_id,
            "tenant_id": told.tenant_id,
            "kind": told.kind,
            "scope": told.scope,
            "workflow": "",
            "reason": told.reason,
            "owner": DEFAULT_OWNER,
            "rollback": kind.rollback,
            "rule": told.rule,
            "subject": told.subject,
            "evidence": {},
            "opened_at": told.at,
            "opened_by": by,
            "task": kind.task,
        },
    )
    if opened:
        detail = {"reason": told.reason, "scope": told.scope, "kind": told.kind}
        await store.note(connection, incident_id, told.at, by, "opened", detail)
    return opened


async def end(
    connection: AsyncConnection, incident: dict[str, Any], rule: str, now: datetime
) -> bool:
    """Close `incident` (incident_id, scope, reason, at). False if somebody else has closed it.

    It ends when it was over, not when that was seen: another may have begun in between, and is
    an incident of its own.
    """
    by = f"rule:{rule}"
    await store.lock(connection, incident["scope"])
    found = await store.one(connection, incident["incident_id"])
    if found is None or found["closed_at"] is not None:
        return False
    await store.close(
        connection,
        incident["incident_id"],
        at=incident["at"],
        by=by,
        reason=incident["reason"],
        rate_per_minute=None,
    )
    detail = {"reason": incident["reason"]}
    await store.note(connection, incident["incident_id"], now, by, "closed", detail)
    return True
