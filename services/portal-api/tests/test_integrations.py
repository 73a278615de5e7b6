"""CRM accounts and sync runs as crm-sync tells of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from leadflow import records
from leadflow.kafka.loop import Received
from portal_api.incidents.scopes import NotAScope, is_of_automation, parse
from portal_api.projections import project
from portal_api.projections.handler import fresh
from portal_api.projections.integrations import ACCOUNTS, SYNC_RUNS

Make = Callable[..., Received]
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def run(result: str, minutes: int, **more: Any) -> records.SyncRunRecorded:
    at = NOW + timedelta(minutes=minutes)
    told = {
        "event_id": f"{result}-{minutes}",
        "tenant_id": "acme",
        "occurred_at": at,
        "recorded_at": at,
        "source": "crm-sync",
        "lead_id": "lead-1",
        "cause_id": "e1",
        "what": "LeadCreated",
        "account_id": "hubspot-1",
        "provider": "hubspot",
        "attempts": minutes,
        "result": result,
    }
    return records.SyncRunRecorded(**{**told, **more})


def status(status: str, revision: int) -> records.AccountStatusChanged:
    at = NOW + timedelta(minutes=revision)
    return records.AccountStatusChanged(
        event_id=f"{status}-{revision}",
        tenant_id="acme",
        occurred_at=at,
        recorded_at=at,
        source="crm-sync",
        account_id="hubspot-1",
        provider="hubspot",
        status=status,
        reason=f"reason {revision}",
        changed_by="canary",
        revision=revision,
    )


def test_a_run_stands_as_it_was_told_last_and_began_when_it_was_told_first(received: Make) -> None:
    waiting = run("waiting", 1, error="CrmUnavailable", reason="HTTP 503", next_try_at=NOW)
    for told in permutations((waiting, run("written", 2))):
        (row,) = project([received("crm-sync-events", each) for each in told]).of(SYNC_RUNS)
        assert (row["result"], row["attempts"]) == ("written", 2)
        assert (row["error"], row["reason"], row["next_try_at"]) == (None, None, None)
        assert row["first_at"] == NOW + timedelta(minutes=1)
        assert row["at"] == NOW + timedelta(minutes=2)


def test_what_was_written_is_not_unchanged_because_it_was_seen_again(received: Make) -> None:
    told = [run("written", 1), run("unchanged", 2), run("waiting", 3)]
    (row,) = project([received("crm-sync-events", each) for each in told]).of(SYNC_RUNS)
    assert row["result"] == "written"


def test_a_dead_letter_that_is_replayed_waits_again(received: Make) -> None:
    told = [run("dead", 1), run("waiting", 2)]
    (row,) = project([received("crm-sync-events", each) for each in told]).of(SYNC_RUNS)
    assert row["result"] == "waiting"


def test_an_account_stands_as_its_highest_revision_says(received: Make) -> None:
    for told in permutations((status("active", 1), status("paused", 2), status("active", 3))):
        (row,) = project([received("crm-accounts", each) for each in told]).of(ACCOUNTS)
        assert (row["status"], row["reason"], row["revision"]) == ("active", "reason 3", 3)


def test_how_a_crm_was_told_of_a_lead_is_no_line_of_its_timeline(received: Make) -> None:
    batch = [received("crm-sync-events", run("written", 1))]
    assert fresh(batch, new=set()) == batch


def test_no_message_waits_for_an_account_and_nobody_pauses_one_from_here() -> None:
    assert not is_of_automation("crm:hubspot-1")
    assert is_of_automation("channel:acme:email")
    with pytest.raises(NotAScope):
        parse("crm:hubspot-1")
