"""The dispatcher's quiet hours open when the sequencer's calendar opens: in every zone, over every
change of daylight saving. The calendar is held to hand-made cases by tests of its own."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import available_timezones

import pytest

from dispatcher.hours import closed
from sequencer.decide import calendar

ZONES = sorted(available_timezones())
HOURS = ("08:00-21:00", "00:00-24:00", "22:00-06:00", "02:30-05:00", "01:30-01:45", "23:59-24:00")


@pytest.mark.parametrize("seed", range(2))
def test_they_open_when_the_calendar_opens(seed: int) -> None:
    drawn = random.Random(seed)
    for _ in range(1_000):
        zone, hours = drawn.choice(ZONES), drawn.choice(HOURS)
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=drawn.randrange(2 * 366 * 86_400))
        found = closed(at, zone, hours)
        expected = calendar.next_open(at, zone, (calendar.parse_hours(hours),))
        assert (at if found is None else found.until) == expected, (zone, hours, at)


# The wall of a zone around its changes, minute by minute: where a shortcut would be wrong.
@pytest.mark.parametrize(
    ("zone", "day"),
    [
        ("America/New_York", "2026-03-08"),  # 02:00 → 03:00
        ("America/New_York", "2026-11-01"),  # 02:00 → 01:00
        ("Australia/Lord_Howe", "2026-10-04"),  # half an hour
        ("Pacific/Apia", "2011-12-30"),  # a day that never was
        ("America/St_Johns", "2006-04-02"),  # at 00:01
    ],
)
@pytest.mark.parametrize("hours", HOURS)
def test_they_open_right_on_the_days_on_which_the_clocks_change(
    zone: str, day: str, hours: str
) -> None:
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00") - timedelta(days=1)
    for quarter in range(2 * 96):
        at = start + timedelta(minutes=15 * quarter, seconds=7)
        found = closed(at, zone, hours)
        expected = calendar.next_open(at, zone, (calendar.parse_hours(hours),))
        assert (at if found is None else found.until) == expected, at
