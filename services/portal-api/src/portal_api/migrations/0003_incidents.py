"""Incidents: why something is paused, who mends it, and what has to be verified to go on."""

from alembic import op

revision = "0003"
down_revision = "0002"

# `rule` is the rule that opened it, empty by hand; `subject` what the rule looked at: a channel
# or a source. An incident about everything belongs to no tenant: its tenant_id is empty.
INCIDENTS = """
CREATE TABLE incidents (
    incident_id text PRIMARY KEY, tenant_id text NOT NULL, kind text NOT NULL,
    scope text NOT NULL, workflow text NOT NULL, reason text NOT NULL, owner text NOT NULL,
    rollback text NOT NULL, rule text NOT NULL, subject text NOT NULL, evidence jsonb NOT NULL,
    opened_at timestamptz NOT NULL, opened_by text NOT NULL,
    task text NOT NULL, task_note text, task_done_at timestamptz, task_done_by text,
    closed_at timestamptz, closed_by text, close_reason text, rate_per_minute integer
)
"""

# The log of controls follows the rows: what is to be said stands here until the broker has it.
OTHERS = (
    "CREATE UNIQUE INDEX incidents_one_a_rule ON incidents (rule, scope) "
    "WHERE closed_at IS NULL AND rule <> ''",
    "CREATE INDEX incidents_open ON incidents (scope) WHERE closed_at IS NULL",
    "CREATE INDEX incidents_newest ON incidents (tenant_id, opened_at DESC, incident_id DESC)",
    "CREATE INDEX incidents_closed ON incidents (closed_at) WHERE rule <> ''",
    """
    CREATE TABLE incident_history (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        incident_id text NOT NULL REFERENCES incidents, at timestamptz NOT NULL,
        by text NOT NULL, what text NOT NULL, detail jsonb NOT NULL
    )
    """,
    "CREATE INDEX incident_history_incident ON incident_history (incident_id, position)",
    """
    CREATE TABLE controls_to_say (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        scope text NOT NULL, value bytea NOT NULL
    )
    """,
    # What holds the next step of an enrollment: a paused scope, or a rule; empty if nothing.
    "ALTER TABLE enrollments ADD COLUMN held_by text",
    "CREATE INDEX enrollments_held ON enrollments (held_by) WHERE held_by <> ''",
    "CREATE INDEX messages_waiting ON messages ((inputs ->> 'scope')) "
    "WHERE state = 'held' AND rule = 'paused'",
    # The rules ask for what is new, twice a minute. A btree would cost every update of a message.
    "CREATE INDEX messages_latest ON messages USING brin (updated_at) WITH (autosummarize)",
    "CREATE INDEX raw_events_latest ON raw_events USING brin (received_at) WITH (autosummarize)",
)


def upgrade() -> None:
    op.execute(INCIDENTS)
    for statement in OTHERS:
        op.execute(statement)
