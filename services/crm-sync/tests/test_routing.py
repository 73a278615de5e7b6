"""Each tenant's leads go to its account, and one account's trouble is not another's."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_sync.account_store import ACTIVE, PAUSED, Registered
from crm_sync.budget import Budget
from crm_sync.crm.base import (
    ContactWrite,
    CrmError,
    CrmNoRoom,
    CrmPaused,
    CrmSignIn,
    CrmSilent,
    CrmUnavailable,
)
from crm_sync.crm.http import Gate, open_gate
from crm_sync.crm.providers import Access
from crm_sync.model import Account, Contact, Item
from crm_sync.routing import Connections, Router
from crm_sync.sealing import Sealer
from leadflow.errors import LeadflowError, SettingError

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TIMEOUT = 10
SEALER = Sealer(b"k" * 32)
DEFAULT = Registered(account_id="default", tenant_id="", provider="sandbox", changed_at=AT)
HUBSPOT = Registered(
    account_id="hubspot-1",
    tenant_id="acme",
    provider="hubspot",
    sealed_secret=SEALER.seal("pat-na1-x", "hubspot-1"),
    changed_at=AT,
)


class Rows:
    def __init__(self, *rows: Registered) -> None:
        self.rows = {row.account_id: row for row in rows}

    async def of(self, tenant_ids: Collection[str]) -> list[Registered]:
        return [
            row
            for row in self.rows.values()
            if row.tenant_id in tenant_ids or row.account_id == "default"
        ]

    async def change(
        self,
        account_id: str,
        status: str,
        reason: str,
        by: str,
        before: Sequence[str],
        revision: int | None = None,
    ) -> bool:
        row = self.rows[account_id]
        if row.status not in before or revision not in (None, row.revision):
            return False
        self.rows[account_id] = replace(
            row, status=status, reason=reason, changed_by=by, revision=row.revision + 1
        )
        return True


class SavedContacts:
    async def save_contacts(self, contacts: Sequence[Contact]) -> list[Contact]:
        return list(contacts)


class FakeCrm:
    def __init__(self, name: str, answer: str | CrmError = "crm-1") -> None:
        self.name = name
        self.answer = answer
        self.writes: list[ContactWrite] = []
        self.closed = False
        self.refuses_canary: CrmError | None = None
        self.takes = timedelta(0)
        self.canaries = 0

    async def canary(self) -> None:
        self.canaries += 1
        if self.refuses_canary is not None:
            raise self.refuses_canary

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        assert not self.closed
        self.writes += writes
        CLOCK.at += self.takes
        return [self.answer] * len(writes)

    async def close(self) -> None:
        self.closed = True


class Clock:
    """Time passes in calls, and where `sleepers` are let go on."""

    def __init__(self) -> None:
        self.at = AT
        self.sleepers: list[asyncio.Event] = []
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - AT).total_seconds()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.sleepers.append(asyncio.Event())
        await self.sleepers[-1].wait()


CLOCK = Clock()


class Opening(Connections):
    """Opens fakes in place of CRMs."""

    def __init__(self) -> None:
        gates: Any = None  # what is opened here needs none
        super().__init__(Access(url="http://127.0.0.1:1/crm"), SEALER, CLOCK, TIMEOUT, gates)
        self.made: list[FakeCrm] = []
        self.refuses: set[str] = set()
        self.answers: dict[str, CrmError] = {}
        self.canaries: dict[str, CrmError] = {}

    def _open(self, row: Registered) -> Any:
        if row.account_id in self.refuses:
            raise SettingError(f"account {row.account_id} is not set up")
        made = FakeCrm(row.account_id, self.answers.get(row.account_id, "crm-1"))
        made.refuses_canary = self.canaries.get(row.account_id)
        self.made.append(made)
        return made


def routed(*rows: Registered) -> tuple[Router, Rows, Opening]:
    kept, opening = Rows(*rows), Opening()
    store: Any = SavedContacts()
    accounts: Any = kept
    return Router(store, accounts, opening), kept, opening


def of(item: Item, account: Account) -> Item:
    return replace(item, account=account)


async def test_a_tenant_without_an_account_has_the_default_one() -> None:
    router, _, _ = routed(DEFAULT, HUBSPOT)
    found = await router.of({"acme", "other"})
    assert found == {"acme": Account("hubspot-1", "hubspot"), "other": Account()}


async def test_each_lead_is_written_to_its_tenants_account(records: Any, item: Any) -> None:
    router, _, opening = routed(DEFAULT, HUBSPOT)
    account = (await router.of({"acme", "other"}))["acme"]
    mine = of(item(records.created(lead_id="lead-1")), account)
    theirs = item(records.created(lead_id="lead-2", tenant_id="other"))
    works = await router.run({}, {"lead-1": [mine], "lead-2": [theirs]})
    written = {crm.name: [write.external_id for write in crm.writes] for crm in opening.made}
    assert written == {"hubspot-1": ["lead-1"], "default": ["lead-2"]}
    assert {work.contact.account_id for work in works} == {"hubspot-1", "default"}


async def test_a_paused_account_is_not_called_and_the_others_are(records: Any, item: Any) -> None:
    router, _, opening = routed(DEFAULT, replace(HUBSPOT, status=PAUSED))
    account = (await router.of({"acme", "other"}))["acme"]
    assert account.paused
    first, later = (of(item(records.created(n)), account) for n in (1, 2))
    theirs = item(records.created(lead_id="lead-2", tenant_id="other"))
    held, done = await router.run({}, {"lead-1": [first, later], "lead-2": [theirs]})
    assert [crm.name for crm in opening.made] == ["default"]
    assert isinstance(held.error, CrmPaused)
    assert (held.failed, held.behind, held.contact.pending) == ([first], [later], None)
    assert done.written == [theirs]


async def test_an_account_that_cannot_be_opened_is_one_that_needs_a_person(
    records: Any, item: Any
) -> None:
    router, rows, opening = routed(DEFAULT, HUBSPOT)
    opening.refuses.add("hubspot-1")
    account = (await router.of({"acme"}))["acme"]
    (work,) = await router.run({}, {"lead-1": [of(item(records.created()), account)]})
    assert isinstance(work.error, CrmSignIn)
    assert str(work.error) == "account hubspot-1 is not set up"
    assert rows.rows["hubspot-1"].status == PAUSED


async def refused(records: Any, item: Any, canary: CrmError | None) -> tuple[Any, Rows]:
    """The error of a lead whose account refuses it, when the canary is answered so."""
    router, rows, opening = routed(DEFAULT, HUBSPOT)
    opening.answers["hubspot-1"] = CrmSignIn("HTTP 401")
    if canary is not None:
        opening.canaries["hubspot-1"] = canary
    account = (await router.of({"acme"}))["acme"]
    (work,) = await router.run({}, {"lead-1": [of(item(records.created()), account)]})
    return work.error, rows


async def test_a_refused_credential_pauses_the_account_at_once(records: Any, item: Any) -> None:
    error, rows = await refused(records, item, CrmSignIn("token expired"))
    assert isinstance(error, CrmSignIn)
    found = rows.rows["hubspot-1"]
    assert (found.status, found.reason, found.changed_by) == (PAUSED, "token expired", "canary")
    assert rows.rows["default"].status == ACTIVE


async def test_it_is_paused_too_where_the_canary_gets_no_answer(records: Any, item: Any) -> None:
    _, rows = await refused(records, item, CrmUnavailable("no answer"))
    assert (rows.rows["hubspot-1"].status, rows.rows["hubspot-1"].reason) == (PAUSED, "HTTP 401")


async def test_a_lead_that_is_refused_alone_is_tried_as_often_as_any_other(
    records: Any, item: Any
) -> None:
    error, rows = await refused(records, item, None)
    assert isinstance(error, CrmUnavailable)
    assert rows.rows["hubspot-1"].status == ACTIVE


async def test_a_connection_lasts_as_long_as_its_access_and_is_closed_when_nobody_uses_it() -> None:
    opening = Opening()
    async with opening.to(HUBSPOT) as first:
        async with opening.to(replace(HUBSPOT, status=ACTIVE, revision=7)) as again:
            assert again is first
        changed = replace(HUBSPOT, sealed_secret=SEALER.seal("pat-na1-y", "hubspot-1"))
        async with opening.to(changed) as second:
            assert second is not first
        assert not opening.made[0].closed
    assert [crm.closed for crm in opening.made] == [True, False]
    await opening.close()
    assert opening.made[1].closed


async def test_every_account_has_the_budget_that_its_row_says_now_the_default_one_too() -> None:
    asked: list[tuple[str, Budget | None]] = []

    class Gates:
        def of(self, account_id: str, budget: Budget | None) -> Gate:
            asked.append((account_id, budget))
            return open_gate

    gates: Any = Gates()
    connections = Connections(Access(url="http://127.0.0.1:1/crm"), None, CLOCK, TIMEOUT, gates)
    for budget in (None, Budget(50, 1), Budget(50, 1), None):
        async with connections.to(replace(DEFAULT, budget=budget)):
            pass
    assert asked == [("default", None), ("default", Budget(50, 1)), ("default", None)]
    await connections.close()


async def test_an_error_counts_when_every_account_has_come_to_its_end(
    records: Any, item: Any
) -> None:
    router, _, _ = routed(DEFAULT, HUBSPOT)
    account = (await router.of({"acme", "other"}))["acme"]
    ended: list[str] = []

    class Taken(SavedContacts):
        async def save_contacts(self, contacts: Sequence[Contact]) -> list[Contact]:
            if any(contact.lead_id == "lead-1" for contact in contacts):
                raise LeadflowError("taken")
            ended.extend(contact.lead_id for contact in contacts)
            return list(contacts)

    router._store = Taken()  # type: ignore[assignment]
    mine = of(item(records.created(lead_id="lead-1")), account)
    theirs = item(records.created(lead_id="lead-2", tenant_id="other"))
    with pytest.raises(LeadflowError, match="taken"):
        await router.run({}, {"lead-1": [mine], "lead-2": [theirs]})
    assert ended == ["lead-2", "lead-2"]


class Silent:
    """An account that lets every call wait for its timeout, and one batch after the other."""

    def __init__(self, records: Any, item: Any) -> None:
        self.router, self.rows, self.opening = routed(DEFAULT, HUBSPOT)
        self._records, self._item = records, item
        self.answer(CrmUnavailable("ReadTimeout"), timedelta(seconds=TIMEOUT))

    def answer(self, answer: str | CrmError, takes: timedelta) -> None:
        self._answer = answer, takes

    async def batch(self) -> Any:
        """The work of a lead of the account; another account's is written all the same."""
        accounts = await self.router.of({"acme", "other"})
        async with self.opening.to(HUBSPOT):
            self.crm.answer, self.crm.takes = self._answer
        mine = of(self._item(self._records.created(lead_id="lead-1")), accounts["acme"])
        other = self._item(self._records.created(lead_id="lead-2", tenant_id="other"))
        work, theirs = await self.router.run({}, {"lead-1": [mine], "lead-2": [other]})
        assert theirs.written == [other]
        return work

    @property
    def crm(self) -> FakeCrm:
        return next(crm for crm in self.opening.made if crm.name == "hubspot-1")


