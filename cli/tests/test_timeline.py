from datetime import UTC, datetime, timedelta
from typing import Any

from leadflow.records import LeadCreated, MessageQueued, StepFired, StepScheduled, StepSkipped
from leadflow.topics import (
    ENROLLMENT_COMMANDS,
    ENROLLMENT_EVENTS,
    LEAD_EVENTS,
    MESSAGE_EVENTS,
    MESSAGE_REVIEWS,
    MESSAGES,
    SUMMARIES,
)
from leadflow_cli.timeline import LEAD_TOPICS, Told, in_order, lines
from leadflow_cli.wording import describe

AT = datetime(2026, 11, 21, 8, 25, 23, 40_000, tzinfo=UTC)


def test_the_story_is_told_in_the_order_of_recording(message: Any, record: Any) -> None:
    late = record(StepScheduled, recorded_at=AT + timedelta(seconds=1))
    early = record(LeadCreated, recorded_at=AT)
    story = [
        Told(message("enrollment-events", late), late),
        Told(message("lead-events", early), early),
    ]
    assert [told.record for told in in_order(story)] == [early, late]


def test_in_one_millisecond_causes_come_before_what_they_led_to(message: Any, record: Any) -> None:
    queued, fired, created = (
        record(each, recorded_at=AT) for each in (MessageQueued, StepFired, LeadCreated)
    )
    story = [
        Told(message("messages", queued), queued),
        Told(message("enrollment-events", fired), fired),
        Told(message("lead-events", created), created),
    ]
    assert [told.record for told in in_order(story)] == [created, fired, queued]


def test_a_record_that_was_written_twice_is_told_once(message: Any, record: Any) -> None:
    fired = record(StepFired, recorded_at=AT)
    twice = [Told(message("enrollment-events", fired), fired) for _ in range(2)]
    assert len(in_order(twice)) == 1


def test_a_line_says_when_where_what_and_by_which_rule(message: Any, record: Any) -> None:
    skipped = record(
        StepSkipped,
        recorded_at=AT,
        occurred_at=AT,
        rule="consent_refused",
        inputs={"channel": "sms", "basis": "web form"},
        sequence_id="acme.first-touch",
        step_id="text",
        channel="sms",
    )
    (line,) = lines([Told(message("enrollment-events", skipped), skipped)], everything=False)
    assert line == (
        "2026-11-21 08:25:23.040  enrollment-events    StepSkipped         "
        "because consent_refused (basis=web form, channel=sms), "
        "sequence_id acme.first-touch, step_id text, channel sms"
    )


def test_what_happened_long_before_it_was_recorded_says_when(message: Any, record: Any) -> None:
    created = record(LeadCreated, recorded_at=AT, occurred_at=AT - timedelta(days=1))
    (line,) = lines([Told(message("lead-events", created), created)], everything=False)
    assert line.endswith("happened 2026-11-20 08:25:23.040")
    prompt = record(LeadCreated, recorded_at=AT, occurred_at=AT - timedelta(seconds=5))
    (line,) = lines([Told(message("lead-events", prompt), prompt)], everything=False)
    assert "happened" not in line


def test_no_field_that_identifies_a_person_is_told_unless_everything_is(record: Any) -> None:
    created = record(
        LeadCreated, first_name="Ada", email="ada@example.com", message="call\nme", stage="new"
    )
    assert "stage new" in describe(created)
    for personal in ("Ada", "ada@example.com", "call"):
        assert personal not in describe(created)
    assert "first_name Ada" in describe(created, everything=True)
    assert "message call me" in describe(created, everything=True)


def test_the_story_is_read_from_every_topic_that_is_keyed_by_a_lead_and_holds_records() -> None:
    assert set(LEAD_TOPICS) == {
        LEAD_EVENTS,
        ENROLLMENT_COMMANDS,
        ENROLLMENT_EVENTS,
        MESSAGES,
        MESSAGE_REVIEWS,
        MESSAGE_EVENTS,
        SUMMARIES,
    }
