"""A provider that the dispatcher gave a rest is an incident, for as long as the rest lasts.

The dispatcher opens and closes its breakers and says so in automation-controls; nothing has to be
said again here. When a person closes the incident the scope is resumed like any other, and the
dispatcher takes that for the word that closes the breaker.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import ids
from portal_api.context import Context
from portal_api.incidents import desk
from portal_api.incidents.kinds import KINDS
from portal_api.incidents.scopes import parse
from portal_api.store import incidents as store
from portal_api.store.connection import rows

RULE = "breaker"
SAID_BY = f"rule:{RULE}"
DEFAULT_OWNER = "ops"

_RESTING = """
SELECT c.scope, c.reason, c.at FROM controls c
WHERE c.paused AND c.changed_by = :by AND NOT EXISTS (
    SELECT 1 FROM incidents i
    WHERE i.scope = c.scope AND i.rule = :rule
        AND (i.closed_at IS NULL OR i.opened_at >= c.at OR i.closed_at >= c.at)
)
"""
_BACK = """
SELECT i.incident_id, i.scope, c.reason, c.at FROM incidents i JOIN controls c USING (scope)
WHERE i.rule = :rule AND i.closed_at IS NULL
    AND NOT c.paused AND c.changed_by = :by AND c.at >= i.opened_at
"""


async def follow(context: Context, now: datetime) -> int:
    """Open an incident for every provider that was given a rest, close those of providers that
    are back; how many changed."""
    named = {"rule": RULE, "by": SAID_BY}
    async with context.engine.connect() as connection:
        resting = await rows(connection, _RESTING, named)
        back = await rows(connection, _BACK, named)
    changed = 0
    for each in resting:
        async with context.engine.begin() as connection:
            changed += await _open(connection, each)
    for each in back:
        async with context.engine.begin() as connection:
            changed += await _close(connection, each, now)
    if changed:
        desk.tell_pages(context, "")
    return changed


async def _open(connection: AsyncConnection, control: dict[str, Any]) -> bool:
    scope, kind = parse(control["scope"]), KINDS["delivery"]
    incident_id = ids.derived_id("incident", RULE, control["scope"], control["at"].isoformat())
    await store.lock(connection, control["scope"])
    opened = await store.insert(
        connection,
        {
            "incident_id": incident_id,
            "tenant_id": scope.tenant_id,
            "kind": "delivery",
            "scope": control["scope"],
            "workflow": "",
            "reason": control["reason"],
            "owner": DEFAULT_OWNER,
            "rollback": kind.rollback,
            "rule": RULE,
            "subject": scope.name,
            "evidence": {},
            "opened_at": control["at"],
            "opened_by": SAID_BY,
            "task": kind.task,
        },
    )
    if opened:
        detail = {"reason": control["reason"], "scope": control["scope"], "kind": "delivery"}
        await store.note(connection, incident_id, control["at"], SAID_BY, "opened", detail)
    return opened


async def _close(connection: AsyncConnection, incident: dict[str, Any], now: datetime) -> bool:
    """False if somebody else has closed it. It ends when the provider was back, not when that was
    seen: another rest may have begun in between, and is an incident of its own."""
    await store.lock(connection, incident["scope"])
    found = await store.one(connection, incident["incident_id"])
    if found is None or found["closed_at"] is not None:
        return False
    await store.close(
        connection,
        incident["incident_id"],
        at=incident["at"],
        by=SAID_BY,
        reason=incident["reason"],
        rate_per_minute=None,
    )
    detail = {"reason": incident["reason"]}
    await store.note(connection, incident["incident_id"], now, SAID_BY, "closed", detail)
    return True
