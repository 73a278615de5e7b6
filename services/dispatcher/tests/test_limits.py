"""Limits: the smallest wins, turns are kept, nobody gets more than the rate allows."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.limits import (
    LATE_SECONDS,
    LONGEST_WAIT_SECONDS,
    Asked,
    Bucket,
    Limits,
    RampUp,
    Rate,
    turns,
)

NOW = 1_000_000.0
TODAY = date(2026, 11, 21)


def asks(number: int, rates: dict[str, Rate], *, waited: bool = False) -> list[Asked]:
    return [Asked(rates, waited)] * number


def test_a_burst_goes_at_once_and_the_rest_get_a_turn_each() -> None:
    given_turns, _ = turns(asks(5, {"t": Rate(10.0, 2)}), {}, NOW)
    assert [turn.seconds for turn in given_turns] == [0, 0, 10, 20, 30]
    assert [turn.key for turn in given_turns] == ["", "", "t", "t", "t"]


def test_who_comes_back_at_its_turn_goes() -> None:
    rates = {"t": Rate(10.0)}
    _, buckets = turns(asks(2, rates), {}, NOW)
    (turn,), _ = turns(asks(1, rates, waited=True), buckets, NOW + 10)
    assert not turn.key


def test_newcomers_queue_up_behind_those_who_wait() -> None:
    rates = {"t": Rate(10.0)}
    _, buckets = turns(asks(3, rates), {}, NOW)  # one goes, two have turns at +10 and +20
    (turn,), buckets = turns(asks(1, rates), buckets, NOW + 10)
    assert turn.seconds == pytest.approx(20)  # at +30, behind both, though there is a token
    (turn,), _ = turns(asks(1, rates, waited=True), buckets, NOW + 10)
    assert not turn.key


def test_who_comes_back_just_before_a_token_that_is_late_keeps_its_place() -> None:
    """Nobody comes back to the moment; whoever takes a token late makes the next one late."""
    rates = {"t": Rate(10.0)}
    _, buckets = turns(asks(50, rates), {}, NOW)
    (turn,), changed = turns(asks(1, rates, waited=True), buckets, NOW + 10.4)
    assert not turn.key
    (turn, after), _ = turns(asks(2, rates, waited=True), buckets | changed, NOW + 20)
    assert turn.seconds == pytest.approx(0.4 - LATE_SECONDS)
    assert after.seconds > 60, "two for one token: the other has to queue up"


def test_the_smallest_of_several_limits_wins() -> None:
    rates = {"provider:p": Rate(1.0), "tenant:a": Rate(60.0), "domain:a:x": Rate(5.0)}
    given_turns, _ = turns(asks(2, rates), {}, NOW)
    assert (given_turns[1].key, given_turns[1].seconds) == ("tenant:a", 60.0)


def test_a_message_that_one_limit_holds_takes_nothing_from_the_others() -> None:
    wide, narrow = Rate(1.0), Rate(60.0)
    _, buckets = turns(asks(9, {"provider:p": wide, "tenant:a": narrow}), {}, NOW)
    assert buckets["provider:p"] == Bucket(full_at=NOW + 1)


def test_a_tenant_at_its_limit_does_not_hold_up_another() -> None:
    def rates(tenant: str) -> dict[str, Rate]:
        return {"provider:p": Rate(0.1), f"tenant:{tenant}": Rate(60.0)}

    _, buckets = turns(asks(100, rates("a")), {}, NOW)
    (turn,), _ = turns(asks(1, rates("b")), buckets, NOW + 0.2)
    assert not turn.key


def test_no_turn_is_further_away_than_a_lifted_limit_may_be_felt() -> None:
    given_turns, buckets = turns(asks(50, {"t": Rate(3600.0)}), {}, NOW)
    assert max(turn.seconds for turn in given_turns) == LONGEST_WAIT_SECONDS
    assert buckets["t"].tail <= NOW + LONGEST_WAIT_SECONDS


def test_a_limit_that_was_lifted_and_a_clock_that_was_wrong_are_felt_no_longer_than_a_turn() -> (
    None
):
    """Before: one a day, or a clock that was days ahead."""
    (_, first), buckets = turns(asks(2, {"t": Rate(86_400.0)}), {}, NOW + 3 * 86_400)
    assert first.seconds == LONGEST_WAIT_SECONDS
    fast = {"t": Rate(0.1, 10)}
    (turn,), changed = turns(asks(1, fast), buckets, NOW)
    assert turn.seconds <= LONGEST_WAIT_SECONDS
    given_turns, _ = turns(asks(2, fast, waited=True), buckets | changed, NOW + turn.seconds)
    assert not any(turn.key for turn in given_turns)


@pytest.mark.parametrize("interval", [0.02, 0.1, 1.0])
def test_a_limit_without_a_burst_lets_out_its_rate_though_everybody_comes_a_little_late(
    interval: float,
) -> None:
    rates, late, number = {"t": Rate(interval)}, 0.03, 200
    buckets: dict[str, Bucket] = {}
    agenda = [(NOW, who, False) for who in range(number)]
    went: list[float] = []
    while agenda:
        agenda.sort()
        at, who, waited = agenda.pop(0)
        (turn,), changed = turns([Asked(rates, waited)], buckets, at)
        buckets |= changed
        if turn.key:
            agenda.append((at + turn.seconds + late, who, True))
        else:
            went.append(at)
    assert went[-1] - went[0] <= 1.05 * number * interval


def test_a_queue_that_nobody_comes_out_of_is_gone_and_newcomers_do_not_wait_for_it() -> None:
    """Those who had turns were paused, or suppressed."""
    rates = {"t": Rate(10.0)}
    _, buckets = turns(asks(1_000, rates), {}, NOW)
    (turn,), _ = turns(asks(1, rates), buckets, NOW + 100)
    assert not turn.key


def test_a_long_queue_asks_again_a_few_times_a_day_and_not_more() -> None:
    """Ten thousand for one mailbox of 400 an hour: a day of waiting."""
    rates = {"t": Rate(9.0)}
    given_turns, _ = turns(asks(10_000, rates), {}, NOW)
    assert given_turns[2_000].seconds == pytest.approx(18_000)
    assert given_turns[-1].seconds == 21_600


def test_without_limits_everything_goes_and_nothing_is_kept() -> None:
    given_turns, buckets = turns(asks(3, {}), {}, NOW)
    assert not any(turn.key for turn in given_turns)
    assert buckets == {}


@given(
    interval=st.sampled_from([0.5, 1.0, 7.0, 60.0]),
    burst=st.integers(1, 5),
    arrivals=st.lists(st.floats(0, 300), min_size=1, max_size=60),
)
def test_in_no_window_more_than_the_burst_and_the_rate_and_in_order(
    interval: float, burst: int, arrivals: list[float]
) -> None:
    """A model of the whole: everybody comes, and comes back when told to."""
    rates = {"t": Rate(interval, burst)}
    buckets: dict[str, Bucket] = {}
    agenda = sorted((NOW + at, number, False) for number, at in enumerate(sorted(arrivals)))
    went: list[tuple[float, int]] = []
    steps = 0
    while agenda:
        steps += 1
        assert steps < 20_000
        at, number, waited = agenda.pop(0)
        (turn,), changed = turns([Asked(rates, waited)], buckets, at)
        buckets |= changed
        if not turn.key:
            went.append((at, number))
            continue
        agenda.append((at + turn.seconds, number, True))
        agenda.sort()
    times = [at for at, _ in went]
    assert len(went) == len(arrivals)
    for first in range(len(times)):
        for last in range(first, len(times)):
            span = times[last] - times[first]
            assert last - first + 1 <= burst + (span + LATE_SECONDS) / interval + 1e-3
    if max(arrivals) - min(arrivals) + len(arrivals) * interval < LONGEST_WAIT_SECONDS:
        assert [number for _, number in went] == sorted(number for _, number in went)


def test_a_ramp_up_lets_out_its_cap_in_a_day_and_ends() -> None:
    ramp = RampUp(date(2026, 11, 20), (50, 100))
    rate = ramp.rate(TODAY)
    assert rate is not None
    assert rate.burst + 86_400 / rate.interval == pytest.approx(100)
    assert ramp.rate(date(2026, 11, 22)) is None
    assert ramp.rate(date(2026, 11, 1)) == ramp.rate(date(2026, 11, 20))


def test_a_message_has_a_bucket_for_each_limit_that_covers_it() -> None:
    limits = Limits(
        provider={"resend": Rate(0.1)},
        tenant={"*": Rate(1.0), "acme": Rate(2.0)},
        mailbox={"*": Rate(3.0)},
        domain={"gmail.com": Rate(4.0)},
        ramp_up={"acme@mail.example.com": RampUp(TODAY, (10,))},
    )
    found = limits.rates_of(
        provider="resend",
        tenant_id="acme",
        mailbox="acme@mail.example.com",
        domain="gmail.com",
        today=TODAY,
    )
    assert set(found) == {
        "provider:resend",
        "tenant:acme",
        "mailbox:acme@mail.example.com",
        "ramp_up:acme@mail.example.com",
        "domain:acme:gmail.com",
    }
    assert found["tenant:acme"] == Rate(2.0)
    other = limits.rates_of(
        provider="twilio", tenant_id="north", mailbox="", domain="", today=TODAY
    )
    assert other == {"tenant:north": Rate(1.0)}
