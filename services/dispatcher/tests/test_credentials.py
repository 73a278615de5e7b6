"""When a route is held because its provider takes nothing from us, and how it comes back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from dispatcher.credentials import Credentials
from dispatcher.model import Accepted
from dispatcher.providers.base import QuotaExceeded, SenderRefused, Unauthorized

YES = Accepted(provider_id=None, response="")
NO = Unauthorized("answered 401").refused()
P = "email-api"


class Clock:
    def __init__(self, now: datetime) -> None:
        self._now = now
        self.at = 1_000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None: ...


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


def test_one_message_that_is_refused_while_others_pass_holds_nobody_up(clock: Clock) -> None:
    credentials = Credentials(clock)
    for _ in range(100):
        credentials.heard(P, [YES, NO, NO, YES, NO])
        assert credentials.allowance(P, 16) == 16
    assert credentials.took_others(P, 30)
    assert credentials.release_every(P) == timedelta(milliseconds=1)


def test_refusals_in_a_row_hold_the_route_and_one_message_asks_after_growing_rests(
    clock: Clock,
) -> None:
    credentials = Credentials(clock)
    credentials.heard(P, [YES])
    said = [credentials.heard(P, [NO]) for _ in range(16)]  # one wave
    assert [reason for reason in said if reason] == ["answered 401"]
    rests = []
    for _ in range(9):
        started = clock.at
        while not credentials.allowance(P, 16):
            clock.at += 1
        rests.append(clock.at - started)
        assert credentials.allowance(P, 16) == 0, "one loop asks, the others wait"
        assert credentials.heard(P, [NO]) == "answered 401"
    assert rests == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert not credentials.took_others(P, 1e9)
    assert credentials.release_every(P) == timedelta(seconds=30)
    clock.at += 300
    assert credentials.allowance(P, 16) == 1
    credentials.heard(P, [YES])
    assert credentials.allowance(P, 16) == 16
    assert credentials.release_every(P) == timedelta(milliseconds=1)


def test_a_probe_that_had_nothing_to_send_is_no_probe_and_a_lost_one_is_repeated(
    clock: Clock,
) -> None:
    credentials = Credentials(clock)
    credentials.heard(P, [NO] * 3)
    clock.at += 5
    assert credentials.allowance(P, 16) == 1
    credentials.unused(P, 1)
    assert credentials.allowance(P, 16) == 1
    assert credentials.allowance(P, 16) == 0
    clock.at += 30
    assert credentials.allowance(P, 16) == 1


def test_a_sender_that_is_refused_holds_no_route(clock: Clock) -> None:
    credentials = Credentials(clock)
    credentials.heard(P, [SenderRefused("answered 400 21606").refused()] * 50)
    assert credentials.allowance(P, 16) == 16
    assert credentials.release_every(P) == timedelta(seconds=30), "nothing has passed"


def test_took_others_is_about_the_time_that_is_asked_for(clock: Clock) -> None:
    credentials = Credentials(clock)
    assert not credentials.took_others(P, 30)
    credentials.heard(P, [YES])
    clock.at += 31
    assert not credentials.took_others(P, 30)
    assert credentials.took_others(P, 60)


def test_a_quota_that_is_used_up_holds_the_route_for_minutes_at_a_time(clock: Clock) -> None:
    credentials = Credentials(clock)
    credentials.heard(P, [QuotaExceeded("answered 429", 7200.0).refused()])
    clock.at += 299
    assert credentials.allowance(P, 16) == 0
    clock.at += 1
    assert credentials.allowance(P, 16) == 1
    credentials.heard(P, [YES])
    assert credentials.allowance(P, 16) == 16


def test_what_a_provider_refused_that_is_not_in_use_any_more_goes_on_over_the_one_that_is(
    clock: Clock,
) -> None:
    credentials = Credentials(clock, ["smtp"])
    assert credentials.release_every("resend") == timedelta(milliseconds=1)
    assert credentials.release_every("smtp") == timedelta(seconds=30)
