"""Messages that answers may belong to."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    # One row for each message that was queued; no lead is asked to exist, for messages may be
    # read before the lead's own events are decided.
    """
    CREATE TABLE messages (
        tenant_id text NOT NULL,
        message_id text NOT NULL,
        lead_id text NOT NULL,
        PRIMARY KEY (tenant_id, message_id)
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
