"""What CRMs say was changed there, and what is needed to tell it from our own writes."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """
    CREATE TABLE notices (
        account_id text NOT NULL,
        object text NOT NULL,
        crm_id text NOT NULL,
        changes jsonb NOT NULL,
        noticed_at timestamptz NOT NULL,
        version integer NOT NULL DEFAULT 1,
        attempts integer NOT NULL DEFAULT 0,
        first_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        PRIMARY KEY (account_id, object, crm_id)
    )
    """,
    "CREATE INDEX notices_by_due_at ON notices (due_at)",
    "COMMENT ON COLUMN notices.version IS 'how many notices are folded into the row'",
    """
    COMMENT ON COLUMN notices.changes IS
        'what the CRM named: [name, value, milliseconds since 1970, version of the row]'
    """,
    "ALTER TABLE contacts ADD COLUMN earlier jsonb NOT NULL DEFAULT '[]'",
    """
    COMMENT ON COLUMN contacts.earlier IS
        'values that were written and replaced: [field, value, until when]'
    """,
    "ALTER TABLE contacts ADD COLUMN begun_at timestamptz",
    "COMMENT ON COLUMN contacts.begun_at IS 'when its last write began'",
    "ALTER TABLE contacts ADD COLUMN heard jsonb NOT NULL DEFAULT '{}'",
    """
    COMMENT ON COLUMN contacts.heard IS
        'by place, what was told on last: [until when that settles it, the CRM''s word, since when]'
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("ALTER TABLE contacts DROP COLUMN earlier, DROP COLUMN begun_at, DROP COLUMN heard")
    op.execute("DROP TABLE notices")
