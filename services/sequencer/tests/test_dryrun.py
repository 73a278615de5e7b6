"""A sequence tried in simulated time: the same decisions, no clock, no order but that of time."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from leadflow.records import ConsentGrant, MessageQueued
from sequencer.dryrun import Life, NoPauses, Period, by_hand, live
from sequencer.dryrun_report import Report, rows
from sequencer.model import Setting

DAY = 1440


class Trial:
    """The words of `story`, lived without a worker."""

    def __init__(self, story: Any, words: Any) -> None:
        self.story = story
        self.words = words
        self.period = Period(words.at(0), words.at(30 * DAY))

    def live(self, *events: Any, period: Period | None = None) -> Life:
        setting = Setting(self.story.sequences, NoPauses(), self.story.setting.tenants)
        life = live(events, setting, period or self.period)
        assert life is not None
        return life

    def sent(self, life: Life) -> list[tuple[str, Any]]:
        return [
            (each.step_id or "", each.recorded_at)
            for each in life.decisions
            if isinstance(each, MessageQueued)
        ]


@pytest.fixture
def trial(story: Any, words: Any) -> Trial:
    return Trial(story, words)


def test_steps_are_sent_at_the_minute_they_are_due(trial: Trial, story: Any, words: Any) -> None:
    story.publish("touch", words.step("hello"), words.step("again", 3 * DAY))
    life = trial.live(story.event("LeadCreated", 5))
    assert trial.sent(life) == [("hello", words.at(5)), ("again", words.at(3 * DAY + 5))]
    assert life.live == ()


def test_the_decisions_are_those_that_the_worker_makes(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("touch", words.step("hello"), words.step("again", DAY))
    created, reply = story.event("LeadCreated"), story.event("ReplyReceived", 600)
    story.happens(created)
    story.happens(reply)
    story.passes(2 * DAY)
    assert list(trial.live(created, reply).decisions) == story.told


def test_a_past_reply_stops_at_its_own_time(trial: Trial, story: Any, words: Any) -> None:
    story.publish("touch", words.step("hello"), words.step("a", DAY), words.step("b", 3 * DAY))
    life = trial.live(story.event("ReplyReceived", 2 * DAY), story.event("LeadCreated"))
    assert [name for name, _ in trial.sent(life)] == ["hello", "a"]
    assert words.rules(life.decisions, "EnrollmentStopped") == ["reply"]


def test_what_happened_before_the_period_is_known_but_starts_nothing(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("touch", words.step("hello"))
    story.publish("later", words.step("hi"), trigger=("stage", "qualified"))
    period = Period(words.at(DAY), words.at(30 * DAY))
    created = story.event("LeadCreated")
    assert trial.live(created, period=period).decisions == ()
    moved = story.event("StageChanged", 2 * DAY, to_stage="qualified")
    life = trial.live(created, moved, period=period)
    assert trial.sent(life) == [("hi", words.at(2 * DAY))]


def test_a_lead_that_is_silent_long_enough_is_reactivated_within_the_period(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("back", words.step("hi"), trigger=("dormant", "60"))
    created = story.event("LeadCreated", -50 * DAY)
    [(name, sent_at)] = trial.sent(trial.live(created))
    assert (name, sent_at) == ("hi", words.at(10 * DAY))
    answered = story.event("ReplyReceived", -1)
    assert trial.sent(trial.live(created, answered)) == []


def test_silence_that_was_long_enough_before_the_period_reactivates_nobody_before_it(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("back", words.step("hi"), trigger=("dormant", "60"))
    [(_, sent_at)] = trial.sent(trial.live(story.event("LeadCreated", -200 * DAY)))
    # A lead is looked at once a week at least, for sequences are published between.
    assert words.at(0) <= sent_at <= words.at(8 * DAY)


def test_nothing_is_decided_at_the_end_of_the_period_or_after_it(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("touch", words.step("hello"), words.step("last", 30 * DAY))
    life = trial.live(story.event("LeadCreated"), story.event("ReplyReceived", 30 * DAY))
    assert [name for name, _ in trial.sent(life)] == ["hello"]
    assert life.live == (f"{words.TENANT}.touch",)


def test_a_message_counts_as_sent_so_that_conditions_on_it_hold(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish(
        "touch",
        words.step("hello"),
        words.step("was-sent", DAY, condition=("message.hello", "eq", "sent")),
        words.step("was-opened", 2 * DAY, condition=("message.hello", "eq", "opened")),
    )
    life = trial.live(story.event("LeadCreated"))
    assert [name for name, _ in trial.sent(life)] == ["hello", "was-sent"]
    assert words.rules(life.decisions, "StepSkipped") == ["condition"]


def test_a_task_that_blocks_is_done_at_once(trial: Trial, story: Any, words: Any) -> None:
    story.publish("touch", words.step("call", channel="call", blocks=True), words.step("mail", 60))
    life = trial.live(story.event("LeadCreated"))
    assert [name for name, _ in trial.sent(life)] == ["call", "mail"]


def test_a_sequence_without_a_trigger_is_entered_by_hand(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("manual", words.step("hello"), trigger=("manual", ""))
    created = story.event("LeadCreated", -DAY)
    events = by_hand([created], f"{words.TENANT}.manual", trial.period)
    assert trial.sent(trial.live(*events)) == [("hello", words.at(0))]


def test_without_an_event_before_the_end_there_is_no_life(
    trial: Trial, story: Any, words: Any
) -> None:
    setting = Setting(story.sequences, NoPauses(), {})
    assert live([story.event("LeadCreated", 31 * DAY)], setting, trial.period) is None


def report(trial: Trial, *lives: Life, tried: str = "touch") -> Report:
    made = Report(frozenset({f"{trial.words.TENANT}.{tried}"}))
    for life in lives:
        made.add(life)
    return made


def leads(trial: Trial, count: int, **fields: Any) -> list[Life]:
    return [
        trial.live(trial.story.event("LeadCreated", number, lead_id=f"lead-{number}", **fields))
        for number in range(count)
    ]


def test_the_report_counts_by_day_and_step(trial: Trial, story: Any, words: Any) -> None:
    story.publish("touch", words.step("hello"), words.step("call", DAY, channel="call"))
    made = report(trial, *leads(trial, 3))
    first = words.at(0).date()
    assert made.by_day == {
        first: {"hello": 3},
        first + timedelta(days=1): {"call": 3},
    }
    assert (made.leads, made.entered, made.unfinished) == (3, 3, 0)
    assert made.ended == {"completed": 3}
    assert made.steps == {"hello": "email", "call": "call"}


def test_the_report_says_what_was_skipped_and_moved_by_which_rule(
    trial: Trial, story: Any, words: Any
) -> None:
    # The story begins at 09:00 UTC, 03:00 in Chicago: SMS are quiet until 08:00 there.
    yes = (ConsentGrant(channel="sms", granted=True, basis="form", at=words.at(0)),)
    story.publish("touch", words.step("text", channel="sms"))
    made = report(trial, *leads(trial, 2, consent=yes), *leads(trial, 1, phone=None))
    assert made.shifted["text", "quiet_hours"] == 3
    assert made.skipped == {("text", "no_recipient"): 1}


def test_the_report_names_clashes_with_live_sequences(trial: Trial, story: Any, words: Any) -> None:
    touch, strong = f"{words.TENANT}.touch", f"{words.TENANT}.strong"
    story.publish("touch", words.step("a"), words.step("b", DAY), exclusive_group="g")
    story.publish("strong", words.step("x"), exclusive_group="g", priority=90)
    made = report(trial, *leads(trial, 2))
    assert made.exclusive == {(touch, strong): 2}
    assert made.refused == {"exclusive": 2}
    story.publish(
        "strong",
        words.step("x"),
        version=2,
        exclusive_group="g",
        priority=90,
        trigger=("event", "quote_requested"),
    )
    life = trial.live(story.event("LeadCreated"), story.event("QuoteRequested", 60))
    assert report(trial, life).superseded == {(touch, strong): 1}


def test_the_report_counts_leads_and_messages_of_other_sequences_meanwhile(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("touch", words.step("hello"), words.step("b", 2 * DAY))
    story.publish("other", words.step("x"), words.step("y", DAY), words.step("z", 3 * DAY))
    made = report(trial, *leads(trial, 2))
    other = f"{words.TENANT}.other"
    assert made.in_both == {other: 2}
    assert made.messages_beside == {other: 4}  # z comes after the end of ours
    assert made.same_day == {other: 2}


def test_messages_that_the_cap_moved_are_counted(words: Any, story: Any) -> None:
    capped = Trial(type(story)(message_cap=1, cap_days=7), words)
    capped.story.publish("touch", words.step("a"), words.step("b", DAY))
    made = report(capped, *leads(capped, 1))
    assert made.capped == {f"{words.TENANT}.touch": 1}
    assert made.shifted["b", "cap"] == 1


def test_the_hash_does_not_depend_on_the_order_of_leads(
    trial: Trial, story: Any, words: Any
) -> None:
    story.publish("touch", words.step("hello"), words.step("b", DAY))
    lives = leads(trial, 4)
    assert report(trial, *lives).hash() == report(trial, *reversed(lives)).hash()
    assert report(trial, *lives).hash() != report(trial, *lives[1:]).hash()


def test_another_decision_is_another_hash(trial: Trial, story: Any, words: Any) -> None:
    story.publish("touch", words.step("hello"), words.step("b", DAY))
    before = report(trial, *leads(trial, 2)).hash()
    story.publish("touch", words.step("hello"), words.step("b", 2 * DAY))
    after = report(trial, *leads(trial, 2)).hash()
    assert before != after


HASH = """
from datetime import UTC, datetime
from leadflow.records import StepSkipped
from sequencer.dryrun import Life
from sequencer.dryrun_report import Report
at = datetime(2026, 3, 8, 9, tzinfo=UTC)
inputs = {name: name for name in {"b", "a", "c", "d", "e"}}
told = StepSkipped(
    event_id="1", tenant_id="t", occurred_at=at, recorded_at=at, source="s", lead_id="l",
    enrollment_id="e", sequence_id="q", sequence_version=1, step_id="x", step_index=0,
    channel="sms", rule="condition", inputs=inputs,
)
report = Report(frozenset({"q"}))
report.add(Life("l", "t", "UTC", (told,), (), ()))
print(report.hash())
"""


def test_the_hash_is_the_same_in_every_process_and_time_zone() -> None:
    hashes = {
        subprocess.run(
            [sys.executable, "-c", HASH],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "America/New_York"), ("3", "Asia/Kolkata"))
    }
    assert len(hashes) == 1


def test_a_row_is_made_of_each_decision_with_its_rule(trial: Trial, story: Any, words: Any) -> None:
    story.publish("touch", words.step("hello"))
    [life] = leads(trial, 1)
    assert [(each.what, each.step_id) for each in rows(life)] == [
        ("enroll", ""),
        ("plan", "hello"),
        ("send", "hello"),
        ("complete", ""),
    ]
    assert {each.zone for each in rows(life)} == {"America/Chicago"}
