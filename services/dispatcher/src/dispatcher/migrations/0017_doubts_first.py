"""Of a lead's messages the one that may be out already comes first."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

# The cap lets a message wait for what becomes of others that may be out (caps.py). Did such a one
# stand behind it, because a pause that had held only the first is over, both would wait for good.
# The earliest doubt first, as in cap_store.py; what is in no doubt has no `doubt_since`.

# As in 0007, but for who is first.
DUE = """
CREATE OR REPLACE FUNCTION due_messages(of_channel text, at_most integer)
RETURNS TABLE (message_id text, in_doubt boolean, provider text)
LANGUAGE sql VOLATILE ROWS 100
SET search_path FROM CURRENT SET enable_sort = off SET enable_bitmapscan = off
SET enable_seqscan = off AS $$
    SELECT l.message_id, l.in_doubt OR l.state = 'claimed', l.provider
    FROM ledger l
    WHERE l.channel = of_channel
        AND l.state IN ('queued', 'claimed') AND l.ready_at <= now()
        AND (l.answers IS NOT NULL OR l.position = (
            SELECT e.position FROM ledger e
            WHERE e.lead_id = l.lead_id AND e.channel = l.channel
                AND e.state IN ('queued', 'claimed') AND e.answers IS NULL
            ORDER BY e.doubt_since, e.position LIMIT 1
        ))
    ORDER BY l.ready_at
    LIMIT at_most
    FOR UPDATE OF l SKIP LOCKED
$$
"""

# As in 0011, but for who is first.
POSTPONE = """
CREATE OR REPLACE FUNCTION postpone_followers(at_most integer) RETURNS bigint
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
            ORDER BY e.doubt_since, e.position LIMIT 1
        ) AS f
        WHERE f.position <> l.position AND f.state = 'queued' AND f.ready_at > now()
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

STATEMENTS = (
    "DROP INDEX ledger_order",
    "CREATE INDEX ledger_order ON ledger (lead_id, channel, doubt_since, position) "
    "WHERE state IN ('queued', 'claimed')",
    DUE,
    POSTPONE,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
