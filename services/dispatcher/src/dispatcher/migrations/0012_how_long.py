"""How long a message has been in doubt, how long it could not be taken, how often it met a refusal
of us."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

COMMENTS = {
    "doubt_since": "since when a provider may have accepted it without our knowing",
    "tried_at": "when a provider first could not take it, since it was last let go",
    "refusals": "how often its provider refused us with it",
}

STATEMENTS = (
    "ALTER TABLE ledger ADD COLUMN doubt_since timestamptz",
    "ALTER TABLE ledger ADD COLUMN tried_at timestamptz",
    "ALTER TABLE ledger ADD COLUMN refusals integer NOT NULL DEFAULT 0",
    # When such a doubt began was not written down: not before it came.
    "UPDATE ledger SET doubt_since = created_at "
    "WHERE in_doubt AND state IN ('queued', 'claimed', 'held')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for column, comment in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN ledger.{column} IS '{comment}'")
