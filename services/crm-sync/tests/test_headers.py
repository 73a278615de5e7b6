"""What a record in a retry topic says beside its bytes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from crm_sync import headers
from crm_sync.model import Origin, Waiting
from leadflow.errors import Malformed
from leadflow.kafka.port import Message, Outgoing

DUE = datetime(2026, 11, 21, 9, 0, 30, 250_000, tzinfo=UTC)
ORIGIN = Origin("lead-events", 3, 40)
FIRST = Message("lead-events", 3, 40, b"lead-1", b"\xc3\x01bytes", (("trace", b"7"),), 0)
ENTRY = Waiting("e1", "lead-1", ORIGIN, 0, DUE, attempts=2, hop=4)


def copy() -> Outgoing:
    return headers.waiting_copy(
        FIRST, ENTRY, "crm-sync-retry-30s", "CrmUnavailable", "PUT of a contact: HTTP 503"
    )


def arrived(record: Outgoing) -> Message:
    return Message(record.topic, 3, 9, record.key, record.value, record.headers, 0)


def test_a_copy_has_the_original_bytes_and_key_and_says_the_rest_in_headers() -> None:
    made = copy()
    assert (made.key, made.value, made.partition) == (FIRST.key, FIRST.value, None)
    assert dict(made.headers) == {
        "trace": b"7",
        "retry-topic": b"lead-events",
        "retry-partition": b"3",
        "retry-offset": b"40",
        "retry-attempt": b"2",
        "retry-hop": b"4",
        "retry-due": b"2026-11-21T09:00:30.250000+00:00",
        "retry-error": b"CrmUnavailable",
        "retry-reason": b"PUT of a contact: HTTP 503",
    }


def test_what_was_written_is_read_back() -> None:
    message = arrived(copy())
    assert headers.read(message) == headers.RetryHeaders(ORIGIN, 2, 4, DUE)
    assert headers.due_at(message) == DUE


def test_the_original_of_a_copy_and_of_a_copy_of_a_copy_is_the_first_message() -> None:
    again = headers.waiting_copy(
        arrived(copy()), replace(ENTRY, hop=5), "crm-sync-retry-5m", "X", "y"
    )
    assert headers.original(arrived(copy())) == FIRST
    assert headers.original(arrived(again)) == FIRST
    assert headers.original(FIRST) == FIRST
    assert len(again.headers) == len(copy().headers)


@pytest.mark.parametrize("name", ["retry-due", "retry-partition", "retry-hop"])
def test_a_stranger_in_a_retry_topic_is_let_through_to_be_refused(name: str) -> None:
    message = arrived(copy())
    broken = tuple((key, b"?" if key == name else value) for key, value in message.headers)
    for stranger in (replace(message, headers=broken), replace(message, headers=())):
        assert headers.due_at(stranger) is None
        with pytest.raises(Malformed):
            headers.read(stranger)
