"""People change leads in their CRM: from its webhook to the log and back, on real servers."""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from crm_sync import looking
from crm_sync.account_store import AccountStore
from crm_sync.changes import CrmChange
from crm_sync.compare import Heard
from crm_sync.crm.providers import Access
from crm_sync.gates import Gates
from crm_sync.looking import Looker
from crm_sync.notice_store import Named, Notice, NoticeStore
from crm_sync.reports import Reports
from crm_sync.routing import Connections
from leadflow import database, ids, topics
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import CrmChangeSettled, LeadUpdated, RawEvent, StageChanged

from .reading import Reader, start_at_the_end

# One set of processes for all: each takes seconds to begin.
pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

SECRET = b64encode(b"integration accounts of the test").decode()
STANDARD = "whsec_" + b64encode(b"a CRM that signs what it says").decode()
HUBSPOT, BOSS = "hubspot-client-secret-0001", "followupboss-system-key-01"
OWNERS = {"owners": {"dana": "41", "otto": "42"}}
QUIET_SECONDS = 4.0


@dataclass
class World:
    url: str
    portal_url: str
    logs: Path
    environ: dict[str, str]
    sandbox: httpx.AsyncClient
    engine: AsyncEngine
    portal_engine: AsyncEngine
    producer: ConfluentProducer
    events: Reader
    raw: Reader
    stack: AsyncExitStack
    codec: Codec = field(default_factory=Codec)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def start(self, package: str, **more: str) -> None:
        with (self.logs / f"{package}.log").open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", package, env={**self.environ, **more}, stderr=file
            )
        self.processes[package] = process
        self.stack.push_async_callback(self.kill, package)

    async def kill(self, package: str) -> None:
        process = self.processes[package]
        if process.returncode is None:
            process.kill()
        await process.wait()

    async def account(self, tenant_id: str, provider: str, path: str, told: str) -> str:
        """An account whose mapping names two owners."""
        mapping = self.logs / "mapping.json"
        mapping.write_text(json.dumps(OWNERS))
        url = f"{self.url}/{path}"
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crm_sync", "account", "add", tenant_id, provider),
            *("--url", url, "--mapping", str(mapping)),
            env=self.environ,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await asked.communicate(told.encode())
        assert asked.returncode == 0
        return said.decode().strip()

    async def tell(
        self, tenant_id: str, payload: Mapping[str, Any], kind: str = "lead", person: str = "ada"
    ) -> str:
        """What a form says of a person; the lead's id."""
        now = datetime.now(UTC)
        event = RawEvent(
            event_id=str(uuid4()),
            tenant_id=tenant_id,
            occurred_at=now,
            recorded_at=now,
            source="form",
            kind=kind,
            external_id=person,
            payload=json.dumps(payload),
        )
        key = f"{tenant_id}:form:{person}".encode()
        await self.producer.send([Outgoing(topics.RAW_EVENTS.name, key, self.codec.encode(event))])
        return ids.lead_id(tenant_id, "form", person)

    def of(self, lead_id: str) -> list[Any]:
        """Records of a lead since the test began, each event once."""
        found = [self.codec.decode(message.value()) for message in self.events.read()]
        mine = {each.event_id: each for each in found if getattr(each, "lead_id", "") == lead_id}
        return list(mine.values())

    def told_of(self, lead_id: str) -> list[tuple[str, dict[str, Any]]]:
        """What crm-sync told the log, each event once: field and what is said of it."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for message in self.raw.read():
            record = self.codec.decode(message.value())
            if isinstance(record, RawEvent) and record.kind == "crm_change":
                payload = json.loads(record.payload)
                ((name, told),) = payload["fields"].items()
                if payload["lead"] == lead_id:
                    found[record.event_id] = (name, told)
        return list(found.values())

    def settled(self, lead_id: str) -> list[tuple[str, str, str, bool]]:
        return [
            (each.field, each.outcome, each.rule, each.conflict)
            for record in self.of(lead_id)
            if isinstance(record, CrmChangeSettled)
            for each in record.fields
        ]

    def stages(self, lead_id: str) -> list[str]:
        return [each.to_stage for each in self.of(lead_id) if isinstance(each, StageChanged)]

    async def contact(self, lead_id: str) -> dict[str, Any]:
        """What the sandbox's own CRM has."""
        answer = await self.sandbox.get(f"/crm/contacts/{lead_id}")
        found: dict[str, Any] = answer.json()["contact"] if answer.is_success else {}
        return found

    async def record(self, kind: str, key: str, lead_id: str) -> dict[str, Any]:
        """What an account of a CRM by name has of a lead."""
        found = await self.sandbox.get(kind)
        return next((e for e in found.json()["items"] if e["values"].get(key) == lead_id), {})

    async def rows(self, engine: AsyncEngine, query: str, **values: Any) -> list[Any]:
        async with engine.connect() as connection:
            return list(await connection.execute(text(query), values))

    async def shown(self, lead_id: str) -> list[bool]:
        """Changes that the portal shows of a lead, and whether they are conflicts."""
        query = "SELECT conflict FROM crm_changes WHERE lead_id = :lead ORDER BY settled_at"
        return [row.conflict for row in await self.rows(self.portal_engine, query, lead=lead_id)]

    async def written(self, lead_id: str) -> bool:
        """Whether what was last written of a lead is known to have arrived."""
        query = "SELECT pending FROM contacts WHERE lead_id = :lead"
        rows = await self.rows(self.engine, query, lead=lead_id)
        return bool(rows) and rows[0].pending is None


