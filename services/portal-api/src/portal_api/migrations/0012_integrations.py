"""What crm-sync tells: CRM accounts, and how it stands with each record on its way to one."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE integration_accounts (
        account_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        provider text NOT NULL,
        status text NOT NULL,
        reason text NOT NULL,
        changed_by text NOT NULL,
        changed_at timestamptz NOT NULL,
        revision integer NOT NULL
    )
    """,
    """
    CREATE TABLE integration_sync_runs (
        cause_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        lead_id text NOT NULL,
        what text NOT NULL,
        account_id text NOT NULL,
        provider text NOT NULL,
        attempts integer NOT NULL,
        result text NOT NULL,
        error text,
        reason text,
        next_try_at timestamptz,
        first_at timestamptz NOT NULL,
        at timestamptz NOT NULL,
        rank bigint NOT NULL
    )
    """,
    "CREATE INDEX integration_sync_runs_by_time ON integration_sync_runs (at DESC, cause_id DESC)",
    "CREATE INDEX integration_sync_runs_by_lead ON integration_sync_runs (lead_id, at DESC)",
    """
    CREATE INDEX integration_sync_runs_unfinished ON integration_sync_runs (at DESC, cause_id DESC)
        WHERE result IN ('waiting', 'dead')
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
