"""What stops and pauses single enrollments, by enrollment-events."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# As release_consented (0011): what is looked at grows with what was heard, not with what waits.
RELEASE = """
CREATE FUNCTION release_resumed(since timestamptz, until timestamptz, at_most integer)
RETURNS bigint LANGUAGE sql VOLATILE
SET search_path FROM CURRENT SET enable_sort = off SET enable_bitmapscan = off
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    WITH heard AS MATERIALIZED (
        SELECT m.message_id FROM halts h
        CROSS JOIN LATERAL (
            SELECT l.message_id FROM ledger l
            WHERE l.enrollment_id = h.enrollment_id
                AND l.state = 'held' AND l.rule = 'enrollment_paused'
            ORDER BY l.position LIMIT 100 FOR UPDATE SKIP LOCKED
        ) AS m
        WHERE h.noted_at > since AND h.noted_at <= until
            AND (h.paused_by IS NULL OR h.stopped_by IS NOT NULL)
        LIMIT at_most
    ), released AS (
        UPDATE ledger l SET state = 'queued', rule = NULL, scope = NULL, ready_at = now(),
            tried_at = NULL, changed_at = now()
        FROM heard WHERE l.message_id = heard.message_id
        RETURNING 1
    )
    SELECT count(*) FROM released
$$
"""

STATEMENTS = (
    """
    CREATE TABLE halts (
        enrollment_id  text PRIMARY KEY,
        lead_id        text NOT NULL,
        stopped_by     text,
        stopped_at     timestamptz,
        inputs         json NOT NULL,
        paused_by      text,
        word_partition integer,
        word_offset    bigint,
        noted_at       timestamptz NOT NULL
    )
    """,
    "COMMENT ON COLUMN halts.stopped_by IS 'the rule that stopped it for good'",
    "COMMENT ON COLUMN halts.inputs IS 'what that rule looked at'",
    "COMMENT ON COLUMN halts.paused_by IS 'the rule that it is paused by'",
    "COMMENT ON COLUMN halts.word_offset IS 'where the latest word on its pause stands'",
    "CREATE INDEX halts_noted ON halts (noted_at)",
    "CREATE INDEX ledger_held_enrollment ON ledger (enrollment_id, position) WHERE state = 'held'",
    RELEASE,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
