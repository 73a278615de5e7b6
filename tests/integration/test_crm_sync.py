"""crm-sync as a process, on real Kafka and PostgreSQL, against the sandbox's CRM."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from leadflow import topics
from leadflow.records import (
    LeadCreated,
    SummaryReviewed,
)

from .crm_leads import Lead, new_leads, ten_changes
from .crm_syncing import CrmSync, around_crm_sync, until
from .reading import headers_of, read_all

pytestmark = pytest.mark.integration


@pytest.fixture
def tenant_id() -> str:
    return f"tenant-{uuid4()}"


# --- the world around crm-sync --------------------------------------------------------------


class World(CrmSync):
    async def add_fault(self, **rule: Any) -> str:
        answer = await self.sandbox.post("/faults", json={"target": "crm", **rule})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def contact(self, lead: Lead) -> dict[str, Any] | None:
        answer = await self.sandbox.get(f"/crm/contacts/{lead.lead_id}")
        return answer.json()["contact"] if answer.status_code == 200 else None

    async def is_settled(self, leads: Sequence[Lead]) -> bool:
        """Nothing of these leads waits or is on its way."""
        query = (
            "SELECT (SELECT count(*) FROM waiting WHERE lead_id = ANY(:leads)) +"
            " (SELECT count(*) FROM contacts WHERE lead_id = ANY(:leads) AND pending IS NOT NULL)"
        )
        return await self.count(query, leads=[lead.lead_id for lead in leads]) == 0

    async def is_equal(self, leads: Sequence[Lead]) -> bool:
        for lead in leads:
            if await self.contact(lead) != lead.contact:
                return False
            if await self.notes(lead) != lead.notes:
                return False
        return True

    async def wait_until_equal(self, leads: Sequence[Lead]) -> None:
        async def equal() -> bool:
            ended = [process.returncode for process in self.processes]
            assert not any(code and code > 0 for code in ended), "crm-sync ended by itself"
            return await self.is_equal(leads) and await self.is_settled(leads)

        await until(equal, "the CRM is not equal to the log")

    async def notes(self, lead: Lead) -> dict[str, str]:
        answer = await self.sandbox.get(f"/crm/contacts/{lead.lead_id}/notes")
        if answer.status_code == 404:
            return {}
        return {note["note_id"]: note["text"] for note in answer.json()["items"]}

    async def history(self, lead: Lead) -> list[dict[str, Any]]:
        answer = await self.sandbox.get(f"/crm/contacts/{lead.lead_id}/history")
        return [write["contact"] for write in answer.json()["items"]]

    async def runs(self, lead: Lead) -> list[tuple[str, str, int]]:
        query = "SELECT what, result, attempts FROM sync_runs WHERE lead_id = :lead"
        rows = await self.rows(query, lead=lead.lead_id)
        return [(row.what, row.result, row.attempts) for row in rows]

    def letters(self, leads: Sequence[Lead]) -> list[tuple[bytes | None, dict[str, Any]]]:
        """Value and headers of each dead letter of these leads."""
        wanted = {lead.lead_id.encode() for lead in leads}
        found = []
        for message in read_all(self.bootstrap, topics.CRM_SYNC_DLQ.name):
            if message.key() in wanted:
                names = {name: value.decode() for name, value in headers_of(message).items()}
                found.append((message.value(), names))
        return found


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
        LEADFLOW_CRM_RETRY_DELAYS="0.3,0.6,1",
    ) as made:
        yield made


# --- what it does ---------------------------------------------------------------------------


async def test_contacts_and_approved_notes_equal_the_log(world: World, tenant_id: str) -> None:
    leads = new_leads(tenant_id, 20)
    await world.publish(*ten_changes(leads, seed=1))
    async with world.running():
        await world.wait_until_equal(leads)


async def assert_nothing_older_followed(world: World, leads: Sequence[Lead]) -> None:
    for lead in leads:
        revisions = [contact.get("revision", 0) for contact in await world.history(lead)]
        assert revisions == sorted(revisions)
        minutes = [contact.get("last_message_at", "") for contact in await world.history(lead)]
        assert minutes == sorted(minutes)


async def test_a_fifth_of_all_calls_failing_or_lost_leaves_the_crm_equal_and_in_order(
    world: World, tenant_id: str
) -> None:
    leads = new_leads(tenant_id, 60)
    await world.add_fault(mode="fail", status=503, rate=0.1, seed=1)
    await world.add_fault(mode="drop_after_accept", rate=0.1, seed=2)
    await world.add_fault(mode="rate_limit", retry_after_seconds=1, rate=0.05, seed=3)
    records = ten_changes(leads, seed=2)
    async with world.running(LEADFLOW_CRM_BATCH="50"):
        await world.publish(*records)
        await world.wait_until_equal(leads)
    await assert_nothing_older_followed(world, leads)
    faults = (await world.sandbox.get("/faults")).json()["items"]
    assert all(fault["hits"] for fault in faults)
    assert world.letters(leads) == []
    for lead in leads:
        assert {result for _, result, _ in await world.runs(lead)} <= {"written", "unchanged"}


@pytest.mark.either_server
async def test_a_permanent_refusal_is_a_dead_letter_with_its_bytes_and_the_lead_goes_on(
    world: World, tenant_id: str
) -> None:
    (lead,) = new_leads(tenant_id, 1, kind="refused")
    await world.add_fault(mode="reject", match={"to": lead.lead_id}, times=1)
    first = lead.created()
    later = lead.updated("Grace")
    async with world.running(LEADFLOW_CRM_BATCH="1"):
        await world.publish(first)
        await until(lambda: asyncio.to_thread(lambda: bool(world.letters([lead]))), "no letter")
        await world.publish(later)
        await world.wait_until_equal([lead])
    ((value, headers),) = world.letters([lead])
    assert value == world.codec.encode(first)
    assert headers["dlq-topic"] == "lead-events"
    assert headers["dlq-error"] == "CrmNever"
    assert headers["dlq-reason"] == "PUT of a contact: HTTP 422"
    assert "Ada" not in str(headers)
    assert [contact["first_name"] for contact in await world.history(lead)] == ["Grace"]


@pytest.mark.either_server
async def test_of_changes_that_go_out_together_only_the_refused_one_is_a_dead_letter(
    world: World, tenant_id: str
) -> None:
    (lead,) = new_leads(tenant_id, 1, kind="refused")
    # All three together, then the second alone: the first alone is not worth a call.
    await world.add_fault(mode="reject", match={"to": lead.lead_id}, times=2)
    qualified, created, updated = lead.qualified(), lead.created(), lead.updated("Grace")
    await world.publish(qualified, created, updated)
    async with world.running():
        await world.wait_until_equal([lead])
    ((value, _),) = world.letters([lead])
    assert value == world.codec.encode(created)
    assert sorted(await world.runs(lead)) == [
        ("LeadCreated", "dead", 1),
        ("LeadQualified", "unchanged", 0),
        ("LeadUpdated", "written", 1),
    ]


@pytest.mark.either_server
async def test_a_write_that_arrives_late_does_not_overwrite_a_newer_one(
    world: World, tenant_id: str
) -> None:
    (lead,) = new_leads(tenant_id, 1)
    await world.add_fault(mode="stall", stall_seconds=3, times=1)
    async with world.running(LEADFLOW_CRM_TIMEOUT_SECONDS="0.5"):
        await world.publish(lead.created())
        await until(lambda: _waits(world, lead), "the first write does not fail")
        await world.publish(lead.updated("Grace"))
        await world.wait_until_equal([lead])
        # The stall is over when the first request has been carried out after all: then the
        # history has one write for each change and no more.
        stalled = datetime.now(UTC) + timedelta(seconds=4)

        async def is_over() -> bool:
            return datetime.now(UTC) > stalled

        await until(is_over, "")
        assert await world.is_equal([lead])
    assert [contact["first_name"] for contact in await world.history(lead)] == ["Ada", "Grace"]


async def _waits(world: World, lead: Lead) -> bool:
    return "waiting" in [result for _, result, _ in await world.runs(lead)]


async def test_later_records_of_a_parked_lead_wait_behind_it_and_other_leads_do_not(
    world: World, tenant_id: str
) -> None:
    (parked,) = new_leads(tenant_id, 1, kind="parked")
    others = new_leads(tenant_id, 30)
    rule = await world.add_fault(mode="fail", status=500, match={"to": "parked-"})
    async with world.running(LEADFLOW_CRM_RETRY_ATTEMPTS="3,3,1000"):
        await world.publish(parked.created(), parked.updated("Grace"))
        await world.publish(*ten_changes(others, seed=3))
        await world.wait_until_equal(others)
        await world.publish(parked.stage_changed("contacted"), parked.sent(1))

        async def all_wait() -> bool:
            return [result for _, result, _ in await world.runs(parked)] == ["waiting"] * 4

        await until(all_wait, "the later records do not wait")
        assert await world.contact(parked) is None
        await world.sandbox.delete(f"/faults/{rule}")
        await world.wait_until_equal([parked])
        # Nothing waits any more: what comes now goes straight to the CRM.
        await world.publish(parked.updated("Edsger"))
        await world.wait_until_equal([parked])
    await assert_nothing_older_followed(world, [parked])


@pytest.mark.either_server
async def test_after_the_last_attempt_a_record_is_a_dead_letter(
    world: World, tenant_id: str
) -> None:
    (lead,) = new_leads(tenant_id, 1, kind="down")
    await world.add_fault(mode="fail", status=500, match={"to": lead.lead_id})
    record = lead.created()
    await world.publish(record)
    async with world.running(
        LEADFLOW_CRM_RETRY_DELAYS="0.1,0.1,0.1", LEADFLOW_CRM_RETRY_ATTEMPTS="1,1,1"
    ):
        await until(lambda: asyncio.to_thread(lambda: bool(world.letters([lead]))), "no letter")
    ((value, headers),) = world.letters([lead])
    assert value == world.codec.encode(record)
    assert headers["dlq-error"] == "CrmGivenUp"
    assert headers["dlq-reason"].startswith("given up after 4 attempts")
    assert await world.runs(lead) == [("LeadCreated", "dead", 4)]
    assert (await world.sandbox.get("/faults")).json()["items"][0]["hits"] == 4


@pytest.mark.either_server
async def test_only_approved_summaries_become_notes(world: World, tenant_id: str) -> None:
    approved, edited, rejected, pending = leads = new_leads(tenant_id, 4)
    await world.publish(*[lead.created() for lead in leads])
    await world.publish(*[lead.summarized() for lead in leads])
    await world.publish(
        approved.reviewed("approved", "a draft"),
        edited.reviewed("edited", "better words"),
        rejected.reviewed("rejected", "a draft"),
    )
    async with world.running():
        await world.wait_until_equal(leads)
    assert await world.notes(rejected) == await world.notes(pending) == {}
    assert list((await world.notes(edited)).values()) == ["better words"]


@pytest.mark.either_server
async def test_an_approval_that_does_not_cover_its_text_is_a_dead_letter_and_no_note(
    world: World, tenant_id: str
) -> None:
    (lead,) = new_leads(tenant_id, 1)
    lying = lead.reviewed("approved", "a draft")
    lead.notes.clear()
    lying = SummaryReviewed(
        **{**{name: getattr(lying, name) for name in lying.to_avro()}, "text": "other words"}
    )
    await world.publish(lead.created(), lying)
    async with world.running():
        await until(lambda: asyncio.to_thread(lambda: bool(world.letters([lead]))), "no letter")
        await world.wait_until_equal([lead])
    ((_, headers),) = world.letters([lead])
    assert headers["dlq-reason"].startswith("approval_covers_text")


@pytest.mark.either_server
async def test_a_note_that_is_approved_before_the_lead_is_known_creates_the_contact(
    world: World, tenant_id: str
) -> None:
    (lead,) = new_leads(tenant_id, 1)
    async with world.running():
        await world.publish(lead.reviewed("approved", "words"))
        await until(lambda: _has_note(world, lead), "the note is not there")
        await world.publish(lead.created())
        await world.wait_until_equal([lead])


async def _has_note(world: World, lead: Lead) -> bool:
    return bool(await world.notes(lead))


@pytest.mark.either_server
async def test_quarantined_leads_stay_out_of_the_crm(world: World, tenant_id: str) -> None:
    spam, lead = new_leads(tenant_id, 2)
    created = spam.created()
    held = LeadCreated(
        **{
            **{name: getattr(created, name) for name in created.to_avro()},
            "status": "quarantined",
        }
    )
    await world.publish(held, lead.created())
    async with world.running():
        await world.wait_until_equal([lead])
    assert await world.contact(spam) is None


async def test_killed_workers_and_a_failing_crm_leave_the_crm_equal_and_in_order(
    world: World, tenant_id: str
) -> None:
    leads = new_leads(tenant_id, 60)
    records = ten_changes(leads, seed=4)
    await world.add_fault(mode="fail", status=503, rate=0.1, seed=1)
    await world.add_fault(mode="drop_after_accept", rate=0.1, seed=2)
    chance = random.Random(5)
    settings = {"LEADFLOW_CRM_BATCH": "30"}

    async def calls() -> int:
        items = (await world.sandbox.get("/faults")).json()["items"]
        return int(items[0]["seen"])

    for part in range(3):
        await world.publish(*records[part * 100 : (part + 1) * 100])
        wanted = await calls() + chance.randint(1, 6)

        async def has_called(least: int = wanted) -> bool:
            return await calls() >= least

        async with world.running(**settings) as worker:
            await until(has_called, "no calls are made")
            worker.kill()
            await worker.wait()
    await world.publish(*records[300:])
    async with world.running(**settings), world.running(**settings):
        await world.wait_until_equal(leads)
    await assert_nothing_older_followed(world, leads)
    assert world.letters(leads) == []
