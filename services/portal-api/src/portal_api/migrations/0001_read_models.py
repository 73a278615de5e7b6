"""Read models, what the portal itself keeps, and what the client role may see.

A column without NOT NULL may be unknown for a moment: two topics that tell about one row are
read in either order.
"""

from alembic import op

revision = "0001"
down_revision = None

LEADS = """
CREATE TABLE leads (
    lead_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    source text, external_id text, status text, merged_into text,
    revision integer, stage text, stage_revision integer, owner text,
    first_name text, last_name text, email text, phone text, company text, title text,
    address jsonb, service text, message text, urgency text, budget jsonb,
    timezone text, timezone_from text, language text, attribution jsonb,
    received jsonb, extra jsonb, quarantine_reasons jsonb,
    fit integer, intent integer, temperature text, qualification jsonb, next_action text,
    qualified_at timestamptz,
    created_at timestamptz, updated_at timestamptz
);
CREATE INDEX leads_newest ON leads (tenant_id, created_at DESC, lead_id DESC);
CREATE INDEX leads_email ON leads (lower(email));
CREATE INDEX leads_phone ON leads (phone);

CREATE TABLE consents (
    lead_id text, channel text, tenant_id text NOT NULL,
    granted boolean, basis text, at timestamptz,
    as_of timestamptz, -- when leadflow wrote it down: the latest word stands
    PRIMARY KEY (lead_id, channel)
);

CREATE TABLE stage_moves (
    event_id text PRIMARY KEY, tenant_id text NOT NULL, lead_id text NOT NULL,
    from_stage text, to_stage text NOT NULL, at timestamptz NOT NULL
);
CREATE INDEX stage_moves_lead ON stage_moves (lead_id, at);

CREATE TABLE replies (
    event_id text PRIMARY KEY, tenant_id text NOT NULL, lead_id text NOT NULL,
    message_id text, channel text, at timestamptz NOT NULL, text text, automatic boolean
);
CREATE INDEX replies_lead ON replies (lead_id, at);

-- Everything that was said about a lead, once each: its event_id is how a repeat is known.
CREATE TABLE timeline (
    event_id text PRIMARY KEY, tenant_id text NOT NULL, lead_id text NOT NULL,
    topic text NOT NULL, type text NOT NULL, source text,
    occurred_at timestamptz NOT NULL, recorded_at timestamptz NOT NULL, data jsonb NOT NULL
);
CREATE INDEX timeline_lead ON timeline (lead_id, occurred_at);
"""

RAW_EVENTS = """
-- What came in and what became of it. An unreadable record has no tenant and goes by its place.
CREATE TABLE raw_events (
    tenant_id text, event_id text, kind text, source text, external_id text,
    received_at timestamptz, outcome text, outcome_rank integer,
    lead_id text, created_lead_id text,
    PRIMARY KEY (tenant_id, event_id)
);
CREATE INDEX raw_events_sighting ON raw_events (source, external_id);
CREATE INDEX raw_events_created ON raw_events (created_lead_id);

CREATE TABLE first_touches (
    lead_id text PRIMARY KEY, tenant_id text NOT NULL, accepted_at timestamptz
);

CREATE TABLE dead_letters (
    topic text, partition integer, "offset" bigint, tenant_id text,
    service text, origin_topic text, origin_partition integer, origin_offset bigint,
    error text, reason text, at timestamptz,
    PRIMARY KEY (topic, partition, "offset")
);
"""

SEQUENCES = """
CREATE TABLE sequences (
    sequence_id text, version integer, tenant_id text NOT NULL,
    name text NOT NULL, status text NOT NULL, definition jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    PRIMARY KEY (sequence_id, version)
);

CREATE TABLE enrollments (
    enrollment_id text PRIMARY KEY, tenant_id text NOT NULL,
    lead_id text, sequence_id text, sequence_version integer, entry integer,
    enrolled_at timestamptz, enrolled_by text, trigger_event_id text,
    status text, stop_rule text, stop_inputs jsonb, ended_at timestamptz,
    steps_done integer, next_due_at timestamptz,
    moved_to text, moved_at timestamptz, updated_at timestamptz
);
CREATE INDEX enrollments_sequence
    ON enrollments (sequence_id, enrolled_at DESC, enrollment_id DESC);
CREATE INDEX enrollments_lead ON enrollments (lead_id);
CREATE INDEX enrollments_trigger ON enrollments (trigger_event_id);

CREATE TABLE refusals (
    event_id text PRIMARY KEY, tenant_id text NOT NULL, lead_id text, sequence_id text,
    trigger_event_id text, rule text, inputs jsonb, at timestamptz
);
CREATE INDEX refusals_trigger ON refusals (trigger_event_id);

CREATE TABLE messages (
    message_id text PRIMARY KEY, tenant_id text NOT NULL,
    lead_id text, enrollment_id text, sequence_id text, step_id text, channel text,
    attempt integer, first_message_id text, recipient text, template_name text,
    subject text, body text, variables jsonb, compliance_note text,
    state text, rank integer, rule text, inputs jsonb, reason text,
    provider text, provider_id text, attempts integer,
    scheduled_for timestamptz, queued_at timestamptz, sent_at timestamptz,
    delivered_at timestamptz, opened_at timestamptz, clicked_at timestamptz,
    clicked_url text, bounced_at timestamptz, complained_at timestamptz,
    replied_at timestamptz, updated_at timestamptz
);
CREATE INDEX messages_sequence ON messages (sequence_id, scheduled_for DESC, message_id DESC);
CREATE INDEX messages_enrollment ON messages (enrollment_id);
CREATE INDEX messages_lead ON messages (lead_id, sent_at);

CREATE TABLE controls (
    scope text PRIMARY KEY, tenant_id text NOT NULL, paused boolean NOT NULL,
    reason text, changed_by text, at timestamptz NOT NULL
);
"""

