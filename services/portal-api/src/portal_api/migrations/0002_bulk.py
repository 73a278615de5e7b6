"""Bulk jobs: one command for each of many leads, and what the sequencer answered."""

from alembic import op

revision = "0002"
down_revision = "0001"

JOBS = """
CREATE TABLE bulk_jobs (
    bulk_id text PRIMARY KEY, tenant_id text NOT NULL, sequence_id text NOT NULL,
    action text NOT NULL, from_version integer, to_version integer,
    chosen jsonb NOT NULL, reason text,
    requested_by text NOT NULL, own_leads_of text, -- a rep's job is about the rep's leads
    state text NOT NULL, total integer NOT NULL,
    created_at timestamptz NOT NULL, started_at timestamptz,
    cancelled_at timestamptz, cancelled_by text, finished_at timestamptz
)
"""

# An item is decided once: its state goes from waiting to requested to done or refused, or from
# waiting to cancelled, and never back.
ITEMS = """
CREATE TABLE bulk_items (
    bulk_id text REFERENCES bulk_jobs ON DELETE CASCADE, position integer,
    lead_id text NOT NULL, owner text, enrollment_id text, event_id text NOT NULL,
    expected text NOT NULL, expected_rule text, expected_inputs jsonb, plan jsonb,
    state text NOT NULL, rule text, inputs jsonb, decided_by text, decided_at timestamptz,
    PRIMARY KEY (bulk_id, position)
)
"""


def upgrade() -> None:
    op.execute(JOBS)
    op.execute("CREATE INDEX bulk_jobs_newest ON bulk_jobs (tenant_id, created_at, bulk_id)")
    op.execute(
        "CREATE INDEX bulk_jobs_open ON bulk_jobs (created_at) "
        "WHERE started_at IS NOT NULL AND finished_at IS NULL"
    )
    op.execute(ITEMS)
    op.execute("CREATE INDEX bulk_items_state ON bulk_items (bulk_id, state, position)")
    # A command that the sequencer buried has its answer there.
    op.execute("ALTER TABLE dead_letters ADD COLUMN event_id text")
    op.execute("CREATE INDEX dead_letters_event ON dead_letters (event_id)")
