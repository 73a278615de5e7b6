"""Records of crm-notices become rows of the account in which the tenant's leads are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_sync.account_store import Registered
from crm_sync.notice_store import Named, Notice
from crm_sync.notices import NoticeHandler
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message
from leadflow.records import CrmField, CrmNoticed

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
ROWS = (
    Registered(account_id="hubspot-1", tenant_id="acme", provider="hubspot", changed_at=NOW),
    Registered(account_id="default", tenant_id="", provider="sandbox", changed_at=NOW),
)


class Accounts:
    async def of(self, tenant_ids: Collection[str]) -> list[Registered]:
        return [row for row in ROWS if row.tenant_id in {"", *tenant_ids}]


class Table:
    def __init__(self) -> None:
        self.folded: list[Notice] = []
        self.wait = timedelta(0)

    async def fold(self, notices: Sequence[Notice], wait: timedelta) -> None:
        self.folded += notices
        self.wait = wait


def noticed(**more: Any) -> Received:
    given = {"tenant_id": "acme", "provider": "hubspot", "object": "deal", "crm_id": "201"}
    record = CrmNoticed(
        event_id="n-1",
        occurred_at=NOW,
        recorded_at=NOW,
        source="hubspot",
        **(given | more),
    )
    return Received(Message("crm-notices", 0, 0, None, b"", (), 0), record)


async def kept(*batch: Received) -> list[Notice]:
    table, accounts = Table(), Accounts()
    stores: Any = (table, accounts)
    await NoticeHandler(*stores, timedelta(seconds=2)).handle(batch)
    assert table.wait == timedelta(seconds=2)
    return table.folded


async def test_a_notice_is_the_tenants_accounts() -> None:
    change = CrmField(name="dealstage", value="closedwon", at=NOW - timedelta(seconds=3))
    untimed = CrmField(name="amount")
    (notice,) = await kept(noticed(changes=(change, untimed)))
    assert (notice.account_id, notice.object, notice.crm_id) == ("hubspot-1", "deal", "201")
    assert notice.changes == (
        Named("dealstage", "closedwon", NOW - timedelta(seconds=3)),
        Named("amount", "", NOW),
    )
    assert notice.noticed_at == NOW


async def test_who_has_no_account_has_the_one_of_all() -> None:
    (notice,) = await kept(noticed(tenant_id="north", provider="sandbox", object="contact"))
    assert notice.account_id == "default"


async def test_what_another_crm_says_of_the_tenant_is_about_nobody() -> None:
    other = noticed(provider="followupboss", object="contact")
    nobody = noticed(tenant_id="north")
    assert await kept(other, nobody, noticed(object="company"), noticed(crm_id="2\x001")) == []


async def test_what_the_database_does_not_take_is_left_out() -> None:
    odd = (CrmField(name="a\x00b", value="x"), CrmField(name="firstname", value="A\x00da"))
    (notice,) = await kept(noticed(changes=odd))
    assert notice.changes == (Named("firstname", "Ada", NOW),)