async def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = condition()
                if await found if isinstance(found, Awaitable) else found:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(what) from None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("two-way")
    mark = uuid4().hex[:8]
    sync, intake, portal = (f"{name}-{mark}" for name in ("crm-sync", "intake", "portal"))
    consumed = {
        sync: ("lead-events", "enrollment-events", "message-events", "summaries"),
        f"{sync}-notices": ("crm-notices",),
        **{
            f"{sync}{tier}": (f"crm-sync{tier}",)
            for tier in ("-retry-30s", "-retry-5m", "-retry-1h")
        },
        intake: ("raw-events",),
        f"{intake}-messages": ("messages",),
        portal: tuple(each.name for each in topics.ALL if "portal-api" in each.consumers),
    }
    for group, names in consumed.items():
        start_at_the_end(kafka_bootstrap, group, names)
    ports = free_port(), free_port()
    url, portal_url = (f"http://127.0.0.1:{port}" for port in ports)
    urls = {
        role: database.role_url(admin_url, role, secret)
        for role in ("crm_sync", "intake", "portal", "portal_client")
    }
    environ = {
        **os.environ,
        "LEADFLOW_SANDBOX_PORT": str(ports[0]),
        "LEADFLOW_SMTP_SINK_PORT": "0",
        "LEADFLOW_KAFKA_BOOTSTRAP": kafka_bootstrap,
        "LEADFLOW_DATABASE_URL": urls["crm_sync"],
        "LEADFLOW_CRM_URL": f"{url}/crm",
        "LEADFLOW_GROUP": sync,
        "LEADFLOW_HEALTH_PORT": "0",
        "LEADFLOW_CRM_RETRY_DELAYS": "0.2,0.3,0.5",
        "LEADFLOW_CRM_NOTICE_SECONDS": "0.3",
        "LEADFLOW_ACCOUNT_SECRET": SECRET,
    }
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, trust_env=False))
        engines = [database.engine(urls[role], pool_size=2) for role in ("crm_sync", "portal")]
        for engine in engines:
            stack.push_async_callback(engine.dispose)
        producer = ConfluentProducer(kafka_bootstrap, "test")
        stack.push_async_callback(producer.close)
        readers = [Reader(kafka_bootstrap, name) for name in ("lead-events", "raw-events")]
        for reader in readers:
            stack.callback(reader.close)
        made = World(url, portal_url, folder, environ, client, *engines, producer, *readers, stack)
        await made.start("sandbox")
        await made.start("crm_sync")
        await made.start("intake", LEADFLOW_DATABASE_URL=urls["intake"], LEADFLOW_GROUP=intake)
        await made.start(
            "portal_api",
            LEADFLOW_DATABASE_URL=urls["portal"],
            LEADFLOW_CLIENT_DATABASE_URL=urls["portal_client"],
            LEADFLOW_GROUP=portal,
            LEADFLOW_PORTAL_PORT=str(ports[1]),
            LEADFLOW_SECRET=secret,
            LEADFLOW_LINK_SECRET="only for tests",
            LEADFLOW_WEBHOOK_SECRET_STANDARD=STANDARD,
            LEADFLOW_WEBHOOK_SECRET_HUBSPOT=HUBSPOT,
            LEADFLOW_WEBHOOK_SECRET_FOLLOWUPBOSS=BOSS,
        )

        async def ready() -> bool:
            try:
                found = [
                    await client.get("/healthz"),
                    await client.get(f"{portal_url}/readyz"),
                ]
            except httpx.TransportError:
                return False
            return all(answer.status_code == 200 for answer in found)

        await until(ready, "the sandbox or the portal did not start")
        yield made


