"""What waits for the end of a pause goes on at a rate, over all workers."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Up to when the rate of a scope is used up, and how many the last look let go.
    """
    CREATE TABLE releases (
        scope text PRIMARY KEY,
        at    timestamptz NOT NULL,
        given integer NOT NULL
    )
    """,
    "CREATE INDEX ledger_paused ON ledger (scope, position) "
    "WHERE state = 'held' AND rule = 'paused'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
