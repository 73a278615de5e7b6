"""The chain says whose a message was (format 2); a rejected doubt stays a doubt.

See docs/adr/0019-the-ledger-is-chained.md. Links of format 1 stay as they are.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ENDS = "('sent', 'failed', 'unknown', 'suppressed', 'recorded')"

# The same as dispatcher.model.TRANSITIONS: no program, and nobody at a prompt, gets round it.
TRANSITIONS = """
CREATE OR REPLACE FUNCTION hold_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state NOT IN ('queued', 'held') THEN
            RAISE EXCEPTION 'a message does not enter the ledger as %', NEW.state
                USING ERRCODE = 'check_violation';
        END IF;
    ELSIF (OLD.state, NEW.state) NOT IN (
        ('queued', 'claimed'),
        ('claimed', 'queued'), ('claimed', 'held'), ('claimed', 'sent'), ('claimed', 'failed'),
        ('claimed', 'unknown'), ('claimed', 'suppressed'), ('claimed', 'recorded'),
        ('held', 'queued'), ('held', 'suppressed'), ('held', 'unknown'),
        ('unknown', 'sent'), ('unknown', 'failed')
    ) THEN
        RAISE EXCEPTION 'a message does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

# Of whom nobody is to be found any more the chain keeps a hash that nobody can guess back: the salt
# goes with the address. leadflow_cli.verify computes the same.
TO_SHA256 = """CASE WHEN recipient <> '' OR address <> '' THEN encode(sha256(convert_to(
    json_build_array(salt, recipient, address)::text, 'UTF8')), 'hex') END"""

# Rows whose state is new and an end. NOT IN is looked up in a hash, whatever the planner
# expects; a join of the two could become a row against row.
NEW = """
    l.state IN ENDS AND (l.message_id, l.state) NOT IN (
        SELECT message_id, state FROM were WHERE state IN ENDS
    )
"""

# As in 0003: heads are locked in the order of tenants, and what is hashed is a JSON text.
APPEND_TRIGGER = """
CREATE OR REPLACE FUNCTION append_to_chain() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM become WHERE state IN ENDS) THEN
        RETURN NULL;
    END IF;
    INSERT INTO chain_heads (tenant_id)
    SELECT DISTINCT l.tenant_id FROM become l WHERE NEW_END ORDER BY l.tenant_id
    ON CONFLICT (tenant_id) DO NOTHING;
    WITH heads AS MATERIALIZED (
        SELECT tenant_id, seq, hash FROM chain_heads
        WHERE tenant_id IN (SELECT l.tenant_id FROM become l WHERE NEW_END)
        ORDER BY tenant_id FOR UPDATE
    ), numbered AS (
        SELECT l.tenant_id, h.hash AS head,
            h.seq + row_number() OVER (PARTITION BY l.tenant_id ORDER BY l.position) AS seq,
            l.message_id, l.state, l.rule, l.body_sha256, l.provider, l.provider_id,
            encode(sha256(convert_to(l.response, 'UTF8')), 'hex') AS response_sha256,
            now() AS at, l.lead_id, l.channel, TO_SHA256 AS to_sha256
        FROM become l JOIN heads h ON h.tenant_id = l.tenant_id
        WHERE NEW_END
    ), hashed AS (
        SELECT *, chain_hash(
            head,
            convert_to(json_build_array(
                2, tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
                response_sha256, (extract(epoch FROM at) * 1000000)::bigint, lead_id, channel,
                to_sha256
            )::text, 'UTF8')
        ) OVER (PARTITION BY tenant_id ORDER BY seq ROWS UNBOUNDED PRECEDING) AS hash
        FROM numbered
    ), linked AS (
        INSERT INTO chain (
            tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
            response_sha256, at, previous, hash, format, lead_id, channel, to_sha256
        )
        SELECT tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
            response_sha256, at,
            coalesce(lag(hash) OVER (PARTITION BY tenant_id ORDER BY seq), head), hash,
            2, lead_id, channel, to_sha256
        FROM hashed
        RETURNING tenant_id, seq, hash
    )
    UPDATE chain_heads h SET seq = last.seq, hash = last.hash
    FROM (
        SELECT DISTINCT ON (tenant_id) tenant_id, seq, hash FROM linked
        ORDER BY tenant_id, seq DESC
    ) AS last
    WHERE h.tenant_id = last.tenant_id;
    RETURN NULL;
END $$
"""

# Whose a message is never changes. Until its end its bytes may: a reviewer writes others. After it
# what the chain has the hash of may be erased, never changed.
WHOSE = """
    CREATE TRIGGER whose BEFORE UPDATE ON ledger FOR EACH ROW
    WHEN (NEW.message_id <> OLD.message_id OR NEW.tenant_id <> OLD.tenant_id
        OR NEW.lead_id <> OLD.lead_id OR NEW.channel <> OLD.channel
        OR (NEW.recipient <> '' AND NEW.recipient <> OLD.recipient)
        OR (NEW.address <> '' AND NEW.address <> OLD.address)
        OR (NEW.salt IS NOT NULL AND NEW.salt IS DISTINCT FROM OLD.salt)
    ) EXECUTE FUNCTION refuse('it is for whom it was queued')
"""

STATEMENTS = (
    TRANSITIONS,
    "ALTER TABLE ledger ADD COLUMN salt uuid",
    "ALTER TABLE ledger ALTER COLUMN salt SET DEFAULT gen_random_uuid()",
    "COMMENT ON COLUMN ledger.salt IS 'erased with recipient and address, whose hash it is in'",
    """
    ALTER TABLE chain
        ADD COLUMN format smallint NOT NULL DEFAULT 1,
        ADD COLUMN lead_id text,
        ADD COLUMN channel text,
        ADD COLUMN to_sha256 text
    """,
    "COMMENT ON COLUMN chain.format IS '1: without the columns behind it'",
    "COMMENT ON COLUMN chain.to_sha256 IS 'of salt, recipient and address'",
    APPEND_TRIGGER.replace("NEW_END", NEW)
    .replace(
        "TO_SHA256",
        TO_SHA256.replace("recipient", "l.recipient")
        .replace("address", "l.address")
        .replace("salt", "l.salt"),
    )
    .replace("ENDS", ENDS),
    WHOSE,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
