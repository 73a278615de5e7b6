"""Test sends of templates."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

# A test is nobody's lead: what became of it stands here, and in none of the tables that count.
STATEMENTS = (
    """
    CREATE TABLE test_sends (
        message_id text PRIMARY KEY, tenant_id text, recipient text, template_name text,
        state text, rank integer, rule text, reason text,
        queued_at timestamptz, sent_at timestamptz, updated_at timestamptz
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
