"""Who put an address on a list, and lists that people keep."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS: tuple[str, ...] = (
    # A row from before the topic `suppressions` is told to it at the first start.
    """
    ALTER TABLE suppressions
        ADD COLUMN source text NOT NULL DEFAULT 'dispatcher',
        ADD COLUMN note text,
        ADD COLUMN told boolean NOT NULL DEFAULT false
    """,
    "CREATE INDEX suppressions_untold ON suppressions (tenant_id, channel, address, reason) "
    "WHERE NOT told",
    # Soft bounces that no delivery has made up for.
    """
    CREATE TABLE soft_bounces (
        event_id  text PRIMARY KEY,
        tenant_id text NOT NULL,
        channel   text NOT NULL,
        address   text NOT NULL,
        at        timestamptz NOT NULL
    )
    """,
    "CREATE INDEX soft_bounces_address ON soft_bounces (tenant_id, channel, address, at)",
    # Where a lead is, for quiet hours at the moment of sending.
    """
    CREATE TABLE zones (
        lead_id  text PRIMARY KEY,
        timezone text NOT NULL,
        revision integer NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
