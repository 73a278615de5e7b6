"""What each role may do in PostgreSQL, and what the driver raises when it may not."""

from __future__ import annotations

import asyncio
import traceback
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow import database, logs
from leadflow.database import CLIENT_ROLE, SCHEMAS
from leadflow.errors import is_retryable

pytestmark = pytest.mark.integration

ROLES = sorted(SCHEMAS.values())
DENIED = "42501"  # insufficient_privilege, PostgreSQL appendix A
ADDRESS = "m@example.com"
Url = Callable[[str], str]


@asynccontextmanager
async def connected(url: str, *, autocommit: bool = False) -> AsyncIterator[AsyncConnection]:
    engine = database.engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            if autocommit:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
            yield connection
    finally:
        await engine.dispose()


@pytest.fixture(scope="module")
def fresh_url(admin_url: str, secret: str) -> Iterator[str]:
    """The administrator's URL of a new database, provisioned and migrated as at a first start."""

    name = f"roles_{uuid.uuid4().hex}"

    async def administer(statement: str) -> None:
        async with connected(admin_url, autocommit=True) as connection:
            await connection.execute(text(statement))

    asyncio.run(administer(f"CREATE DATABASE {name}"))
    url = make_url(admin_url).set(database=name).render_as_string(hide_password=False)
    try:
        database.provision(url, secret)
        for package, role in SCHEMAS.items():
            database.migrate(package, database.role_url(url, role, secret))
        yield url
    finally:
        asyncio.run(administer(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def url(fresh_url: str, secret: str) -> Url:
    return lambda role: database.role_url(fresh_url, role, secret)


async def refused(connection: AsyncConnection, statement: str) -> None:
    """The statement is refused for want of a privilege, and for nothing else."""
    with pytest.raises(DBAPIError) as caught:
        await connection.execute(text(statement))
    await connection.rollback()
    assert getattr(caught.value.orig, "sqlstate", None) == DENIED, statement
    assert not is_retryable(caught.value)


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_creates_in_its_own_schema_without_naming_it(url: Url, role: str) -> None:
    async with connected(url(role)) as connection:
        await connection.execute(text("CREATE TABLE probe (id int)"))
        found = await connection.scalar(
            text("SELECT schemaname FROM pg_tables WHERE tablename = 'probe'")
        )
        await connection.rollback()
    assert found == role


@pytest.mark.parametrize("role", [*ROLES, CLIENT_ROLE])
async def test_a_role_can_touch_nothing_of_the_others(fresh_url: str, url: Url, role: str) -> None:
    async with connected(fresh_url) as connection:
        rows = await connection.execute(
            text("SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(:schemas)"),
            {"schemas": ROLES},
        )
        tables = [tuple(row) for row in rows]
    assert {schema for schema, _ in tables} == set(ROLES)
    async with connected(url(role)) as connection:
        for schema, table in tables:
            if schema == role or (role == CLIENT_ROLE and schema == "portal"):
                continue
            await refused(connection, f'SELECT 1 FROM {schema}."{table}"')
            await refused(connection, f'DELETE FROM {schema}."{table}"')
        for schema in {*ROLES, "public"} - {role}:
            await refused(connection, f"CREATE TABLE {schema}.probe (id int)")


@pytest.mark.parametrize("role", [*ROLES, CLIENT_ROLE])
async def test_a_role_makes_neither_roles_nor_databases_nor_schemas(url: Url, role: str) -> None:
    async with connected(url(role), autocommit=True) as connection:
        await refused(connection, "CREATE ROLE probe")
        await refused(connection, "CREATE DATABASE probe")
        await refused(connection, "CREATE SCHEMA probe")


async def test_the_client_role_owns_nothing_and_makes_nothing(url: Url) -> None:
    async with connected(url(CLIENT_ROLE)) as connection:
        await refused(connection, "CREATE TABLE portal.probe (id int)")
        await refused(connection, "CREATE TEMP TABLE probe (id int)")
        await refused(connection, "UPDATE pg_authid SET rolsuper = true")


async def test_another_secret_is_another_password(fresh_url: str) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with connected(database.role_url(fresh_url, "intake", "wrong")):
            pass
    assert getattr(caught.value.orig, "sqlstate", None) == "28P01"  # invalid_password


def test_provisioning_again_changes_nothing(fresh_url: str, secret: str) -> None:
    database.provision(fresh_url, secret)
    for package, role in SCHEMAS.items():
        database.migrate(package, database.role_url(fresh_url, role, secret))


async def test_a_connection_that_the_server_ends_is_worth_a_retry(fresh_url: str, url: Url) -> None:
    async with connected(url("intake")) as connection:
        number = await connection.scalar(text("SELECT pg_backend_pid()"))
        async with connected(fresh_url) as admin:
            await admin.execute(text("SELECT pg_terminate_backend(:number)"), {"number": number})
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("SELECT 1"))
        assert is_retryable(caught.value)


async def test_two_that_wait_for_each_other_are_worth_a_retry(url: Url) -> None:
    lock = text("SELECT pg_advisory_xact_lock(:number)")
    async with connected(url("intake")) as one, connected(url("intake")) as two:
        await one.execute(lock, {"number": 1})
        await two.execute(lock, {"number": 2})

        ends = await asyncio.gather(
            one.execute(lock, {"number": 2}),
            two.execute(lock, {"number": 1}),
            return_exceptions=True,
        )
    [deadlock] = [end for end in ends if isinstance(end, BaseException)]
    assert is_retryable(deadlock)


async def test_a_row_that_breaks_a_rule_is_not_worth_a_retry(url: Url) -> None:
    async with connected(url("intake")) as connection:
        await connection.execute(text("CREATE TABLE probe (id int PRIMARY KEY)"))
        await connection.execute(text("INSERT INTO probe VALUES (1)"))
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(text("INSERT INTO probe VALUES (1)"))
    assert not is_retryable(caught.value)
    assert getattr(caught.value.orig, "sqlstate", None) == "23505"  # unique_violation


async def test_what_is_logged_of_an_error_holds_no_value_of_the_row(url: Url) -> None:
    async with connected(url("intake")) as connection:
        await connection.execute(text("CREATE TABLE probe (email text PRIMARY KEY)"))
        insert = text("INSERT INTO probe VALUES (:email)")
        await connection.execute(insert, {"email": ADDRESS})
        with pytest.raises(DBAPIError) as caught:
            await connection.execute(insert, {"email": ADDRESS})
    # The driver's own text does: Key (email)=(m@example.com) already exists.
    assert ADDRESS in "".join(traceback.format_exception(caught.value))
    logged = logs.describe_error(None, "error", {"exc_info": caught.value})
    assert logged["exception"].endswith("IntegrityError\n")
    assert ADDRESS not in logged["exception"]
