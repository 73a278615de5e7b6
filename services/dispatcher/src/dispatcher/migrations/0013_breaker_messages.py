"""How many messages were in the calls that a breaker has counted (ADR 24)."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

STATEMENTS = ("ALTER TABLE breakers ADD COLUMN messages integer NOT NULL DEFAULT 0",)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