ADA = {
    "first_name": "Ada",
    "last_name": "Byron",
    "email": "ada@engines.example",
    "phone": "+15125550100",
    "owner": "dana",
    "message": "Please call me about the roof of our house, it leaks since Monday.",
    "consent": {"email": True},
}


async def test_a_persons_changes_go_the_whole_circle_and_end_there(world: World) -> None:
    tenant_id = f"acme-{uuid4().hex[:8]}"
    webhook = {"url": f"{world.portal_url}/webhooks/crm/sandbox/{{tenant_id}}", "secret": STANDARD}
    (await world.sandbox.put("/crm/webhook", json=webhook)).raise_for_status()
    lead_id = await world.tell(tenant_id, ADA)

    async def there() -> bool:
        return bool(await world.contact(lead_id))

    await until(there, "the lead did not reach the CRM")
    edits = {"stage": "qualified", "owner": "otto", "phone": "+15125550177"}
    edited = await world.sandbox.patch(f"/crm/contacts/{lead_id}", json=edits)
    assert edited.json()["told"] == 204

    async def equal() -> bool:
        contact = await world.contact(lead_id)
        updates = [each for each in world.of(lead_id) if isinstance(each, LeadUpdated)]
        newest = updates[-1] if updates else None
        return (
            newest is not None
            and (newest.owner, newest.phone) == ("otto", "+15125550177")
            and world.stages(lead_id) == ["qualified"]
            and edits.items() <= contact.items()
            and contact["revision"] >= 4
            and await world.written(lead_id)
        )

    await until(equal, "the log and the CRM did not become equal")
    # The CRM tells of what we wrote there, too: all of it, in any order, some of it twice.
    history = (await world.sandbox.get(f"/crm/contacts/{lead_id}/history")).json()["items"]
    assert {write["by"] for write in history} == {"api", "person"}
    numbers = [write["seq"] for write in history] * 2
    random.Random(7).shuffle(numbers)
    for seq in numbers:
        told = await world.sandbox.post(f"/crm/contacts/{lead_id}/notices", json={"seq": seq})
        assert told.json()["told"] == 204
    await asyncio.sleep(QUIET_SECONDS)
    assert sorted(name for name, _ in world.told_of(lead_id)) == ["owner", "phone", "stage"]
    assert world.stages(lead_id) == ["qualified"]
    assert sorted(world.settled(lead_id)) == [
        ("owner", "taken", "crm_wins_for_owner", False),
        ("phone", "taken", "only_crm_changed", False),
        ("stage", "taken", "only_crm_changed", False),
    ]
    assert await world.rows(world.engine, "SELECT 1 FROM notices") == []
    await until(lambda: _is(world.shown(lead_id), [False] * 3), "the portal does not show it")


