"""crm-accounts and crm-sync-events: accounts, and how each record on its way to one stands."""

from __future__ import annotations

from leadflow.records import AccountStatusChanged, SyncRunRecorded
from portal_api.projections.rows import FIRST, GREATEST, LEAST, Rows, Table, by

ACCOUNTS = Table(
    "integration_accounts",
    ("account_id",),
    {
        "tenant_id": FIRST,
        "provider": FIRST,
        **dict.fromkeys(("status", "reason", "changed_by", "changed_at"), by("revision")),
        "revision": GREATEST,
    },
)
SYNC_RUNS = Table(
    "integration_sync_runs",
    ("cause_id",),
    {
        **dict.fromkeys(("tenant_id", "lead_id", "what"), FIRST),
        **dict.fromkeys(
            ("account_id", "provider", "attempts", "result", "error", "reason", "next_try_at"),
            by("rank"),
        ),
        "first_at": LEAST,
        "at": GREATEST,
        "rank": GREATEST,
    },
)
# What was written stays so: a record that crm-sync sees again finds nothing to do.
WRITTEN_LAST = 1 << 53


def account(record: AccountStatusChanged, into: Rows) -> None:
    """The state with the highest revision is the newest."""
    into.put(
        ACCOUNTS,
        account_id=record.account_id,
        tenant_id=record.tenant_id,
        provider=record.provider,
        status=record.status,
        reason=record.reason,
        changed_by=record.changed_by,
        changed_at=record.occurred_at,
        revision=record.revision,
    )


def run(record: SyncRunRecorded, into: Rows) -> None:
    rank = round(record.occurred_at.timestamp() * 1000)
    into.put(
        SYNC_RUNS,
        cause_id=record.cause_id,
        tenant_id=record.tenant_id,
        lead_id=record.lead_id,
        what=record.what,
        account_id=record.account_id,
        provider=record.provider,
        attempts=record.attempts,
        result=record.result,
        error=record.error,
        reason=record.reason,
        next_try_at=record.next_try_at,
        first_at=record.occurred_at,
        at=record.occurred_at,
        rank=rank + WRITTEN_LAST * (record.result == "written"),
    )
