"""PostgreSQL: one schema and one role a service; the client role sees two views.

A service connects as its own role and can touch no other schema. Provisioning is done once
by an administrator's connection; each service then migrates its own schema.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from asyncpg import PostgresError
from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from leadflow.errors import DatabaseDown, DatabaseError, SettingError, is_retryable

# Role and schema of each service that keeps data, by the name of its package.
SCHEMAS = {
    "intake": "intake",
    "dispatcher": "dispatcher",
    "crm_sync": "crm_sync",
    "portal_api": "portal",
}
CLIENT_ROLE = "portal_client"
# SQLSTATE classes of a server that starts, ends, is full, or knows no such role or database
# (PostgreSQL, appendix A): what it says then is about itself.
LETS_NOBODY_IN = ("28", "3D", "53", "57P")


def engine(url: str, *, pool_size: int = 8) -> AsyncEngine:
    """An asyncpg engine; `url` is postgresql://role:password@host:port/database."""
    return create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        pool_size=pool_size,
        max_overflow=0,  # bounded: a service that wants more waits
        pool_pre_ping=True,
        # Values go in as parameters; keep them out of error texts and so out of logs.
        hide_parameters=True,
        connect_args={"timeout": 10, "command_timeout": 60},
    )


def role_password(secret: str, role: str) -> str:
    """Every role's password follows from one secret, so that none is kept twice."""
    return hmac.new(secret.encode(), f"postgres role {role}".encode(), "sha256").hexdigest()


def role_url(admin_url: str, role: str, secret: str) -> str:
    """Where `role` connects, in the administrator's database."""
    url = make_url(admin_url).set(username=role, password=role_password(secret, role))
    return _plain(url)


def provision(
    admin_url: str, secret: str, passwords: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Create roles and schemas, or put their passwords and rights back. Blocks.

    A role that `passwords` does not name gets the one that follows from `secret`.
    """
    asyncio.run(_provision(admin_url, secret, passwords))


async def _provision(admin_url: str, secret: str, passwords: Mapping[str, str]) -> None:
    admin = engine(admin_url, pool_size=1)
    try:
        async with admin.begin() as connection:
            database = (await connection.execute(text("SELECT current_database()"))).scalar_one()
            quoted = '"' + str(database).replace('"', '""') + '"'
            # One provisioner at a time: CREATE ROLE is not safe to race.
            await connection.execute(text("SELECT pg_advisory_xact_lock(7312)"))
            await connection.execute(text(f"REVOKE ALL ON DATABASE {quoted} FROM PUBLIC"))
            await connection.execute(text("REVOKE ALL ON SCHEMA public FROM PUBLIC"))
            for role in (*SCHEMAS.values(), CLIENT_ROLE):
                exists = await connection.scalar(
                    text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}
                )
                verb = "ALTER" if exists else "CREATE"
                password = passwords.get(role) or role_password(secret, role)
                # DDL takes no parameters: the server itself quotes what goes into it.
                statement = await connection.scalar(
                    text(
                        "SELECT format('%s ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE "
                        "PASSWORD %L', CAST(:verb AS text), CAST(:role AS text), "
                        "CAST(:password AS text))"
                    ),
                    {"verb": verb, "role": role, "password": password},
                )
                await connection.exec_driver_sql(str(statement))
                await connection.execute(text(f"GRANT CONNECT ON DATABASE {quoted} TO {role}"))
            for schema in SCHEMAS.values():
                await connection.execute(
                    text(f"CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {schema}")
                )
                await connection.execute(text(f"ALTER ROLE {schema} SET search_path = {schema}"))
                await connection.execute(text(f"REVOKE ALL ON SCHEMA {schema} FROM PUBLIC"))
    finally:
        await admin.dispose()


def migrate(package: str, url: str) -> None:
    """Bring the schema of a service to its newest version, from PACKAGE/migrations. Blocks.

    Raises DatabaseDown while the database cannot be reached, and DatabaseError otherwise; their
    text names the database, without its password.
    """
    place = _place(url)
    try:
        asyncio.run(_migrate(package, url))
    except (OSError, SQLAlchemyError, PostgresError, CommandError) as error:
        kind = DatabaseDown if is_retryable(error) else DatabaseError
        raise kind(f"the database {place}: {_why(error)}") from error


def _place(url: str) -> str:
    """Raises SettingError."""
    try:
        read = make_url(url)
        return f"{read.username} at {read.host}:{read.port or 5432}/{read.database}"
    except (ArgumentError, ValueError):
        # Never the text itself: there may be a password in it.
        raise SettingError(
            "LEADFLOW_DATABASE_URL takes postgresql://ROLE:PASSWORD@HOST:PORT/DATABASE"
        ) from None


def _why(error: BaseException) -> str:
    """The words of a server that does not let us in, and of Alembic: they hold no row."""
    cause: BaseException | None = error
    while cause is not None:
        sqlstate = getattr(cause, "sqlstate", None) or ""
        if isinstance(cause, (OSError, CommandError)) or sqlstate.startswith(LETS_NOBODY_IN):
            return str(cause) or type(cause).__name__
        last, cause = cause, cause.__cause__
    return type(last).__name__


async def _migrate(package: str, url: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(files("leadflow").joinpath("migrations")))
    config.set_main_option("version_locations", str(files(package).joinpath("migrations")))
    config.set_main_option("path_separator", "newline")

    def upgrade(connection: Connection) -> None:
        config.attributes["connection"] = connection
        config.attributes["schema"] = SCHEMAS[package]
        command.upgrade(config, "head")

    own = engine(url, pool_size=1)
    try:
        async with own.begin() as connection:
            # Workers that start together migrate one after the other.
            await connection.execute(text("SELECT pg_advisory_xact_lock(7313)"))
            await connection.run_sync(upgrade)
    finally:
        await own.dispose()


def _plain(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
