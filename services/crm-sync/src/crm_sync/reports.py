"""What crm-sync tells others: how each run stands, and each account."""

from __future__ import annotations

from crm_sync.account_store import Registered
from crm_sync.model import SyncRun
from leadflow import ids, topics
from leadflow.clock import Clock
from leadflow.codec import Codec
from leadflow.kafka.port import Outgoing
from leadflow.records import AccountStatusChanged, SyncRunRecorded

SOURCE = "crm-sync"


class Reports:
    """Makes records of `crm-sync-events` and `crm-accounts`. A fact told again has the same id."""

    def __init__(self, codec: Codec, clock: Clock) -> None:
        self._codec = codec
        self._clock = clock

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
