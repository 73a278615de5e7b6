"""A bulk resume lets go what is overdue at its rate."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal_api.bulk.decide import pace

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_the_first_goes_when_its_share_of_the_minute_is_over() -> None:
    assert pace.allowed(2, START, after(29), 0)[0] == 0
    assert pace.allowed(2, START, after(30), 0) == (1, after(30))


def test_of_a_rate_of_sixty_one_goes_each_second() -> None:
    number, used = pace.allowed(60, START, after(1.5), 0)
    assert (number, used) == (1, after(1))
    assert pace.allowed(60, used, after(1.9), 0)[0] == 0
    assert pace.allowed(60, used, after(2), 0)[0] == 1


@pytest.mark.parametrize(("rate", "most"), [(60, 2), (600, 20), (6, 1)])
def test_a_portal_that_was_down_makes_up_for_two_seconds_at_the_most(rate: int, most: int) -> None:
    number, used = pace.allowed(rate, START, after(3600), 0)
    assert (number, used) == (most, after(3600))


@pytest.mark.parametrize(("unanswered", "number"), [(0, 2), (9, 1), (10, 0), (500, 0)])
def test_while_the_sequencer_does_not_answer_no_more_than_ten_seconds_worth_wait_for_it(
    unanswered: int, number: int
) -> None:
    assert pace.allowed(60, START, after(100), unanswered)[0] == number


def test_a_slow_rate_waits_for_each_answer() -> None:
    assert pace.allowed(1, START, after(60), 0)[0] == 1
    assert pace.allowed(1, START, after(60), 1)[0] == 0


@given(
    st.integers(1, 6000),
    st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=60),
)
def test_however_often_it_is_asked_no_more_go_than_the_rate_allows(
    rate: int, gaps: list[float]
) -> None:
    used, seconds, gone = START, 0.0, 0
    for gap in gaps:
        seconds += gap
        number, used = pace.allowed(rate, used, after(seconds), 0)
        gone += number
        assert gone <= seconds * rate / 60 + 1e-3
