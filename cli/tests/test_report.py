import json
from typing import Any

import pytest

from leadflow.records import LeadCreated, MessageQueued, MessageSent
from leadflow_cli.accounts import Accounts
from leadflow_cli.expected import Expected
from leadflow_cli.ledger import Acceptance
from leadflow_cli.report import Check, checks, lines, rows, seconds

TOTALS = {
    "received": 1,
    "normalized": 1,
    "merged": 0,
    "quarantined": 0,
    "dlq": 0,
    "enrolled": 0,
    "messages_accepted": 1,
    "messages_recorded": 0,
    "suppressed": 0,
    "held": 0,
    "failed": 0,
    "unknown": 0,
    "summaries_pending": 0,
    "summaries_approved": 0,
    "latency_ms": {"p50": 840.4, "p99": 2449.9},
}
EXPECTED = Expected(
    received=1,
    counts={"normalized": 1, "merged": 0, "quarantined": 0, "dlq": 0},
    events={"a": "normalized"},
    same_person=[],
    active_leads=1,
)
ACCEPTED = [Acceptance("email", "m", "p")]


@pytest.fixture
def accounts(message: Any, record: Any) -> Accounts:
    """One raw event that became a lead with one message, accepted."""
    event = {
        "event_id": "a",
        "tenant_id": "acme",
        "source": "form",
        "kind": "lead",
        "external_id": "1",
        "occurred_at": "2026-11-20T06:07:30Z",
        "payload": {},
    }
    made = Accounts()
    made.apply(message("raw-events", json.dumps(event).encode()))
    made.apply(message("lead-events", record(LeadCreated, cause_id="a", status="active")))
    made.apply(message("messages", record(MessageQueued, message_id="m")))
    made.apply(message("message-events", record(MessageSent, message_id="m")))
    return made


def against(accounts: Accounts, **changes: Any) -> list[str]:
    made = checks(
        accounts,
        changes.get("totals", TOTALS),
        from_the_start=changes.get("from_the_start", True),
        expected=EXPECTED,
        accepted=changes.get("accepted", ACCEPTED),
        contacts=changes.get("contacts", 1),
    )
    return [sentence for check in made for sentence in check.against]


def test_nothing_speaks_against_accounts_that_agree(accounts: Accounts) -> None:
    assert against(accounts) == []


def test_totals_of_the_portal_that_are_not_the_topics_own_are_told(accounts: Accounts) -> None:
    assert against(accounts, totals=TOTALS | {"merged": 3}) == [
        "merged: 3 in the portal, 0 on the topics"
    ]


def test_a_lead_that_the_crm_lacks_is_told(accounts: Accounts) -> None:
    assert against(accounts, contacts=0) == ["the CRM has 0 contacts"]


def test_a_second_acceptance_is_told(accounts: Accounts) -> None:
    assert against(accounts, accepted=[*ACCEPTED, Acceptance("email", "m", "p-2")]) == [
        "m is sent, and was accepted 2 times"
    ]


def test_a_raw_event_without_an_outcome_does_not_add_up(accounts: Accounts, message: Any) -> None:
    accounts.apply(message("raw-events", b"FAX", offset=9))
    found = against(accounts)
    assert "they add up to 1" in found
    assert "2 raw events were received, 1 are in the files" in found


def test_of_an_installation_with_a_past_only_what_was_followed_is_judged(
    accounts: Accounts,
) -> None:
    past = Acceptance("email", "of-last-week", "p-0")
    assert (
        against(
            accounts,
            from_the_start=False,
            totals=TOTALS | {"received": 900},
            contacts=700,
            accepted=[past, *ACCEPTED],
        )
        == []
    )


def test_the_table_has_what_the_demo_promises() -> None:
    assert [name for name, _ in rows(TOTALS, 1)] == [
        "received",
        "normalized",
        "merged",
        "quarantined",
        "dead letters",
        "enrolled",
        "messages accepted",
        "tasks and calls recorded",
        "CRM records",
        "summaries pending",
        "summaries approved",
        "raw event to first accepted message",
    ]
    assert rows(TOTALS, 1)[-1][1] == "p50 840 ms   p99 2.4 s"


def test_a_duration_is_told_in_its_fitting_unit() -> None:
    assert seconds(None) == "–"
    assert seconds(12.3) == "12 ms"
    assert seconds(61_000) == "61.0 s"


def test_a_claim_is_marked_and_its_first_objections_listed() -> None:
    told = lines([Check("good", []), Check("bad", [f"objection {n}" for n in range(10)])])
    assert told[0] == "✓ good"
    assert told[1] == "✗ bad"
    assert told[2] == "    objection 0"
    assert told[-1] == "    and 2 more"
