"""Whatever is published and whatever happens, in whatever order: what must never be the case."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from . import generated
from .generated import Happening, Life, Plan, happenings, plans

# The same examples in every run: a red build means a changed program, never bad luck.
ALWAYS_THE_SAME = settings(max_examples=120, deadline=None, derandomize=True)


@ALWAYS_THE_SAME
@given(plans(), happenings())
def test_a_step_of_an_enrollment_has_at_most_one_message(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan).live(happenings).to_the_end()
    found = generated.messages(life)
    assert [key for key, count in Counter(m.message_id for m in found).items() if count > 1] == []
    assert len({(each.enrollment_id, each.step_id) for each in found}) == len(found)


@ALWAYS_THE_SAME
@given(plans(), happenings(generated.STOPPING))
def test_nothing_goes_out_after_a_stop(words: Any, plan: Plan, happenings: list[Happening]) -> None:
    life = Life(words, plan).live(happenings).to_the_end()
    assert life.late == []
    over: set[str] = set()
    for each in life.told:
        enrollment_id = getattr(each, "enrollment_id", None)
        assert enrollment_id is None or enrollment_id not in over, f"{each.TYPE} after the end"
        if each.TYPE in ("EnrollmentStopped", "EnrollmentCompleted"):
            over.add(enrollment_id)


@ALWAYS_THE_SAME
@given(plans(("email", "call", "sms")), happenings(generated.LATE))
def test_nothing_goes_out_outside_the_hours_where_the_lead_is(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan).live(happenings).to_the_end()
    assert [each for each in generated.messages(life) if not generated.may_go(life, each)] == []


@ALWAYS_THE_SAME
@given(plans(), happenings())
def test_no_step_goes_out_before_its_delay_has_passed(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan).live(happenings).to_the_end()
    since = {e.enrollment_id: e.recorded_at for e in life.told if e.TYPE == "Enrolled"}
    assert [
        each
        for each in generated.of_steps(life)
        if generated.is_early(life, each, min(since[each.enrollment_id], each.enrolled_at))
    ] == []


@ALWAYS_THE_SAME
@given(plans(("email", "condition", "task")), happenings())
def test_the_steps_of_an_enrollment_keep_their_order(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan).live(happenings).to_the_end()
    places: dict[str, list[int]] = {}
    for each in life.told:
        if each.TYPE in ("StepFired", "StepSkipped"):
            places.setdefault(each.enrollment_id, []).append(each.step_index)
    for order in places.values():
        assert order == sorted(set(order))


@ALWAYS_THE_SAME
@given(plans(("email", "sms", "email", "task")), happenings())
def test_a_lead_gets_no_more_messages_in_a_time_than_its_cap(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan).live(happenings).to_the_end()
    cap = plan.tenant["message_cap"]
    if not cap:
        return
    times = [m.recorded_at for m in generated.messages(life) if m.channel in generated.TO_THE_LEAD]
    for first, beyond in zip(times, times[cap:], strict=False):
        assert (beyond - first).days >= plan.tenant["cap_days"]


@ALWAYS_THE_SAME
@given(plans(("email", "sms", "task")), happenings())
def test_an_enrollment_keeps_every_arm_that_it_has_once_had(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan).live(happenings).to_the_end()
    kept: dict[str, list[str]] = {}
    weights = {
        (sequence.sequence_id, step.step_id): tuple(arm.weight for arm in step.arms)
        for sequence in life.definitions.values()
        for step in sequence.steps
    }
    for each in life.told:
        if each.TYPE == "StepFired":
            of_step = weights[each.sequence_id, each.step_id]
            assert bool(each.arm) == bool(of_step)
            if not of_step:
                continue
            names = kept.setdefault(each.enrollment_id, [])
            there = [f"arm-{n}" for n, weight in enumerate(of_step) if weight]
            chosen = each.arm.removeprefix("arm-")
            assert not sum(of_step) or of_step[int(chosen)], "an arm that nobody gets"
            again = [name for name in names if name in there]
            assert not again or each.arm == again[0]
            names.append(each.arm)


@ALWAYS_THE_SAME
@given(plans(), happenings())
def test_no_enrollment_is_live_twice_and_every_entry_has_its_number(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan).live(happenings)
    live = [each.sequence_id for each in life.row.live]
    assert len(live) == len(set(live))
    entries: dict[str, list[int]] = {}
    for each in life.told:
        if each.TYPE == "Enrolled":
            entries.setdefault(each.sequence_id, []).append(each.entry)
    for numbers in entries.values():
        assert numbers == sorted(set(numbers))
        # Once entries were forgotten, numbers go on after the highest of them (ADR 16).
        assert life.row.entries_before or numbers == list(range(1, len(numbers) + 1))


@ALWAYS_THE_SAME
@given(plans(), happenings())
def test_replaying_a_prefix_changes_nothing(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    life = Life(words, plan)
    for each in happenings:
        life.live([each])
        generated.again(life, life.events)
    life.to_the_end()


@ALWAYS_THE_SAME
@given(plans(), happenings())
def test_the_same_life_twice_has_the_same_decisions(
    words: Any, plan: Plan, happenings: list[Happening]
) -> None:
    one = Life(words, plan).live(happenings).to_the_end()
    other = Life(words, plan).live(happenings).to_the_end()
    assert one.told == other.told
    assert one.row == other.row


CALM = ("time", "due", "due", "EnrollRequested", "CallMissed", "task_done")
INTERRUPTIONS = st.lists(
    st.tuples(st.integers(0, 22), st.sampled_from(("pause", "pause-scope")), st.integers(0, 11)),
    min_size=1,
    max_size=8,
)


@ALWAYS_THE_SAME
@given(plans(), st.lists(st.tuples(st.sampled_from(CALM), st.sampled_from((0, 30, 1_500)),
                                   st.integers(0, 11)), max_size=12), INTERRUPTIONS)  # fmt: skip
def test_pausing_and_resuming_any_number_of_times_sends_the_same_set(
    words: Any, plan: Plan, calm: list[Happening], interruptions: list[tuple[int, str, int]]
) -> None:
    # What somebody asks for while an enrollment lasts longer is refused: only what comes first
    # is asked for. And a sequence that supersedes another would do so at another step of it.
    first = [each for each in calm if each[0] != "due"][:1]
    plan = generated.without_rivals(plan)
    rest = [each for each in calm if each[0] in ("time", "due", "task_done")]
    plain = Life(words, plan).live(first).live(rest).to_the_end()
    rocky = Life(words, plan)
    # Everything is asked for before anything is paused, so that all is enrolled at one time.
    rocky.live(first)
    for place, each in enumerate(rest):
        mine = [(what, 0, number) for at, what, number in interruptions if at == place]
        rocky.live([*mine, each])
        rocky.live([(what.replace("pause", "resume"), 0, number) for what, _, number in mine])
    rocky.to_the_end()
    assert sent(rocky) == sent(plain)


def sent(life: Life) -> set[str]:
    return {each.message_id for each in generated.of_steps(life)}


COMMUTING = st.lists(
    st.tuples(
        st.sampled_from(("LeadUpdated", "StageChanged", "opt_out", "opt_in", "LeadQualified")),
        st.integers(0, 6),
    ),
    unique=True,
    max_size=7,
)


@ALWAYS_THE_SAME
@given(plans(), COMMUTING, st.randoms(use_true_random=False))
def test_events_that_commute_give_the_same_end_in_any_order(
    words: Any, plan: Plan, drawn: list[tuple[str, int]], chance: Any
) -> None:
    """Profiles and stages of different revisions, words on channels of different times."""
    one, other = Life(words, plan), Life(words, plan)
    events = generated.commuting(one, drawn)
    generated.commuting(other, ())
    shuffled = list(events)
    chance.shuffle(shuffled)
    for life, order in ((one, events), (other, shuffled)):
        for event in order:
            life.story.happens(event, life.minute)
    assert generated.known(one) == generated.known(other)
