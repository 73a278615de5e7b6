"""What was written down before there was one form of an address holds in that form (ADR 20)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine

from leadflow import database, ids

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

AT = datetime(2026, 11, 21, 9, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
BEFORE = {"dispatcher": "0014", "intake": "0004", "portal_api": "0014"}
# What came after it, and is made anew with it.
AFTER = {"dispatcher": ("DROP INDEX ledger_accepted", "DROP INDEX ledger_held_in_doubt")}


@pytest.fixture
async def fresh_url(admin_url: str) -> AsyncIterator[str]:
    name = f"addresses_{uuid4().hex}"
    admin = database.engine(admin_url, pool_size=1).execution_options(isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
        yield make_url(admin_url).set(database=name).render_as_string(hide_password=False)
        await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


async def migrated(package: str, admin_url: str, secret: str) -> AsyncEngine:
    await asyncio.to_thread(database.provision, admin_url, secret)
    url = database.role_url(admin_url, database.SCHEMAS[package], secret)
    await asyncio.to_thread(database.migrate, package, url)
    return database.engine(url, pool_size=1)


async def again(package: str, admin_url: str, secret: str, engine: AsyncEngine) -> None:
    """Migrate once more from the version before."""
    async with engine.begin() as connection:
        for statement in AFTER.get(package, ()):
            await connection.execute(text(statement))
        await connection.execute(
            text("UPDATE alembic_version SET version_num = :number"), {"number": BEFORE[package]}
        )
    url = database.role_url(admin_url, database.SCHEMAS[package], secret)
    await asyncio.to_thread(database.migrate, package, url)


async def test_the_dispatcher_compares_what_was_entered_in_another_form(
    fresh_url: str, secret: str
) -> None:
    engine = await migrated("dispatcher", fresh_url, secret)
    listed = [
        ("\u200bvic@example.com", True, AT),
        ("nb\u00ad@example.com", True, AT),
        ("nb@example.com", False, LATER),
        ("plain@example.com", True, AT),
    ]
    async with engine.begin() as connection:
        for address, active, at in listed:
            await connection.execute(
                text(
                    "INSERT INTO suppressions (tenant_id, channel, address, reason, active, "
                    "cause_id, changed_at) VALUES ('acme', 'email', :address, 'manual', :active, "
                    "'c', :at)"
                ),
                {"address": address, "active": active, "at": at},
            )
        await connection.execute(
            text(
                "INSERT INTO ledger (message_id, tenant_id, lead_id, channel, attempt, recipient, "
                "address, compliance_note, stop_on, due_at, state, rule, ready_at) VALUES ('m', "
                "'acme', 'l', 'email', 1, 'a@exämple.com', 'a@exämple.com', '', '{}', :at, 'held', "
                "'recipient_malformed', :at)"
            ),
            {"at": AT},
        )
    await again("dispatcher", fresh_url, secret, engine)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT address FROM ledger")) == "a@xn--exmple-cua.com"
        found = await connection.execute(text("SELECT address, active FROM suppressions"))
        assert {row.address: row.active for row in found} == {
            "vic@example.com": True,
            "nb@example.com": False,
            "plain@example.com": True,
        }
        # What a message is for is watched again.
        assert await connection.scalar(
            text("SELECT tgenabled = 'O' FROM pg_trigger WHERE tgname = 'whose'")
        )
    await engine.dispose()


async def test_the_portal_shows_one_entry_under_the_id_of_the_one_form(
    fresh_url: str, secret: str
) -> None:
    engine = await migrated("portal_api", fresh_url, secret)
    async with engine.begin() as connection:
        for address, active, rank in (("a@exämple.com", True, 5), ("\u200bv@example.com", True, 3)):
            entry = ids.suppression_id("acme", "email", address, "manual")
            await connection.execute(
                text(
                    "INSERT INTO suppressions (suppression_id, tenant_id, channel, address, reason,"
                    " active, rank) VALUES (:id, 'acme', 'email', :address, 'manual', :active, "
                    ":rank)"
                ),
                {"id": entry, "address": address, "active": active, "rank": rank},
            )
    await again("portal_api", fresh_url, secret, engine)
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT suppression_id, address FROM suppressions"))
        assert {tuple(row) for row in found} == {
            (ids.suppression_id("acme", "email", each, "manual"), each)
            for each in ("a@xn--exmple-cua.com", "v@example.com")
        }
    await engine.dispose()


async def test_intake_knows_who_said_no_in_whichever_way_their_domain_was_written(
    fresh_url: str, secret: str
) -> None:
    engine = await migrated("intake", fresh_url, secret)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO leads (lead_id, tenant_id, source, revision, status, stage, seen_at, "
                "snapshot) VALUES ('l', 'acme', 'web', 1, 'active', 'new', :at, '')"
            ),
            {"at": AT},
        )
        await connection.execute(
            text(
                "INSERT INTO identities (tenant_id, kind, value, lead_id) "
                "VALUES ('acme', 'email', 'a@exämple.com', 'l')"
            )
        )
        await connection.execute(
            text(
                "INSERT INTO refusals (tenant_id, channel, address, refused_at) "
                "VALUES ('acme', 'email', 'a@exämple.com', :at)"
            ),
            {"at": AT},
        )
    await again("intake", fresh_url, secret, engine)
    async with engine.connect() as connection:
        for column, table in (("value", "identities"), ("address", "refusals")):
            found = await connection.scalars(text(f"SELECT {column} FROM {table}"))
            assert "a@xn--exmple-cua.com" in set(found)
    await engine.dispose()
