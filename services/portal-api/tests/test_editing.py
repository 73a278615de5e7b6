"""Sequences as they are edited, and the gate to `active`."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from leadflow import ids
from leadflow.records import Arm, Condition, SendWindow, SequencePublished, SequenceStep, Trigger
from portal_api import editing
from portal_api.editing import Refused
from portal_api.wording import check_template, filled


def step(step_id: str, minutes: int, delay_from: str = "enrollment") -> SequenceStep:
    return SequenceStep(
        step_id=step_id,
        channel="sms",
        delay_minutes=minutes,
        delay_from=delay_from,
        template_name="",
        subject="",
        body="Hi",
    )


def test_an_edit_is_the_next_version_and_leaves_this_one_alone(
    sequence: SequencePublished, t0: datetime
) -> None:
    changed = editing.next_version(sequence, t0, name="Welcome")
    assert (changed.version, changed.name) == (4, "Welcome")
    assert (sequence.version, sequence.name) == (3, "First touch")
    assert changed.event_id == ids.derived_id("SequencePublished", "acme.first-touch", 4)


def test_the_gate_lists_everything_that_is_missing(sequence: SequencePublished) -> None:
    bare = replace(
        sequence,
        trigger=Trigger(kind="stage", value=""),
        owner=None,
        consent_rule="",
        duplicate_rule="",
        rollback_path="",
        incident_owner="",
        steps=(),
    )
    assert editing.missing_for_activation(bare) == [
        "trigger",
        "owner",
        "consent rule",
        "duplicate rule",
        "rollback path",
        "incident owner",
        "at least one step",
    ]
    with pytest.raises(Refused) as refused:
        editing.check_activation(bare)
    assert "rollback path" in refused.value.missing


def test_a_step_without_text_keeps_the_gate_shut(sequence: SequencePublished) -> None:
    empty = replace(sequence.steps[1], body=" ")
    closed = replace(sequence, steps=(sequence.steps[0], empty))
    assert editing.missing_for_activation(closed) == ["text of step 2"]


def test_a_complete_sequence_may_be_active(sequence: SequencePublished) -> None:
    assert editing.missing_for_activation(sequence) == []
    editing.check_activation(sequence)


def test_a_draft_may_lack_anything(sequence: SequencePublished) -> None:
    editing.check_activation(replace(sequence, status="draft", owner=None, steps=()))


@pytest.mark.parametrize(
    ("minutes", "delay_from", "order"),
    [
        (60, "enrollment", ["hello", "new", "call", "last"]),
        (1440, "enrollment", ["hello", "call", "new", "last"]),
        (99999, "enrollment", ["hello", "call", "last", "new"]),
        (5, "previous", ["hello", "call", "last", "new"]),
    ],
)
def test_a_new_step_goes_where_its_time_puts_it(
    sequence: SequencePublished, minutes: int, delay_from: str, order: list[str]
) -> None:
    steps = editing.with_step(sequence, step("new", minutes, delay_from))
    assert [each.step_id for each in steps] == order


def test_a_step_with_a_new_time_moves(sequence: SequencePublished) -> None:
    moved = replace(sequence.steps[0], delay_minutes=2880)
    assert [each.step_id for each in editing.replace_step(sequence, moved)] == [
        "call",
        "hello",
        "last",
    ]


def test_a_step_that_is_not_there_cannot_be_removed(sequence: SequencePublished) -> None:
    with pytest.raises(KeyError):
        editing.without_step(sequence, "nobody")


def test_ids_are_readable_and_taken_once(sequence: SequencePublished) -> None:
    taken = ["acme.first-touch", "acme.first-touch-2"]
    assert editing.free_id("acme", "First touch!", taken) == "acme.first-touch-3"
    assert editing.free_id("acme", "¿?", []) == "acme.sequence"
    assert editing.free_step_id(sequence, "hello") == "hello-2"


def test_a_trigger_stage_must_be_in_the_pipeline(sequence: SequencePublished) -> None:
    with pytest.raises(Refused, match="no stage 'new'"):
        editing.check_pipeline(sequence, ("offer-sent", "assigned"))


@pytest.mark.parametrize(("days", "kept"), [(400, 400), (500, 400), (1, 1)])
def test_a_silence_that_no_lead_is_remembered_for_is_refused_with_the_tenants_days(
    sequence: SequencePublished, days: int, kept: int
) -> None:
    trigger = editing.trigger_of("dormant", days)
    with pytest.raises(Refused, match=f"dormant for {days} days.* forgotten after {kept} "):
        editing.check_retention(replace(sequence, trigger=trigger), kept)


@pytest.mark.parametrize(("days", "kept"), [(399, 400), (3000, 0)])
def test_a_silence_that_leads_are_remembered_for_is_taken(
    sequence: SequencePublished, days: int, kept: int
) -> None:
    trigger = editing.trigger_of("dormant", days)
    editing.check_retention(replace(sequence, trigger=trigger), kept)


@pytest.mark.parametrize(
    "broken",
    [
        {"name": " "},
        {"trigger": Trigger(kind="event", value="full_moon")},
        {"trigger": Trigger(kind="weather", value="")},
        {"trigger": Trigger(kind="dormant", value="")},
        {"trigger": Trigger(kind="dormant", value="0")},
        {"trigger": Trigger(kind="dormant", value="a while")},
        {"stop_on": ("boredom",)},
        {"steps": (step("a", 0), step("a", 1))},
        {"steps": (step("a", -1),)},
        {"steps": (replace(step("a", 0), subject="two\nlines"),)},
    ],
)
def test_what_makes_no_sequence_is_refused(
    sequence: SequencePublished, broken: dict[str, object]
) -> None:
    with pytest.raises(Refused):
        editing.check(replace(sequence, **broken))  # type: ignore[arg-type]


def test_a_sequence_can_wait_for_silence_and_stop_for_a_colleagues_reply(
    sequence: SequencePublished,
) -> None:
    trigger = editing.trigger_of("dormant", 60)
    assert trigger == Trigger(kind="dormant", value="60")
    editing.check(replace(sequence, trigger=trigger, stop_on=("account_reply",)))


def test_what_is_stored_of_a_sequence_reads_as_it_was(sequence: SequencePublished) -> None:
    stored = sequence.to_avro()
    for name in ("occurred_at", "recorded_at"):
        stored[name] = stored[name].isoformat()
    assert editing.from_definition(stored) == sequence


@pytest.mark.parametrize("text", ["{{ first_name", "{% if city %}", "{{ password }}"])
def test_a_template_that_cannot_be_sent_is_refused_when_written(text: str) -> None:
    with pytest.raises(Refused):
        check_template("template_body", text)


def test_a_template_of_known_variables_is_taken() -> None:
    check_template(
        "template_body", 'Hi {{ first_name | default: "there" }} {% if city %}x{% endif %}'
    )


def test_a_template_is_shown_with_its_values_in() -> None:
    assert filled('Hi {{ first_name | default: "there" }}', {"first_name": "Maria"}) == "Hi Maria"
    assert filled('Hi {{ first_name | default: "there" }}', {}) == "Hi there"
    assert filled("{{ broken", {}) == "{{ broken"


CONDITION = editing.condition_of({"field": "temperature", "op": "eq", "value": "hot"})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"channel": "condition"}, "condition: a step of that kind needs one"),
        ({"channel": "condition", "condition": CONDITION, "otherwise": "hello"}, "no later step"),
        ({"otherwise": "last"}, "only a condition leads elsewhere"),
        ({"blocks": True}, "only work for a person"),
        ({"delay_business_days": -1}, "delay_business_days: 0 or more"),
        ({"arms": (Arm(name="a", weight=0, template_name="t", subject="", body="b"),)}, "weight"),
    ],
)
def test_a_step_that_makes_no_sense_is_refused(
    sequence: SequencePublished, changes: dict[str, object], said: str
) -> None:
    steps = (step("hello", 0), replace(step("now", 1), **changes), step("last", 2))  # type: ignore[arg-type]
    with pytest.raises(Refused, match=said):
        editing.check(replace(sequence, steps=steps))


@pytest.mark.parametrize(
    ("start", "end", "days"),
    [
        ("9:00", "17:00", ()),
        ("09:00", "25:00", ()),
        ("09:00", "09:00", ()),
        ("09:00", "17:00", ("monday",)),
    ],
)
def test_a_window_that_makes_no_sense_is_refused(
    sequence: SequencePublished, start: str, end: str, days: tuple[str, ...]
) -> None:
    with pytest.raises(Refused, match="window"):
        editing.check(replace(sequence, window=SendWindow(start=start, end=end, days=days)))


def test_steps_without_a_message_need_no_text_to_be_active(sequence: SequencePublished) -> None:
    ends = replace(step("end", 9), channel="stop", body="")
    arm = Arm(name="a", weight=1, template_name="t", subject="", body="Hello")
    tried = replace(step("arms", 5), body="", arms=(arm,))
    complete = replace(sequence, steps=(*sequence.steps, tried, ends))
    assert editing.missing_for_activation(complete) == editing.missing_for_activation(sequence)
    silent = replace(tried, arms=(replace(arm, body=" "),))
    assert (
        "text of step"
        in editing.missing_for_activation(replace(complete, steps=(*sequence.steps, silent)))[-1]
    )


def test_what_was_stored_before_windows_and_arms_reads_with_their_defaults(
    sequence: SequencePublished,
) -> None:
    stored = sequence.to_avro()
    for name in ("occurred_at", "recorded_at"):
        stored[name] = stored[name].isoformat()
    for name in ("exclusive_group", "window"):
        del stored[name]
    for each in stored["steps"]:
        for name in editing.STEP_DEFAULTS:
            del each[name]
    assert editing.from_definition(stored) == sequence


def test_days_by_the_calendar_put_a_step_behind_hours(sequence: SequencePublished) -> None:
    """The steps of the sequence come at once, after a day and after a week."""
    for changes, place in (
        ({"delay_days": 2}, 2),
        ({"delay_business_days": 3}, 2),
        ({"delay_business_days": 6}, 3),
        ({"delay_minutes": 30}, 1),
    ):
        step = replace(sequence.steps[0], step_id="new", **changes)
        names = [each.step_id for each in editing.with_step(sequence, step)]
        assert names.index("new") == place


def asking(sequence: SequencePublished, field: str, op: str, value: str) -> SequencePublished:
    """A step hello, a wait, and a third step with this condition."""
    third = replace(step("third", 2), condition=Condition(field=field, op=op, value=value))
    rest = replace(step("rest", 1), channel="wait")
    return replace(sequence, steps=(step("hello", 0), rest, third))


@pytest.mark.parametrize(
    ("field", "op", "value", "says"),
    [
        ("colour", "eq", "red", "colour is no field"),
        ("message.nosuch", "eq", "opened", "'nosuch' is no earlier step"),
        ("message.third", "eq", "opened", "'third' is no earlier step"),
        ("message.rest", "eq", "sent", "'rest' is no earlier step"),
        ("message.hello", "eq", "eaten", "eaten never becomes of a message"),
        ("temperature", "gte", "warm", "gte compares numbers"),
        ("urgency", "lte", "3", "lte compares numbers"),
        ("temperature", "like", "warm", "like is no operator"),
        ("temperature", "eq", "scalding", "temperature is never 'scalding'"),
        ("temperature", "eq", "Hot", "temperature is never 'Hot', it is one of hot, warm, cold"),
        ("temperature", "in", "hot warm", "temperature is never 'hot warm'"),
        ("temperature", "in", "hot,scalding", "temperature is never 'scalding'"),
        ("temperature", "ne", "scalding", "temperature is never 'scalding'"),
        ("temperature", "in", ",", "one of the values of in is empty"),
        ("service", "in", "roofing,,siding", "one of the values of in is empty"),
        ("owner", "in", "", "one of the values of in is empty"),
        ("service", "eq", "roofing ", "'roofing ' has blanks around it"),
        ("urgency", "eq", "", "urgency is never ''"),
        ("status", "eq", "merged", "status is never 'merged', it is one of active"),
        ("has_email", "eq", "yes", "has_email is never 'yes'"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused_and_says_why(
    sequence: SequencePublished, field: str, op: str, value: str, says: str
) -> None:
    with pytest.raises(Refused, match=f"condition of step 3: .*{says}"):
        editing.check(asking(sequence, field, op, value))


@pytest.mark.parametrize(
    ("field", "op", "value"),
    [
        ("language", "eq", "en"),
        ("owner", "eq", ""),
        ("temperature", "in", "hot, warm"),
        ("temperature", "eq", ""),
        ("urgency", "in", "urgent,high"),
        ("stage", "eq", "whatever a pipeline has"),
        ("has_phone", "ne", "false"),
        ("message.hello", "ne", "opened"),
        ("message.hello", "eq", "opened,clicked"),
    ],
)
def test_a_condition_that_may_hold_is_taken(
    sequence: SequencePublished, field: str, op: str, value: str
) -> None:
    editing.check(asking(sequence, field, op, value))


@pytest.mark.parametrize(
    ("op", "value"), [("eq", "nosuch"), ("in", "new,nosuch"), ("ne", "nosuch"), ("eq", "")]
)
def test_a_stage_that_the_pipeline_does_not_have_makes_no_condition(
    sequence: SequencePublished, op: str, value: str
) -> None:
    pipeline = (sequence.trigger.value, "new", "won")
    asked = asking(sequence, "stage", op, value)
    with pytest.raises(Refused, match=r"of step 3: stage is never '(nosuch)?', it is one"):
        editing.check_pipeline(asked, pipeline)
    editing.check_pipeline(asking(sequence, "stage", "in", "new, won"), pipeline)


@pytest.mark.parametrize(
    "name", [{"trigger_source": "ANY "}, {"trigger_source": "Any"}, {"exclusive_group": " a "}]
)
def test_a_name_that_nothing_is_equal_to_is_refused(
    sequence: SequencePublished, t0: datetime, name: dict[str, str]
) -> None:
    with pytest.raises(Refused, match=r"source: '(ANY |Any)' is no|exclusive_group: ' a ' has"):
        editing.check(replace(sequence, **name))  # type: ignore[arg-type]
    old = replace(sequence, **name)  # type: ignore[arg-type]
    assert editing.next_version(old, t0, status="paused").status == "paused"


def test_what_has_an_old_senseless_condition_can_still_be_paused(
    sequence: SequencePublished, t0: datetime
) -> None:
    old = asking(sequence, "colour", "eq", "red")
    assert editing.next_version(old, t0, status="paused").status == "paused"
    with pytest.raises(Refused):
        editing.next_version(old, t0, status="active")
