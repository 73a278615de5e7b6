"""Calls that an account may get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from crm_sync.budget import Bucket, Budget, take

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def calls_made(budget: Budget, asked: list[datetime]) -> list[datetime]:
    bucket: Bucket | None = None
    made = []
    for at in asked:
        bucket, wait = take(bucket, budget, at)
        if not wait:
            made.append(at)
    return made


def test_a_tenth_may_come_at_once_and_the_next_says_when_there_is_room() -> None:
    budget = Budget(100, 10)
    assert len(calls_made(budget, [NOW] * 50)) == 10
    bucket = Bucket(0, NOW)
    bucket, wait = take(bucket, budget, NOW)
    # 90 of the 100 are left for the ten seconds: one in a ninth of a second.
    assert wait == timedelta(seconds=1 / 9)
    assert take(bucket, budget, NOW + wait)[1] == timedelta(0)


@given(
    calls=st.integers(2, 40),
    seconds=st.floats(0.5, 30),
    gaps=st.lists(st.floats(0, 3), min_size=1, max_size=200),
)
def test_no_stretch_of_time_sees_more_calls_than_the_budget(
    calls: int, seconds: float, gaps: list[float]
) -> None:
    asked = [NOW]
    for gap in gaps:
        asked.append(asked[-1] + timedelta(seconds=gap))
    made = calls_made(Budget(calls, seconds), [at for at in asked for _ in range(3)])
    for first in made:
        stretch = [at for at in made if first <= at < first + timedelta(seconds=seconds)]
        assert len(stretch) <= calls


def test_who_keeps_asking_uses_nine_tenths_of_the_budget() -> None:
    asked = [NOW + timedelta(milliseconds=n) for n in range(20_000)]
    made = calls_made(Budget(100, 10), asked)
    assert len([at for at in made if at >= NOW + timedelta(seconds=10)]) >= 89


def test_one_call_in_a_while_is_a_budget_too() -> None:
    made = calls_made(Budget(1, 10), [NOW + timedelta(seconds=n) for n in range(25)])
    assert made == [NOW, NOW + timedelta(seconds=10), NOW + timedelta(seconds=20)]


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket, _ = take(Bucket(0, NOW), Budget(10, 1), NOW - timedelta(hours=1))
    assert bucket == Bucket(0, NOW)
