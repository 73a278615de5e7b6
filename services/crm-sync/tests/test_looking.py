"""Who looks at a CRM's news reads what we wrote before and after, and tells the log once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync.account_store import ACTIVE, PAUSED, Registered
from crm_sync.changes import CrmChange
from crm_sync.compare import Heard
from crm_sync.crm.base import (
    CrmError,
    CrmLimited,
    CrmOdd,
    CrmSignIn,
    CrmUnavailable,
    CrmUnreadable,
    Kept,
)
from crm_sync.crm.defaults import HUBSPOT
from crm_sync.crm.hubspot import HubSpotCrm
from crm_sync.looking import Looker
from crm_sync.model import OWNER, PROFILE, STAGE, Contact, Earlier, Order, Register
from crm_sync.notice_store import Known, Named, Notice
from crm_sync.reports import Reports
from leadflow.codec import Codec
from leadflow.errors import LeadflowError
from leadflow.kafka.port import Outgoing
from leadflow.records import RawEvent
from leadflow.tenants import Tenant

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ROW = Registered(account_id="a-1", tenant_id="acme", provider="hubspot", changed_at=NOW)


class Clock:
    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def known(stage: str = "contacted", **more: Any) -> Known:
    order = Order(1, "e1")
    state = {
        PROFILE: Register(order, {"first_name": "Ada", "email": "ada@x.example"}),
        STAGE: Register(order, {"stage": stage}),
        OWNER: Register(order, {"owner": "rita"}),
    }
    contact = Contact("lead-1", "acme", 5, state, crm_id="101", account_id="a-1")
    before = NOW - timedelta(hours=1)
    return Known(replace(contact, **more), {}, before, before)


class Store:
    """What `NoticeStore` promises, for rows that are due; `versions` what each load finds."""

    def __init__(self, *notices: Notice, lead: Known | None = None) -> None:
        self.due = list(notices)
        self.over: list[Notice] = []
        self.waiting: list[tuple[Notice, timedelta]] = []
        self.heard: dict[str, Heard] = {}
        self.lead = lead or known()
        self.loads: Callable[[int], Known] = lambda _: self.lead
        self.loaded = 0

    async def take(self, most: int, lease: timedelta) -> list[Notice]:
        taken, self.due = self.due, []
        return taken

    async def contacts(self, account_id: str, lead_ids: Sequence[str]) -> dict[str, Known]:
        self.loaded += 1
        return {"lead-1": self.loads(self.loaded)} if "lead-1" in lead_ids else {}

    async def put_off(self, notice: Notice, wait: timedelta) -> None:
        self.waiting.append((notice, wait))

    async def done(
        self, notices: Sequence[Notice], lead_id: str = "", heard: Mapping[str, Heard] = {}
    ) -> None:
        self.over += notices
        self.heard.update(heard)


class Crm(HubSpotCrm):
    """HubSpot's words, without the network."""

    def __init__(self, **theirs: str) -> None:
        super().__init__("token", mapping=replace(HUBSPOT, owners={"rita": "41", "otto": "42"}))
        self.error: CrmError | None = None
        self.refuses: CrmError | None = None
        self.read_at_all = True
        self.theirs: dict[str, Any] = {
            **self.kept({"first_name": "Ada", "email": "ada@x.example"}),
            **self.kept({"stage": "contacted", "owner": "rita"}),
            **{name.replace("__", "."): value for name, value in theirs.items()},
        }

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        return {each: "lead-1" for each in crm_ids if each != "999"}

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        if not self.read_at_all:
            raise CrmUnreadable("a wall")
        return dict.fromkeys(external_ids, self.theirs)

    async def canary(self) -> None:
        if self.refuses is not None:
            raise self.refuses


class Connected:
    def __init__(self, crm: Crm) -> None:
        self.crm = crm

    def to(self, row: Registered) -> Connected:
        return self

    async def __aenter__(self) -> Crm:
        return self.crm

    async def __aexit__(self, *_: object) -> None:
        return None


class Accounts:
    def __init__(self) -> None:
        self.status = ACTIVE

    async def all(self) -> list[Registered]:
        return [ROW]

    async def change(
        self, account_id: str, status: str, reason: str, by: str, before: Any, revision: int
    ) -> bool:
        self.status = status
        return True


class Log:
    def __init__(self) -> None:
        self.told: list[CrmChange] = []
        self.breaks = False

    async def tell(self, changes: Sequence[CrmChange]) -> None:
        if self.breaks:
            raise LeadflowError("no broker")
        self.told += changes


def deal(*named: Named, **more: Any) -> Notice:
    given: dict[str, Any] = {
        "attempts": 1,
        "first_at": NOW,
        "noticed_at": NOW - timedelta(seconds=5),
    }
    given |= {"account_id": "a-1", "tenant_id": "acme", "object": "deal", "crm_id": "201"}
    return Notice(changes=named, **(given | more))


