"""What crm-sync tells others: how each run stands, each account, and what people have changed."""

from __future__ import annotations

import json
from collections.abc import Mapping

from crm_sync.account_store import Registered
from crm_sync.changes import CrmChange, payload
from crm_sync.model import SyncRun
from leadflow import ids, topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.kafka.port import Outgoing
from leadflow.records import AccountStatusChanged, RawEvent, SyncRunRecorded
from leadflow.tenants import DEFAULT_PIPELINE, Tenant

SOURCE = "crm-sync"


class Reports:
    """Makes records of `crm-sync-events`, `crm-accounts` and `raw-events`. A fact told again has
    the same id."""

    def __init__(
        self, codec: Codec, clock: Clock, tenants: Mapping[str, Tenant] | None = None
    ) -> None:
        self._codec = codec
        self._clock = clock
        self._tenants = tenants or {}

    def of_run(self, run: SyncRun) -> Outgoing:
        now = self._clock.now()
        due = "" if run.next_try_at is None else run.next_try_at.isoformat()
        record = SyncRunRecorded(
            event_id=ids.derived_id("sync-run", run.event_id, run.result, run.attempts, due),
            tenant_id=run.tenant_id,
            occurred_at=now,
            recorded_at=now,
            source=SOURCE,
            lead_id=run.lead_id,
            cause_id=run.event_id,
            what=run.what,
            account_id=run.account.account_id,
            provider=run.account.provider,
            attempts=run.attempts,
            result=run.result,
            error=run.error,
            reason=run.reason,
            next_try_at=run.next_try_at,
        )
        return Outgoing(
            topics.CRM_SYNC_EVENTS.name, run.lead_id.encode(), self._codec.encode(record)
        )

    def of_account(self, row: Registered) -> Outgoing:
        record = AccountStatusChanged(
            event_id=ids.derived_id("account-status", row.account_id, row.revision),
            tenant_id=row.tenant_id,
            occurred_at=row.changed_at,
            recorded_at=self._clock.now(),
            source=SOURCE,
            account_id=row.account_id,
            provider=row.provider,
            status=row.status,
            reason=row.reason,
            changed_by=row.changed_by,
            revision=row.revision,
        )
        return Outgoing(
            topics.CRM_ACCOUNTS.name, row.account_id.encode(), self._codec.encode(record)
        )

    def of_change(self, change: CrmChange) -> Outgoing:
        """One event a field: told again beside another field's, it is still the same."""
        tenant = self._tenants.get(change.tenant_id)
        told = payload(change, tenant.pipeline if tenant else DEFAULT_PIPELINE)
        record = RawEvent(
            event_id=ids.derived_id(
                "crm-change",
                change.account_id,
                change.crm_id,
                change.field,
                change.word,
                change.version,
            ),
            tenant_id=change.tenant_id,
            occurred_at=change.at,
            recorded_at=self._clock.now(),
            source=f"crm:{change.provider}",
            kind="crm_change",
            external_id=change.crm_id,
            payload=json.dumps(told, ensure_ascii=False),
        )
        key = f"{record.tenant_id}:{record.source}:{record.external_id}"
        return Outgoing(topics.RAW_EVENTS.name, key.encode(), self._codec.encode(record))