async def test_hubspots_people_move_deals_and_what_cannot_stand_is_a_conflict(
    world: World,
) -> None:
    tenant_id = f"acme-{uuid4().hex[:8]}"
    await world.account(tenant_id, "hubspot", "hubspot", f"pat-na1-{tenant_id}")
    webhook = {"url": f"{world.portal_url}/webhooks/crm/hubspot/{tenant_id}", "secret": HUBSPOT}
    account = f"/accounts/hubspot/{tenant_id}"
    (await world.sandbox.post(account, json={"webhook": webhook})).raise_for_status()
    lead_id = await world.tell(tenant_id, ADA)

    async def found(kind: str) -> dict[str, Any]:
        return await world.record(f"{account}/{kind}", "leadflow_lead_id", lead_id)

    async def has(kind: str, **values: str) -> bool:
        return values.items() <= (await found(kind)).get("values", {}).items()

    await until(lambda: has("deals", dealstage="appointmentscheduled"), "no deal was made")
    await until(lambda: world.written(lead_id), "the lead was not written")
    deal, contact = (await found("deals"))["id"], (await found("contacts"))["id"]
    for kind, name, values in (
        ("deals", deal, {"dealstage": "presentationscheduled"}),
        ("deals", deal, {"hubspot_owner_id": "42"}),
        ("contacts", contact, {"jobtitle": "Owner"}),
    ):
        edited = await world.sandbox.put(f"{account}/{kind}/{name}", json=values)
        assert edited.json()["told"] == 204

    async def taken() -> bool:
        return (
            await has("contacts", hubspot_owner_id="42", leadflow_stage="qualified")
            and await has("contacts", jobtitle="Owner", leadflow_owner="otto")
            and await has("deals", dealstage="presentationscheduled", hubspot_owner_id="42")
            and await world.written(lead_id)
        )

    await until(taken, "what people changed was not taken")

    async def move(stage: str) -> None:
        moved = await world.sandbox.put(f"{account}/deals/{deal}", json={"dealstage": stage})
        assert moved.json()["told"] == 204

    # A column that is no stage of the tenant's stays; where no way leads, the deal goes back.
    moved = await world.sandbox.put(
        f"{account}/deals/{deal}", json={"dealstage": "decisionmakerboughtin"}
    )
    assert moved.json()["told"] == 204
    refused = ("stage", "kept", "unknown_stage", True)
    await until(lambda: refused in world.settled(lead_id), "no conflict was found")
    moved = await world.sandbox.put(
        f"{account}/deals/{deal}", json={"dealstage": "appointmentscheduled"}
    )
    assert moved.json()["told"] == 204
    refused = ("stage", "kept", "stage_transition", True)
    await until(lambda: refused in world.settled(lead_id), "no way back was found")
    await until(lambda: has("deals", dealstage="presentationscheduled"), "the deal did not go back")

    for kind, name in (("deals", deal), ("contacts", contact)):
        for change in (await found(kind))["history"]:
            path = f"{account}/{kind}/{name}/notices"
            await world.sandbox.post(path, json={"seq": change["seq"]})
    before = world.told_of(lead_id)
    await asyncio.sleep(QUIET_SECONDS)
    assert world.told_of(lead_id) == before
    assert world.stages(lead_id) == ["qualified"]
    assert await has("deals", dealstage="presentationscheduled")
    await until(lambda: _conflicts(world, lead_id, 2), "the portal does not show the conflicts")


async def test_an_edit_that_a_newer_change_of_the_log_has_overwritten_is_a_conflict(
    world: World,
) -> None:
    tenant_id = f"acme-{uuid4().hex[:8]}"
    await world.account(tenant_id, "hubspot", "hubspot", f"pat-na1-{tenant_id}")
    lead_id = await world.tell(tenant_id, ADA)

    account = f"/accounts/hubspot/{tenant_id}"

    async def title() -> tuple[str, str | None]:
        found = await world.record(f"{account}/contacts", "leadflow_lead_id", lead_id)
        return found.get("id", ""), found.get("values", {}).get("jobtitle")

    async def there() -> bool:
        return (await title())[0] != "" and await world.written(lead_id)

    await until(there, "the lead did not reach the CRM")
    name, _ = await title()
    path = f"{account}/contacts/{name}"
    # Nobody is told of it yet, and a form brings another title.
    edited = await world.sandbox.put(path, json={"jobtitle": "Manager"})
    assert edited.json()["told"] is None
    await world.tell(tenant_id, {**ADA, "title": "Owner"})
    await until(lambda: _is(title(), (name, "Owner")), "the newer title was not written")
    webhook = {"url": f"{world.portal_url}/webhooks/crm/hubspot/{tenant_id}", "secret": HUBSPOT}
    await world.sandbox.post(account, json={"webhook": webhook})
    seq = edited.json()["history"][-1]["seq"]
    for _ in range(2):
        told = await world.sandbox.post(f"{path}/notices", json={"seq": seq})
        assert told.json()["told"] == 204
    kept = [("title", "kept", "newest_wins", True)]
    await until(lambda: world.settled(lead_id) == kept, "the edit was lost")
    await asyncio.sleep(QUIET_SECONDS)
    assert (await title(), world.settled(lead_id)) == ((name, "Owner"), kept)
    await until(lambda: _is(world.shown(lead_id), [True]), "the portal does not show the conflict")