SUMMARIES = """
CREATE TABLE summaries (
    summary_id text PRIMARY KEY, tenant_id text NOT NULL, project_id text,
    lead_id text, owner text, text text, text_hash text, risk_flags jsonb,
    next_action text, decided_by text, created_at timestamptz,
    decision text, covered_hash text, approved_text text, reviewer text, reason text,
    reviewed_at timestamptz
);
CREATE INDEX summaries_newest ON summaries (tenant_id, created_at DESC, summary_id DESC);

-- What a decision let out: the edited text, else the draft, and only if the hash that the
-- reviewer saw is the hash of exactly these bytes.
CREATE FUNCTION released_text(s summaries) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT released FROM (SELECT coalesce(s.approved_text, s.text) AS released) AS r
    WHERE s.decision IN ('approved', 'edited')
      AND encode(sha256(convert_to(released, 'UTF8')), 'hex') = s.covered_hash
$$;
"""

# Counts are kept by the database, in the transaction that changes what is counted: no
# projection can forget one, and a page reads a handful of rows however many messages there are.
COUNTERS = """
CREATE TABLE counters (
    tenant_id text, sequence_id text, step_id text, name text, n bigint NOT NULL,
    PRIMARY KEY (tenant_id, sequence_id, step_id, name)
) WITH (fillfactor = 50);

CREATE FUNCTION message_counts(m messages) RETURNS TABLE (name text, n bigint)
LANGUAGE sql IMMUTABLE AS $$
    SELECT each, 1::bigint FROM unnest(ARRAY[
        m.state,
        CASE WHEN m.state = 'sent' AND m.channel = 'email' THEN 'sent_email' END,
        CASE WHEN m.delivered_at IS NOT NULL THEN 'delivered' END,
        CASE WHEN m.opened_at IS NOT NULL THEN 'opened' END,
        CASE WHEN m.clicked_at IS NOT NULL THEN 'clicked' END,
        CASE WHEN m.replied_at IS NOT NULL THEN 'replied' END,
        CASE WHEN m.bounced_at IS NOT NULL THEN 'bounced' END
    ]) AS each WHERE each IS NOT NULL
$$;

CREATE FUNCTION enrollment_counts(e enrollments) RETURNS TABLE (name text, n bigint)
LANGUAGE sql IMMUTABLE AS $$
    SELECT each.name, each.n FROM (VALUES
        ('enrolled', CASE WHEN e.enrolled_at IS NOT NULL THEN 1 END),
        (e.status, 1),
        ('moved:' || e.moved_to, 1),
        ('live_steps_done', CASE WHEN e.status IN ('active', 'paused') THEN e.steps_done END)
    ) AS each (name, n) WHERE each.name IS NOT NULL AND each.n IS NOT NULL
$$;

CREATE FUNCTION raw_event_counts(r raw_events) RETURNS TABLE (name text, n bigint)
LANGUAGE sql IMMUTABLE AS $$
    SELECT each, 1::bigint FROM unnest(ARRAY['received', r.outcome]) AS each
    WHERE each IS NOT NULL AND r.received_at IS NOT NULL
$$;

CREATE FUNCTION summary_counts(s summaries) RETURNS TABLE (name text, n bigint)
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN s.decision IS NULL THEN 'summaries_pending'
                WHEN released_text(s) IS NOT NULL THEN 'summaries_approved'
                WHEN s.decision = 'rejected' THEN 'summaries_rejected'
                ELSE 'summaries_uncovered' END, 1::bigint
    WHERE s.text IS NOT NULL
$$;
"""