@pytest.fixture
async def silent(records: Any, item: Any) -> Silent:
    """An account that is left alone: it has let two batches wait in vain."""
    CLOCK.at, CLOCK.sleepers, CLOCK.slept = AT, [], []
    made = Silent(records, item)
    for _ in range(2):
        assert type((await made.batch()).error) is CrmUnavailable
    return made


async def test_an_account_that_does_not_answer_is_left_alone_and_no_attempt_is_counted(
    silent: Silent,
) -> None:
    calls = len(silent.crm.writes)
    CLOCK.at += timedelta(seconds=20)
    error = (await silent.batch()).error
    assert isinstance(error, CrmSilent)
    assert (error.retryable, error.COUNTS) == (True, False)
    # As long as it has been silent since the first of them.
    assert error.retry_after == timedelta(seconds=TIMEOUT + 20)
    assert len(silent.crm.writes) == calls
    assert silent.rows.rows["hubspot-1"].status == ACTIVE
    await silent.opening.close()


async def rounds(count: int = 1) -> None:
    """Let the probe ask so often."""
    for _ in range(count):
        CLOCK.sleepers[-1].set()
        for _ in range(10):
            await asyncio.sleep(0)


async def test_it_is_called_again_when_a_probe_is_answered(silent: Silent) -> None:
    await rounds(0)
    silent.crm.refuses_canary = CrmUnavailable("ReadTimeout")
    await asyncio.sleep(0)
    await rounds(2)
    assert isinstance((await silent.batch()).error, CrmSilent)
    silent.crm.refuses_canary = CrmNoRoom("nobody was asked")
    await rounds()
    assert isinstance((await silent.batch()).error, CrmSilent)
    assert silent.crm.canaries == 3
    silent.answer("crm-1", timedelta(0))
    silent.crm.refuses_canary = CrmSignIn("it says something")
    await rounds()
    assert (await silent.batch()).error is None
    assert silent.crm.canaries == 4


