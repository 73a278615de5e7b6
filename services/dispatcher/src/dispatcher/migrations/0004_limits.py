"""Rates and circuit breakers that several dispatchers share; an outbox of more than one topic."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    "ALTER TABLE outbox ADD COLUMN topic text NOT NULL DEFAULT 'message-events'",
    # A bucket in the form of GCRA, one time instead of a count that somebody has to refill:
    # `full_at` is when it would be full again, `tail` when the last who waits for it has a turn.
    """
    CREATE TABLE buckets (
        key     text PRIMARY KEY,
        full_at timestamptz NOT NULL,
        tail    timestamptz NOT NULL
    ) WITH (fillfactor = 50)
    """,
    """
    CREATE TABLE breakers (
        provider  text PRIMARY KEY,
        state     text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
        good      integer NOT NULL DEFAULT 0,
        bad       integer NOT NULL DEFAULT 0,
        since     timestamptz NOT NULL DEFAULT now(),
        look_at   timestamptz NOT NULL DEFAULT now(),
        opened    integer NOT NULL DEFAULT 0,
        allowance integer NOT NULL DEFAULT 0,
        left_over integer NOT NULL DEFAULT 0
    ) WITH (fillfactor = 50)
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
