"""What follows from the calls of a lead."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_sync.crm.base import CrmUnavailable
from crm_sync.model import Account, RetryPolicy
from crm_sync.outcome import conclude
from crm_sync.sync import work_of

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HUBSPOT = RetryPolicy((timedelta(minutes=1),), (5,))
POLICY = RetryPolicy((timedelta(seconds=30),), (1,), by_provider={"hubspot": HUBSPOT})


def test_how_often_and_when_a_record_is_tried_again_is_up_to_its_crm(
    records: Any, item: Any
) -> None:
    account = Account("hubspot-1", "hubspot")
    theirs = replace(item(records.created(lead_id="lead-1")), attempts=1, account=account)
    others = replace(item(records.created(lead_id="lead-2")), attempts=1)
    works = [work_of(None, [theirs]), work_of(None, [others])]
    for work in works:
        work.hold(CrmUnavailable("HTTP 503"))
    end = conclude(works, NOW, POLICY)
    assert [each.entry.due_at for each in end.parked] == [NOW + timedelta(minutes=1)]
    assert [each.event_id for each, _ in end.buried] == [others.event_id]
    assert [(run.result, run.account.account_id) for run in end.runs] == [
        ("waiting", "hubspot-1"),
        ("dead", "default"),
    ]