async def test_one_that_answers_probes_alone_is_left_alone_the_longer_and_at_once(
    silent: Silent,
) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
        await rounds()
        assert type((await silent.batch()).error) is CrmUnavailable
        assert isinstance((await silent.batch()).error, CrmSilent)
    await asyncio.sleep(0)
    assert CLOCK.slept == [5, 10, 20, 40, 60, 60]
    await silent.opening.close()


async def test_a_probe_ends_where_the_account_is_paused_or_nobodys(silent: Silent) -> None:
    await asyncio.sleep(0)
    silent.rows.rows["hubspot-1"] = replace(HUBSPOT, status=PAUSED)
    await rounds()
    assert silent.crm.canaries == 0
    assert isinstance((await silent.batch()).error, CrmPaused)


async def test_an_error_that_comes_at_once_holds_nobody_up(records: Any, item: Any) -> None:
    quick = Silent(records, item)
    quick.answer(CrmUnavailable("HTTP 503"), timedelta(seconds=1))
    for _ in range(5):
        assert type((await quick.batch()).error) is CrmUnavailable
    assert len(quick.crm.writes) == 5


async def test_an_answer_in_between_begins_the_count_anew(records: Any, item: Any) -> None:
    CLOCK.at, CLOCK.sleepers, CLOCK.slept = AT, [], []
    slow = Silent(records, item)
    for _ in range(2):
        slow.answer(CrmUnavailable("ReadTimeout"), timedelta(seconds=TIMEOUT))
        await slow.batch()
        slow.answer("crm-1", timedelta(seconds=TIMEOUT))
        assert (await slow.batch()).error is None
    assert CLOCK.sleepers == []
