"""What providers report, and who opened: a person or a machine (ADR 23)."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What was applied before there were rules was told: its first of a kind is what is known of the
# message, so that no repeat of it is told again.
KNOWN = r"""
UPDATE callbacks c SET about = first.message_id, told = first.what
FROM (
    SELECT DISTINCT ON (l.message_id, what) c.event_id, l.message_id, what
    FROM callbacks c
    JOIN ledger l ON l.tenant_id = c.tenant_id AND (
        l.message_id = c.message_id
        OR c.message_id IS NULL AND l.provider_id = c.provider_id)
    CROSS JOIN LATERAL (SELECT CASE
        WHEN c.kind <> 'bounced' THEN c.kind
        -- A text with a NUL in it is nobody's word for soft, and PostgreSQL would not read it.
        WHEN position('\u0000' IN c.details::text) > 0 THEN 'bounced:hard'
        WHEN lower(c.details ->> 'bounce_type') IN ('soft', 'transient', 'temporary')
            THEN 'bounced:soft'
        ELSE 'bounced:hard' END AS what) AS w
    WHERE c.applied_at IS NOT NULL AND c.kind IN ('delivered', 'bounced', 'complained')
    ORDER BY l.message_id, what, c.received_at, c.event_id
) AS first
WHERE c.event_id = first.event_id
"""

STATEMENTS = (
    """
    ALTER TABLE callbacks
        ADD COLUMN source text NOT NULL DEFAULT '',
        ADD COLUMN ready_at timestamptz NOT NULL DEFAULT now(),
        ADD COLUMN outcome text,
        ADD COLUMN about text,
        ADD COLUMN told text
    """,
    "UPDATE callbacks SET outcome = 'applied' WHERE applied_at IS NOT NULL",
    KNOWN,
    "COMMENT ON COLUMN callbacks.source IS 'who reported it'",
    "COMMENT ON COLUMN callbacks.ready_at IS 'when it is looked at'",
    "COMMENT ON COLUMN callbacks.outcome IS 'applied, or the rule that refused it'",
    "COMMENT ON COLUMN callbacks.about IS 'the message that it was told of'",
    "COMMENT ON COLUMN callbacks.told IS 'what it is among the reports told of its message'",
    "DROP INDEX callbacks_waiting",
    "CREATE INDEX callbacks_due ON callbacks (ready_at) WHERE applied_at IS NULL",
    "CREATE UNIQUE INDEX callbacks_told ON callbacks (about, told) WHERE told IS NOT NULL",
    "CREATE INDEX callbacks_message ON callbacks (message_id) "
    "WHERE message_id IS NOT NULL AND kind IN ('delivered', 'opened', 'clicked')",
    "CREATE INDEX callbacks_provider ON callbacks (provider_id) "
    "WHERE message_id IS NULL AND kind IN ('delivered', 'opened', 'clicked')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