async def test_follow_up_boss_names_only_the_person(world: World) -> None:
    tenant_id = f"acme-{uuid4().hex[:8]}"
    await world.account(tenant_id, "followupboss", "followupboss/v1", f"fka_{tenant_id}")
    webhook = {"url": f"{world.portal_url}/webhooks/crm/followupboss/{tenant_id}", "secret": BOSS}
    account = f"/accounts/followupboss/{tenant_id}"
    (await world.sandbox.post(account, json={"webhook": webhook})).raise_for_status()
    lead_id = await world.tell(tenant_id, ADA)

    async def person() -> dict[str, Any]:
        return await world.record(f"{account}/people", "customLeadflowLeadId", lead_id)

    async def there() -> bool:
        return bool(await person()) and await world.written(lead_id)

    await until(there, "the lead did not reach the CRM")
    path = f"{account}/people/{(await person())['id']}"
    edits = {
        "stage": "B - Warm 3-6 Months",
        "assignedUserId": 42,
        "phones": [{"value": "(512) 555-0177", "type": "mobile"}],
    }
    assert (await world.sandbox.put(path, json=edits)).json()["told"] == 204

    async def taken() -> bool:
        values = (await person())["values"]
        return (
            (values["customLeadflowStage"], values["customLeadflowOwner"]) == ("qualified", "otto")
            and values["stage"] == "B - Warm 3-6 Months"
            and await world.written(lead_id)
        )

    await until(taken, "what people changed was not taken")
    for change in (await person())["history"]:
        await world.sandbox.post(f"{path}/notices", json={"seq": change["seq"]})
    await asyncio.sleep(QUIET_SECONDS)
    assert sorted(name for name, _ in world.told_of(lead_id)) == ["owner", "phone", "stage"]
    assert world.stages(lead_id) == ["qualified"]
    phones = [each.phone for each in world.of(lead_id) if isinstance(each, LeadUpdated)]
    assert phones[-1] == "+15125550177"


class Dies(NoticeStore):
    """Of a worker that dies when the change is in the log and the row is still there."""

    async def done(
        self, notices: Sequence[Notice], lead_id: str = "", heard: Mapping[str, Heard] = {}
    ) -> None:
        raise ConnectionAbortedError


async def test_a_worker_that_dies_before_the_row_is_gone_tells_the_same_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant_id = f"acme-{uuid4().hex[:8]}"
    lead_id = await world.tell(tenant_id, ADA)
    await until(lambda: world.written(lead_id), "the lead was not written")
    await world.kill("crm_sync")
    edited = await world.sandbox.patch(f"/crm/contacts/{lead_id}", json={"stage": "qualified"})
    edited.raise_for_status()

    # The next worker need not wait until this one counts as gone.
    monkeypatch.setattr(looking, "LEASE", timedelta(0))
    clock, reports = SystemClock(), Reports(Codec(), SystemClock())
    store, accounts = Dies(world.engine, clock), AccountStore(world.engine, clock)
    connections = Connections(
        Access(url=f"{world.url}/crm"), None, clock, 10, Gates(world.engine, clock, timedelta(0))
    )

    async def tell(changes: Sequence[CrmChange]) -> None:
        await world.producer.send([reports.of_change(each) for each in changes])

    now = datetime.now(UTC)
    told = Notice(
        account_id="default",
        object="contact",
        crm_id=lead_id,
        changes=(Named("stage", "qualified", now),),
        noticed_at=now,
    )
    await store.fold([told], timedelta(0))
    looker = Looker(store, accounts, connections, tell, clock)
    for _ in range(2):
        with pytest.raises(ConnectionAbortedError):
            await looker.round()
    await connections.close()
    query = "SELECT attempts FROM notices WHERE crm_id = :id"
    assert [row.attempts for row in await world.rows(world.engine, query, id=lead_id)] == [2]

    await world.start("crm_sync")

    async def gone() -> bool:
        return await world.rows(world.engine, query, id=lead_id) == []

    await until(gone, "nobody took over")
    await until(lambda: world.stages(lead_id) == ["qualified"], "the change is not in the log")
    await asyncio.sleep(QUIET_SECONDS)
    assert [name for name, _ in world.told_of(lead_id)] == ["stage"]
    assert world.stages(lead_id) == ["qualified"]
    assert (await world.contact(lead_id))["stage"] == "qualified"


async def _is(found: Awaitable[Any], wanted: Any) -> bool:
    return bool(await found == wanted)


async def _conflicts(world: World, lead_id: str, count: int) -> bool:
    return sum(await world.shown(lead_id)) == count
