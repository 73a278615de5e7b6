import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from leadflow.records import (
    CommandRefused,
    CrmChangeSettled,
    LeadCreated,
    LeadUpdated,
    MessageQueued,
    RawEvent,
    StepFired,
    StepScheduled,
    StepSkipped,
)
from leadflow.topics import (
    ENROLLMENT_COMMANDS,
    ENROLLMENT_EVENTS,
    LEAD_EVENTS,
    MESSAGE_EVENTS,
    MESSAGE_REVIEWS,
    MESSAGES,
    SUMMARIES,
)
from leadflow_cli.timeline import LEAD_TOPICS, Told, as_json, in_order, lines, rows, zone
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


def test_a_line_says_when_what_and_by_which_rule_in_plain_english(
    message: Any, record: Any
) -> None:
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
        "2026-11-21 08:25:23 UTC                 StepSkipped          "
        "Text (sms) was skipped: the lead refused sms [acme.first-touch]"
        "  (rule consent_refused: basis=web form, channel=sms)"
    )


def test_a_command_that_found_nothing_to_do_has_its_line_with_the_reason(
    message: Any, record: Any
) -> None:
    refused = record(
        CommandRefused,
        recorded_at=AT,
        occurred_at=AT,
        command="resume",
        requested_by="olga",
        rule="not_paused",
        inputs={"held_by": "task_open"},
    )
    (line,) = lines([Told(message("enrollment-events", refused), refused)], everything=False)
    assert line == (
        "2026-11-21 08:25:23 UTC                 CommandRefused       "
        "Olga asked to resume, in vain: nobody paused it by hand: task_open holds it"
        "  (rule not_paused: held_by=task_open)"
    )


def test_times_are_the_leads_own_with_utc_beside_them(message: Any, record: Any) -> None:
    created = record(
        LeadCreated, recorded_at=AT, occurred_at=AT, timezone="America/Chicago", revision=1
    )
    planned = record(
        StepScheduled,
        recorded_at=AT,
        occurred_at=AT,
        due_at=datetime(2026, 11, 21, 14, 0, tzinfo=UTC),
        rule="quiet_hours",
        inputs={"zone": "America/Chicago", "hours": "08:00-21:00", "from": AT.isoformat()},
        step_id="text",
        channel="sms",
        sequence_id="acme.first-touch",
    )
    story = [
        Told(message("lead-events", created), created),
        Told(message("enrollment-events", planned), planned),
    ]
    first, second = lines(story, everything=False)
    assert first.startswith("2026-11-21 02:25:23 CST (08:25:23 UTC)  LeadCreated ")
    assert (
        "Text (sms) is due at 2026-11-21 08:00:00 CST (14:00:00 UTC): where the lead is "
        "(America/Chicago) this channel is quiet outside 08:00-21:00" in second
    )


def test_where_the_lead_is_follows_the_newest_word_on_it(message: Any, record: Any) -> None:
    created = record(LeadCreated, revision=1, timezone="America/Chicago")
    updated = record(LeadUpdated, revision=2, timezone="Europe/Berlin")
    story = [
        Told(message("lead-events", updated), updated),
        Told(message("lead-events", created), created),
    ]
    assert zone(story) == "Europe/Berlin"
    assert zone([]) == "UTC"


def test_what_happened_long_before_it_was_recorded_says_when(message: Any, record: Any) -> None:
    created = record(
        LeadCreated, recorded_at=AT, occurred_at=AT - timedelta(days=1), timezone="UTC"
    )
    (line,) = lines([Told(message("lead-events", created), created)], everything=False)
    assert line.endswith("; happened 2026-11-20 08:25:23 UTC")
    prompt = record(LeadCreated, recorded_at=AT, occurred_at=AT - timedelta(seconds=5))
    (line,) = lines([Told(message("lead-events", prompt), prompt)], everything=False)
    assert "happened" not in line


def test_no_field_that_identifies_a_person_is_told_unless_everything_is(
    message: Any, record: Any
) -> None:
    created = record(
        LeadCreated, first_name="Ada", email="ada@example.com", message="call\nme", stage="new"
    )
    story = [Told(message("lead-events", created), created)]
    (line,) = lines(story, everything=False)
    for personal in ("Ada", "ada@example.com", "call"):
        assert personal not in describe(created)
        assert personal not in line
    (line,) = lines(story, everything=True)
    assert "first_name Ada" in line
    assert "message call me" in line


def test_what_was_changed_in_a_crm_is_told_field_by_field_without_addresses(
    message: Any, record: Any
) -> None:
    stage = record(CrmChangeSettled).fields[0]
    phone = replace(
        stage, field="phone", rule="newest_wins", conflict=True, crm_value="+15125550101"
    )
    told = record(CrmChangeSettled, fields=(stage, phone))
    story = [Told(message("lead-events", told), told)]
    (line,) = lines(story, everything=False)
    assert (
        "Stage: HubSpot's “qualified” was taken, changed there at 2026-11-18 15:02:11 UTC; the log "
        "had “contacted” since 2026-11-17 20:10:00 UTC: nobody had changed it here since HubSpot "
        "was told. Phone: HubSpot's was taken"
    ) in line
    assert "rule newest_wins" in describe(told)
    for line in (*lines(story, everything=False), describe(told)):
        assert "+15125550101" not in line
    (line,) = lines(story, everything=True)
    assert "+15125550101" in line


def test_json_has_every_field_and_the_sentence(message: Any, record: Any) -> None:
    created = record(LeadCreated, recorded_at=AT, timezone="America/Chicago", first_name="Ada")
    (told,) = as_json([Told(message("lead-events", created), created)])
    assert json.loads(json.dumps(told)) == told
    assert told["record"]["first_name"] == "Ada"
    assert (told["recorded_at"], told["local"]) == (
        "2026-11-21T08:25:23.040Z",
        "2026-11-21T02:25:23-06:00",
    )


def test_a_raw_event_is_told_but_is_no_decision_about_the_lead(message: Any, record: Any) -> None:
    raw = record(RawEvent, recorded_at=AT, occurred_at=AT, kind="lead", source="website-form")
    story = [Told(message("raw-events", raw), raw)]
    (line,) = lines(story, everything=False)
    assert line.endswith("A raw event lead came in from website-form")
    assert rows(story) == []


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
