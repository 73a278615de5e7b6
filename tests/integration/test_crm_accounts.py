"""CRM accounts on real Kafka and PostgreSQL, against the sandbox's HubSpot."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_sync.budget import Budget
from crm_sync.crm.base import CrmNoRoom
from crm_sync.gates import Gates
from leadflow import database, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import AccountStatusChanged, LeadCreated, SyncRunRecorded
from leadflow.topic import Topic

from .reading import read_all, start_at_the_end

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TOPICS = ("lead-events", "enrollment-events", "message-events", "summaries")
SECRET = b64encode(b"integration accounts of the test").decode()


Told = TypeVar("Told", AccountStatusChanged, SyncRunRecorded)


def created(tenant_id: str) -> LeadCreated:
    lead_id = f"lead-{uuid4()}"
    return LeadCreated(
        event_id=str(uuid4()),
        tenant_id=tenant_id,
        occurred_at=NOW,
        recorded_at=NOW,
        source="web-form",
        lead_id=lead_id,
        cause_id=str(uuid4()),
        revision=1,
        external_id=lead_id,
        status="active",
        first_name="Ada",
        email=f"{lead_id}@example.com",
        urgency="normal",
        timezone="UTC",
        timezone_from="utc",
        stage="new",
        received="{}",
        extra="{}",
    )


@dataclass
class World:
    url: str
    logs: Path
    environ: dict[str, str]
    sandbox: httpx.AsyncClient
    engine: AsyncEngine
    producer: ConfluentProducer
    codec: Codec

    async def publish(self, *records: LeadCreated) -> None:
        await self.producer.send(
            [
                Outgoing(
                    topics.LEAD_EVENTS.name, record.lead_id.encode(), self.codec.encode(record)
                )
                for record in records
            ]
        )

    async def account(self, *arguments: str, told: str = "") -> str:
        """What `python -m crm_sync account` prints."""
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crm_sync", "account", *arguments),
            env=self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asked.communicate(told.encode())
        assert asked.returncode == 0
        return said.decode().strip()

    async def set_up(self, name: str, **behaviour: Any) -> None:
        answer = await self.sandbox.post(f"/accounts/hubspot/{name}", json=behaviour)
        answer.raise_for_status()

    async def hubspot_leads(self, name: str) -> set[str]:
        answer = await self.sandbox.get(f"/accounts/hubspot/{name}/contacts")
        return {item["values"].get("leadflow_lead_id") for item in answer.json()["items"]}

    async def is_in_the_default_crm(self, lead_id: str) -> bool:
        return (await self.sandbox.get(f"/crm/contacts/{lead_id}")).status_code == 200

    async def rows(self, query: str, **values: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list(await connection.execute(text(query), values))

    def told(self, topic: Topic, kind: type[Told]) -> list[Told]:
        """What crm-sync told, each event once."""
        found = [
            self.codec.decode(message.value())
            for message in read_all(self.environ["LEADFLOW_KAFKA_BOOTSTRAP"], topic.name)
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


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(30):
            while not await condition():  # noqa: ASYNC110 - it becomes true in another process
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(what) from None


@pytest.fixture
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path: Path
) -> AsyncIterator[World]:
    group = f"crm-sync-{uuid4()}"
    start_at_the_end(kafka_bootstrap, group, list(TOPICS))
    for tier in ("-retry-30s", "-retry-5m", "-retry-1h"):
        start_at_the_end(kafka_bootstrap, group + tier, [f"crm-sync{tier}"])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    database_url = database.role_url(admin_url, "crm_sync", secret)
    await asyncio.to_thread(database.migrate, "crm_sync", database_url)
    environ = {
        **os.environ,
        "LEADFLOW_SANDBOX_PORT": str(port),
        "LEADFLOW_SMTP_SINK_PORT": "0",
        "LEADFLOW_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "LEADFLOW_DATABASE_URL": database_url,
        "LEADFLOW_CRM_URL": f"{url}/crm",
        "LEADFLOW_GROUP": group,
        "LEADFLOW_HEALTH_PORT": "0",
        "LEADFLOW_CRM_RETRY_DELAYS": "0.2,0.3,0.5",
        "LEADFLOW_CRM_CANARY_SECONDS": "0.5",
        "LEADFLOW_ACCOUNT_SECRET": SECRET,
    }
    async with AsyncExitStack() as stack:
        sandbox = await _process(stack, "sandbox", environ, tmp_path / "sandbox.log")
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        engine = database.engine(database_url, pool_size=2)
        stack.push_async_callback(engine.dispose)
        producer = ConfluentProducer(kafka_bootstrap, "test")
        stack.push_async_callback(producer.close)
        made = World(url, tmp_path, environ, client, engine, producer, Codec())

        async def listens() -> bool:
            try:
                return (await client.get("/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(listens, "the sandbox did not start")
        assert sandbox.returncode is None
        await _process(stack, "crm_sync", environ, tmp_path / "crm-sync.log")
        yield made


async def _process(
    stack: AsyncExitStack, package: str, environ: dict[str, str], log: Path
) -> asyncio.subprocess.Process:
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", package, env=environ, stderr=file
        )

    async def end() -> None:
        if process.returncode is None:
            process.kill()
        await process.wait()

    stack.push_async_callback(end)
    return process


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
    assert f"pat-na1-{hubspot}" not in (world.logs / "crm-sync.log").read_text()


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
