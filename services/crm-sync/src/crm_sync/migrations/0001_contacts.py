"""Contacts as the CRM has them, records that wait, and sync runs."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE contacts (
        lead_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        version integer NOT NULL,
        state jsonb NOT NULL,
        crm_id text,
        pending jsonb,
        pending_event text NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    """
    COMMENT ON COLUMN contacts.pending IS
        'written ahead of the call; set while the outcome of the call is unknown'
    """,
    """
    CREATE TABLE waiting (
        event_id text PRIMARY KEY,
        place bigint GENERATED ALWAYS AS IDENTITY,
        lead_id text NOT NULL,
        origin_topic text NOT NULL,
        origin_partition integer NOT NULL,
        origin_offset bigint NOT NULL,
        tier smallint NOT NULL,
        due_at timestamptz NOT NULL,
        attempts integer NOT NULL,
        hop integer NOT NULL
    )
    """,
    "CREATE INDEX waiting_by_lead ON waiting (lead_id, place)",
    """
    CREATE TABLE sync_runs (
        event_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        lead_id text NOT NULL,
        provider text NOT NULL,
        what text NOT NULL,
        attempts integer NOT NULL,
        result text NOT NULL,
        error text,
        reason text,
        next_try_at timestamptz,
        first_at timestamptz NOT NULL,
        last_at timestamptz NOT NULL
    )
    """,
    """
    COMMENT ON COLUMN sync_runs.result IS 'written, unchanged, waiting or dead'
    """,
    "CREATE INDEX sync_runs_by_lead ON sync_runs (lead_id, last_at)",
    "CREATE INDEX sync_runs_unfinished ON sync_runs (last_at) WHERE result IN ('waiting', 'dead')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE sync_runs, waiting, contacts")
