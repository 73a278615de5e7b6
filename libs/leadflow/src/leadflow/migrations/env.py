"""Alembic's environment, shared by all services: `leadflow.database.migrate` hands it a
connection and the schema to work in."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
context.configure(
    connection=attributes["connection"],
    version_table_schema=attributes["schema"],
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
