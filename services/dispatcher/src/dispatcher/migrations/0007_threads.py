"""Which message answers which."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# As in 0003, but an answer to a keyword waits behind nothing, and nothing behind it: a message that
# waits for the morning must not keep the confirmation of a STOP.
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
            ORDER BY e.position LIMIT 1
        ))
    ORDER BY l.ready_at
    LIMIT at_most
    FOR UPDATE OF l SKIP LOCKED
$$
"""

STATEMENTS = (
    # The last mail that a lead wrote to each message, '' where it named none.
    """
    CREATE TABLE received_mails (
        lead_id text NOT NULL,
        answers text NOT NULL,
        mail_id text NOT NULL,
        subject text NOT NULL,
        at      timestamptz NOT NULL,
        PRIMARY KEY (lead_id, answers)
    )
    """,
    # The Message-ID that a mail went out with, where its provider gave it another than ours.
    "CREATE TABLE sent_mails (message_id text PRIMARY KEY, mail_id text NOT NULL)",
    # Written once a mail, when it is sent.
    "CREATE INDEX ledger_threads ON ledger (enrollment_id) "
    "WHERE channel = 'email' AND state = 'sent'",
    # A message that answers a keyword at once: the word, and the raw event that brought it.
    "ALTER TABLE ledger ADD COLUMN answers text",
    "ALTER TABLE ledger ADD COLUMN answers_event text",
    "COMMENT ON COLUMN ledger.answers IS 'the keyword that it answers by itself'",
    "COMMENT ON COLUMN ledger.answers_event IS 'the raw event that brought the keyword'",
    DUE,
    "CREATE INDEX ledger_answers ON ledger (tenant_id, channel, address, created_at) "
    "WHERE answers IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
