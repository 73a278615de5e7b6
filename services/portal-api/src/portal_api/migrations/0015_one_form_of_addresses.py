"""Suppressions under the form of an address that is compared now (ADR 20)."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from leadflow import ids
from leadflow.addresses import address_key

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# What is ASCII alone has one form anyway.
OTHERWISE = """
    SELECT suppression_id, tenant_id, channel, address, reason FROM suppressions
    WHERE octet_length(address) <> char_length(address)
"""
MOVE = """
    WITH moved AS (DELETE FROM suppressions WHERE suppression_id = :was RETURNING *)
    INSERT INTO suppressions AS s (
        suppression_id, tenant_id, channel, address, reason, active, source, changed_by, note,
        evidence, cause_id, changed_at, rank)
    SELECT :now, tenant_id, channel, :address, reason, active, source, changed_by, note,
        evidence, cause_id, changed_at, rank
    FROM moved
    ON CONFLICT (suppression_id) DO UPDATE SET
        active = excluded.active, source = excluded.source, changed_by = excluded.changed_by,
        note = excluded.note, evidence = excluded.evidence, cause_id = excluded.cause_id,
        changed_at = excluded.changed_at, rank = excluded.rank
    WHERE excluded.rank > s.rank
"""


def upgrade() -> None:
    connection = op.get_bind()
    for row in connection.execute(text(OTHERWISE)).all():
        address = address_key(row.channel, row.address)
        if address != row.address:
            now = ids.suppression_id(row.tenant_id, row.channel, address, row.reason)
            of = {"was": row.suppression_id, "now": now, "address": address}
            connection.execute(text(MOVE), of)
