"""`python -m crm_sync verify` on real Kafka and PostgreSQL, against the sandbox's HubSpot."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from .crm_leads import Lead, new_leads
from .crm_syncing import ACCOUNT_SECRET, CrmSync, around_crm_sync, until

pytestmark = [pytest.mark.integration, pytest.mark.either_server]

# A lead that becomes qualified is refused for good: the account has no word for it.
MAPPING = {"stages": {"qualified": None}}


@dataclass
class Verified:
    code: int
    kinds: dict[str, str]
    findings: list[dict[str, Any]]
    summary: dict[str, Any]


@dataclass
class World(CrmSync):
    tenant: str = field(default_factory=lambda: f"tenant-{uuid4()}")
    portal: str = field(default_factory=lambda: f"portal{uuid4().hex[:8]}")

    async def add_account(self) -> str:
        mapping = self.logs / "mapping.json"
        mapping.write_text(json.dumps(MAPPING))
        return await self.account(
            *("add", self.tenant, "hubspot", "--url", f"{self.url}/hubspot"),
            *("--mapping", str(mapping)),
            told=f"pat-na1-{self.portal}",
        )

    async def verify(self, *options: str) -> Verified:
        code, said = await self.crm_sync("verify", "--tenant", self.tenant, "--json", *options)
        *findings, summary = [json.loads(line) for line in said.splitlines()]
        kinds = {each["lead"]: each["kind"] for each in findings}
        return Verified(code, kinds, findings, summary)

    async def hubspot(self, kind: str = "contacts") -> dict[str, dict[str, Any]]:
        """Records of the account, by lead."""
        path = f"/accounts/hubspot/{self.portal}/{kind}"
        items = (await self.sandbox.get(path, params={"limit": 1000})).json()["items"]
        return {item["values"].get("leadflow_lead_id", ""): item for item in items}

    async def edit(self, kind: str, lead: Lead, **values: str) -> None:
        """Set values as a person would."""
        record = (await self.hubspot(kind))[lead.lead_id]
        path = f"/accounts/hubspot/{self.portal}/{kind}/{record['id']}"
        (await self.sandbox.put(path, json=values)).raise_for_status()

    async def is_written(self, leads: Sequence[Lead]) -> bool:
        """By name, stage and revision."""
        contacts, deals = await self.hubspot(), await self.hubspot("deals")
        return all(
            lead.lead_id in contacts
            and lead.lead_id in deals
            and contacts[lead.lead_id]["values"]["firstname"] == lead.contact["first_name"]
            and contacts[lead.lead_id]["values"]["leadflow_stage"] == lead.contact["stage"]
            and contacts[lead.lead_id]["values"]["leadflow_revision"]
            == str(lead.contact["revision"])
            for lead in leads
        )

    async def duplicates(self) -> int:
        found = 0
        for kind in ("contacts", "deals"):
            path = f"/accounts/hubspot/{self.portal}/{kind}/duplicates?by=leadflow_lead_id"
            found += (await self.sandbox.get(path)).json()["total"]
        return found

    async def park(self, lead: Lead) -> None:
        """As a call that failed would."""
        async with self.engine.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO waiting (event_id, lead_id, origin_topic, origin_partition,"
                    " origin_offset, tier, due_at, attempts, hop)"
                    " VALUES (:event, :lead, 'lead-events', 0, 0, 2, now() + '1 hour', 9, 9)"
                ),
                {"event": str(uuid4()), "lead": lead.lead_id},
            )

    async def notice(self, account_id: str, lead: Lead) -> None:
        """The CRM has told of a change of the deal, and somebody will look in an hour."""
        values = {
            "id": account_id,
            "crm_id": (await self.hubspot("deals"))[lead.lead_id]["id"],
        }
        async with self.engine.begin() as connection:
            await connection.execute(
                text(
                    "INSERT INTO notices (account_id, tenant_id, object, crm_id, changes,"
                    " noticed_at, first_at, due_at)"
                    " VALUES (:id, 'acme', 'deal', :crm_id, '[]', now(), now(), now() + '1 hour')"
                ),
                values,
            )


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
        LEADFLOW_ACCOUNT_SECRET=ACCOUNT_SECRET,
    ) as made:
        yield made


async def test_drift_made_in_five_ways_is_found_told_apart_and_repaired(world: World) -> None:
    account_id = await world.add_account()
    leads = new_leads(world.tenant, 8)
    deleted, changed, older, parked, refused, noticed, *as_they_are = leads
    async with world.running():
        await world.publish(*[lead.created() for lead in leads])
        await world.publish(*[lead.updated("Grace") for lead in leads])
        await until(lambda: world.is_written(leads), "the leads were not written")
        was = dict(refused.contact)
        await world.publish(refused.stage_changed("qualified"))
        refused.contact = was

        async def is_dead() -> bool:
            query = "SELECT count(*) FROM sync_runs WHERE lead_id = :lead AND result = 'dead'"
            return await world.count(query, lead=refused.lead_id) == 1

        await until(is_dead, "the refused record is not dead")
        clean = await world.verify()
        assert (clean.code, clean.kinds) == (0, {refused.lead_id: "dead"})
        assert (clean.summary["compared"], clean.summary["unread_records"]) == (8, 0)

        for kind in ("contacts", "deals"):
            await world.edit(kind, deleted, leadflow_lead_id="", email="")
        await world.edit("contacts", changed, firstname="Eve")
        await world.edit("contacts", older, firstname="Ada", leadflow_revision="1")
        await world.park(parked)
        await world.edit("contacts", parked, firstname="Eve")
        # What people have changed is no drift until somebody has looked at it.
        await world.edit("contacts", noticed, firstname="Eve")
        await world.notice(account_id, noticed)

        drifted = {
            deleted.lead_id: "missing",
            changed.lead_id: "differs",
            older.lead_id: "older",
            parked.lead_id: "waiting",
            refused.lead_id: "dead",
            noticed.lead_id: "noticed",
        }
        found = await world.verify()
        assert (found.code, found.kinds) == (1, drifted)
        assert found.summary["drift_left"] == 3
        named = {each["lead"]: each.get("fields") for each in found.findings}
        assert named[changed.lead_id] == ["contact.firstname"]
        assert named[older.lead_id] == ["contact.firstname", "contact.leadflow_revision"]
        assert "Eve" not in json.dumps(found.findings)
        told = await world.verify("--values", "--account", account_id)
        (values,) = [each["fields"] for each in told.findings if each["lead"] == changed.lead_id]
        assert values == {"contact.firstname": {"log": "Grace", "crm": "Eve"}}

        repaired = await world.verify("--repair", "--rate", "50")
        assert (repaired.code, repaired.kinds) == (0, drifted)
        assert repaired.summary["repaired"] == {"missing": 1, "differs": 1, "older": 1}
        again = await world.verify()
        left = (parked, refused, noticed)
        assert (again.code, again.kinds) == (
            0,
            {each.lead_id: drifted[each.lead_id] for each in left},
        )
        assert await world.is_written([deleted, changed, older, refused, *as_they_are])
        for lead in (parked, noticed):
            assert (await world.hubspot())[lead.lead_id]["values"]["firstname"] == "Eve"
        assert await world.duplicates() == 0


async def test_a_repair_that_dies_in_the_middle_is_repeated_and_a_new_account_gets_every_lead(
    world: World,
) -> None:
    # The tenant's leads are in the default CRM; then it gets an account of its own.
    leads = new_leads(world.tenant, 30)
    async with world.running():
        await world.publish(*[lead.created() for lead in leads])

        async def is_in_the_default_crm() -> bool:
            query = "SELECT count(*) FROM contacts WHERE tenant_id = :tenant AND crm_id <> ''"
            return await world.count(query, tenant=world.tenant) == len(leads)

        await until(is_in_the_default_crm, "the leads were not written")
        account_id = await world.add_account()
        found = await world.verify()
        assert (found.code, set(found.kinds.values())) == (1, {"missing"})

        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "crm_sync", "verify", "--tenant", world.tenant),
            *("--repair", "--rate", "2"),
            env=world.environ,
            stdout=asyncio.subprocess.DEVNULL,
        )

        async def some_are_there() -> bool:
            return len(await world.hubspot()) >= 4

        async def one_is_under_way() -> bool:
            query = "SELECT count(*) FROM contacts WHERE account_id = :id AND pending IS NOT NULL"
            return await world.count(query, id=account_id) > 0

        try:
            await until(some_are_there, "nothing is repaired")
            stall = {"target": "hubspot", "mode": "stall", "stall_seconds": 9}
            (await world.sandbox.post("/faults", json=stall)).raise_for_status()
            await until(one_is_under_way, "no write is under way")
        finally:
            process.kill()
            await process.wait()
        await world.sandbox.delete("/faults")

        left = await world.verify()
        assert "under_way" in left.kinds.values()
        repaired = await world.verify("--repair", "--rate", "50", "--settle", "0")
        assert repaired.code == 0
        assert repaired.summary["repaired"]["pending"] >= 1
        assert await world.is_written(leads)
        again = await world.verify("--settle", "0")
        assert (again.code, again.kinds, again.summary["compared"]) == (0, {}, len(leads))
        assert await world.duplicates() == 0

    # Removed: the next one gets all of them too.
    await world.account("remove", account_id)
    world.portal = f"portal{uuid4().hex[:8]}"
    await world.add_account()
    assert (await world.verify("--repair", "--rate", "100")).code == 0
    assert await world.is_written(leads)
    assert (await world.verify()).kinds == {}
