"""What a message was made of."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# Its purpose and what the sender says of itself, for who writes a held message anew. Nothing of
# the lead: that is in the bytes, and nowhere twice.
STATEMENTS = ("ALTER TABLE ledger ADD COLUMN made_of json NOT NULL DEFAULT '{}'",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
