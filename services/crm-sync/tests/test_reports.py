"""What crm-sync tells of runs and accounts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from crm_sync.account_store import PAUSED, Registered
from crm_sync.model import Account, SyncRun
from crm_sync.reports import Reports
from leadflow.codec import Codec
from leadflow.records import AccountStatusChanged, SyncRunRecorded

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
RUN = SyncRun(
    "e1",
    "acme",
    "lead-1",
    "LeadCreated",
    2,
    "waiting",
    "CrmUnavailable",
    "HTTP 503",
    NOW + timedelta(seconds=30),
    Account("hubspot-1", "hubspot"),
)
ROW = Registered(
    account_id="hubspot-1",
    tenant_id="acme",
    provider="hubspot",
    sealed_secret=b"sealed",
    status=PAUSED,
    reason="HTTP 401",
    changed_by="canary",
    changed_at=NOW,
    revision=3,
)


class Clock:
    def __init__(self, now: datetime = NOW) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError


def test_a_run_says_what_why_how_often_with_what_result_and_when_next() -> None:
    told = Reports(Codec(), Clock()).of_run(RUN)
    assert (told.topic, told.key) == ("crm-sync-events", b"lead-1")
    record = Codec().decode(told.value)
    assert isinstance(record, SyncRunRecorded)
    assert (record.cause_id, record.what, record.lead_id) == ("e1", "LeadCreated", "lead-1")
    assert (record.account_id, record.provider) == ("hubspot-1", "hubspot")
    assert (record.attempts, record.result) == (2, "waiting")
    assert (record.error, record.reason) == ("CrmUnavailable", "HTTP 503")
    assert record.next_try_at == NOW + timedelta(seconds=30)


def test_the_same_fact_is_the_same_event_and_another_is_another() -> None:
    def event_id(run: SyncRun, now: datetime = NOW) -> str:
        return Codec().decode(Reports(Codec(), Clock(now)).of_run(run).value).event_id

    assert event_id(RUN) == event_id(RUN, NOW + timedelta(hours=1))
    later = replace(RUN, next_try_at=NOW + timedelta(minutes=5))
    others = [replace(RUN, attempts=3), replace(RUN, result="written"), later]
    assert len({event_id(each) for each in (RUN, *others)}) == 4


def test_an_account_says_how_it_stands_and_nothing_of_its_secret() -> None:
    told = Reports(Codec(), Clock()).of_account(ROW)
    assert (told.topic, told.key) == ("crm-accounts", b"hubspot-1")
    record = Codec().decode(told.value)
    assert isinstance(record, AccountStatusChanged)
    assert (record.status, record.reason, record.changed_by) == ("paused", "HTTP 401", "canary")
    assert (record.occurred_at, record.revision) == (NOW, 3)
    assert b"sealed" not in (told.value or b"")
