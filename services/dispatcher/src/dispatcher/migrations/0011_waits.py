"""What waits costs nothing while nothing about it changes."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# What is due but stands behind an earlier message of its lead that waits for its time: it becomes
# due when that one does. Else every claim would pass over it, again and again. Only the front of
# the queue is looked at, for there it would gather.
POSTPONE = """
CREATE FUNCTION postpone_followers(at_most integer) RETURNS bigint
LANGUAGE sql VOLATILE
SET search_path FROM CURRENT SET enable_sort = off SET enable_bitmapscan = off
SET enable_seqscan = off AS $$
    WITH behind AS MATERIALIZED (
        SELECT l.message_id, f.ready_at
        FROM unnest(ARRAY['email', 'sms', 'whatsapp', 'call', 'task']) AS c (channel)
        CROSS JOIN LATERAL (
            SELECT d.message_id, d.lead_id, d.position FROM ledger d
            WHERE d.channel = c.channel AND d.state IN ('queued', 'claimed')
                AND d.ready_at <= now() AND d.answers IS NULL
            ORDER BY d.ready_at LIMIT at_most
        ) AS l
        CROSS JOIN LATERAL (
            SELECT e.position, e.state, e.ready_at FROM ledger e
            WHERE e.lead_id = l.lead_id AND e.channel = c.channel
                AND e.state IN ('queued', 'claimed') AND e.answers IS NULL
            ORDER BY e.position LIMIT 1
        ) AS f
        WHERE f.position < l.position AND f.state = 'queued' AND f.ready_at > now()
    ), locked AS MATERIALIZED (
        SELECT l.message_id, b.ready_at FROM behind b JOIN ledger l USING (message_id)
        WHERE l.state = 'queued' FOR UPDATE OF l SKIP LOCKED
    ), moved AS (
        UPDATE ledger l SET ready_at = locked.ready_at FROM locked
        WHERE l.message_id = locked.message_id
        RETURNING 1
    )
    SELECT count(*) FROM moved
$$
"""

# What waits for a word of consent, of those who said one since. A refusal releases too: the message
# is then suppressed, instead of waiting for ever.
CONSENTED = """
CREATE FUNCTION release_consented(since timestamptz, until timestamptz, at_most integer)
RETURNS bigint LANGUAGE sql VOLATILE
SET search_path FROM CURRENT SET enable_sort = off SET enable_bitmapscan = off
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    WITH heard AS MATERIALIZED (
        SELECT m.message_id FROM consents c
        CROSS JOIN LATERAL (
            SELECT l.message_id FROM ledger l
            WHERE l.lead_id = c.lead_id AND l.channel = c.channel
                AND l.state = 'held' AND l.rule = 'no_consent'
            ORDER BY l.position LIMIT 100 FOR UPDATE SKIP LOCKED
        ) AS m
        WHERE c.noted_at > since AND c.noted_at <= until
        LIMIT at_most
    ), released AS (
        UPDATE ledger l SET state = 'queued', rule = NULL, ready_at = now(), changed_at = now()
        FROM heard WHERE l.message_id = heard.message_id
        RETURNING 1
    )
    SELECT count(*) FROM released
$$
"""

STATEMENTS = (
    POSTPONE,
    # When a word of consent was heard: who waits for one is looked for by what was heard since.
    "ALTER TABLE consents ADD COLUMN noted_at timestamptz NOT NULL DEFAULT now()",
    "CREATE INDEX consents_noted ON consents (noted_at)",
    "CREATE INDEX ledger_unconsented ON ledger (lead_id, channel, position) "
    "WHERE state = 'held' AND rule = 'no_consent'",
    CONSENTED,
    "CREATE INDEX ledger_footless ON ledger (tenant_id, position) "
    "WHERE state = 'held' AND rule = 'compliance_footer_missing' AND payload IS NOT NULL",
    "CREATE INDEX callbacks_applied ON callbacks (tenant_id, applied_at) "
    "WHERE applied_at IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
