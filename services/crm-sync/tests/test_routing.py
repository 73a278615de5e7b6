"""Each tenant's leads go to its account, and one account's trouble is not another's."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from crm_sync.account_store import ACTIVE, PAUSED, Registered
from crm_sync.crm.base import ContactWrite, CrmError, CrmPaused, CrmSignIn, CrmUnavailable
from crm_sync.crm.providers import Access
from crm_sync.model import Account, Contact, Item
from crm_sync.routing import Connections, Router
from crm_sync.sealing import Sealer
from leadflow.clock import SystemClock
from leadflow.errors import LeadflowError, SettingError

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
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

    async def canary(self) -> None:
        if self.refuses_canary is not None:
            raise self.refuses_canary

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        assert not self.closed
        self.writes += writes
        return [self.answer] * len(writes)

    async def close(self) -> None:
        self.closed = True


class Opening(Connections):
    """Opens fakes in place of CRMs."""

    def __init__(self) -> None:
        gates: Any = None  # what is opened here needs none
        super().__init__(Access(url="http://127.0.0.1:1/crm"), SEALER, SystemClock(), 1, gates)
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
