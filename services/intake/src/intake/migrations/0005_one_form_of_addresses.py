"""E-mail addresses that are remembered, in the form in which they are compared now (ADR 20)."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

from leadflow.addresses import address_key

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# What is ASCII alone has one form anyway.
OTHERWISE = """
    SELECT DISTINCT value FROM identities
    WHERE kind = 'email' AND octet_length(value) <> char_length(value)
    UNION
    SELECT DISTINCT address FROM refusals
    WHERE channel = 'email' AND octet_length(address) <> char_length(address)
"""
# The old form stays beside the new one: nobody asks for it any more.
STATEMENTS = (
    """
    INSERT INTO identities (tenant_id, kind, value, lead_id)
    SELECT tenant_id, kind, :now, lead_id FROM identities
    WHERE kind = 'email' AND value = :was ORDER BY position
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO refusals (tenant_id, channel, address, refused_at)
    SELECT tenant_id, channel, :now, refused_at FROM refusals
    WHERE channel = 'email' AND address = :was
    ON CONFLICT DO NOTHING
    """,
)


def upgrade() -> None:
    connection = op.get_bind()
    for was in list(connection.scalars(text(OTHERWISE))):
        now = address_key("email", was).casefold()
        if now != was:
            for statement in STATEMENTS:
                connection.execute(text(statement), {"was": was, "now": now})
