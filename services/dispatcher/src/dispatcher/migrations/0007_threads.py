"""Which message answers which."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

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
    # Written once a mail, when it is sent.
    "CREATE INDEX ledger_threads ON ledger (enrollment_id) "
    "WHERE channel = 'email' AND state = 'sent'",
    # A message that answers a keyword at once: the word, and the raw event that brought it.
    "ALTER TABLE ledger ADD COLUMN answers text",
    "ALTER TABLE ledger ADD COLUMN answers_event text",
    "COMMENT ON COLUMN ledger.answers IS 'the keyword that it answers by itself'",
    "COMMENT ON COLUMN ledger.answers_event IS 'the raw event that brought the keyword'",
    "CREATE INDEX ledger_answers ON ledger (tenant_id, channel, address, created_at) "
    "WHERE answers IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
