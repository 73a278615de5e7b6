"""Addresses that must not be written to, as a list for people."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # `rank` orders the changes of an entry: its time in ms, twice, and one more for a suppression.
    """
    CREATE TABLE suppressions (
        suppression_id text PRIMARY KEY, tenant_id text NOT NULL, channel text NOT NULL,
        address text NOT NULL, reason text NOT NULL, active boolean, source text, changed_by text,
        note text, evidence text, cause_id text, changed_at timestamptz, rank bigint
    )
    """,
    "CREATE INDEX suppressions_newest ON suppressions "
    "(tenant_id, changed_at DESC, suppression_id DESC)",
    "CREATE INDEX suppressions_address ON suppressions (address text_pattern_ops)",
    # An import under way: what is to be told of it stands here until the log has it.
    """
    CREATE TABLE suppression_imports (
        import_id text PRIMARY KEY, tenant_id text NOT NULL, file text NOT NULL,
        begun_at timestamptz NOT NULL, begun_by text NOT NULL, rows integer NOT NULL,
        accepted integer NOT NULL, told integer NOT NULL DEFAULT 0, ended_at timestamptz,
        entries jsonb NOT NULL, refused jsonb NOT NULL
    )
    """,
    "CREATE INDEX suppression_imports_open ON suppression_imports (begun_at) "
    "WHERE ended_at IS NULL",
    "CREATE INDEX suppression_imports_newest ON suppression_imports (tenant_id, begun_at DESC)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
