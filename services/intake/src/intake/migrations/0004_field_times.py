"""When the fields that go both ways were set, and room for every record of a decision."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    # JSON, read and written as a whole. Of a lead that is there already nothing is known: what a
    # CRM tells of then stands.
    "ALTER TABLE leads ADD COLUMN field_times text NOT NULL DEFAULT '{}'",
    # One opt-out is told to every lead behind an address, on up to three channels: 10,923 leads
    # are more records than a smallint can count. This rewrites the table.
    "ALTER TABLE outbox ALTER COLUMN position TYPE integer",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
