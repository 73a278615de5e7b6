"""Everything that people's changes in a CRM go through, as processes: sandbox, crm-sync, intake and
portal."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from leadflow import database, ids, topics
from leadflow.kafka.port import Outgoing
from leadflow.records import CrmChangeSettled, RawEvent, StageChanged

from .crm_syncing import ACCOUNT_SECRET, CrmSync, around_crm_sync, until
from .dispatching import free_port
from .reading import Reader, start_at_the_end

STANDARD = "whsec_" + b64encode(b"a CRM that signs what it says").decode()
HUBSPOT, BOSS = "hubspot-client-secret-0001", "followupboss-system-key-01"
OWNERS: Mapping[str, Any] = {"owners": {"dana": "41", "otto": "42"}}


@dataclass
class World(CrmSync):
    worker: asyncio.subprocess.Process = field(init=False)
    portal_url: str = field(init=False)
    portal_engine: AsyncEngine = field(init=False)
    events: Reader = field(init=False)
    raw: Reader = field(init=False)

    async def add_account(
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
        return await self.account(
            *("add", tenant_id, provider, "--url", f"{self.url}/{path}"),
            *("--mapping", str(differs)),
            told=told,
        )

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

    async def shown(self, lead_id: str) -> list[bool]:
        """Changes that the portal shows of a lead, and whether they are conflicts."""
        query = "SELECT conflict FROM crm_changes WHERE lead_id = :lead ORDER BY settled_at"
        async with self.portal_engine.connect() as connection:
            return list(await connection.scalars(text(query), {"lead": lead_id}))

    async def written(self, lead_id: str) -> bool:
        """Whether what was last written of a lead is known to have arrived."""
        query = "SELECT pending FROM contacts WHERE lead_id = :lead"
        rows = await self.rows(query, lead=lead_id)
        return bool(rows) and rows[0].pending is None

    async def looked_at(self, tenant_id: str) -> bool:
        """Whether nothing is left that a tenant's CRM has told."""
        query = "SELECT 1 FROM notices WHERE tenant_id = :tenant"
        return not await self.rows(query, tenant=tenant_id)


@asynccontextmanager
async def running(
    kafka_bootstrap: str, admin_url: str, secret: str, folder: Path
) -> AsyncIterator[World]:
    """The processes, once they are ready; their groups begin at the end of every topic."""
    mark = uuid4().hex[:8]
    intake, portal = f"intake-{mark}", f"portal-{mark}"
    consumed = {
        intake: ("raw-events",),
        f"{intake}-messages": ("messages",),
        portal: tuple(each.name for each in topics.ALL if "portal-api" in each.consumers),
    }
    for group, names in consumed.items():
        start_at_the_end(kafka_bootstrap, group, names)
    urls = {
        role: database.role_url(admin_url, role, secret)
        for role in ("intake", "portal", "portal_client")
    }
    async with around_crm_sync(
        World,
        kafka_bootstrap,
        admin_url,
        secret,
        folder,
        LEADFLOW_CRM_RETRY_DELAYS="0.2,0.3,0.5",
        LEADFLOW_CRM_NOTICE_SECONDS="0.3",
        LEADFLOW_ACCOUNT_SECRET=ACCOUNT_SECRET,
    ) as made:
        notices = f"{made.environ['LEADFLOW_GROUP']}-notices"
        start_at_the_end(kafka_bootstrap, notices, ["crm-notices"])
        made.portal_engine = database.engine(urls["portal"], pool_size=2)
        made.stack.push_async_callback(made.portal_engine.dispose)
        made.events, made.raw = (
            Reader(kafka_bootstrap, name) for name in ("lead-events", "raw-events")
        )
        for reader in (made.events, made.raw):
            made.stack.callback(reader.close)
        port = free_port()
        made.portal_url = f"http://127.0.0.1:{port}"
        made.worker = await made.start("crm_sync")
        await made.start("intake", LEADFLOW_DATABASE_URL=urls["intake"], LEADFLOW_GROUP=intake)
        await made.start(
            "portal_api",
            LEADFLOW_DATABASE_URL=urls["portal"],
            LEADFLOW_CLIENT_DATABASE_URL=urls["portal_client"],
            LEADFLOW_GROUP=portal,
            LEADFLOW_PORTAL_PORT=str(port),
            LEADFLOW_SECRET=secret,
            LEADFLOW_LINK_SECRET="only for tests",
            LEADFLOW_WEBHOOK_SECRET_STANDARD=STANDARD,
            LEADFLOW_WEBHOOK_SECRET_HUBSPOT=HUBSPOT,
            LEADFLOW_WEBHOOK_SECRET_FOLLOWUPBOSS=BOSS,
        )

        async def ready() -> bool:
            try:
                answer = await made.sandbox.get(f"{made.portal_url}/readyz")
            except httpx.TransportError:
                return False
            return answer.status_code == 200

        await until(ready, "the portal did not start")
        yield made
