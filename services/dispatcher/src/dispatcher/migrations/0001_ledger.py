"""The ledger, what it must know before it sends, and what it has to publish."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LEDGER = """
CREATE TABLE ledger (
    message_id       text PRIMARY KEY,
    position         bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id        text NOT NULL,
    lead_id          text NOT NULL,
    owner            text,
    enrollment_id    text,
    sequence_id      text,
    step_id          text,
    channel          text NOT NULL,
    attempt          integer NOT NULL,
    first_message_id text,
    recipient        text NOT NULL,
    address          text NOT NULL,
    compliance_note  text NOT NULL,
    enrolled_at      timestamptz,
    stop_on          text[] NOT NULL,
    due_at           timestamptz NOT NULL,
    payload          bytea,
    body_sha256      text,
    state            text NOT NULL,
    rule             text,
    scope            text,
    ready_at         timestamptz NOT NULL,
    epoch            bigint NOT NULL DEFAULT 0,
    attempts         integer NOT NULL DEFAULT 0,
    worker           text,
    in_doubt         boolean NOT NULL DEFAULT false,
    provider         text,
    provider_id      text,
    response         text,
    created_at       timestamptz NOT NULL DEFAULT now(),
    changed_at       timestamptz NOT NULL DEFAULT now(),
    CHECK (payload IS NOT NULL OR state IN ('held', 'suppressed'))
)
"""

COMMENTS = {
    "position": "order of arrival; a lead''s messages of one channel go out in it",
    "address": "the recipient in the form that suppressions compare",
    "payload": "the send as rendered, once; every retry sends these bytes",
    "rule": "why it is held, suppressed or failed, or was put back",
    "scope": "the paused scope that holds it",
    "ready_at": "queued: when it may be tried; claimed: when the lease ends",
    "epoch": "number of claims; only the latest may record what came of it",
    "in_doubt": "a provider may have accepted it without our knowing",
}

# The same as dispatcher.model.TRANSITIONS: no program, and nobody at a prompt, gets round it.
TRANSITIONS = """
CREATE FUNCTION hold_transition() RETURNS trigger LANGUAGE plpgsql AS $$
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
        ('held', 'queued'), ('held', 'suppressed')
    ) THEN
        RAISE EXCEPTION 'a message does not go from % to %', OLD.state, NEW.state
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$
"""

STATEMENTS = (
    LEDGER,
    TRANSITIONS,
    "CREATE TRIGGER first_state BEFORE INSERT ON ledger "
    "FOR EACH ROW EXECUTE FUNCTION hold_transition()",
    "CREATE TRIGGER transition BEFORE UPDATE ON ledger FOR EACH ROW "
    "WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION hold_transition()",
    "CREATE INDEX ledger_due ON ledger (channel, ready_at) WHERE state IN ('queued', 'claimed')",
    "CREATE INDEX ledger_order ON ledger (lead_id, channel, position) "
    "WHERE state IN ('queued', 'claimed')",
    "CREATE INDEX ledger_held ON ledger (rule) WHERE state = 'held'",
    "CREATE INDEX ledger_provider_id ON ledger (provider_id) WHERE provider_id IS NOT NULL",
    """
    CREATE TABLE suppressions (
        tenant_id  text NOT NULL,
        channel    text NOT NULL,
        address    text NOT NULL,
        reason     text NOT NULL,
        active     boolean NOT NULL,
        cause_id   text NOT NULL,
        changed_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, channel, address, reason)
    )
    """,
    """
    CREATE TABLE stops (
        lead_id text NOT NULL,
        stop    text NOT NULL,
        at      timestamptz NOT NULL,
        PRIMARY KEY (lead_id, stop)
    )
    """,
    """
    CREATE TABLE consents (
        lead_id  text NOT NULL,
        channel  text NOT NULL,
        granted  boolean NOT NULL,
        explicit boolean NOT NULL,
        at       timestamptz NOT NULL,
        PRIMARY KEY (lead_id, channel)
    )
    """,
    """
    CREATE TABLE callbacks (
        event_id    text PRIMARY KEY,
        tenant_id   text NOT NULL,
        kind        text NOT NULL,
        message_id  text,
        provider_id text,
        occurred_at timestamptz NOT NULL,
        details     json NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        applied_at  timestamptz
    )
    """,
    "CREATE INDEX callbacks_waiting ON callbacks (received_at) WHERE applied_at IS NULL",
    # Events of message-events, written with the change that they tell of, sent, then removed.
    """
    CREATE TABLE outbox (
        position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key      text NOT NULL,
        value    bytea NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    for column, comment in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN ledger.{column} IS '{comment}'")
