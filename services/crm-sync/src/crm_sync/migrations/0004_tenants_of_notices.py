"""Whose CRM told of a change: where tenants share an account, each tells of its own leads only."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # Those of before do not say it. What they were about, `crm verify --take` finds.
    op.execute("DELETE FROM notices")
    op.execute("ALTER TABLE notices ADD COLUMN tenant_id text NOT NULL")
    op.execute("ALTER TABLE notices DROP CONSTRAINT notices_pkey")
    op.execute("ALTER TABLE notices ADD PRIMARY KEY (account_id, tenant_id, object, crm_id)")


def downgrade() -> None:
    op.execute("DELETE FROM notices")
    op.execute("ALTER TABLE notices DROP CONSTRAINT notices_pkey")
    op.execute("ALTER TABLE notices ADD PRIMARY KEY (account_id, object, crm_id)")
    op.execute("ALTER TABLE notices DROP COLUMN tenant_id")
