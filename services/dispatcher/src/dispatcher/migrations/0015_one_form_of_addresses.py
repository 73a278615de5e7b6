"""Addresses in the form in which they are compared now: one that was entered with a character that
nobody sees, or a domain in other letters than DNS has, protected nobody (ADR 20)."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from leadflow.addresses import address_key

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# What is ASCII alone has one form anyway.
OTHERWISE = """
    SELECT tenant_id, channel, address FROM suppressions
    WHERE octet_length(address) <> char_length(address)
    GROUP BY tenant_id, channel, address
"""
# Which of two counts is what `suppress.py` has: the later one, at the same moment the suppression.
MOVE = (
    """
    INSERT INTO suppressions AS s (
        tenant_id, channel, address, reason, active, cause_id, changed_at, source, note, told)
    SELECT tenant_id, channel, :now, reason, active, cause_id, changed_at, source, note, told
    FROM suppressions
    WHERE tenant_id = :tenant_id AND channel = :channel AND address = :was
    ON CONFLICT (tenant_id, channel, address, reason) DO UPDATE SET
        active = excluded.active, cause_id = excluded.cause_id, changed_at = excluded.changed_at,
        source = excluded.source, note = excluded.note, told = excluded.told
    WHERE excluded.changed_at > s.changed_at
        OR excluded.changed_at = s.changed_at AND excluded.active AND NOT s.active
    """,
    """
    DELETE FROM suppressions
    WHERE tenant_id = :tenant_id AND channel = :channel AND address = :was
    """,
)
# What has come to its end keeps its address: the chain has the hash of it.
WAITING = """
    SELECT DISTINCT channel, address FROM ledger
    WHERE state IN ('queued', 'claimed', 'held') AND octet_length(address) <> char_length(address)
"""
WAITS = """
    UPDATE ledger SET address = :now
    WHERE state IN ('queued', 'claimed', 'held') AND channel = :channel AND address = :was
"""


def upgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(text(OTHERWISE)).all():
        now = address_key(row.channel, row.address)
        if now != row.address:
            of = {"tenant_id": row.tenant_id, "channel": row.channel}
            for statement in MOVE:
                connection.execute(text(statement), {**of, "was": row.address, "now": now})
    waiting = [
        (row.channel, row.address, address_key(row.channel, row.address))
        for row in connection.execute(text(WAITING)).all()
    ]
    connection.execute(text("ALTER TABLE ledger DISABLE TRIGGER whose"))
    for channel, was, now in waiting:
        if now != was:
            connection.execute(text(WAITS), {"channel": channel, "was": was, "now": now})
    connection.execute(text("ALTER TABLE ledger ENABLE TRIGGER whose"))