def looker(
    store: Store, crm: Crm, log: Log | None = None, accounts: Accounts | None = None
) -> Looker:
    with_types: Any = (store, accounts or Accounts(), Connected(crm))
    return Looker(*with_types, (log or Log()).tell, Clock())


async def test_a_persons_change_is_told_in_our_words() -> None:
    store, log = Store(deal()), Log()
    await looker(store, Crm(deal__dealstage="presentationscheduled"), log).round()
    (change,) = log.told
    assert (change.lead_id, change.crm_id, change.field) == ("lead-1", "101", "stage")
    assert (change.values, change.was, change.version) == (("qualified",), "contacted", 5)
    assert (store.over, store.waiting) == ([deal()], [])
    noticed, until = NOW - timedelta(seconds=5), NOW - timedelta(seconds=2)
    assert store.heard == {"deal.dealstage": Heard(until, "presentationscheduled", noticed)}


async def test_what_we_have_written_is_told_to_nobody() -> None:
    store, log = Store(deal()), Log()
    await looker(store, Crm(), log).round()
    assert (log.told, store.over) == ([], [deal()])


async def test_a_contact_that_was_written_meanwhile_is_looked_at_again() -> None:
    store, log = Store(deal()), Log()
    # Between the first and the second load the CRM gets "qualified" from us.
    written = known("qualified", version=7)
    store.loads = lambda number: known() if number == 1 else written
    await looker(store, Crm(deal__dealstage="presentationscheduled"), log).round()
    assert (log.told, store.over, store.loaded) == ([], [deal()], 4)


async def test_a_contact_that_is_written_all_the_time_is_looked_at_later() -> None:
    store, log = Store(deal()), Log()
    store.loads = lambda number: known(version=number)
    await looker(store, Crm(deal__dealstage="presentationscheduled"), log).round()
    assert (log.told, store.over) == ([], [])
    assert store.waiting == [(deal(), timedelta(seconds=1))]


async def test_of_a_write_under_way_neither_end_is_a_change() -> None:
    pending = {**known().contact.state, STAGE: Register(Order(2, "e2"), {"stage": "qualified"})}
    for stage in ("qualifiedtobuy", "presentationscheduled"):
        store, log = Store(deal(), lead=known(pending=pending)), Log()
        await looker(store, Crm(deal__dealstage=stage), log).round()
        assert (log.told, store.over) == ([], [deal()])


async def test_before_our_first_write_is_through_nothing_is_told() -> None:
    store, log = Store(deal(), lead=known(crm_id=None)), Log()
    await looker(store, Crm(deal__dealstage="closedwon"), log).round()
    assert (log.told, store.over) == ([], [])
    assert store.waiting == [(deal(), timedelta(seconds=5))]


async def test_an_object_that_is_no_leads_is_nobodys() -> None:
    stranger = replace(deal(), crm_id="999")
    store = Store(stranger)
    await looker(store, Crm()).round()
    assert store.over == [stranger]


async def test_what_one_tenants_crm_tells_of_anothers_lead_is_dropped() -> None:
    forged = deal(Named("dealstage", "closedlost", NOW), tenant_id="rival")
    store, log = Store(forged), Log()
    await looker(store, Crm(deal__dealstage="closedlost"), log).round()
    assert (log.told, store.over) == ([], [forged])


async def test_notices_of_a_contact_and_its_deal_are_one_look() -> None:
    contact = replace(deal(), object="contact", crm_id="101", noticed_at=NOW)
    store, log = Store(deal(), contact), Log()
    await looker(store, Crm(deal__dealstage="closedlost"), log).round()
    assert (len(log.told), store.over) == (1, [contact, deal()])


async def test_a_row_is_over_only_once_its_change_is_told() -> None:
    store, log = Store(deal()), Log()
    log.breaks = True
    with pytest.raises(LeadflowError, match="no broker"):
        await looker(store, Crm(deal__dealstage="closedlost"), log).round()
    assert store.over == []


async def test_what_is_told_again_after_a_crash_is_the_same_event() -> None:
    reports = Reports(Codec(), Clock())
    told = []
    for _ in range(2):
        store, log = Store(deal()), Log()
        await looker(store, Crm(deal__dealstage="presentationscheduled"), log).round()
        told.append(_event(reports.of_change(log.told[0])))
    assert told[0] == told[1]
    assert (told[0].kind, told[0].source, told[0].external_id) == (
        "crm_change",
        "crm:hubspot",
        "101",
    )
    assert json.loads(told[0].payload) == {
        "lead": "lead-1",
        "provider": "hubspot",
        "account_id": "a-1",
        "fields": {
            "stage": {
                "value": "qualified",
                "was": "contacted",
                "at": "2026-11-21T08:59:55.000Z",
            }
        },
    }


