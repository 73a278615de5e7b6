"""A CRM account that refuses our credential is an incident, for as long as it is paused.

crm-sync pauses it, and its canary resumes it (ADR 28). To close the incident by hand resumes
nothing: whether the account takes calls, it says itself.
"""

from __future__ import annotations

from datetime import datetime

from portal_api.context import Context
from portal_api.incidents import desk, told
from portal_api.incidents.scopes import CRM
from portal_api.store.connection import rows

RULE = "crm_account"
# Who pauses an account that a person did not pause.
SAID_BY = "canary"

_PAUSED = """
SELECT a.account_id, a.tenant_id, a.provider, a.reason, a.changed_at FROM integration_accounts a
WHERE a.status = 'paused' AND a.changed_by = :by AND NOT EXISTS (
    SELECT 1 FROM incidents i
    WHERE i.rule = :rule AND i.subject = a.account_id
        AND (i.closed_at IS NULL OR i.opened_at >= a.changed_at OR i.closed_at >= a.changed_at)
)
"""
_OVER = """
SELECT i.incident_id, i.scope, 'The account is ' || a.status || ': ' || a.reason || '.' AS reason,
    a.changed_at AS at
FROM incidents i JOIN integration_accounts a ON a.account_id = i.subject
WHERE i.rule = :rule AND i.closed_at IS NULL AND a.status <> 'paused'
    AND a.changed_at >= i.opened_at
"""


async def follow(context: Context, now: datetime) -> int:
    """Open an incident for every account that refuses us, close those that are over; how many
    changed."""
    async with context.engine.connect() as connection:
        paused = await rows(connection, _PAUSED, {"rule": RULE, "by": SAID_BY})
        over = await rows(connection, _OVER, {"rule": RULE})
    changed = 0
    for each in paused:
        beginning = told.Told(
            rule=RULE,
            kind="credential",
            scope=f"{CRM}:{each['account_id']}",
            tenant_id=each["tenant_id"],
            subject=each["account_id"],
            reason=f"{each['provider']} refuses account {each['account_id']}: {each['reason']}.",
            at=each["changed_at"],
        )
        async with context.engine.begin() as connection:
            changed += await told.begin(connection, beginning)
    for each in over:
        async with context.engine.begin() as connection:
            changed += await told.end(connection, each, RULE, now)
    if changed:
        desk.tell_pages(context, "")
    return changed
