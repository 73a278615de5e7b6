"""Every kind of step, every outcome that a condition may ask about, every rule in its event. The
story begins on Monday, 2 November 2026, at 09:00 UTC, which is 03:00 in Chicago."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from leadflow import ids
from leadflow.records import ConsentGrant, SendWindow
from leadflow.tenants import Absence

NOON = 9 * 60  # 18:00 UTC, 12:00 in Chicago
GRANTS = tuple(
    ConsentGrant(channel=channel, granted=True, basis="web form") for channel in ("sms", "whatsapp")
)


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        ("email", "ada@example.com"),
        ("sms", "+15125550111"),
        ("whatsapp", "+15125550111"),
        ("call", "dana"),
        ("task", "dana"),
    ],
)
def test_a_step_of_each_channel_goes_to_the_lead_or_to_its_owner(
    story: Any, words: Any, channel: str, recipient: str
) -> None:
    story.publish("one", words.step("a", channel=channel))
    [message] = words.queued(story.when("LeadCreated", NOON, consent=GRANTS))
    assert (message.channel, message.recipient) == (channel, recipient)


@pytest.mark.parametrize("channel", ["wait", "condition", "stop"])
def test_a_step_that_is_no_message_sends_nothing(story: Any, words: Any, channel: str) -> None:
    condition = ("stage", "eq", "new") if channel == "condition" else None
    story.publish("one", words.step("a", channel=channel, condition=condition))
    assert words.queued(story.when("LeadCreated", NOON)) == []
    assert story.row.live == ()


def test_a_stop_step_ends_the_enrollment_and_says_so(story: Any, words: Any) -> None:
    story.publish("one", words.step("a"), words.step("end", channel="stop"), words.step("never"))
    told = story.when("LeadCreated")
    assert words.steps_sent(told) == ["a"]
    assert words.rules(told, "EnrollmentStopped") == ["stop_step"]
    assert words.queued(story.until(100_000)) == []


@pytest.mark.parametrize(
    ("kind", "fields", "outcome"),
    [
        ("MessageSent", {}, "sent"),
        ("MessageDelivered", {}, "delivered"),
        ("MessageOpened", {}, "opened"),
        ("MessageClicked", {}, "clicked"),
        ("ReplyReceived", {}, "replied"),
        ("MessageBounced", {"bounce_type": "soft"}, "bounced"),
        ("MessageFailed", {}, "failed"),
    ],
)
def test_a_condition_sees_each_thing_that_happens_to_an_earlier_message(
    story: Any, words: Any, kind: str, fields: dict[str, Any], outcome: str
) -> None:
    story.publish(
        "one",
        words.step("hello"),
        words.step("if-so", 60, condition=("message.hello", "eq", outcome)),
        words.step("if-not", 60, condition=("message.hello", "ne", outcome)),
        stop_on=(),
    )
    story.when("LeadCreated")
    message_id = ids.message_id(story.row.live[0].enrollment_id, "hello")
    story.when(kind, 5, **fields, message_id=message_id)
    assert words.steps_sent(story.passes(60)) == ["if-so"]


@pytest.mark.parametrize("channel", ["sms", "call"])
@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        (datetime(2026, 11, 2, 13, 59, tzinfo=UTC), datetime(2026, 11, 2, 14, tzinfo=UTC)),
        (datetime(2026, 11, 3, 2, 59, tzinfo=UTC), datetime(2026, 11, 3, 2, 59, tzinfo=UTC)),
        (datetime(2026, 11, 3, 3, tzinfo=UTC), datetime(2026, 11, 3, 14, tzinfo=UTC)),
    ],
    ids=["before eight", "before nine in the evening", "at nine in the evening"],
)
def test_texts_and_calls_keep_the_hours_from_eight_to_nine_where_the_recipient_is(
    story: Any, words: Any, channel: str, asked: datetime, goes: datetime
) -> None:
    minutes = (asked - words.at(0)).total_seconds() / 60
    story.publish("one", words.step("a", channel=channel))
    told = story.when("LeadCreated", minutes, consent=GRANTS)
    told += story.until(2 * 1440)
    sent = [each for each in words.queued(told) if each.channel == channel]
    assert [each.recorded_at for each in sent] == [goes]


def test_a_task_may_be_put_on_somebodys_list_at_night(story: Any, words: Any) -> None:
    story.publish("one", words.step("a", channel="task"))
    assert words.steps_sent(story.when("LeadCreated")) == ["a"]


@pytest.mark.parametrize(
    ("begin", "days", "due"),
    [
        # Chicago goes from UTC-5 to UTC-6 on 1 November 2026 and back on 14 March 2027.
        (datetime(2026, 10, 20, 15, tzinfo=UTC), 20, datetime(2026, 11, 9, 16, tzinfo=UTC)),
        (datetime(2027, 3, 1, 16, tzinfo=UTC), 20, datetime(2027, 3, 21, 15, tzinfo=UTC)),
    ],
    ids=["autumn", "spring"],
)
def test_days_keep_the_time_on_the_wall_over_daylight_saving_in_both_directions(
    story: Any, words: Any, begin: datetime, days: int, due: datetime
) -> None:
    story.publish("one", words.step("a", delay_days=days))
    [_, scheduled] = story.when("LeadCreated", (begin - words.at(0)).total_seconds() / 60)
    assert scheduled.due_at == due


@pytest.mark.parametrize(
    ("begin", "opens"),
    [
        # 02:30 is skipped on 14 March, so the window opens where the wall goes on, at 03:00 CDT;
        # on 7 November 2027 the hour from one to two comes twice, and the first one counts.
        (datetime(2027, 3, 14, 6, tzinfo=UTC), datetime(2027, 3, 14, 8, tzinfo=UTC)),
        (datetime(2027, 11, 7, 5, tzinfo=UTC), datetime(2027, 11, 7, 6, 30, tzinfo=UTC)),
    ],
    ids=["the hour that is skipped", "the hour that comes twice"],
)
def test_a_send_window_in_the_odd_hour_of_daylight_saving_opens_when_a_person_expects_it(
    story: Any, words: Any, begin: datetime, opens: datetime
) -> None:
    start = "02:30" if begin.month == 3 else "01:30"
    story.publish("one", words.step("a"), window=SendWindow(start=start, end="04:00"))
    told = story.when("LeadCreated", (begin - words.at(0)).total_seconds() / 60)
    [scheduled] = [each for each in told if each.TYPE == "StepScheduled"]
    assert scheduled.due_at == opens


def test_every_skip_shift_hold_stop_and_refusal_names_its_rule_and_what_it_looked_at(
    words: Any,
) -> None:
    away = Absence(owner="dana", first=date(2026, 11, 1), last=date(2026, 11, 30))
    story = words.story(message_cap=2, absences=(away,), owners=("dana", "luis"))
    night = SendWindow(start="09:00", end="17:00")
    story.publish("window", words.step("w", 1), window=night)
    story.publish("text", words.step("t", channel="sms"), words.step("no-sms", channel="sms"))
    story.publish(
        "busy",
        words.step("first"),
        words.step("second", 10),
        words.step("third", 20),
        words.step("hot", 30, condition=("temperature", "eq", "hot")),
        words.step("task", 40, channel="task", blocks=True),
    )
    story.publish("never", words.step("n"), trigger=("event", "call_missed"))
    story.publish("group", words.step("g", 5_000), exclusive_group="x", priority=90)
    story.publish(
        "lower", words.step("l"), trigger=("event", "call_missed"), exclusive_group="x", priority=1
    )
    story.when("LeadCreated")
    for minute in (5, 6):
        story.when("CallMissed", minute)
    story.when("ReplyReceived", 7, automatic=True, returns_on="2026-11-10")
    story.pause("channel:acme:email")
    story.until(30_000)
    story.resume("channel:acme:email")
    story.passes(30_000)
    story.until(60_000)
    for enrollment in story.row.live:
        story.when("EnrollmentPauseRequested", 60_001, enrollment_id=enrollment.enrollment_id)
    story.when("ReplyReceived", 60_002)
    ruled = [each for each in story.told if hasattr(each, "rule") and hasattr(each, "inputs")]
    seen = {(each.TYPE, each.rule) for each in ruled}
    assert {
        ("StepScheduled", "window"),
        ("StepScheduled", "quiet_hours"),
        ("StepScheduled", "cap"),
        ("StepScheduled", "out_of_office"),
        ("StepSkipped", "consent_missing"),
        ("StepSkipped", "condition"),
        ("EnrollmentPaused", "automation_paused"),
        ("EnrollmentPaused", "task_open"),
        ("EnrollmentPaused", "manual"),
        ("EnrollmentStopped", "reply"),
        ("EnrollmentRefused", "reentry"),
        ("EnrollmentRefused", "exclusive"),
    } <= seen
    plain = [each for each in ruled if each.TYPE != "StepScheduled" or each.rule]
    assert [each for each in plain if not each.rule or not each.inputs] == []
