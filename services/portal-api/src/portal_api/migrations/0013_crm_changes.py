"""What people changed in CRMs, whose value stands, and which conflicts somebody has looked at."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE crm_changes (
        event_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        lead_id text NOT NULL,
        account_id text NOT NULL,
        provider text NOT NULL,
        changed_at timestamptz NOT NULL,
        settled_at timestamptz NOT NULL,
        fields jsonb NOT NULL,
        conflict boolean NOT NULL
    )
    """,
    "CREATE INDEX crm_changes_by_time ON crm_changes (settled_at DESC, event_id DESC)",
    "CREATE INDEX crm_changes_by_lead ON crm_changes (lead_id, settled_at DESC)",
    """
    CREATE INDEX crm_changes_conflicts ON crm_changes (settled_at DESC, event_id DESC)
        WHERE conflict
    """,
    # What people say, and no topic does: it outlives a read model that is made anew.
    """
    CREATE TABLE crm_acknowledgements (
        event_id text PRIMARY KEY,
        at timestamptz NOT NULL,
        by text NOT NULL,
        reason text NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
