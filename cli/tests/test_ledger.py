from typing import Any

import pytest

from leadflow.records import (
    MessageFailed,
    MessageHeld,
    MessageQueued,
    MessageRecorded,
    MessageSent,
    MessageSuppressed,
    MessageUnknown,
)
from leadflow_cli.ledger import Acceptance, Ledger

A = Acceptance("email", "m-1", "p-1")


def told(*records: Any) -> Ledger:
    ledger = Ledger()
    for each in records:
        ledger.apply(each)
    return ledger


def test_a_message_sent_once_and_accepted_once_agrees(record: Any) -> None:
    queued, sent = record(MessageQueued, message_id="m-1"), record(MessageSent, message_id="m-1")
    ledger = told(queued, sent)
    assert ledger.disagreements([A], [A]) == []
    assert ledger.counts()["sent"] == 1
    assert ledger.waiting() == []


def test_records_that_come_twice_or_in_another_order_change_nothing(record: Any) -> None:
    queued, sent = record(MessageQueued, message_id="m-1"), record(MessageSent, message_id="m-1")
    assert told(sent, queued, sent, queued).counts() == told(queued, sent).counts()
    assert told(sent, queued, sent, queued).disagreements([A], [A]) == []


def test_a_message_without_an_end_waits_and_is_no_disagreement(record: Any) -> None:
    ledger = told(record(MessageQueued, message_id="m-1"))
    assert ledger.waiting() == ["m-1"]
    assert ledger.disagreements([], []) == []


def test_a_held_message_waits_for_a_person_until_it_comes_to_an_end(record: Any) -> None:
    held = record(MessageHeld, message_id="m-1", rule="template")
    ledger = told(record(MessageQueued, message_id="m-1"), held)
    assert ledger.waiting() == []
    assert ledger.held() == {"m-1": "template"}
    ledger.apply(record(MessageSuppressed, message_id="m-1"))
    assert ledger.held() == {}


@pytest.mark.parametrize("end", [MessageRecorded, MessageFailed, MessageSuppressed, MessageUnknown])
def test_every_other_end_needs_no_acceptance(record: Any, end: Any) -> None:
    ledger = told(record(MessageQueued, message_id="m-1"), record(end, message_id="m-1"))
    assert ledger.disagreements([], []) == []
    assert ledger.waiting() == []


def test_a_second_acceptance_is_found(record: Any) -> None:
    ledger = told(record(MessageQueued, message_id="m-1"), record(MessageSent, message_id="m-1"))
    second = Acceptance("email", "m-1", "p-2")
    assert ledger.disagreements([A, second], [A, second]) == [
        "m-1 is sent, and was accepted 2 times"
    ]


def test_a_send_that_no_provider_accepted_is_found(record: Any) -> None:
    ledger = told(record(MessageQueued, message_id="m-1"), record(MessageSent, message_id="m-1"))
    assert ledger.disagreements([], []) == ["m-1 is sent, and was accepted 0 times"]


def test_a_send_accepted_while_the_topics_were_read_is_no_disagreement(record: Any) -> None:
    queued, sent = record(MessageQueued, message_id="m-1"), record(MessageSent, message_id="m-1")
    assert told(queued, sent).disagreements([], [A]) == []
    assert told(queued).disagreements([], [A]) == []


def test_an_acceptance_that_was_never_recorded_is_found(record: Any) -> None:
    queued = record(MessageQueued, message_id="m-1")
    assert told(queued).disagreements([A], [A]) == ["m-1 was accepted, and is not recorded"]
    failed = record(MessageFailed, message_id="m-1")
    assert told(queued, failed).disagreements([A], [A]) == ["m-1 was accepted, and is failed"]


def test_an_unknown_message_may_have_been_accepted_but_not_twice(record: Any) -> None:
    ledger = told(record(MessageQueued, message_id="m-1"), record(MessageUnknown, message_id="m-1"))
    assert ledger.disagreements([A], [A]) == []
    assert ledger.disagreements([A, A], [A, A]) == ["m-1 was accepted 2 times"]


def test_an_unknown_message_that_turned_out_sent_came_to_one_end(record: Any) -> None:
    ledger = told(
        record(MessageQueued, message_id="m-1"),
        record(MessageUnknown, message_id="m-1"),
        record(MessageSent, message_id="m-1"),
    )
    assert ledger.disagreements([A], [A]) == []


def test_two_ends_of_one_message_are_found(record: Any) -> None:
    ledger = told(
        record(MessageQueued, message_id="m-1"),
        record(MessageSent, message_id="m-1"),
        record(MessageSuppressed, message_id="m-1"),
    )
    assert ledger.disagreements([A], [A]) == ["m-1 came to more than one end: sent and suppressed"]


def test_two_provider_ids_of_one_message_are_found(record: Any) -> None:
    ledger = told(
        record(MessageQueued, message_id="m-1"),
        record(MessageSent, message_id="m-1", provider_id="p-1"),
        record(MessageSent, message_id="m-1", provider_id="p-2"),
    )
    assert ledger.disagreements([A], [A]) == ["m-1 was sent under more than one provider id"]


def test_what_nobody_queued_is_found(record: Any) -> None:
    assert told(record(MessageSent, message_id="m-1")).disagreements([A], [A]) == [
        "m-1 is sent, but was never queued"
    ]
    keyless = Acceptance("email", None, "p-9")
    assert told().disagreements([A, keyless], [A, keyless]) == [
        "p-9 was accepted without a key",
        "m-1 was accepted, and was never queued",
    ]
