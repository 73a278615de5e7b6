"""What people said about messages in doubt: few lines of a long audit log."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE INDEX audit_log_settled ON audit_log (at DESC, (detail->>'event_id') DESC) "
        "WHERE action = 'message.settle' AND status = 202 AND detail->>'event_id' IS NOT NULL"
    )
