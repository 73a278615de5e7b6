"""Which messages went to a provider in one call: a lost answer of a batch is found by it."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE calls (
        call_key     text PRIMARY KEY,
        message_ids  text[] NOT NULL,
        body_sha256  text NOT NULL,
        made_at      timestamptz NOT NULL DEFAULT now(),
        void         boolean NOT NULL DEFAULT false,
        provider_ids text[]
    )
    """,
    "COMMENT ON COLUMN calls.message_ids IS 'in the order of the body, which never changes'",
    "COMMENT ON COLUMN calls.void IS 'the provider has not accepted it and never will'",
    "COMMENT ON COLUMN calls.provider_ids IS 'of an accepted call, in its order; empty: refused'",
    "CREATE INDEX calls_made_at ON calls (made_at)",
    # The latest call of each message.
    "CREATE TABLE called (message_id text PRIMARY KEY, call_key text NOT NULL)",
    "CREATE INDEX called_call_key ON called (call_key)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
