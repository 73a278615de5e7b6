"""A bulk resume has a rate: how many overdue leads a minute, and up to when it is used up."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE bulk_jobs ADD COLUMN rate_per_minute integer")
    op.execute("ALTER TABLE bulk_jobs ADD COLUMN paced_at timestamptz")
