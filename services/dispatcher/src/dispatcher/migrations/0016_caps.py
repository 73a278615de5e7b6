"""What a lead got in the last days, for its cap."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

STATEMENTS = (
    # Written once a message, when it was accepted or may have been.
    "CREATE INDEX ledger_accepted ON ledger (lead_id, changed_at) "
    "WHERE state IN ('sent', 'unknown')",
    "CREATE INDEX ledger_held_in_doubt ON ledger (lead_id) WHERE state = 'held' AND in_doubt",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
