"""Dead letters that people act on: why they are there, what was done about them, and runs."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None

LETTERS = """
ALTER TABLE dead_letters
    ADD COLUMN cause text, ADD COLUMN was text, ADD COLUMN stuck text, ADD COLUMN replay_of text,
    ADD COLUMN state text, ADD COLUMN reviewed_at timestamptz, ADD COLUMN reviewed_by text,
    ADD COLUMN review_reason text, ADD COLUMN run_id text
"""

# As leadflow.kafka.replay.cause says it.
CAUSES = r"""
UPDATE dead_letters SET cause = CASE
    WHEN coalesce(reason, '') IN ('', error) THEN error
    WHEN reason ~ '^[a-z][a-z0-9_]*: ' THEN error || ': ' || split_part(reason, ': ', 1)
    ELSE error || ': ' || regexp_replace(reason, '\y[0-9a-f]{16,}\y|[0-9]+', '#', 'g')
END
WHERE service IS NOT NULL
"""

REVIEWS = """
CREATE TABLE dead_letter_reviews (
    event_id text PRIMARY KEY, topic text NOT NULL, partition integer NOT NULL,
    "offset" bigint NOT NULL, action text NOT NULL, at timestamptz NOT NULL,
    reviewed_by text NOT NULL, reason text, chosen text NOT NULL, run_id text NOT NULL
)
"""

RUNS = """
CREATE TABLE dead_letter_runs (
    run_id text PRIMARY KEY, tenant_id text, action text NOT NULL, chosen text NOT NULL,
    again boolean NOT NULL, reason text, requested_by text NOT NULL, rate_per_minute integer,
    total integer NOT NULL, created_at timestamptz NOT NULL, paced_at timestamptz,
    cancelled_at timestamptz, cancelled_by text, finished_at timestamptz
)
"""

# An item goes from waiting to done, gone or cancelled, and never back.
ITEMS = """
CREATE TABLE dead_letter_items (
    run_id text REFERENCES dead_letter_runs ON DELETE CASCADE, position integer,
    topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL, state text NOT NULL,
    PRIMARY KEY (run_id, position)
)
"""


def upgrade() -> None:
    for statement in (LETTERS, CAUSES, REVIEWS, RUNS, ITEMS):
        op.execute(statement)
    op.execute(
        "CREATE INDEX dead_letters_newest "
        'ON dead_letters (at DESC, topic DESC, partition DESC, "offset" DESC)'
    )
    op.execute(
        "CREATE INDEX dead_letter_reviews_letter "
        'ON dead_letter_reviews (topic, partition, "offset", at)'
    )
    op.execute("CREATE INDEX dead_letter_runs_newest ON dead_letter_runs (created_at, run_id)")
    op.execute(
        "CREATE INDEX dead_letter_runs_open ON dead_letter_runs (created_at) "
        "WHERE finished_at IS NULL"
    )
    op.execute(
        "CREATE INDEX dead_letter_items_state ON dead_letter_items (run_id, state, position)"
    )