async def test_a_stage_that_nobody_here_knows_is_told_in_the_crms_word() -> None:
    store, log = Store(deal()), Log()
    await looker(store, Crm(deal__dealstage="s-17"), log).round()
    event = _event(Reports(Codec(), Clock()).of_change(log.told[0]))
    told = json.loads(event.payload)["fields"]["stage"]
    assert (told["value"], told["unknown"], told["was"]) == (None, "s-17", "contacted")


async def test_of_stages_with_one_word_the_tenants_is_told() -> None:
    store, log = Store(deal()), Log()
    await looker(store, Crm(deal__dealstage="contractsent"), log).round()
    wholesaler = Tenant(tenant_id="acme", pipeline=("new", "contacted", "offer-sent", "lost"))
    for tenants, stage in (({}, "proposal-sent"), ({"acme": wholesaler}, "offer-sent")):
        event = _event(Reports(Codec(), Clock(), tenants).of_change(log.told[0]))
        assert json.loads(event.payload)["fields"]["stage"]["value"] == stage


async def test_an_owner_whom_the_mapping_does_not_name_is_nobody_of_ours() -> None:
    for number, told in (("42", [("otto",)]), ("77", [])):
        store, log = Store(deal()), Log()
        await looker(store, Crm(deal__hubspot_owner_id=number), log).round()
        assert [change.values for change in log.told] == told


async def test_an_old_value_of_ours_that_comes_back_is_an_echo() -> None:
    until = NOW - timedelta(minutes=30)
    lead = known(earlier=(Earlier("stage", "new", until),))
    echo = Named("dealstage", "appointmentscheduled", NOW - timedelta(hours=2))
    store, log = Store(deal(echo), lead=lead), Log()
    await looker(store, Crm(), log).round()
    assert (log.told, store.over) == ([], [deal(echo)])


async def test_of_a_crm_that_cannot_be_read_its_news_counts() -> None:
    said = Named("dealstage", "presentationscheduled", NOW)
    store, log, crm = Store(deal(said)), Log(), Crm()
    crm.read_at_all = False
    await looker(store, crm, log).round()
    assert [change.values for change in log.told] == [("qualified",)]


@pytest.mark.parametrize(
    ("error", "wait"), [(CrmUnavailable("x"), 5), (CrmLimited("x", timedelta(seconds=90)), 90)]
)
async def test_a_failed_look_is_repeated_later(error: CrmError, wait: int) -> None:
    store, crm = Store(deal()), Crm()
    crm.error = error
    await looker(store, crm).round()
    assert (store.over, store.waiting) == ([], [(deal(), timedelta(seconds=wait))])


@pytest.mark.parametrize("error", [KeyError("results"), RecursionError(), OverflowError()])
async def test_an_answer_that_cannot_be_read_holds_up_nobody_else(error: Exception) -> None:
    class Odd(Crm):
        async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
            raise error

    store = Store(deal())
    await looker(store, Odd()).round()
    assert store.waiting == [(deal(), timedelta(seconds=5))]


@pytest.mark.parametrize("error", [RecursionError(), CrmOdd("read: KeyError")])
async def test_of_several_only_the_one_that_cannot_be_read_waits(error: Exception) -> None:
    class Odd(Crm):
        async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
            if "13" in crm_ids:
                raise error
            return {}

    odd, well = deal(crm_id="13"), deal(crm_id="999")
    store = Store(odd, well)
    await looker(store, Odd()).round()
    assert (store.over, store.waiting) == ([well], [(odd, timedelta(seconds=5))])


async def test_after_three_days_it_is_given_up() -> None:
    old = deal(first_at=NOW - timedelta(days=3, seconds=1), attempts=300)
    store, crm = Store(old), Crm()
    crm.error = CrmUnavailable("x")
    await looker(store, crm).round()
    assert store.over == [old]


async def test_refused_credentials_pause_the_account_unless_its_canary_is_accepted() -> None:
    for refuses, status in ((CrmSignIn("no"), PAUSED), (None, ACTIVE)):
        store, crm, accounts = Store(deal()), Crm(), Accounts()
        crm.error, crm.refuses = CrmSignIn("no"), refuses
        await looker(store, crm, accounts=accounts).round()
        assert (accounts.status, store.over, len(store.waiting)) == (status, [], 1)


def _event(outgoing: Outgoing) -> RawEvent:
    record = Codec().decode(outgoing.value)
    assert isinstance(record, RawEvent)
    assert outgoing.key == f"acme:{record.source}:{record.external_id}".encode()
    return record
