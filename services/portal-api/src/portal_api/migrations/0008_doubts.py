"""The work list of messages in doubt: few rows of many."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX messages_unknown ON messages (scheduled_for DESC, message_id DESC) "
        "WHERE state = 'unknown'"
    )
