"""When a message was queued, so that it can be forgotten. Those that are there already count from
now: an answer to any of them finds its lead for the whole time to come."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE messages ADD COLUMN queued_at timestamptz NOT NULL DEFAULT now()",
    "ALTER TABLE messages ALTER COLUMN queued_at DROP DEFAULT",
    "CREATE INDEX messages_by_age ON messages (queued_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
