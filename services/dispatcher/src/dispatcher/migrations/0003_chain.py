"""What became of messages, chained by hash for each tenant; a doubt that a person settles.

See docs/adr/0019-the-ledger-is-chained.md for what the chain shows and what it cannot.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

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
        ('held', 'queued'), ('held', 'suppressed'),
        ('unknown', 'sent'), ('unknown', 'failed')
    ) THEN
        RAISE EXCEPTION 'a message does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

ENDS = "('sent', 'failed', 'unknown', 'suppressed', 'recorded')"

# Chains rows of SOURCE onto `heads`. What is hashed is a JSON text: anybody can do it again.
APPEND = """
    numbered AS (
        SELECT l.tenant_id, h.hash AS head,
            h.seq + row_number() OVER (PARTITION BY l.tenant_id ORDER BY THEIR_ORDER) AS seq,
            l.message_id, l.state, l.rule, l.body_sha256, l.provider, l.provider_id,
            encode(sha256(convert_to(l.response, 'UTF8')), 'hex') AS response_sha256,
            MOMENT AS at
        FROM SOURCE l JOIN heads h ON h.tenant_id = l.tenant_id
        WHERE CHOSEN
    ), hashed AS (
        SELECT *, chain_hash(
            head,
            convert_to(json_build_array(
                tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
                response_sha256, (extract(epoch FROM at) * 1000000)::bigint
            )::text, 'UTF8')
        ) OVER (PARTITION BY tenant_id ORDER BY seq ROWS UNBOUNDED PRECEDING) AS hash
        FROM numbered
    ), linked AS (
        INSERT INTO chain (
            tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
            response_sha256, at, previous, hash
        )
        SELECT tenant_id, seq, message_id, state, rule, body_sha256, provider, provider_id,
            response_sha256, at,
            coalesce(lag(hash) OVER (PARTITION BY tenant_id ORDER BY seq), head), hash
        FROM hashed
        RETURNING tenant_id, seq, hash
    )
    UPDATE chain_heads h SET seq = last.seq, hash = last.hash
    FROM (
        SELECT DISTINCT ON (tenant_id) tenant_id, seq, hash FROM linked
        ORDER BY tenant_id, seq DESC
    ) AS last
    WHERE h.tenant_id = last.tenant_id
"""

# Rows whose state is new and an end. NOT IN is looked up in a hash, whatever the planner
# expects; a join of the two could become a row against row.
NEW = """
    l.state IN ENDS AND (l.message_id, l.state) NOT IN (
        SELECT message_id, state FROM were WHERE state IN ENDS
    )
"""

# The heads are locked in the order of tenants, so that two who settle for the same tenants wait
# for each other instead of in a circle.
APPEND_TRIGGER = """
CREATE FUNCTION append_to_chain() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM become WHERE state IN ENDS) THEN
        RETURN NULL;
    END IF;
    INSERT INTO chain_heads (tenant_id)
    SELECT DISTINCT l.tenant_id FROM become l WHERE CHOSEN ORDER BY l.tenant_id
    ON CONFLICT (tenant_id) DO NOTHING;
    WITH heads AS MATERIALIZED (
        SELECT tenant_id, seq, hash FROM chain_heads
        WHERE tenant_id IN (SELECT l.tenant_id FROM become l WHERE CHOSEN)
        ORDER BY tenant_id FOR UPDATE
    ), APPEND;
    RETURN NULL;
END $$
"""

# What is due, of each lead the earliest, locked. The first of a lead is to be found by an ordered
# probe of ledger_order: with figures from when the queue was short the planner takes any index for
# as good, and reads the whole queue for each row of it. Here it is not left the choice.
DUE = """
CREATE FUNCTION due_messages(of_channel text, at_most integer)
RETURNS TABLE (message_id text, in_doubt boolean, provider text)
LANGUAGE sql VOLATILE ROWS 100
SET search_path FROM CURRENT SET enable_sort = off SET enable_bitmapscan = off
SET enable_seqscan = off AS $$
    SELECT l.message_id, l.in_doubt OR l.state = 'claimed', l.provider
    FROM ledger l
    WHERE l.channel = of_channel
        AND l.state IN ('queued', 'claimed') AND l.ready_at <= now()
        AND l.position = (
            SELECT e.position FROM ledger e
            WHERE e.lead_id = l.lead_id AND e.channel = l.channel
                AND e.state IN ('queued', 'claimed')
            ORDER BY e.position LIMIT 1
        )
    ORDER BY l.ready_at
    LIMIT at_most
    FOR UPDATE OF l SKIP LOCKED
