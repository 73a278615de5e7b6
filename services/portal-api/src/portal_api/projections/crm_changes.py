"""CrmChangeSettled: what people changed in a CRM, and whose value of each field stands."""

from __future__ import annotations

from leadflow.records import CrmChangeSettled
from portal_api.projections.rows import FIRST, Rows, Table

CRM_CHANGES = Table(
    "crm_changes",
    ("event_id",),
    dict.fromkeys(
        (
            "tenant_id", "lead_id", "account_id", "provider", "changed_at", "settled_at",
            "fields", "conflict",
        ),
        FIRST,
    ),
)  # fmt: skip


def settled(record: CrmChangeSettled, into: Rows) -> None:
    into.put(
        CRM_CHANGES,
        event_id=record.event_id,
        tenant_id=record.tenant_id,
        lead_id=record.lead_id,
        account_id=record.account_id,
        provider=record.provider,
        changed_at=record.occurred_at,
        settled_at=record.recorded_at,
        fields=[each.to_avro() for each in record.fields],
        conflict=any(each.conflict for each in record.fields),
    )