def counted(table: str, function: str, sequence: str, step: str) -> str:
    """Triggers that keep the counters of a table: what is new comes in, what was goes out."""
    rows = (
        "SELECT x.tenant_id, {sequence} AS sequence_id, {step} AS step_id, c.name, {sign} c.n AS n "
        "FROM {source} x CROSS JOIN LATERAL {function}(x) AS c"
    )

    def part(source: str, sign: str) -> str:
        return rows.format(
            sequence=sequence, step=step, sign=sign, source=source, function=function
        )

    add = """
        INSERT INTO counters AS kept (tenant_id, sequence_id, step_id, name, n)
        SELECT tenant_id, sequence_id, step_id, name, sum(n) FROM ({changes}) AS changes
        GROUP BY tenant_id, sequence_id, step_id, name HAVING sum(n) <> 0
        ORDER BY tenant_id, sequence_id, step_id, name
        ON CONFLICT (tenant_id, sequence_id, step_id, name)
        DO UPDATE SET n = kept.n + excluded.n;
    """
    inserted = add.format(changes=part("new_rows", "+"))
    updated = add.format(changes=part("new_rows", "+") + " UNION ALL " + part("old_rows", "-"))
    return f"""
    CREATE FUNCTION count_new_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN {inserted} RETURN NULL; END $$;
    CREATE FUNCTION count_changed_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN {updated} RETURN NULL; END $$;
    CREATE TRIGGER count_new AFTER INSERT ON {table}
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_new_{table}();
    CREATE TRIGGER count_changed AFTER UPDATE ON {table}
    REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_{table}();
    """


OWN = """
-- API keys, sessions and sign-in tickets; of a secret only its SHA-256 is kept.
CREATE TABLE credentials (
    credential_id text PRIMARY KEY, kind text NOT NULL, secret_hash text UNIQUE,
    role text NOT NULL, tenant_id text, subject text NOT NULL,
    created_at timestamptz NOT NULL, expires_at timestamptz, used_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE idempotency_keys (
    subject text, key text, request_hash text NOT NULL, begun_at timestamptz NOT NULL,
    status integer, body jsonb,
    PRIMARY KEY (subject, key)
);

-- Who is about to publish what: a version, a review. Taken once; lapses if nothing came of it.
CREATE TABLE claims (name text PRIMARY KEY, holder text NOT NULL, at timestamptz NOT NULL);

CREATE TABLE audit_log (
    audit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL, role text NOT NULL, subject text NOT NULL, tenant_id text,
    action text NOT NULL, target text NOT NULL, status integer NOT NULL, detail jsonb NOT NULL
);
"""

# The client role sees these two views and nothing else: a view runs with the rights of its
# owner, so the role needs none on the tables. `security_barrier` keeps a function in the
# reader's query from seeing rows before the view's own condition has passed them. Approval
# is checked by the hash of the bytes, so that no projection can let other bytes out.
CLIENT = """
CREATE VIEW client_summaries WITH (security_barrier) AS
    SELECT tenant_id, project_id, summary_id, released_text(s) AS text,
           reviewed_at AS approved_at
    FROM summaries s
    WHERE tenant_id = current_setting('leadflow.tenant', true)
      AND released_text(s) IS NOT NULL;

CREATE VIEW client_metrics WITH (security_barrier) AS
    SELECT tenant_id, name, sum(n)::bigint AS n
    FROM counters
    WHERE tenant_id = current_setting('leadflow.tenant', true)
      AND name IN ('received', 'sent', 'replied', 'summaries_approved')
    GROUP BY tenant_id, name;

GRANT USAGE ON SCHEMA portal TO portal_client;
GRANT SELECT ON client_summaries, client_metrics TO portal_client;
"""


def upgrade() -> None:
    for part in (
        LEADS,
        RAW_EVENTS,
        SEQUENCES,
        SUMMARIES,
        COUNTERS,
        counted(
            "messages", "message_counts", "coalesce(x.sequence_id, '')", "coalesce(x.step_id, '')"
        ),
        counted("enrollments", "enrollment_counts", "coalesce(x.sequence_id, '')", "''"),
        counted("raw_events", "raw_event_counts", "''", "''"),
        counted("summaries", "summary_counts", "''", "''"),
        OWN,
        CLIENT,
    ):
        statements(part)


def statements(part: str) -> None:
    """asyncpg runs one statement at a time, so cut at semicolons that end a line outside `$$`."""
    statement: list[str] = []
    quoted = False
    for line in part.splitlines():
        statement.append(line)
        quoted ^= line.count("$$") % 2 == 1
        if not quoted and line.rstrip().endswith(";"):
            op.execute("\n".join(statement))
            statement = []
