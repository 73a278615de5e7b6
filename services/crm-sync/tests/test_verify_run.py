"""Leads held against a CRM while others write, and written again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync import verify_command
from crm_sync.account_store import PAUSED, Registered
from crm_sync.crm.base import (
    ContactWrite,
    CrmError,
    CrmLimited,
    CrmNever,
    CrmUnavailable,
    CrmUnreadable,
    Kept,
)
from crm_sync.crm.providers import Access
from crm_sync.decide import contact_fields
from crm_sync.model import Contact
from crm_sync.notice_store import Notice
from crm_sync.routing import Connections, Router
from crm_sync.store import ContactTaken, Leads
from crm_sync.verify import Finding, Folded, fold
from crm_sync.verify_command import arguments, exit_code, run
from crm_sync.verify_run import Options, Tally, Verifier
from leadflow.settings import Environment

AT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
DEFAULT = Registered(account_id="default", tenant_id="", provider="sandbox", changed_at=AT)
WEBHOOK = Registered(account_id="webhook-1", tenant_id="acme", provider="webhook", changed_at=AT)


@dataclass
class World:
    """Rows, a CRM and a clock in memory. `before_save` plays another worker."""

    row: Registered = DEFAULT
    contacts: dict[str, Contact] = field(default_factory=dict)
    crm: dict[str, dict[str, Any]] = field(default_factory=dict)
    parked: set[str] = field(default_factory=set)
    old: set[str] = field(default_factory=set)
    refuses: dict[str, CrmError] = field(default_factory=dict)
    reads: list[CrmError] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    told: list[tuple[Finding, bool, str | None]] = field(default_factory=list)
    before_save: list[Callable[[], None]] = field(default_factory=list)
    told_of: list[str] = field(default_factory=list)
    slept: float = 0.0
    looked_at: list[Notice] = field(default_factory=list)
    name: str = "sandbox"
    both_ways: Mapping[str, str] = field(
        default_factory=lambda: {"stage": "stage", "first_name": "first_name"}
    )

    # The notices'
    async def fold(self, notices: Sequence[Notice], wait: timedelta) -> None:
        self.looked_at += notices

    # The store's
    async def load(self, account_ids: Mapping[str, str]) -> Leads:
        found = {k: v for k, v in self.contacts.items() if k in account_ids}
        queues: dict[str, list[Any]] = {k: [] for k in account_ids if k in self.parked}
        return Leads(found, queues)

    async def save_contacts(self, contacts: Sequence[Contact]) -> list[Contact]:
        if self.before_save:
            self.before_save.pop()()
        for each in contacts:
            known = self.contacts.get(each.lead_id)
            if (0 if known is None else known.version) != each.version:
                raise ContactTaken("taken")
        saved = [replace(each, version=each.version + 1) for each in contacts]
        self.contacts.update({each.lead_id: each for each in saved})
        return saved

    async def left_behind(
        self, account_id: str, lead_ids: Collection[str], before: datetime
    ) -> set[str]:
        assert before == AT - timedelta(seconds=60)
        return self.old & set(lead_ids)

    async def noticed(self, account_id: str) -> dict[str, list[str]]:
        return {"deal": self.told_of} if self.told_of else {}

    # The accounts'
    async def of(self, tenant_ids: Collection[str]) -> list[Registered]:
        return [DEFAULT, self.row]

    async def change(self, *args: Any, **more: Any) -> bool:
        raise AssertionError("nobody pauses anything here")

    # The CRM's
    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        if self.reads:
            raise self.reads.pop()
        return {k: v for k, v in self.crm.items() if k in external_ids}

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        return {each: each.removeprefix("deal of ") for each in crm_ids}

    def kept(self, fields: Mapping[str, Any]) -> Kept:
        return fields

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        return [self.refuses.get(each.external_id) or self._write(each) for each in writes]

    def _write(self, write: ContactWrite) -> str:
        if write.key not in self.keys:
            self.keys.append(write.key)
            self.crm[write.external_id] = dict(write.fields)
        return f"crm of {write.external_id}"

    async def close(self) -> None:
        pass

    # The clock's
    def now(self) -> datetime:
        return AT

    def monotonic(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def written(self, lead_id: str, lead: Folded, **more: Any) -> None:
        """The lead as it should be, row and contact."""
        self.contacts[lead_id] = replace(
            Contact(lead_id, "acme", 3, lead.state, f"crm of {lead_id}"),
            account_id=self.row.account_id,
            **more,
        )
        self.crm[lead_id] = contact_fields("acme", lead.state)

    async def verify(self, leads: Mapping[str, Folded], **options: Any) -> Tally:
        store: Any = self

        class Opening(Connections):
            def _open(self, row: Registered) -> Any:
                return store

        connections = Opening(Access(), None, store, 1, store)
        self.told = []
        verifier = Verifier(
            store,
            store,
            store,
            connections,
            Router(store, store, connections),
            store,
            Options(**options),
            lambda *told: self.told.append(told),
        )
        await verifier.compare(leads)
        return verifier.tally

    def kinds(self) -> dict[str, str]:
        return {finding.lead_id: finding.kind for finding, _, _ in self.told}


@pytest.fixture
def leads(records: Any) -> dict[str, Folded]:
    found: dict[str, Folded] = {}
    for number in range(1, 6):
        fold(found, records.created(lead_id=f"lead-{number}", first_name="Ada"), ())
    return found


@pytest.fixture
def world(leads: dict[str, Folded]) -> World:
    """Of five leads the first is as it should be, and four are not."""
    made = World()
    for lead_id, lead in leads.items():
        made.written(lead_id, lead)
    del made.crm["lead-2"]
    made.crm["lead-3"]["first_name"] = "Eve"
    made.parked.add("lead-4")
    made.contacts["lead-5"] = replace(
        made.contacts["lead-5"], pending=leads["lead-5"].state, pending_event="e5"
    )
    made.old.add("lead-5")
    return made


WRONG = {"lead-2": "missing", "lead-3": "differs", "lead-4": "waiting", "lead-5": "pending"}


async def test_every_disagreement_is_told_and_nothing_is_written(
    world: World, leads: dict[str, Folded]
) -> None:
    tally = await world.verify(leads)
    assert world.kinds() == WRONG
    assert (tally.compared, tally.drift, exit_code(tally)) == (5, 3, 1)
    assert world.keys == []


async def test_a_repair_leaves_no_drift_and_leads_that_wait_alone(
    world: World, leads: dict[str, Folded]
) -> None:
    tally = await world.verify(leads, repair=True)
    assert world.kinds() == WRONG
    assert (tally.repaired.total(), tally.drift, exit_code(tally)) == (3, 0, 0)
    assert not any(key.startswith("e4") for key in world.keys)
    tally = await world.verify(leads)
    assert world.kinds() == {"lead-4": "waiting"}
    assert exit_code(tally) == 0


async def test_what_people_changed_unnoticed_is_looked_at_in_place_of_being_written_over(
    world: World, leads: dict[str, Folded]
) -> None:
    world.crm["lead-1"]["urgency"] = "low"  # goes one way only
    tally = await world.verify(leads, take=True, repair=True)
    assert world.kinds() == {**WRONG, "lead-3": "noticed", "lead-1": "differs"}
    assert [(each.object, each.crm_id, each.noticed_at) for each in world.looked_at] == [
        ("contact", "crm of lead-3", AT)
    ]
    assert world.crm["lead-3"]["first_name"] == "Eve"
    assert world.crm["lead-1"]["urgency"] == "normal"
    assert (tally.repaired["differs"], tally.drift, exit_code(tally)) == (1, 0, 0)


async def test_the_same_drift_that_comes_back_is_repaired_again(
    world: World, leads: dict[str, Folded]
) -> None:
    await world.verify(leads, repair=True)
    world.crm["lead-3"]["first_name"] = "Eve"
    tally = await world.verify(leads, repair=True)
    assert world.crm["lead-3"]["first_name"] == "Ada"
    assert dict(tally.repaired) == {"differs": 1}


async def test_no_more_are_repaired_in_a_second_than_the_rate_says(
    world: World, leads: dict[str, Folded]
) -> None:
    await world.verify(leads, repair=True, rate=0.5)
    assert world.slept == 3 / 0.5


async def test_a_lead_that_somebody_else_writes_meanwhile_is_looked_at_again(
    world: World, leads: dict[str, Folded], records: Any
) -> None:
    newer: dict[str, Folded] = {}
    fold(newer, records.updated(2, lead_id="lead-3", first_name="Grace"), ())

    def other_worker() -> None:
        known = world.contacts["lead-3"]
        state = {**known.state, **newer["lead-3"].state}
        world.contacts["lead-3"] = replace(known, version=known.version + 1, state=state)
        world.crm["lead-3"] = contact_fields("acme", state)

    world.before_save.append(other_worker)
    tally = await world.verify({"lead-3": leads["lead-3"]}, repair=True)
    assert world.told == []
    assert (tally.compared, exit_code(tally)) == (1, 0)
    assert world.crm["lead-3"]["first_name"] == "Grace"


async def test_a_write_that_is_under_way_is_waited_for_and_is_no_drift(
    world: World, leads: dict[str, Folded]
) -> None:
    world.old.clear()
    tally = await world.verify({"lead-5": leads["lead-5"]}, repair=True)
    assert world.kinds() == {"lead-5": "under_way"}
    assert (tally.compared, tally.drift, world.keys) == (1, 0, [])


async def test_what_the_crm_refuses_is_told_and_left(
    world: World, leads: dict[str, Folded]
) -> None:
    world.refuses = {"lead-2": CrmNever("HTTP 422"), "lead-3": CrmUnavailable("HTTP 500")}
    tally = await world.verify(leads, repair=True)
    told = {finding.lead_id: (repaired, why) for finding, repaired, why in world.told}
    assert told["lead-2"] == (False, "HTTP 422")
    assert told["lead-3"] == (False, "HTTP 500")
    assert (tally.drift, exit_code(tally)) == (2, 1)
    # Nobody knows whether the second was carried out: it is a write that was left behind.
    world.refuses, world.old = {}, {"lead-3"}
    tally = await world.verify(leads, repair=True)
    assert dict(tally.repaired) == {"missing": 1, "pending": 1}


async def test_what_the_crm_told_of_is_left_until_somebody_has_looked(
    world: World, leads: dict[str, Folded]
) -> None:
    world.told_of = ["deal of lead-2", "deal of lead-3"]
    tally = await world.verify(leads, repair=True)
    # That it was deleted is nothing that comes in from there.
    assert world.kinds() == {**WRONG, "lead-3": "noticed"}
    assert (dict(tally.repaired), tally.drift) == ({"missing": 1, "pending": 1}, 0)
    assert world.crm["lead-3"]["first_name"] == "Eve"
    world.told_of.clear()
    tally = await world.verify(leads, repair=True)
    assert dict(tally.repaired) == {"differs": 1}


async def test_a_crm_that_fails_is_asked_again_and_then_trouble(
    world: World, leads: dict[str, Folded]
) -> None:
    world.reads = [CrmLimited("HTTP 429", timedelta(seconds=7)), CrmUnavailable("HTTP 500")]
    assert exit_code(await world.verify(leads)) == 1
    assert world.slept == 1 + 7
    world.reads = [CrmUnavailable("HTTP 500")] * 3
    tally = await world.verify(leads)
    assert (tally.trouble, exit_code(tally)) == ({"default": "HTTP 500"}, 2)


async def test_a_crm_that_has_what_cannot_be_compared_is_trouble_and_no_end(
    world: World, leads: dict[str, Folded]
) -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, _: object) -> bool:
            raise RecursionError

    for has in ({each: {"first_name": Odd()} for each in leads}, dict.fromkeys(leads, "odd")):
        world.crm = has  # type: ignore[assignment]
        tally = await world.verify(leads)
        assert (list(tally.trouble), exit_code(tally)) == (["default"], 2)


async def test_a_paused_account_is_not_asked_and_that_is_trouble(
    world: World, leads: dict[str, Folded]
) -> None:
    world.row = replace(DEFAULT, status=PAUSED)
    tally = await world.verify(leads)
    assert (tally.compared, tally.trouble, exit_code(tally)) == (0, {"default": "it is paused"}, 2)


async def test_a_new_account_gets_all_of_its_tenants_leads_even_one_that_cannot_be_read(
    leads: dict[str, Folded],
) -> None:
    world = World(row=WEBHOOK, reads=[CrmUnreadable("")] * 2)
    tally = await world.verify(leads, repair=True)
    assert dict(tally.repaired) == {"missing": 5}
    assert world.crm.keys() == leads.keys()
    tally = await world.verify(leads, repair=True)
    assert (tally.kinds.total(), tally.unreadable, exit_code(tally)) == (0, {"webhook-1"}, 0)


async def test_another_account_is_left_alone(world: World, leads: dict[str, Folded]) -> None:
    tally = await world.verify(leads, account_id="hubspot-1")
    assert (tally.compared, exit_code(tally)) == (0, 0)


@pytest.mark.parametrize("written", ["0", "-1", "many", "nan", "inf", "1e400"])
def test_a_rate_is_more_than_nothing(written: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments(["--rate", written])
    assert ended.value.code == 2
    assert arguments(["--rate", "2.5/s"]).rate == 2.5


@pytest.mark.parametrize("written", ["-1", "nan", "inf", "1e300", "soon"])
def test_a_time_to_settle_is_a_number_of_seconds(written: str) -> None:
    with pytest.raises(SystemExit) as ended:
        arguments([f"--settle={written}"])
    assert ended.value.code == 2
    assert arguments(["--settle", "0"]).settle == 0


def test_an_error_that_nobody_thought_of_is_no_drift_but_trouble(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(verify_command, "_run", fails)
    assert run([], Environment({})) == 2


def test_a_missing_setting_names_itself_and_is_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([], Environment({})) == 2
    assert "LEADFLOW_KAFKA_BOOTSTRAP is not set" in capsys.readouterr().err
