"""Notices of CRMs in their table: folded, taken by one worker, gone once somebody has looked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_sync.compare import Heard
from crm_sync.model import STAGE, Contact, Earlier, Order, Register
from crm_sync.notice_store import MOST_CHANGES, Named, Notice, NoticeStore
from crm_sync.store import Store
from leadflow import database

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LEASE = timedelta(minutes=2)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Table:
    """The notices of one account, whose status a test may change."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.clock = Clock()
        self.store = NoticeStore(engine, self.clock)
        self.account_id = f"hubspot-{uuid4()}"

    def notice(self, crm_id: str, *changes: Named, second: int = 0) -> Notice:
        return Notice(
            account_id=self.account_id,
            tenant_id="acme",
            object="deal",
            crm_id=crm_id,
            changes=changes,
            noticed_at=NOW + timedelta(seconds=second),
        )

    async def take(self) -> dict[str, Notice]:
        found = await self.store.take(1_000, LEASE)
        return {each.crm_id: each for each in found if each.account_id == self.account_id}

    async def has(self, status: str) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO integration_accounts (account_id, tenant_id, provider, status)"
                    " VALUES (:id, :id, 'hubspot', :status)"
                    " ON CONFLICT (account_id) DO UPDATE SET status = excluded.status"
                ),
                {"id": self.account_id, "status": status},
            )


@pytest.fixture
async def table(admin_url: str, secret: str) -> AsyncIterator[Table]:
    url = database.role_url(admin_url, "crm_sync", secret)
    await asyncio.to_thread(database.migrate, "crm_sync", url)
    engine = database.engine(url)
    made = Table(engine)
    await made.has("active")
    yield made
    await made.has("removed")
    await made.take()
    await engine.dispose()


def named(value: str, second: int) -> Named:
    return Named("dealstage", value, NOW + timedelta(seconds=second))


async def test_notices_of_one_object_are_one_row(table: Table) -> None:
    first = table.notice("1", named("a", 1), second=1)
    second = table.notice("1", named("b", 9), Named("amount", "7", NOW), second=9)
    await table.store.fold([first, second, table.notice("2")], timedelta(0))
    found = await table.take()
    assert set(found) == {"1", "2"}
    assert found["1"].changes == (named("a", 1), named("b", 9), Named("amount", "7", NOW))
    assert (found["1"].noticed_at, found["1"].version) == (NOW + timedelta(seconds=9), 2)
    assert (found["2"].changes, found["2"].attempts, found["2"].first_at) == ((), 1, NOW)


async def test_a_row_is_taken_when_it_is_due_and_by_one_worker(table: Table) -> None:
    await table.store.fold([table.notice("1")], timedelta(seconds=2))
    assert await table.take() == {}
    table.clock.at += timedelta(seconds=2)
    both = await asyncio.gather(table.take(), table.take())
    assert sorted(len(each) for each in both) == [0, 1]
    # Whoever has it may die: it is anybody's again when the lease is over.
    table.clock.at += LEASE
    again = await table.take()
    assert again["1"].attempts == 2
    await table.store.put_off(again["1"], timedelta(minutes=5))
    table.clock.at += LEASE
    assert await table.take() == {}


async def test_what_is_told_while_somebody_looks_is_left(table: Table) -> None:
    await table.store.fold([table.notice("1", named("a", 1))], timedelta(0))
    mine = (await table.take())["1"]
    await table.store.fold([table.notice("1", named("b", 5))], timedelta(seconds=30))
    await table.store.done([mine])
    left = (await table.take())["1"]
    assert (left.changes, left.attempts) == ((named("b", 5),), 1)
    await table.store.done([left])
    table.clock.at += timedelta(days=1)
    assert await table.take() == {}


async def test_a_paused_accounts_rows_wait_and_a_removed_ones_go(table: Table) -> None:
    await table.store.fold([table.notice("1")], timedelta(0))
    await table.has("paused")
    assert await table.take() == {}
    await table.has("active")
    assert (await table.take())["1"].attempts == 1
    await table.has("removed")
    await table.take()
    await table.has("active")
    table.clock.at += LEASE
    assert await table.take() == {}


async def test_a_flood_of_changes_is_bounded(table: Table) -> None:
    for second in range(3):
        flood = [named(str(number), second) for number in range(MOST_CHANGES)]
        await table.store.fold([table.notice("1", *flood)], timedelta(0))
    assert len((await table.take())["1"].changes) == MOST_CHANGES


async def test_a_contacts_row_knows_what_it_had_and_what_was_told_on(table: Table) -> None:
    lead_id = f"lead-{uuid4()}"

    def state(stage: str) -> dict[str, Register]:
        return {STAGE: Register(Order(1, "e1"), {"stage": stage})}

    store = Store(table.engine, table.clock)
    contact = Contact(lead_id, "acme", 0, state("new"), "101", account_id=table.account_id)
    (contact,) = await store.save_contacts([contact])
    table.clock.at += timedelta(seconds=5)
    begun = Contact(
        lead_id,
        "acme",
        contact.version,
        contact.state,
        "101",
        pending=state("lost"),
        pending_event="e2",
        account_id=table.account_id,
    )
    (begun,) = await store.save_contacts([begun])
    table.clock.at += timedelta(seconds=5)
    ended = Contact(
        lead_id,
        "acme",
        begun.version,
        state("lost"),
        "101",
        account_id=table.account_id,
        earlier=begun.earlier,
    )
    await store.save_contacts([ended])
    heard = Heard(NOW + timedelta(seconds=8), "closedlost", NOW)
    await table.store.fold([table.notice("1")], timedelta(0))
    mine = (await table.take())["1"]
    await table.store.done([mine], lead_id, {"deal.dealstage": heard})
    known = (await table.store.contacts(table.account_id, [lead_id]))[lead_id]
    assert known.contact.earlier == (Earlier("stage", "new", NOW + timedelta(seconds=5)),)
    assert known.heard == {"deal.dealstage": heard}
    assert known.begun_at == NOW + timedelta(seconds=5)
    assert known.written_at == NOW + timedelta(seconds=10)
