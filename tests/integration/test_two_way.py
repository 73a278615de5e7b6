"""People change leads in their CRM: from its webhook to the log and back, on real servers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

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
from leadflow.clock import SystemClock
from leadflow.codec import Codec
from leadflow.records import LeadUpdated

from .crm_syncing import until
from .two_way import BOSS, HUBSPOT, STANDARD, World, running

# One set of processes for all: each takes seconds to begin.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.either_server,
    pytest.mark.asyncio(loop_scope="module"),
]

QUIET_SECONDS = 4.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    kafka_bootstrap: str, admin_url: str, secret: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    folder = tmp_path_factory.mktemp("two-way")
    async with running(kafka_bootstrap, admin_url, secret, folder) as made:
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
    # A call that fails is made again after five seconds.
    await until(lambda: world.looked_at(tenant_id), "notices were not looked at")
    assert sorted(name for name, _ in world.told_of(lead_id)) == ["owner", "phone", "stage"]
    assert world.stages(lead_id) == ["qualified"]
    assert sorted(world.settled(lead_id)) == [
        ("owner", "taken", "crm_wins_for_owner", False),
        ("phone", "taken", "only_crm_changed", False),
        ("stage", "taken", "only_crm_changed", False),
    ]
    await until(lambda: _is(world.shown(lead_id), [False] * 3), "the portal does not show it")


async def test_hubspots_people_move_deals_and_what_cannot_stand_is_a_conflict(
    world: World,
) -> None:
    tenant_id = f"acme-{uuid4().hex[:8]}"
    await world.add_account(tenant_id, "hubspot", "hubspot", f"pat-na1-{tenant_id}")
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
    await world.add_account(tenant_id, "hubspot", "hubspot", f"pat-na1-{tenant_id}")
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
    # Times are in milliseconds, and this is to be the later one.
    await asyncio.sleep(0.1)
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
    await world.add_account(tenant_id, "followupboss", "followupboss/v1", f"fka_{tenant_id}")
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


async def test_a_crm_that_cannot_be_read_is_believed(world: World) -> None:
    tenant_id = f"acme-{uuid4().hex[:8]}"
    # The secret of the sandbox's receiver (sandbox/README.md).
    secret = "whsec_bGVhZGZsb3cgc2FuZGJveCB3ZWJob29rcw=="
    await world.add_account(tenant_id, "webhook", f"webhook-crm/{tenant_id}", secret, mapping={})
    account = f"/accounts/webhook/{tenant_id}"
    webhook = {"url": f"{world.portal_url}/webhooks/crm/webhook/{tenant_id}", "secret": STANDARD}
    (await world.sandbox.post(account, json={"webhook": webhook})).raise_for_status()
    lead_id = await world.tell(tenant_id, ADA)

    async def record() -> dict[str, Any]:
        return await world.record(f"{account}/contacts", "external_id", lead_id)

    async def there() -> bool:
        return bool(await record()) and await world.written(lead_id)

    await until(there, "the lead did not reach the CRM")
    found = await record()
    contact = {**found["values"]["contact"], "stage": "contacted", "title": "Owner"}
    path = f"{account}/contacts/{found['id']}"
    edited = await world.sandbox.put(path, json={"contact": contact})
    assert edited.json()["told"] == 204

    async def taken() -> bool:
        newest = (await record())["history"][-1]
        values = newest["values"]["contact"]
        return newest["by"] == "api" and (values["stage"], values.get("title")) == (
            "contacted",
            "Owner",
        )

    await until(taken, "what people changed was not taken")
    for change in (await record())["history"]:
        await world.sandbox.post(f"{path}/notices", json={"seq": change["seq"]})
    await asyncio.sleep(QUIET_SECONDS)
    assert sorted(name for name, _ in world.told_of(lead_id)) == ["stage", "title"]
    assert world.stages(lead_id) == ["contacted"]


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
    world.worker.kill()
    await world.worker.wait()
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
        tenant_id=tenant_id,
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
    assert [row.attempts for row in await world.rows(query, id=lead_id)] == [2]

    await world.start("crm_sync")

    async def gone() -> bool:
        return await world.rows(query, id=lead_id) == []

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
