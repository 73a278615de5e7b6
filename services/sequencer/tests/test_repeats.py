"""An event acts once, however often and however late it comes again."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequencer import rowcodec
from sequencer.decide import decide
from sequencer.model import APPLIED_LIMIT, LeadRow, ReadUpTo, digest

LEADS, COMMANDS, RESULTS = rowcodec.TOPICS
TOPIC_OF = {
    "EnrollRequested": COMMANDS,
    "EnrollmentPauseRequested": COMMANDS,
    "EnrollmentResumeRequested": COMMANDS,
    "EnrollmentStopRequested": COMMANDS,
    "MessageComplained": RESULTS,
    "MessageBounced": RESULTS,
}
BY_HAND = ("EnrollmentPauseRequested", "EnrollmentResumeRequested", "EnrollmentStopRequested")


@dataclass
class Log:
    """The records of one lead as they lie in their topics, and the row that a worker makes of
    them, which goes through bytes as it does there."""

    story: Any
    words: Any
    row: LeadRow | None = None
    told: list[Any] = field(default_factory=list)
    records: list[tuple[Any, ReadUpTo]] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)

    def write(self, event: Any) -> int:
        """Append it to its topic; its number among all of them."""
        topic = TOPIC_OF.get(event.TYPE, LEADS)
        offset = self.ends.get(topic, 0)
        self.ends[topic] = offset + 7  # what lies between is about other leads
        written = rowcodec.to_ms(event.recorded_at)
        self.records.append((event, ReadUpTo(topic, offset, written)))
        return len(self.records) - 1

    def read(self, number: int, minutes: float) -> list[Any]:
        event, at = self.records[number]
        now = self.words.at(minutes)
        decision = decide(self.row, event, now, self.story.setting, at)
        if decision.changed:
            key = event.lead_id.encode()
            self.row = rowcodec.decode(key, rowcodec.encode(decision.row))
        self.told += decision.effects
        return list(decision.effects)

    def happens(self, kind: str, minutes: float, **fields: Any) -> list[Any]:
        return self.read(self.write(self.story.event(kind, minutes, **fields)), minutes)


def published(story: Any, words: Any) -> None:
    always = {"reentry_rule": "always", "consent_rule": "internal"}
    story.publish("missed", words.step("sorry"), trigger=("event", "call_missed"), **always)
    steps = words.step("hello"), words.step("later", 60)
    story.publish("asked", *steps, trigger=("manual", ""), **always)


@pytest.fixture
def log(story: Any, words: Any) -> Log:
    published(story, words)
    found = Log(story, words)
    found.happens("LeadCreated", 0)
    return found


def chatter(log: Log, minutes: float, count: int) -> None:
    for number in range(count):
        log.happens("StageChanged", minutes, revision=len(log.records) + 2, to_stage=f"s{number}")


def queued(told: list[Any]) -> list[str]:
    return [each.message_id for each in told if each.TYPE == "MessageQueued"]


def test_a_record_delivered_again_does_nothing_whatever_came_since(log: Log) -> None:
    call = len(log.records)
    assert len(queued(log.happens("CallMissed", 1))) == 1
    chatter(log, 2, APPLIED_LIMIT + 10)
    before = log.row
    assert log.read(call, 3) == []
    assert log.row == before


def test_an_old_resume_delivered_again_lifts_no_later_pause(log: Log) -> None:
    log.happens("EnrollRequested", 1, sequence_id="acme.asked")
    assert log.row is not None
    [live] = [each for each in log.row.live if each.sequence_id == "acme.asked"]
    named = {"enrollment_id": live.enrollment_id}
    log.happens("EnrollmentPauseRequested", 2, **named)
    resume = len(log.records)
    assert log.happens("EnrollmentResumeRequested", 3, **named) != []
    log.happens("EnrollmentPauseRequested", 4, **named)
    chatter(log, 5, APPLIED_LIMIT + 10)
    assert log.read(resume, 6) == []
    assert log.row.live[0].paused_by == "manual"


def test_what_is_written_once_more_is_told_by_its_id_across_a_whole_batch(log: Log) -> None:
    call = log.story.event("CallMissed", 1)
    assert len(queued(log.read(log.write(call), 1))) == 1
    chatter(log, 2, APPLIED_LIMIT - 1)
    again = log.write(call)
    before = log.row
    assert log.read(again, 3) == []
    assert log.row == before


def test_what_is_written_once_more_long_after_enrolls_in_nothing_that_it_has_enrolled_in(
    log: Log,
) -> None:
    call, asked = (
        log.story.event("CallMissed", 1),
        log.story.event("EnrollRequested", 1, sequence_id="acme.asked"),
    )
    over, live = log.read(log.write(call), 1), log.read(log.write(asked), 1)
    assert [len(queued(over)), len(queued(live))] == [1, 1]
    chatter(log, 2, APPLIED_LIMIT)
    assert log.read(log.write(call), 3) == []
    assert log.read(log.write(asked), 3) == []


def test_another_event_of_the_kind_enrolls_again(log: Log) -> None:
    first = queued(log.happens("CallMissed", 1))
    second = queued(log.happens("CallMissed", 2))
    assert len({*first, *second}) == 2


def test_the_topics_of_a_lead_have_their_own_offsets(log: Log) -> None:
    chatter(log, 1, 20)
    assert log.ends[LEADS] > log.ends.get(COMMANDS, 0)
    assert log.happens("EnrollRequested", 2, sequence_id="acme.asked") != []


def test_in_a_log_that_was_made_anew_everything_is_new(log: Log) -> None:
    chatter(log, 1, 40)
    log.ends[LEADS] = 0
    first = len(log.records)
    assert len(queued(log.happens("CallMissed", 2))) == 1
    chatter(log, 3, 40)
    assert len(queued(log.happens("CallMissed", 4))) == 1
    before = log.row
    for number in range(first, len(log.records)):
        assert log.read(number, 5) == []
    assert log.row == before


def test_a_clock_that_goes_back_between_two_producers_hides_no_repeat(log: Log) -> None:
    call = len(log.records)
    log.happens("CallMissed", 30)
    for number in range(APPLIED_LIMIT + 10):
        event = log.story.event("StageChanged", 1, revision=number + 2, to_stage=f"s{number}")
        log.read(log.write(event), 30)
    before = log.row
    assert log.read(call, 31) == []
    assert log.row == before


def test_two_digests_side_by_side_make_no_third(log: Log) -> None:
    first, second, third = digest("one"), digest("two"), log.story.event("CallMissed", 1)
    mark = digest(third.event_id)
    assert log.row is not None
    log.row = replace(log.row, applied=first[:5] + mark + second[5:], read=())
    assert len(log.row.applied) % 8 == 0
    assert len(queued(log.read(log.write(third), 1))) == 1
    log.row = replace(log.row, applied=first[:5] + mark + second[5:] + mark, read=())
    assert log.read(log.write(third), 2) == []


def test_a_row_remembers_no_more_than_its_limit(log: Log) -> None:
    chatter(log, 1, APPLIED_LIMIT + 100)
    assert log.row is not None
    assert len(log.row.applied) == 8 * APPLIED_LIMIT


KINDS = (
    "CallMissed", "CallMissed", "StageChanged", "StageChanged", "LeadUpdated", "ReplyReceived",
    "BookingMade", "EnrollRequested", "EnrollRequested", *BY_HAND, "MessageComplained",
    "MessageBounced", "JobCompleted",
)  # fmt: skip


@dataclass(frozen=True)
class Crash:
    """After how many records, and how far back each topic then is read again."""

    after: int
    back: tuple[int, int, int]


CRASHES = st.lists(
    st.builds(Crash, st.integers(0, 90), st.tuples(*[st.integers(0, 90)] * 3)), max_size=4
)


def live_through(make: Callable[[], Log], kinds: list[str], crashes: list[Crash]) -> Log:
    """What a lead does, and after each crash the ends of its topics once more."""
    log = make()
    for number, kind in enumerate(kinds):
        fields: dict[str, Any] = {}
        if kind in BY_HAND:
            live = log.row.live if log.row is not None else ()
            which = live[number % len(live)].enrollment_id if live else log.words.LEAD
            fields["enrollment_id"] = which
        elif kind == "EnrollRequested":
            fields["sequence_id"] = "acme.asked"
        elif kind in ("StageChanged", "LeadUpdated"):
            fields["revision"] = number + 2
            fields["to_stage" if kind == "StageChanged" else "stage"] = f"s{number % 3}"
        log.happens(kind, 1 + number / 10, **fields)
        for crash in crashes:
            if crash.after == number:
                for topic, back in zip(rowcodec.TOPICS, crash.back, strict=True):
                    there = [n for n, (_, at) in enumerate(log.records) if at.topic == topic]
                    for each in there[max(0, len(there) - back) :]:
                        log.read(each, 1 + number / 10)
    return log


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(KINDS), min_size=61, max_size=90), CRASHES)
def test_reading_a_prefix_again_changes_nothing_however_much_came_after_it(
    words: Any, kinds: list[str], crashes: list[Crash]
) -> None:
    def make() -> Log:
        story = words.story()
        published(story, words)
        log = Log(story, words)
        log.happens("LeadCreated", 0)
        return log

    undisturbed, disturbed = live_through(make, kinds, []), live_through(make, kinds, crashes)
    assert disturbed.row == undisturbed.row
    assert disturbed.told == undisturbed.told
    ids = queued(disturbed.told)
    assert len(ids) == len(set(ids))
