import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.kafka.port import Message
from leadflow.records import (
    CallMissed,
    Enrolled,
    EnrollmentStopped,
    LeadCreated,
    LeadQualified,
    LeadUpdated,
    MessageQueued,
    MessageSent,
    QuoteRequested,
    StepFired,
    StepScheduled,
    StepSkipped,
    SummaryCreated,
    SummaryReviewed,
)
from leadflow_cli.accounts import Accounts

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
Raw = Callable[..., Message]


@pytest.fixture
def raw(message: Any) -> Raw:
    def make(event_id: str, kind: str = "lead", *, offset: int = 0) -> Message:
        event = {
            "event_id": event_id,
            "tenant_id": "acme",
            "source": "form",
            "kind": kind,
            "external_id": event_id,
            "occurred_at": "2026-11-20T06:07:30Z",
            "payload": {},
        }
        made: Message = message("raw-events", json.dumps(event).encode(), offset=offset)
        return made

    return make


def dead(message: Any, offset: int, topic: bytes = b"raw-events") -> Any:
    headers = (
        ("dlq-topic", topic),
        ("dlq-partition", b"0"),
        ("dlq-offset", str(offset).encode()),
    )
    return message("intake-dlq", b"anything", headers=headers)


def told(*messages: Message) -> Accounts:
    accounts = Accounts()
    for each in messages:
        accounts.apply(each)
    return accounts


def test_a_raw_event_is_named_by_what_it_led_to(raw: Raw, message: Any, record: Any) -> None:
    def event(record_type: Any, cause: str, **changes: Any) -> Any:
        return message("lead-events", record(record_type, cause_id=cause, **changes))

    accounts = told(
        raw("a", offset=0),
        raw("b", offset=1),
        raw("c", offset=2),
        raw("d", offset=3),
        raw("e", offset=4),
        event(LeadCreated, "a", status="active"),
        event(LeadQualified, "a"),
        event(LeadCreated, "b", status="quarantined"),
        event(LeadUpdated, "c", duplicate_rule="same e-mail"),
        event(QuoteRequested, "c"),
        event(CallMissed, "d"),
    )
    assert accounts.fates() == {
        "a": "normalized",
        "b": "quarantined",
        "c": "merged",
        "d": "normalized",
        "e": "waiting",
    }
    assert accounts.missing(NOW) == ["1 raw events without an outcome"]


def test_a_correction_without_a_duplicate_rule_is_normalized(
    raw: Raw, message: Any, record: Any
) -> None:
    update = record(LeadUpdated, cause_id="a", duplicate_rule=None)
    assert told(raw("a"), message("lead-events", update)).fates() == {"a": "normalized"}


def test_a_dead_letter_is_found_by_where_it_came_from_in_either_order(
    raw: Raw, message: Any
) -> None:
    unreadable = message("raw-events", b"FAX", offset=7)
    for accounts in (
        told(raw("a", offset=3), unreadable, dead(message, 3), dead(message, 7)),
        told(dead(message, 7), dead(message, 3), unreadable, raw("a", offset=3)),
    ):
        assert accounts.fates() == {"a": "dlq", "0:7": "dlq"}


def test_a_dead_letter_of_another_topic_is_no_raw_event(raw: Raw, message: Any) -> None:
    accounts = told(raw("a", offset=3), dead(message, 3, topic=b"lead-events"))
    assert accounts.fates() == {"a": "waiting"}


def test_an_event_that_was_sent_twice_is_received_once(raw: Raw, message: Any, record: Any) -> None:
    created = record(LeadCreated, cause_id="a", status="active")
    accounts = told(raw("a", offset=0), raw("a", offset=1), message("lead-events", created))
    assert accounts.counts()["received"] == 1
    assert accounts.fates() == {"a": "normalized"}


@pytest.mark.parametrize("kind", ["delivered", "opened", "clicked", "bounced", "complained"])
def test_a_providers_callback_is_not_intakes(raw: Raw, kind: str) -> None:
    assert told(raw("a", kind)).counts()["received"] == 0


def test_a_step_is_missing_from_when_it_is_due_until_it_fired(message: Any, record: Any) -> None:
    def event(record_type: Any, **changes: Any) -> Any:
        return message("enrollment-events", record(record_type, enrollment_id="n", **changes))

    later = NOW + timedelta(days=1)
    accounts = told(event(Enrolled), event(StepScheduled, step_index=0, due_at=NOW))
    assert accounts.missing(NOW - timedelta(seconds=1)) == []
    assert accounts.missing(NOW) == ["1 steps due and not fired"]
    # The next step is scheduled in the decision that fires this one, in either order.
    accounts.apply(event(StepScheduled, step_index=1, due_at=later))
    accounts.apply(event(StepFired, step_index=0))
    assert accounts.missing(NOW) == []
    assert accounts.missing(later) == ["1 steps due and not fired"]
    accounts.apply(event(StepSkipped, step_index=1))
    assert accounts.missing(later) == []
    accounts.apply(event(StepScheduled, step_index=2, due_at=later))
    accounts.apply(event(EnrollmentStopped))
    assert accounts.missing(later) == []
    assert accounts.counts()["enrolled"] == 1


def test_a_queued_message_is_missing_until_it_comes_to_an_end(message: Any, record: Any) -> None:
    accounts = told(message("messages", record(MessageQueued, message_id="m")))
    assert accounts.missing(NOW) == ["1 messages queued and without an end"]
    accounts.apply(message("message-events", record(MessageSent, message_id="m")))
    assert accounts.missing(NOW) == []
    assert accounts.counts()["messages_accepted"] == 1


def test_a_summary_is_pending_until_it_was_reviewed(message: Any, record: Any) -> None:
    accounts = told(
        message("summaries", record(SummaryCreated, summary_id="s-1")),
        message("summaries", record(SummaryCreated, summary_id="s-2")),
        message("summaries", record(SummaryReviewed, summary_id="s-1")),
    )
    assert accounts.counts()["summaries_pending"] == 1


def test_bytes_that_are_no_record_count_nowhere(message: Any) -> None:
    assert told(message("lead-events", b"broken")).missing(NOW) == []