$$
"""

BACKFILL = "WITH heads AS (SELECT tenant_id, seq, hash FROM chain_heads), APPEND"


def filled(statement: str, *, source: str, chosen: str, order: str, moment: str) -> str:
    """A statement with its words in capitals replaced."""
    for word, text in (
        ("APPEND", APPEND),
        ("CHOSEN", chosen),
        ("SOURCE", source),
        ("THEIR_ORDER", order),
        ("MOMENT", moment),
        ("ENDS", ENDS),
    ):
        statement = statement.replace(word, text)
    return statement


STATEMENTS = (
    TRANSITIONS,
    # Bytes may be erased once nothing can be sent any more: the hashes stay.
    "ALTER TABLE ledger DROP CONSTRAINT ledger_check",
    "ALTER TABLE ledger ADD CONSTRAINT ledger_has_bytes "
    "CHECK (payload IS NOT NULL OR state NOT IN ('queued', 'claimed'))",
    """
    CREATE TABLE chain (
        tenant_id       text NOT NULL,
        seq             bigint NOT NULL,
        message_id      text NOT NULL,
        state           text NOT NULL,
        rule            text,
        body_sha256     text,
        provider        text,
        provider_id     text,
        response_sha256 text,
        at              timestamptz NOT NULL,
        previous        bytea NOT NULL,
        hash            bytea NOT NULL,
        PRIMARY KEY (tenant_id, seq)
    )
    """,
    # One row a tenant, changed by every append: room on its page keeps that cheap.
    """
    CREATE TABLE chain_heads (
        tenant_id text PRIMARY KEY,
        seq       bigint NOT NULL DEFAULT 0,
        hash      bytea NOT NULL DEFAULT ''
    ) WITH (fillfactor = 10)
    """,
    """
    CREATE FUNCTION chain_step(so_far bytea, head bytea, link bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT sha256(coalesce(so_far, head) || link) $$
    """,
    "CREATE AGGREGATE chain_hash(head bytea, link bytea) (SFUNC = chain_step, STYPE = bytea)",
    filled(APPEND_TRIGGER, source="become", chosen=NEW, order="l.position", moment="now()"),
    # What came to its end before there was a chain begins it.
    "INSERT INTO chain_heads (tenant_id) SELECT DISTINCT tenant_id FROM ledger "
    "WHERE state IN ENDS".replace("ENDS", ENDS),
    filled(
        BACKFILL,
        source="ledger",
        chosen="l.state IN ENDS",
        order="l.changed_at, l.position",
        moment="l.changed_at",
    ),
    "CREATE TRIGGER chained AFTER UPDATE ON ledger "
    "REFERENCING OLD TABLE AS were NEW TABLE AS become "
    "FOR EACH STATEMENT EXECUTE FUNCTION append_to_chain()",
    """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '% of % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'check_violation';
    END $$
    """,
    "CREATE TRIGGER only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON chain "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse('what became of a message stays written')",
    # Depth 0 is a statement of somebody; the trigger's own are deeper.
    "CREATE TRIGGER only_by_trigger BEFORE INSERT ON chain FOR EACH STATEMENT "
    "WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse('the ledger writes it by itself')",
    "CREATE TRIGGER only_by_trigger BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON chain_heads "
    "FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) "
    "EXECUTE FUNCTION refuse('the ledger writes it by itself')",
    "CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON ledger "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse('a message stays in the ledger')",
    # What the chain has the hash of may be erased, never changed.
    """
    CREATE TRIGGER ended BEFORE UPDATE ON ledger FOR EACH ROW
    WHEN (OLD.state IN ENDS AND OLD.state = NEW.state AND (
        NEW.tenant_id <> OLD.tenant_id OR NEW.rule IS DISTINCT FROM OLD.rule
        OR NEW.body_sha256 IS DISTINCT FROM OLD.body_sha256
        OR NEW.provider IS DISTINCT FROM OLD.provider
        OR NEW.provider_id IS DISTINCT FROM OLD.provider_id
        OR (NEW.payload IS NOT NULL AND NEW.payload IS DISTINCT FROM OLD.payload)
        OR (NEW.response IS NOT NULL AND NEW.response IS DISTINCT FROM OLD.response)
    )) EXECUTE FUNCTION refuse('it has come to its end')
    """.replace("ENDS", ENDS),
    DUE,
    "CREATE INDEX ledger_refused ON ledger (scope, position) "
    "WHERE state = 'held' AND rule = 'credential_refused'",
    # The work list of doubts.
    "CREATE INDEX ledger_unknown ON ledger (changed_at) WHERE state = 'unknown'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
