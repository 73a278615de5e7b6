"""Leads, what they are known by, refused addresses, and what was decided about raw events."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

SQL = (
    # The lead's last state: `snapshot` is a LeadUpdated in the codec's framing, so that what
    # identifies a person passes through the codec here as it does on every topic.
    """
    CREATE TABLE leads (
        lead_id text PRIMARY KEY,
        tenant_id text NOT NULL,
        source text NOT NULL,
        revision integer NOT NULL,
        status text NOT NULL,
        stage text NOT NULL,
        temperature text,
        seen_at timestamptz NOT NULL,
        snapshot bytea NOT NULL
    ) WITH (fillfactor = 80)
    """,
    # Several leads may share a phone, and under the link policy an e-mail address:
    # `position` says which was first.
    """
    CREATE TABLE identities (
        tenant_id text NOT NULL,
        kind text NOT NULL,
        value text NOT NULL,
        lead_id text NOT NULL REFERENCES leads,
        position bigint GENERATED ALWAYS AS IDENTITY,
        PRIMARY KEY (tenant_id, kind, value, lead_id)
    )
    """,
    "CREATE INDEX identities_by_lead ON identities (lead_id)",
    """
    CREATE TABLE refusals (
        tenant_id text NOT NULL,
        channel text NOT NULL,
        address text NOT NULL,
        refused_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, channel, address)
    )
    """,
    # What was decided about a raw event, as it was or will be published. A raw event that
    # comes again publishes these bytes again.
    """
    CREATE TABLE outbox (
        tenant_id text NOT NULL,
        event_id text NOT NULL,
        position smallint NOT NULL,
        topic text NOT NULL,
        key bytea NOT NULL,
        value bytea NOT NULL,
        decided_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, event_id, position)
    )
    """,
)


def upgrade() -> None:
    for statement in SQL:
        op.execute(statement)
