"""Accounts with sealed secrets, their budgets of calls, and contacts by account."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

STATEMENTS = (
    """
    CREATE TABLE integration_accounts (
        account_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        provider text NOT NULL,
        url text NOT NULL DEFAULT '',
        mapping jsonb NOT NULL DEFAULT '{}',
        sealed_secret bytea NOT NULL DEFAULT '',
        budget_calls integer CHECK (budget_calls > 0),
        budget_seconds double precision CHECK (budget_seconds > 0),
        status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused', 'removed')),
        reason text NOT NULL DEFAULT '',
        changed_by text NOT NULL DEFAULT '',
        changed_at timestamptz NOT NULL DEFAULT now(),
        revision integer NOT NULL DEFAULT 1,
        told integer NOT NULL DEFAULT 0,
        asked_at timestamptz
    )
    """,
    """
    COMMENT ON COLUMN integration_accounts.sealed_secret IS
        'AES-256-GCM under LEADFLOW_ACCOUNT_SECRET; empty for a removed account'
    """,
    """
    COMMENT ON COLUMN integration_accounts.told IS
        'the newest revision that an event in crm-accounts tells of'
    """,
    "COMMENT ON COLUMN integration_accounts.asked_at IS 'when its canary was called last'",
    """
    CREATE UNIQUE INDEX integration_accounts_by_tenant ON integration_accounts (tenant_id)
        WHERE status <> 'removed'
    """,
    # Of every tenant that has no account of its own; what it is, the settings say.
    """
    INSERT INTO integration_accounts (account_id, tenant_id, provider, told)
        VALUES ('default', '', 'sandbox', 1)
    """,
    """
    CREATE TABLE call_budgets (
        account_id text PRIMARY KEY,
        calls_left double precision NOT NULL,
        counted_at timestamptz NOT NULL
    )
    """,
    "ALTER TABLE contacts ADD COLUMN account_id text NOT NULL DEFAULT 'default'",
    "ALTER TABLE contacts ALTER COLUMN account_id DROP DEFAULT",
    "ALTER TABLE contacts DROP CONSTRAINT contacts_pkey",
    "ALTER TABLE contacts ADD PRIMARY KEY (lead_id, account_id)",
    "ALTER TABLE sync_runs ADD COLUMN account_id text NOT NULL DEFAULT 'default'",
    "ALTER TABLE sync_runs ALTER COLUMN account_id DROP DEFAULT",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE sync_runs DROP COLUMN account_id")
    op.execute("DELETE FROM contacts WHERE account_id <> 'default'")
    op.execute("ALTER TABLE contacts DROP CONSTRAINT contacts_pkey")
    op.execute("ALTER TABLE contacts DROP COLUMN account_id")
    op.execute("ALTER TABLE contacts ADD PRIMARY KEY (lead_id)")
    op.execute("DROP TABLE call_budgets, integration_accounts")
