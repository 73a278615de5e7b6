"""Keeps what CRMs say was changed there, for `Looker` to look at."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from crm_sync.account_store import AccountStore, Registered
from crm_sync.metrics import NOTICES
from crm_sync.notice_store import Named, Notice, NoticeStore
from leadflow.kafka.loop import Received, Stateless
from leadflow.records import CrmNoticed

OBJECTS = ("contact", "deal")
# The database takes none.
NUL = "\x00"


class NoticeHandler(Stateless):
    """Records from crm-notices. `wait` gives a CRM time to tell the rest."""

    def __init__(self, notices: NoticeStore, accounts: AccountStore, wait: timedelta) -> None:
        self._notices = notices
        self._accounts = accounts
        self._wait = wait

    async def handle(self, batch: Sequence[Received]) -> None:
        records = [each.record for each in batch if isinstance(each.record, CrmNoticed)]
        rows = await self._accounts.of({record.tenant_id for record in records})
        # The account of those who have none belongs to no tenant.
        by_tenant = {row.tenant_id: row for row in rows}
        found = []
        for record in records:
            row = by_tenant.get(record.tenant_id) or by_tenant.get("")
            notice = _notice(record, row)
            if notice is None:
                NOTICES.labels("nobody").inc()
            else:
                found.append(notice)
        await self._notices.fold(found, self._wait)


def _notice(record: CrmNoticed, row: Registered | None) -> Notice | None:
    """None where it is not about the account in which the tenant's leads are kept."""
    if row is None or row.provider != record.provider or record.object not in OBJECTS:
        return None
    if NUL in record.crm_id:
        return None
    return Notice(
        account_id=row.account_id,
        tenant_id=record.tenant_id,
        object=record.object,
        crm_id=record.crm_id,
        changes=tuple(
            Named(each.name, (each.value or "").replace(NUL, ""), each.at or record.occurred_at)
            for each in record.changes
            if NUL not in each.name
        ),
        noticed_at=record.occurred_at,
    )
