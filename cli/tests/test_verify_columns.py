"""What was queued and what the ledger says of it make one text, or the columns that differ."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from leadflow.records import MessageQueued
from leadflow_cli.verify.columns import AS_QUEUED, as_queued_in
from leadflow_cli.verify.findings import OF_THE_CHAIN, OF_THE_LOG, asked
from leadflow_cli.verify.notes import Notes, new_notes
from leadflow_cli.verify.walk_ledger import NOTE_CHAINED, NOTE_LEDGER
from leadflow_cli.verify.walk_log import QUEUE, queued_of

DUE = datetime(2026, 11, 21, 9, 0, 0, 123_456, tzinfo=UTC)
QUEUED = MessageQueued(
    event_id="e",
    tenant_id="acme",
    occurred_at=DUE,
    recorded_at=DUE,
    source="sequencer",
    lead_id="l",
    owner="dana",
    message_id="m",
    enrollment_id="n",
    sequence_id="welcome",
    step_id="first",
    channel="email",
    attempt=1,
    recipient="ann@example.com",
    template_name="t",
    subject="s",
    body="b",
    variables={"tenant_name": "Acme", "first_name": "Ann"},
    compliance_note="asked on the form",
    send_state="due",
    enrolled_at=DUE - timedelta(days=1),
    stop_on=("reply", "bounce"),
    due_at=DUE,
)
ROW: dict[str, Any] = {
    "owner": "dana",
    "enrollment_id": "n",
    "sequence_id": "welcome",
    "step_id": "first",
    "attempt": 1,
    "first_message_id": None,
    "compliance_note": "asked on the form",
    "enrolled_at": DUE - timedelta(days=1),
    "stop_on": ["reply", "bounce"],
    "due_at": DUE,
    "made_of": '{"purpose": "sequence", "tenant_name": "Acme"}',
    "answers": None,
    "answers_event": None,
}
OTHERS: dict[str, Any] = {
    **dict.fromkeys(AS_QUEUED, "other"),
    "attempt": 2,
    "enrolled_at": None,
    "stop_on": [],
    "due_at": DUE + timedelta(microseconds=1),
    "made_of": "{}",
}


@pytest.fixture
def notes() -> Iterator[Notes]:
    with new_notes() as made:
        yield made


def noted(notes: Notes, row: dict[str, Any], changed_at_us: int = 5) -> list[tuple[str, str]]:
    """What is found of a message that was queued, sent and chained at 5."""
    queued = queued_of(QUEUED, read=True)
    recipient, address = queued[5:7]
    to = ("l", recipient, address, "to", as_queued_in(row))
    notes.add(QUEUE, [queued])
    sent = ("sent", None, "body", "smtp", "id", None)
    notes.add(NOTE_LEDGER, [("m", "acme", "email", *sent, 0, changed_at_us, None, *to)])
    notes.add(NOTE_CHAINED, [("m", "acme", 1, *sent, 2, "l", "email", "to", 5)])
    found = [*asked(notes, OF_THE_CHAIN), *asked(notes, OF_THE_LOG)]
    return [
        (str(each.kind), each.detail.partition(" differ in ")[2])
        for each in found
        if each.kind != "end_without_event"
    ]


def test_a_row_that_says_what_was_queued_agrees(notes: Notes) -> None:
    assert noted(notes, ROW) == []


@pytest.mark.parametrize("column", AS_QUEUED)
def test_a_column_that_says_otherwise_than_what_was_queued_is_named(
    notes: Notes, column: str
) -> None:
    assert json.loads(as_queued_in(ROW))[column] != OTHERS[column]
    assert noted(notes, {**ROW, column: OTHERS[column]}) == [("topic_differs", column)]


def test_a_row_changed_at_another_time_than_the_chain_says_is_named(notes: Notes) -> None:
    assert noted(notes, ROW, changed_at_us=6) == [("ledger_row_changed", "changed_at")]
