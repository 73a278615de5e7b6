"""What enrollment-events tell the dispatcher, and what it makes of a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from dispatcher.decide import before_sending
from dispatcher.halts import Halted, halted, is_wanted
from dispatcher.model import NOT_HALTED, Entry, Halt, Known, Paused, State
from dispatcher.reviews import NOT_BY_REVIEW
from leadflow import topics
from leadflow.kafka.loop import Received
from leadflow.kafka.port import Message
from leadflow.records import (
    EnrollmentCompleted,
    EnrollmentPaused,
    EnrollmentResumed,
    EnrollmentStopped,
)

Make = Callable[..., Entry]
AT = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
STOPPING = (
    "manual", "stage_left", "superseded", "reply", "account_reply", "booking", "won", "lost",
    "opt_out", "bounce", "complaint", "a rule of a time to come",
)  # fmt: skip


def said(record_type: type[Any], rule: str = "", offset: int = 0, **more: Any) -> Received:
    """Recorded at AT, in a partition of enrollment-events."""
    fields = {"rule": rule} if rule else {}
    record = record_type(
        event_id=f"x-{offset}",
        tenant_id="acme",
        occurred_at=AT - timedelta(hours=1),
        recorded_at=AT,
        source="sequencer",
        lead_id="lead-1",
        enrollment_id="e-1",
        sequence_id="acme.first-touch",
        sequence_version=1,
        **fields,
        **more,
    )
    return Received(Message("enrollment-events", 3, offset, b"", b"", (), 0), record)


def halt_of(*received: Received) -> Halt:
    found = halted(received)
    return found[0].halt if found else NOT_HALTED


@pytest.mark.parametrize("rule", STOPPING)
def test_a_stop_suppresses_what_is_queued_of_its_enrollment(make_entry: Make, rule: str) -> None:
    halt = halt_of(said(EnrollmentStopped, rule, inputs={"requested_by": "olga"}))
    decision = before(make_entry(known=Known(halt=halt), stop_on=()))
    assert (decision.state, decision.rule) == (State.SUPPRESSED, f"stopped_by_{rule}")
    assert decision.inputs == {"requested_by": "olga", "stopped_at": AT.isoformat()}


def test_a_stop_covers_what_people_have_to_do_too(make_entry: Make) -> None:
    known = Known(halt=halt_of(said(EnrollmentStopped, "manual")))
    assert before(make_entry(channel="task", known=known)).state is State.SUPPRESSED


@pytest.mark.parametrize(
    "word",
    [
        said(EnrollmentStopped, "stop_step"),
        said(EnrollmentStopped, "condition"),
        said(EnrollmentCompleted),
        # What the dispatcher knows by itself, or what would wait for itself.
        said(EnrollmentPaused, "automation_paused"),
        said(EnrollmentPaused, "sequence_paused"),
        said(EnrollmentPaused, "definition_missing"),
        said(EnrollmentPaused, "task_open"),
    ],
)
def test_what_was_queued_before_the_sequence_went_on_by_itself_goes_out(
    make_entry: Make, word: Received
) -> None:
    assert before(make_entry(known=Known(halt=halt_of(word)))).state is State.CLAIMED


@pytest.mark.parametrize("rule", ["manual", "lead_merged", "lead_quarantined"])
@pytest.mark.parametrize("channel", ["email", "task"])
def test_a_pause_holds_what_is_queued_of_its_enrollment(
    make_entry: Make, channel: str, rule: str
) -> None:
    known = Known(halt=halt_of(said(EnrollmentPaused, rule)))
    decision = before(make_entry(known=known, channel=channel, in_doubt=False))
    assert (decision.state, decision.rule) == (State.HELD, "enrollment_paused")
    assert decision.inputs == {"scope": "enrollment:e-1", "by": rule}
    assert decision.rule in NOT_BY_REVIEW, "no approval gets round it"


def test_what_may_be_out_already_stays_in_doubt(make_entry: Make) -> None:
    stop = Known(halt=halt_of(said(EnrollmentStopped, "manual")))
    pause = Known(halt=halt_of(said(EnrollmentPaused, "manual")))
    doubted = {"in_doubt": True, "provider": "email-api"}
    stopped = before(make_entry(known=stop, **doubted))
    assert (stopped.state, stopped.in_doubt) == (State.UNKNOWN, True)
    held = before(make_entry(known=pause, **doubted))
    assert (held.state, held.in_doubt) == (State.HELD, True)


@pytest.mark.parametrize(
    ("resent", "enrolled", "state"),
    [
        (False, 5, State.SUPPRESSED),  # clocks differ, and this enrollment is the one stopped
        (True, 5, State.CLAIMED),  # asked for of a passage that is over
        (True, -5, State.SUPPRESSED),  # asked for while it was live
    ],
)
def test_who_has_a_message_sent_again_of_a_passage_that_is_over_knows_of_its_stop(
    make_entry: Make, resent: bool, enrolled: int, state: State
) -> None:
    known = Known(halt=halt_of(said(EnrollmentStopped, "manual")))
    enrolled_at = AT + timedelta(minutes=enrolled)
    entry = make_entry(known=known, resent=resent, enrolled_at=enrolled_at)
    assert before(entry).state is state


def test_a_paused_enrollment_goes_on_when_that_pause_is_over_and_not_another() -> None:
    paused = said(EnrollmentPaused, "manual", 1)
    assert halt_of(paused, said(EnrollmentResumed, "automation_resumed", 2)).paused_by == "manual"
    assert halt_of(paused, said(EnrollmentResumed, "task_done", 2)).paused_by == "manual"
    assert halt_of(paused, said(EnrollmentResumed, "manual", 2)).paused_by is None
    merged = said(EnrollmentPaused, "lead_merged", 1)
    assert halt_of(merged, said(EnrollmentResumed, "lead_active", 2)).paused_by is None


@pytest.mark.parametrize(
    "end",
    [
        said(EnrollmentCompleted, offset=2),
        said(EnrollmentStopped, "stop_step", 2),
        said(EnrollmentStopped, "condition", 2),
    ],
)
def test_an_enrollment_that_ended_by_itself_is_not_paused_any_more(end: Received) -> None:
    # The sequencer died after its word on the pause, and decided otherwise when it was due.
    paused = said(EnrollmentPaused, "manual", 1)
    assert halt_of(paused, end) == NOT_HALTED
    assert together(*halted([end]), *halted([paused])).halt == NOT_HALTED, "read in another order"
    assert halt_of(end, said(EnrollmentStopped, "manual", 3)).stopped_by == "manual"


def test_the_end_of_an_enrollment_of_which_nothing_was_said_is_no_news() -> None:
    end, paused = said(EnrollmentCompleted, offset=2), said(EnrollmentPaused, "manual", 1)
    assert [each.news for each in halted([end])] == [False]
    assert [each.news for each in halted([paused, end])] == [True]


def test_of_two_words_the_later_counts_however_they_are_read() -> None:
    """A reader that stood still may put down old words after the newer ones of another."""
    words = [
        said(EnrollmentPaused, "manual", 1),
        said(EnrollmentResumed, "manual", 2),
        said(EnrollmentPaused, "lead_merged", 3),
        said(EnrollmentStopped, "superseded", 4),
    ]
    for order in permutations([*words, words[0], words[1]]):
        halt = together(*(halted([each])[0] for each in order)).halt
        assert (halt.paused_by, halt.stopped_by) == ("lead_merged", "superseded")


def test_the_first_stop_is_told_and_no_resume_lifts_it() -> None:
    halt = halt_of(
        said(EnrollmentStopped, "manual", 1),
        said(EnrollmentResumed, "lead_active", 2),
        said(EnrollmentStopped, "reply", 3),
    )
    assert halt.stopped_by == "manual"


def test_most_of_the_topic_is_passed_over() -> None:
    wanted = {each.TYPE for each in topics.ENROLLMENT_EVENTS.records if is_wanted(each)}
    assert wanted == {
        "EnrollmentStopped",
        "EnrollmentPaused",
        "EnrollmentResumed",
        "EnrollmentCompleted",
    }


def before(entry: Entry) -> Any:
    return before_sending(entry, Paused(), provider="email-api", keyed=True)


def together(first: Halted, *others: Halted) -> Halted:
    for each in others:
        first = first.and_then(each)
    return first
