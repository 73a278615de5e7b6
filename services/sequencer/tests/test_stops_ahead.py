"""A stop by hand of an enrollment that is not in the row: a worker told of it and was killed before
its row was written, and the next one makes it again."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow import ids
from leadflow.records import MessageQueued
from sequencer import rowcodec
from sequencer.decide.ahead import KEPT

DAY = 1440
ALWAYS_THE_SAME = settings(max_examples=120, deadline=None, derandomize=True)


def silent(story: Any, words: Any, **changes: Any) -> str:
    """A lead that becomes dormant after three days; the id that its enrollment will have."""
    story.publish(
        "back",
        words.step("hello"),
        words.step("again", 60),
        trigger=("dormant", "3"),
        reentry_rule="always",
        **changes,
    )
    story.when("LeadCreated")
    return ids.enrollment_id(words.LEAD, "acme.back", 1)


def test_a_stop_of_what_silence_began_holds_though_its_row_was_lost(story: Any, words: Any) -> None:
    enrollment = silent(story, words)
    stop = story.event(
        "EnrollmentStopRequested", 3 * DAY + 5, enrollment_id=enrollment, requested_by="olga"
    )
    told = story.happens(stop)
    assert words.types(told) == ["CommandRefused", "Enrolled", "EnrollmentStopped"]
    assert (told[0].rule, told[0].inputs) == ("not_enrolled", {"if_it_begins": "stopped"})
    stopped = told[2]
    assert (stopped.enrollment_id, stopped.rule) == (enrollment, "manual")
    assert stopped.inputs == {"requested_by": "olga", "event_id": stop.event_id}
    assert stopped.occurred_at == stop.occurred_at
    assert words.steps_sent(story.until(300 * DAY)) == []
    assert [(each.entries, each.outcome) for each in story.row.finished] == [(1, "manual")]
    assert story.row.ahead == ()


def test_it_holds_however_long_the_enrollment_is_not_made_again(story: Any, words: Any) -> None:
    """Another sequence keeps the lead from being dormant: it is only when that is over."""
    story.publish("nurture", words.step("n", 30 * DAY), trigger=("manual", ""))
    enrollment = silent(story, words)
    story.when("EnrollRequested", 2 * DAY, sequence_id="acme.nurture")
    assert words.types(
        story.when("EnrollmentStopRequested", 4 * DAY, enrollment_id=enrollment)
    ) == ["CommandRefused"]
    told = story.until(33 * DAY)
    assert words.steps_sent(told) == ["n"]
    assert words.rules(told, "EnrollmentStopped") == ["manual"]


def test_a_stop_begins_the_silence_anew_for_every_other_sequence(story: Any, words: Any) -> None:
    enrollment = silent(story, words, priority=90)
    story.publish("later", words.step("later"), trigger=("dormant", "4"))
    told = story.when("EnrollmentStopRequested", 5 * DAY, enrollment_id=enrollment)
    assert words.rules(told, "EnrollmentStopped") == ["manual"]
    assert words.steps_sent(story.until(9 * DAY - 1)) == []
    assert words.steps_sent(story.until(9 * DAY)) == ["later"]


def test_the_next_entry_is_another_enrollment(story: Any, words: Any) -> None:
    enrollment = silent(story, words)
    story.when("EnrollmentStopRequested", 3 * DAY, enrollment_id=enrollment)
    told = story.when("EnrollRequested", 4 * DAY, sequence_id="acme.back")
    assert told[0].enrollment_id == ids.enrollment_id(words.LEAD, "acme.back", 2)
    assert words.steps_sent(told) == ["hello"]


def test_a_stop_that_came_before_its_cause_holds_too(story: Any, words: Any) -> None:
    story.publish("by-hand", words.step("hello"), trigger=("manual", ""))
    story.when("LeadCreated")
    enrollment = ids.enrollment_id(words.LEAD, "acme.by-hand", 1)
    story.when("EnrollmentStopRequested", 5, enrollment_id=enrollment)
    told = story.when("EnrollRequested", 6, sequence_id="acme.by-hand")
    assert words.types(told) == ["Enrolled", "EnrollmentStopped"]


def test_of_an_enrollment_that_is_over_nothing_is_kept(story: Any, words: Any) -> None:
    enrollment = silent(story, words)
    story.until(4 * DAY)
    told = story.when("EnrollmentStopRequested", 5 * DAY, enrollment_id=enrollment)
    assert words.rules(told, "CommandRefused") == ["enrollment_over"]
    assert story.row.ahead == ()


@pytest.mark.parametrize(
    "kind",
    ["EnrollmentPauseRequested", "EnrollmentResumeRequested", "EnrollmentMigrateRequested"],
)
def test_another_command_is_not_kept(story: Any, words: Any, kind: str) -> None:
    enrollment = silent(story, words)
    story.when(kind, 5, enrollment_id=enrollment)
    assert story.row.ahead == ()


def test_few_stops_are_kept_the_latest(story: Any, words: Any) -> None:
    silent(story, words)
    nobodys = [ids.enrollment_id(words.LEAD, "acme.other", entry) for entry in range(KEPT + 3)]
    for each in (*nobodys, nobodys[-2]):
        story.when("EnrollmentStopRequested", 5, enrollment_id=each)
    story.when("EnrollmentStopRequested", 5, enrollment_id="of somebody who makes up long names")
    kept = [each.enrollment_id for each in story.row.ahead]
    assert kept == [*nobodys[3:-2], nobodys[-1], nobodys[-2]]


@pytest.mark.parametrize("refused", [False, True])
def test_a_stop_is_forgotten_after_the_retention_time(words: Any, refused: bool) -> None:
    story = words.story(retention_days=30)
    story.publish("one", words.step("hello"), trigger=("manual", ""))  # never again: kept for good
    story.when("LeadCreated")
    if refused:
        story.when("ConsentChanged", 0, channel="sms", granted=False)
    else:
        story.when("EnrollRequested", 0, sequence_id="acme.one")
    nobodys = ids.enrollment_id(words.LEAD, "acme.other", 1)
    story.when("EnrollmentStopRequested", 1, enrollment_id=nobodys)
    story.until(30 * DAY)
    assert len(story.row.ahead) == 1
    story.until(31 * DAY)
    assert story.row.ahead == ()


def test_without_a_retention_time_a_stop_stays(words: Any) -> None:
    story = words.story(retention_days=0)
    enrollment = silent(story, words)
    story.publish("nurture", words.step("n", 900 * DAY), trigger=("stage", "contacted"))
    story.when("StageChanged", 1, to_stage="contacted")
    story.when("EnrollmentStopRequested", 2, enrollment_id=enrollment)
    assert words.steps_sent(story.until(2_000 * DAY)) == ["n"]


def test_stops_come_back_with_the_row(story: Any, words: Any) -> None:
    silent(story, words)
    story.when(
        "EnrollmentStopRequested", 5, enrollment_id=ids.enrollment_id(words.LEAD, "acme.other", 1)
    )
    assert len(story.row.ahead) == 1
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(story.row)) == story.row


THINGS = ("enroll", "enroll", "reply", "stop", "call", "time", "time", "again")
HAPPENINGS = st.lists(
    st.tuples(st.sampled_from(THINGS), st.sampled_from((0, 30, DAY, 4 * DAY)), st.integers(1, 3)),
    min_size=3,
    max_size=15,
)


@ALWAYS_THE_SAME
@given(HAPPENINGS)
def test_whatever_happens_nothing_goes_out_of_an_enrollment_that_somebody_stopped(
    words: Any, happenings: list[tuple[str, int, int]]
) -> None:
    """At any time, also before it began: neither a message nor a second end, and few are kept."""
    story = words.story()
    silent(story, words)
    story.publish("hand", words.step("a"), words.step("b", DAY), trigger=("manual", ""),
                  reentry_rule="always")  # fmt: skip
    minute, stops, stopped = 0, [], set()
    for what, gap, number in happenings:
        minute += gap
        story.until(minute)
        over = set(stopped)
        match what:
            case "enroll":
                told = story.when("EnrollRequested", minute, sequence_id="acme.hand")
            case "reply":
                told = story.when("ReplyReceived", minute)
            case "call":
                told = story.when("CallMissed", minute)
            case "stop":
                name = ("acme.hand", "acme.back")[number % 2]
                enrollment = ids.enrollment_id(words.LEAD, name, number)
                stops.append(
                    story.event("EnrollmentStopRequested", minute, enrollment_id=enrollment)
                )
                told = story.happens(stops[-1])
                stopped.add(enrollment)
            case "again" if stops:
                told = story.happens(stops[number % len(stops)], minute)
                assert not [each for each in told if each.TYPE == "CommandRefused"]
            case _:
                told = story.passes(minute)
        assert not over & {e.enrollment_id for e in told if isinstance(e, MessageQueued)}
        assert len(story.row.ahead) <= KEPT
    story.until(minute + 30 * DAY)
    messages = [each for each in story.told if isinstance(each, MessageQueued)]
    ends = [
        e.enrollment_id
        for e in story.told
        if e.TYPE in ("EnrollmentStopped", "EnrollmentCompleted")
    ]
    begun = [each.enrollment_id for each in story.told if each.TYPE == "Enrolled"]
    assert len(ends) == len(set(ends))
    assert set(ends) == set(begun), "what was stopped ahead ends where it begins"
    for each in stops:
        late = [m for m in messages if m.enrollment_id == each.enrollment_id]
        assert all(m.recorded_at <= each.recorded_at for m in late)
    assert not {each.enrollment_id for each in story.row.live} & stopped
