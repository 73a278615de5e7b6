"""Whatever happens to a lead, in whatever order: what must never be the case."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from leadflow.records import MessageQueued
from sequencer.decide import decide

HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "time", "time", "time", "LeadCreated", "LeadUpdated", "LeadQualified",
                "CallMissed", "QuoteRequested", "ReplyReceived", "BookingMade", "opt_out",
                "opt_in", "won", "contacted", "MessageBounced", "EnrollRequested", "pause",
                "resume", "stop", "pause-all", "resume-all", "repeat", "replay",
            ]
        ),
        st.integers(0, 2_000),
        st.integers(0, 10),
    ),
    max_size=30,
)  # fmt: skip


class World:
    """Plays a list of happenings on one lead; checks the order of things as it goes."""

    def __init__(self, words: Any) -> None:
        self.story = words.story()
        self.words = words
        step = words.step
        self.story.publish(
            "one",
            step("a"),
            step("b", 60),
            step("c", 60, channel="task"),
            step("d", 30, channel="sms"),
            reentry_rule="always",
        )
        self.story.publish(
            "two",
            step("x", 5),
            step("w", 10, channel="wait", delay_from="previous"),
            step("y", 1, delay_from="previous", condition=("temperature", "eq", "hot")),
            step("z", 20_000),
            trigger=("event", "call_missed"),
            reentry_rule="after_days",
            reentry_days=1,
            stop_on=(),
        )
        self.story.publish("three", step("m", 3), trigger=("manual", ""), stop_on=("stage_left",))
        self.minutes = 0
        self.events: list[Any] = []
        self.revision = 0

    def play(self, happenings: list[tuple[str, int, int]]) -> None:
        self.story.when("LeadCreated")
        for what, minutes, number in happenings:
            self.minutes += minutes if what == "time" else 0
            before = len(self.story.told)
            self._one(what, number)
            for each in self.story.told[before:]:
                assert each.recorded_at == self.words.at(self.minutes)

    def _one(self, what: str, number: int) -> None:
        story = self.story
        match what:
            case "time":
                if story.row is not None:
                    story.passes(self.minutes)
            case "opt_out" | "opt_in":
                channel = ("email", "sms", "all")[number % 3]
                self._happens("ConsentChanged", channel=channel, granted=what == "opt_in")
            case "won" | "contacted":
                self.revision += 1
                self._happens("StageChanged", to_stage=what, revision=10 + self.revision)
            case "LeadUpdated":
                self._happens(what, revision=number + 1, stage=("new", "contacted")[number % 2])
            case "EnrollRequested":
                self._happens(what, sequence_id=f"acme.{('one', 'two', 'three')[number % 3]}")
            case "pause" | "resume" | "stop":
                live = story.row.live if story.row else ()
                if live:
                    kind = f"Enrollment{what.title()}Requested"
                    self._happens(kind, enrollment_id=live[number % len(live)].enrollment_id)
            case "pause-all":
                story.pause("everything")
            case "resume-all":
                story.resume("everything")
            case "repeat":
                if self.events:
                    story.happens(self.events[-1 - number % len(self.events)], self.minutes)
            case "replay":
                story.passes(self.minutes)
                for event in self.events:
                    again = decide(story.row, event, self.words.at(self.minutes), story.setting)
                    assert again.effects == ()
                    assert not again.changed
            case _:
                self._happens(what)

    def _happens(self, kind: str, **fields: Any) -> None:
        event = self.story.event(kind, self.minutes, **fields)
        self.events.append(event)
        self.story.happens(event)


@settings(max_examples=300, deadline=None)
@given(HAPPENINGS)
def test_a_step_of_an_enrollment_has_at_most_one_message(
    words: Any, happenings: list[tuple[str, int, int]]
) -> None:
    world = World(words)
    world.play(happenings)
    messages = [each for each in world.story.told if isinstance(each, MessageQueued)]
    assert not [key for key, count in Counter(m.message_id for m in messages).items() if count > 1]
    assert len({(m.enrollment_id, m.step_id) for m in messages}) == len(messages)


@settings(max_examples=300, deadline=None)
@given(HAPPENINGS)
def test_nothing_goes_out_after_the_end_nor_early_nor_out_of_order(
    words: Any, happenings: list[tuple[str, int, int]]
) -> None:
    world = World(words)
    world.play(happenings)
    over: set[str] = set()
    at_step: dict[str, int] = {}
    for each in world.story.told:
        enrollment_id = getattr(each, "enrollment_id", None)
        if enrollment_id is None:
            continue
        assert enrollment_id not in over, f"{each.TYPE} after the end"
        if each.TYPE in ("EnrollmentStopped", "EnrollmentCompleted"):
            over.add(enrollment_id)
        if isinstance(each, MessageQueued):
            assert each.due_at <= each.recorded_at
        if each.TYPE in ("StepFired", "StepSkipped"):
            assert each.step_index > at_step.get(enrollment_id, -1)
            at_step[enrollment_id] = each.step_index


@settings(max_examples=200, deadline=None)
@given(HAPPENINGS, st.lists(st.integers(0, 400), max_size=10))
def test_pausing_and_resuming_everything_sends_the_same_set(
    words: Any, happenings: list[tuple[str, int, int]], pauses: list[int]
) -> None:
    calm = [each for each in happenings if each[0] in ("time", "LeadQualified")]
    plain = World(words)
    plain.play([*calm, ("time", 50_000, 0)])
    paused = World(words)
    rocky: list[tuple[str, int, int]] = []
    for place, each in enumerate(calm):
        if place in pauses:
            rocky += [("pause-all", 0, 0), each, ("resume-all", 0, 0)]
        else:
            rocky.append(each)
    paused.play([*rocky, ("time", 50_000, 0)])
    assert ids_of(plain) == ids_of(paused)


def ids_of(world: World) -> set[str]:
    return {each.message_id for each in world.story.told if isinstance(each, MessageQueued)}


@settings(max_examples=200, deadline=None)
@given(HAPPENINGS)
def test_no_enrollment_is_live_twice_and_every_entry_has_its_number(
    words: Any, happenings: list[tuple[str, int, int]]
) -> None:
    world = World(words)
    world.play(happenings)
    live = [each.sequence_id for each in world.story.row.live]
    assert len(live) == len(set(live))
    entries: dict[str, list[int]] = {}
    for each in world.story.told:
        if each.TYPE == "Enrolled":
            entries.setdefault(each.sequence_id, []).append(each.entry)
    for numbers in entries.values():
        assert numbers == list(range(1, len(numbers) + 1))
