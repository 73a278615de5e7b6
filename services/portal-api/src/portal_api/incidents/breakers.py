"""A provider that the dispatcher gave a rest is an incident, for as long as the rest lasts.

The dispatcher opens and closes its breakers and says so in automation-controls; nothing has to be
said again here. When a person closes the incident the scope is resumed like any other, and the
dispatcher takes that for the word that closes the breaker.
"""

from __future__ import annotations

from datetime import datetime

from portal_api.context import Context
from portal_api.incidents import desk, told
from portal_api.incidents.scopes import parse
from portal_api.store.connection import rows

RULE = "breaker"
SAID_BY = f"rule:{RULE}"

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
        scope = parse(each["scope"])
        beginning = told.Told(
            rule=RULE,
            kind="delivery",
            scope=each["scope"],
            tenant_id=scope.tenant_id,
            subject=scope.name,
            reason=each["reason"],
            at=each["at"],
        )
        async with context.engine.begin() as connection:
            changed += await told.begin(connection, beginning)
    for each in back:
        async with context.engine.begin() as connection:
            changed += await told.end(connection, each, RULE, now)
    if changed:
        desk.tell_pages(context, "")
    return changed
