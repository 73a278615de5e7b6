"""A CRM that takes connections and never answers: whose leads wait, and whose do not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pytest

from .crm_leads import Lead, new_leads
from .crm_syncing import ACCOUNT_SECRET, CrmSync, around_crm_sync

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

TIMEOUT_SECONDS = 1.5


@dataclass
class Proxy:
    """Passes connections on to the sandbox; while it `hangs`, it takes them and says nothing."""

    port: int
    hangs: bool = False
    _open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        if self.hangs:
            await reader.read(-1)
            writer.close()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.port)
        self._open.append(back)
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while (data := await source.read(65_536)) and not self.hangs:
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    def close(self) -> None:
        for writer in self._open:
            writer.close()


@dataclass
class World(CrmSync):
    proxy: Proxy = field(init=False)
    proxy_url: str = field(init=False)

    async def latency(self, lead: Lead) -> float:
        """From its publication until it is in the default CRM."""
        began = monotonic()
        await self.publish(lead.created())
        async with asyncio.timeout(60):
            path = f"/crm/contacts/{lead.lead_id}"
            while (await self.sandbox.get(path)).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        return monotonic() - began

    async def written(self, tenant: str) -> int:
        query = "SELECT count(*) FROM contacts WHERE tenant_id = :tenant AND crm_id <> ''"
        return await self.count(query, tenant=tenant)

    async def waiting(self, tenant: str) -> int:
        query = "SELECT count(*) FROM sync_runs WHERE tenant_id = :tenant AND result = 'waiting'"
        return await self.count(query, tenant=tenant)

    async def most_attempts(self, tenant: str) -> int:
        query = "SELECT coalesce(max(attempts), 0) FROM sync_runs WHERE tenant_id = :tenant"
        return await self.count(query, tenant=tenant)

    async def until_written(self, tenant: str, count: int) -> float:
        began = monotonic()
        async with asyncio.timeout(90):
            while await self.written(tenant) < count:  # noqa: ASYNC110 - by another process
                await asyncio.sleep(0.05)
        return monotonic() - began


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
        LEADFLOW_CRM_RETRY_DELAYS="0.5,1,60",
        LEADFLOW_CRM_TIMEOUT_SECONDS=str(TIMEOUT_SECONDS),
        LEADFLOW_CRM_CANARY_SECONDS="0.5",
        LEADFLOW_ACCOUNT_SECRET=ACCOUNT_SECRET,
    ) as made:
        made.proxy = Proxy(int(made.environ["LEADFLOW_SANDBOX_PORT"]))
        server = await asyncio.start_server(made.proxy.serve, "127.0.0.1", 0)
        made.stack.callback(server.close)
        made.stack.callback(made.proxy.close)
        made.proxy_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hubspot"
        await made.start("crm_sync")
        yield made


async def test_leads_of_other_tenants_do_not_wait_for_an_account_that_does_not_answer(
    world: World,
) -> None:
    mine, other = f"tenant-{uuid4()}", f"tenant-{uuid4()}"
    hubspot = f"portal{uuid4().hex[:8]}"
    account_id = await world.account(
        "add", mine, "hubspot", "--url", world.proxy_url, told=f"pat-na1-{hubspot}"
    )
    assert await world.account("budget", account_id, "9000/10") == (
        f"{account_id} has a budget of 9000/10"
    )
    listed = (await world.account("list")).splitlines()
    assert any(f"account={account_id}" in line and "budget=9000/10" in line for line in listed)
    try:
        said = await world.account("budget", "default", "9000/10")
        assert said == "default has a budget of 9000/10"
    finally:
        assert await world.account("budget", "default", "none") == "default has no budget"
    first, *leads = new_leads(mine, 40)
    theirs = new_leads(other, 41)
    await world.publish(first.created())
    await world.until_written(mine, 1)
    await world.latency(theirs.pop())

    world.proxy.hangs = True
    began, latencies = monotonic(), []
    for lead, their in zip(leads, theirs, strict=False):
        await world.publish(lead.created())
        latencies.append(await world.latency(their))
        await asyncio.sleep(max(0.0, 0.25 * len(latencies) - (monotonic() - began)))
    silent = monotonic() - began
    # Two batches wait in vain; of those that come after them none does, but for the few of a probe
    # that was answered, and here none is.
    slow = [each for each in latencies if each > TIMEOUT_SECONDS / 2]
    quick = sorted(each for each in latencies if each <= TIMEOUT_SECONDS / 2)
    print(f"silent for {silent:.1f} s: slow {slow}, of the others the slowest {quick[-1]:.2f} s")
    assert len(slow) <= 3
    assert max(latencies) < 3 * TIMEOUT_SECONDS + 2
    assert await world.written(mine) == 1
    # A record is called for twice in each loop that it comes through, however long it waits.
    assert await world.most_attempts(mine) <= 4

    world.proxy.hangs = False
    back = await world.until_written(mine, 1 + len(leads))
    print(f"all of its leads written {back:.1f} s after it answered again")
    # A probe finds out within a minute; the leads wait a second, and not in the slowest topic.
    assert back < 30


async def test_what_waited_for_a_paused_account_is_back_soon_after_it_is_resumed(
    world: World,
) -> None:
    mine = f"tenant-{uuid4()}"
    hubspot = f"portal{uuid4().hex[:8]}"
    account_id = await world.account(
        "add", mine, "hubspot", "--url", world.proxy_url, told=f"pat-na1-{hubspot}"
    )
    await world.account("pause", account_id)
    leads = new_leads(mine, 300)
    await world.publish(*[lead.created() for lead in leads])
    async with asyncio.timeout(60):
        while await world.waiting(mine) < len(leads):  # noqa: ASYNC110 - by another process
            await asyncio.sleep(0.05)
    assert await world.written(mine) == 0
    await world.account("resume", account_id)
    back = await world.until_written(mine, len(leads))
    print(f"300 leads written {back:.1f} s after the account was resumed")
    # A second in the topic that they wait in; the slowest one would hold them for a minute.
    assert back < 30
    assert await world.most_attempts(mine) <= 1
