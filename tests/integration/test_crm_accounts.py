"""CRM accounts on real Kafka and PostgreSQL, against the sandbox's HubSpot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from crm_sync.budget import Budget
from crm_sync.crm.base import CrmNoRoom
from crm_sync.gates import Gates
from leadflow import database, topics
from leadflow.clock import SystemClock
from leadflow.records import AccountStatusChanged, LeadCreated, SyncRunRecorded
from leadflow.topic import Topic

from .crm_leads import new_leads
from .crm_syncing import ACCOUNT_SECRET, CrmSync, around_crm_sync, until
from .reading import read_all

pytestmark = pytest.mark.integration

Told = TypeVar("Told", AccountStatusChanged, SyncRunRecorded)


def created(tenant_id: str) -> LeadCreated:
    (lead,) = new_leads(tenant_id, 1)
    return lead.created()


class World(CrmSync):
    async def set_up(self, name: str, **behaviour: Any) -> None:
        answer = await self.sandbox.post(f"/accounts/hubspot/{name}", json=behaviour)
        answer.raise_for_status()

    async def hubspot_leads(self, name: str) -> set[str]:
        answer = await self.sandbox.get(f"/accounts/hubspot/{name}/contacts")
        return {item["values"].get("leadflow_lead_id") for item in answer.json()["items"]}

    async def is_in_the_default_crm(self, lead_id: str) -> bool:
        return (await self.sandbox.get(f"/crm/contacts/{lead_id}")).status_code == 200

    def told(self, topic: Topic, kind: type[Told]) -> list[Told]:
        """What crm-sync told, each event once."""
        found = [
            self.codec.decode(message.value()) for message in read_all(self.bootstrap, topic.name)
        ]
        return list({each.event_id: each for each in found if isinstance(each, kind)}.values())

    def statuses(self, account_id: str) -> list[str]:
        told = self.told(topics.CRM_ACCOUNTS, AccountStatusChanged)
        return [each.status for each in told if each.account_id == account_id]

    def results(self, lead_id: str) -> list[tuple[str, int, str | None]]:
        told = self.told(topics.CRM_SYNC_EVENTS, SyncRunRecorded)
        return [
            (each.result, each.attempts, each.error) for each in told if each.lead_id == lead_id
        ]

    async def status(self, account_id: str) -> str:
        (row,) = await self.rows(
            "SELECT status FROM integration_accounts WHERE account_id = :id", id=account_id
        )
        return str(row.status)


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    async with around_crm_sync(
        World,
        kafka_bootstrap,
        admin_url,
        secret,
        tmp_path,
        LEADFLOW_CRM_RETRY_DELAYS="0.2,0.3,0.5",
        LEADFLOW_CRM_CANARY_SECONDS="0.5",
        LEADFLOW_ACCOUNT_SECRET=ACCOUNT_SECRET,
    ) as made:
        await made.start("crm_sync")
        yield made


async def test_an_account_gets_its_tenants_leads_and_its_trouble_is_its_own(
    world: World,
) -> None:
    mine, other = f"tenant-{uuid4()}", f"tenant-{uuid4()}"
    hubspot = f"portal{uuid4().hex[:8]}"
    account_id = await world.account(
        *("add", mine, "hubspot", "--url", f"{world.url}/hubspot"),
        told=f"pat-na1-{hubspot}",
    )
    # Each to its own: what stands in the row is not the token.
    first, theirs = created(mine), created(other)
    await world.publish(first, theirs)

    async def routed() -> bool:
        return first.lead_id in await world.hubspot_leads(
            hubspot
        ) and await world.is_in_the_default_crm(theirs.lead_id)

    await until(routed, "the leads did not reach their tenants' CRMs")
    assert not await world.is_in_the_default_crm(first.lead_id)
    (row,) = await world.rows(
        "SELECT sealed_secret FROM integration_accounts WHERE account_id = :id", id=account_id
    )
    assert hubspot.encode() not in row.sealed_secret

    # The token is not taken any more: this account is paused, and no other.
    await world.set_up(hubspot, revoked=True)
    second, third = created(mine), created(other)
    await world.publish(second, third)

    async def paused() -> bool:
        return await world.status(account_id) == "paused"

    await until(paused, "the account was not paused")
    await until(
        lambda: world.is_in_the_default_crm(third.lead_id), "another tenant's lead was held up"
    )

    async def waits() -> bool:
        found = await world.rows(
            "SELECT result, attempts FROM sync_runs WHERE lead_id = :id", id=second.lead_id
        )
        return [tuple(run) for run in found] == [("waiting", 0)]

    await until(waits, "the lead does not wait, or an attempt was counted")
    assert await world.status("default") == "active"

    # The canary resumes it, and what waited is written.
    await world.set_up(hubspot, revoked=False)

    async def written() -> bool:
        return second.lead_id in await world.hubspot_leads(hubspot)

    await until(written, "the lead that waited was not written")
    assert await world.status(account_id) == "active"

    # All of it has been told, and nowhere is the token.
    async def told() -> bool:
        return world.statuses(account_id)[-2:] == ["paused", "active"]

    await until(told, "the account's changes were not told")
    assert world.results(second.lead_id)[0] == ("waiting", 0, "CrmSignIn")
    # The write ahead was repeated, so the record itself found nothing left to do.
    assert world.results(second.lead_id)[-1][0] in ("written", "unchanged")
    assert f"pat-na1-{hubspot}" not in (world.logs / "crm_sync.log").read_text()


async def test_two_workers_share_the_budget_of_an_account(admin_url: str, secret: str) -> None:
    database_url = database.role_url(admin_url, "crm_sync", secret)
    await asyncio.to_thread(database.migrate, "crm_sync", database_url)
    engine = database.engine(database_url, pool_size=2)
    budget = Budget(calls=40, seconds=10)
    account_id = f"hubspot-{uuid4()}"
    clock = SystemClock()
    gates = [Gates(engine, clock, timedelta(0)).of(account_id, budget) for _ in range(2)]
    made, wait = 0, timedelta(0)
    for number in range(20):
        try:
            await gates[number % 2]()
            made += 1
        except CrmNoRoom as error:
            wait = error.retry_after
    # A tenth at once; the rest, at 3.6 a second, while these 20 were asked for.
    assert 4 <= made <= 6
    assert timedelta(0) < wait <= timedelta(seconds=1 / 3.6)
    patient = Gates(engine, clock, timedelta(seconds=1)).of(account_id, budget)
    await patient()
    await engine.dispose()
