"""The breaker: a floor before it opens, a rest, probes, a slow start, and a person's word."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher import breaker as breakers
from dispatcher.breaker import Breaker, Heard, Rules, State
from dispatcher.breaker_news import Change, control_of
from dispatcher.model import Accepted, Refused
from dispatcher.providers.base import NotCalled, QuotaExceeded, Unauthorized
from leadflow.records import AutomationPaused

RULES = Rules()
NOW = 1_000_000.0


def refused(error_class: str, *, retryable: bool, maybe_accepted: bool = False) -> Refused:
    return Refused(
        error_class=error_class, reason="", retryable=retryable, maybe_accepted=maybe_accepted
    )


def calls(good: int, bad: int) -> Heard:
    """Calls of one message each."""
    return Heard(good, bad, good, good + bad)


def batches(good: int, bad: int, size: int) -> Heard:
    return Heard(good, bad, good * size, (good + bad) * size)


def opened(now: float = NOW) -> Breaker:
    return breakers.observe(breakers.closed(now, RULES), calls(0, 20), now, RULES)


def test_a_share_of_failures_opens_it_only_with_a_sample() -> None:
    few = breakers.observe(breakers.closed(NOW, RULES), calls(0, 19), NOW + 1, RULES)
    assert few.state is State.CLOSED
    assert breakers.observe(few, calls(0, 1), NOW + 2, RULES).state is State.OPEN
    assert breakers.observe(few, calls(20, 1), NOW + 2, RULES).state is State.OPEN  # 20 of 40
    assert breakers.observe(few, calls(22, 1), NOW + 2, RULES).state is State.CLOSED  # 20 of 42


def test_failures_of_an_earlier_window_do_not_count() -> None:
    before = breakers.observe(breakers.closed(NOW, RULES), calls(0, 19), NOW + 1, RULES)
    assert breakers.observe(before, calls(0, 1), NOW + 61, RULES).state is State.CLOSED


def test_while_it_rests_nothing_may_be_claimed() -> None:
    assert breakers.take(opened(), 100, NOW + 29.9, RULES)[1] == 0


def test_after_the_rest_one_message_goes_and_no_second_until_it_is_answered() -> None:
    probing, given_now = breakers.take(opened(), 100, NOW + 30, RULES)
    assert (probing.state, given_now) == (State.HALF_OPEN, 1)
    assert breakers.take(probing, 100, NOW + 31, RULES)[1] == 0


def test_a_probe_of_which_nothing_is_heard_is_repeated() -> None:
    probing, _ = breakers.take(opened(), 100, NOW + 30, RULES)
    assert breakers.take(probing, 100, NOW + 60, RULES)[1] == 1


def test_a_probe_that_was_not_used_is_given_back() -> None:
    probing, _ = breakers.take(opened(), 100, NOW + 30, RULES)
    assert breakers.take(breakers.give_back(probing, 1), 100, NOW + 31, RULES)[1] == 1


def test_what_is_accepted_lets_twice_as_much_through_until_it_closes() -> None:
    current, allowed = breakers.take(opened(), 100, NOW + 30, RULES)
    seen = [allowed]
    while current.state is not State.CLOSED:
        current = breakers.observe(current, calls(seen[-1], 0), NOW + 31, RULES)
        current, allowed = breakers.take(current, 100, NOW + 31, RULES)
        seen.append(allowed)
    assert seen == [1, 2, 4, 8, 16, 100]


def test_a_failed_probe_makes_the_next_rest_twice_as_long_up_to_ten_minutes() -> None:
    current, now, rests = opened(), NOW, []
    for _ in range(7):
        rests.append(current.look_at - now)
        now = current.look_at
        current, allowed = breakers.take(current, 1, now, RULES)
        assert allowed == 1
        current = breakers.observe(current, calls(0, 1), now, RULES)
    assert rests == [30, 60, 120, 240, 480, 600, 600]


def test_answers_that_come_while_it_rests_change_nothing() -> None:
    assert breakers.observe(opened(), calls(5, 5), NOW + 1, RULES) == opened()


@pytest.mark.parametrize(
    ("answer", "is_well"),
    [
        (Accepted(provider_id="1", response=""), True),
        (refused("Rejected", retryable=False), True),
        (refused("Busy", retryable=True), False),
        (refused("Unreachable", retryable=True), False),
        (refused("NoAnswer", retryable=True, maybe_accepted=True), False),
        (refused("SenderRefused", retryable=False), True),
    ],
)
def test_a_refused_message_is_not_a_failing_provider(
    answer: Accepted | Refused, is_well: bool
) -> None:
    assert breakers.counted([answer]) == (Heard(1, 0, 1, 1) if is_well else Heard(0, 1, 0, 1))


@pytest.mark.parametrize(
    "answer",
    [
        Unauthorized("answered 401").refused(),
        QuotaExceeded("answered 429").refused(),
        NotCalled("no turn").refused(),
    ],
)
def test_what_is_not_about_the_provider_opens_no_breaker(answer: Refused) -> None:
    fine = Accepted(provider_id="1", response="")
    assert breakers.counted([answer] * 5) == Heard()
    assert breakers.counted([answer] * 5 + [fine]) == Heard(1, 0, 1, 1)


def test_a_batch_that_is_lost_is_one_failure() -> None:
    lost = refused("NoAnswer", retryable=True, maybe_accepted=True)
    fine = Accepted(provider_id="1", response="")
    assert breakers.counted([lost] * 100) == Heard(0, 1, 0, 100)
    assert breakers.counted([fine] * 99 + [lost]) == Heard(1, 0, 99, 100)
    assert breakers.counted([]) == Heard()


@pytest.mark.parametrize(
    ("heard", "state"),
    [
        (batches(0, 1, 100), State.CLOSED),  # one lost batch
        (batches(0, 4, 100), State.CLOSED),
        (batches(0, 5, 100), State.OPEN),  # an outage that few, but full, calls tell of
        (batches(5, 5, 100), State.OPEN),
        (batches(6, 5, 100), State.CLOSED),
        (batches(0, 5, 3), State.CLOSED),  # 15 messages
        (batches(0, 7, 3), State.OPEN),
    ],
)
def test_few_calls_are_a_sample_where_they_carry_many_messages(heard: Heard, state: State) -> None:
    assert breakers.observe(breakers.closed(NOW, RULES), heard, NOW + 1, RULES).state is state


def test_who_asks_for_fewer_messages_than_calls_gets_them() -> None:
    rules = Rules(at_least=2)
    after = breakers.observe(breakers.closed(NOW, rules), calls(0, 2), NOW + 1, rules)
    assert after.state is State.OPEN


def test_a_provider_that_takes_nothing_from_us_rests_at_once_and_longer_after_each_probe() -> None:
    current, now, rests = breakers.closed(NOW, RULES), NOW, []
    for _ in range(4):
        current = breakers.trip(current, now, RULES)
        assert breakers.trip(current, now + 1, RULES) == current, "said twice, it rests once"
        rests.append(current.look_at - now)
        now = current.look_at
        current, allowed = breakers.take(current, 100, now, RULES)
        assert allowed == 1
    assert rests == [30, 60, 120, 240]


def test_people_are_told_why_a_breaker_opened() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    failing = Change(provider="p", opened=True, bad=20, total=30, at=at)
    refusing = Change(provider="p", opened=True, bad=0, total=9, at=at, reason="p answered 401")
    said = [control_of(each) for each in (failing, refusing)]
    assert [each.reason for each in said if isinstance(each, AutomationPaused)] == [
        "20 of 30 calls to p failed",
        "p answered 401",
    ]


def test_a_slow_start_grows_by_messages() -> None:
    probing, _ = breakers.take(opened(), 100, NOW + 30, RULES)
    after = breakers.observe(probing, calls(1, 0), NOW + 31, RULES)
    taken, number = breakers.take(after, 100, NOW + 31, RULES)
    assert number == 2
    after = breakers.observe(taken, batches(1, 0, 2), NOW + 32, RULES)
    assert breakers.take(after, 100, NOW + 32, RULES)[1] == 4


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.floats(0, 100)), max_size=40))
def test_it_never_lets_more_go_than_was_asked_for_and_never_stands_still_for_good(
    steps: list[tuple[int, int, float]],
) -> None:
    current, now = breakers.closed(NOW, RULES), NOW
    for good, bad, later in steps:
        now += later
        current, allowed = breakers.take(current, 10, now, RULES)
        assert 0 <= allowed <= 10
        current = breakers.observe(current, calls(good, bad), now, RULES)
    # Once faults end it comes back: the longest rest, then a probe, then all of it.
    for _ in range(200):
        now += 1 + max(RULES.probe_seconds, current.look_at - now)
        current, allowed = breakers.take(current, 100, now, RULES)
        if allowed:
            current = breakers.observe(current, calls(min(allowed, 32), 0), now, RULES)
        if current.state is State.CLOSED:
            break
    assert current.state is State.CLOSED


def test_a_clock_that_was_ahead_makes_no_rest_longer_than_the_longest() -> None:
    ahead = opened(NOW + 86_400)
    right = breakers.plausible(ahead, NOW, RULES)
    assert right.since == NOW, "a person's word of a moment later is one of after it opened"
    assert breakers.take(right, 1, NOW + 599, RULES)[1] == 0
    assert breakers.take(right, 1, NOW + 600, RULES)[1] == 1
    assert breakers.plausible(opened(), NOW + 1, RULES) == opened()
