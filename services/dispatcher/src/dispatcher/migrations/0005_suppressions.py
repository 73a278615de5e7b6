"""Who put an address on a list, and lists that people keep."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What a provider answers about the address, not the message, holds for every message to it: the
# person told it to stop (Twilio 21610), or there is nobody (SMTP 5.1.1, Twilio 21211). In the
# statement that settles, so that no crash comes between.
HEARD = """
CREATE FUNCTION hear_provider() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO suppressions AS s (
        tenant_id, channel, address, reason, active, cause_id, changed_at, source, note
    ) VALUES (
        NEW.tenant_id, NEW.channel, NEW.address,
        CASE NEW.rule WHEN 'OptedOut' THEN 'provider_opt_out' ELSE 'hard_bounce' END,
        true, NEW.message_id, now(), coalesce(NEW.provider, 'dispatcher'), left(NEW.response, 500)
    )
    ON CONFLICT (tenant_id, channel, address, reason) DO UPDATE SET
        active = true, cause_id = excluded.cause_id, changed_at = excluded.changed_at,
        source = excluded.source, note = excluded.note, told = false
    WHERE NOT s.active AND excluded.changed_at > s.changed_at;
    RETURN NULL;
END $$
"""

STATEMENTS: tuple[str, ...] = (
    # A row from before the topic `suppressions` is told to it at the first start.
    """
    ALTER TABLE suppressions
        ADD COLUMN source text NOT NULL DEFAULT 'dispatcher',
        ADD COLUMN note text,
        ADD COLUMN told boolean NOT NULL DEFAULT false
    """,
    "CREATE INDEX suppressions_untold ON suppressions (tenant_id, channel, address, reason) "
    "WHERE NOT told",
    HEARD,
    "CREATE TRIGGER heard AFTER UPDATE OF state ON ledger FOR EACH ROW "
    "WHEN (NEW.state = 'failed' AND NEW.rule IN ('OptedOut', 'BadAddress')) "
    "EXECUTE FUNCTION hear_provider()",
    # Soft bounces, and when an address last took a message: reports come in any order.
    """
    CREATE TABLE soft_bounces (
        event_id  text PRIMARY KEY,
        tenant_id text NOT NULL,
        channel   text NOT NULL,
        address   text NOT NULL,
        at        timestamptz NOT NULL
    )
    """,
    "CREATE INDEX soft_bounces_address ON soft_bounces (tenant_id, channel, address, at)",
    """
    CREATE TABLE deliveries (
        tenant_id text NOT NULL,
        channel   text NOT NULL,
        address   text NOT NULL,
        at        timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, channel, address)
    ) WITH (fillfactor = 70)
    """,
    # Where a lead is, for quiet hours at the moment of sending.
    """
    CREATE TABLE zones (
        lead_id  text PRIMARY KEY,
        timezone text NOT NULL,
        revision integer NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
