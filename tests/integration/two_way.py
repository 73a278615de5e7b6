"""Everything that people's changes in a CRM go through, as processes: sandbox, crm-sync, intake and
portal."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from leadflow import database, ids, topics
from leadflow.codec import Codec
from leadflow.kafka.confluent import ConfluentProducer
from leadflow.kafka.port import Outgoing
from leadflow.records import CrmChangeSettled, RawEvent, StageChanged

from .reading import Reader, start_at_the_end

SECRET = b64encode(b"integration accounts of the test").decode()
STANDARD = "whsec_" + b64encode(b"a CRM that signs what it says").decode()
HUBSPOT, BOSS = "hubspot-client-secret-0001", "followupboss-system-key-01"
OWNERS: Mapping[str, Any] = {"owners": {"dana": "41", "otto": "42"}}


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

    async def account(
        self,
        tenant_id: str,
        provider: str,
        path: str,
        told: str,
        mapping: Mapping[str, Any] = OWNERS,
    ) -> str:
        """An account whose mapping names two owners, unless another is given."""
        differs = self.logs / "mapping.json"
        differs.write_text(json.dumps(mapping))
        url = f"{self.url}/{path}"
        asked = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crm_sync", "account", "add", tenant_id, provider),
            *("--url", url, "--mapping", str(differs)),
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

    async def all_looked_at(self) -> bool:
        return not await self.rows(self.engine, "SELECT 1 FROM notices")


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


@asynccontextmanager
async def running(
    kafka_bootstrap: str, admin_url: str, secret: str, folder: Path
) -> AsyncIterator[World]:
    """The processes, once they are ready; their groups begin at the end of every topic."""
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
