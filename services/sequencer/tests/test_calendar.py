"""Named cases of local time: what a person with a wall clock and a calendar would say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from sequencer.decide.calendar import (
    Hours,
    add_business_days,
    add_days,
    next_open,
    on_day,
    parse_hours,
    pick,
    spread,
)

NEW_YORK = "America/New_York"
SYDNEY = "Australia/Sydney"
LONDON = "Europe/London"
WEEKDAYS = frozenset(range(5))
FRIDAY = frozenset({4})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(at: str, zone: str, *hours: Hours) -> datetime | None:
    return next_open(utc(at), zone, hours)


def shuts(at: str, zone: str, *hours: Hours) -> bool:
    """Whether they are open to that instant, and not at it."""
    last = utc(at) - timedelta(microseconds=1)
    return next_open(last, zone, hours) == last and next_open(utc(at), zone, hours) != utc(at)


def office(holidays: str = "") -> Hours:
    return Hours(9 * 60, 17 * 60, WEEKDAYS, holidays)


def test_hours_are_read_as_they_are_written() -> None:
    assert parse_hours("08:00-21:00") == Hours(480, 1260)
    assert parse_hours("22:30-06:15") == Hours(1350, 375)
    assert parse_hours("00:00-24:00") == Hours(0, 1440)


@pytest.mark.parametrize(
    "text", ["", "8:00-21:00", "08:00", "08:00-25:00", "24:00-06:00", "08:60-09:00", "09:00-09:00"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="hours"):
        parse_hours(text)


@pytest.mark.parametrize("code", ["XX", "US-ZZ", "us", "US-", "HolidayBase"])
def test_an_unknown_holiday_calendar_is_refused_when_it_is_written_down(code: str) -> None:
    with pytest.raises(ValueError, match="no holiday calendar"):
        Hours(480, 1260, holidays=code)
    with pytest.raises(ValueError, match="no holiday calendar"):
        add_business_days(utc("2026-11-20T10:00"), "UTC", 1, code)


def test_a_weekday_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="Monday"):
        Hours(480, 1260, frozenset({7}))


def test_an_open_instant_is_kept_to_the_microsecond() -> None:
    at = utc("2026-11-20T15:00:00.123456")
    assert next_open(at, NEW_YORK, [office()]) == at


def test_before_the_window_it_opens_on_the_second() -> None:
    assert opens("2026-11-20T13:59:59.999999", NEW_YORK, office()) == utc("2026-11-20T14:00")


def test_the_end_of_a_window_is_outside_it() -> None:
    day = parse_hours("09:00-17:00")
    last = utc("2026-11-20T21:59:59.999999")
    assert next_open(last, NEW_YORK, [day]) == last
    assert shuts("2026-11-20T22:00", NEW_YORK, day)
    assert opens("2026-11-20T22:00", NEW_YORK, day) == utc("2026-11-21T14:00")


def test_no_hours_are_always_open() -> None:
    at = utc("2026-11-20T03:00:00.5")
    assert next_open(at, NEW_YORK, []) == at


def test_all_day_every_day_is_always_open() -> None:
    at = utc("2026-03-07T03:00")
    always = parse_hours("00:00-24:00")
    assert next_open(at, NEW_YORK, [always]) == at


def test_all_day_on_weekdays_closes_at_the_midnight_before_saturday() -> None:
    whole = Hours(0, 1440, WEEKDAYS)
    assert shuts("2026-11-21T05:00", NEW_YORK, whole)


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "America"])
def test_a_zone_that_is_unknown_is_utc(zone: str) -> None:
    assert opens("2026-11-20T03:00", zone, office()) == utc("2026-11-20T09:00")


def test_all_hours_must_be_open_at_once() -> None:
    sms = parse_hours("08:00-21:00")
    late = parse_hours("20:00-23:00")
    assert opens("2026-11-20T12:00", "UTC", sms, late) == utc("2026-11-20T20:00")
    assert shuts("2026-11-20T21:00", "UTC", sms, late)


def test_hours_that_never_meet_never_open() -> None:
    apart = (parse_hours("08:00-10:00"), parse_hours("12:00-14:00"))
    assert opens("2026-11-20T12:00", NEW_YORK, *apart) is None
    assert opens("2026-11-20T12:00", NEW_YORK, Hours(480, 1260, frozenset())) is None


def test_a_window_that_the_skipped_hour_swallows_opens_the_next_day() -> None:
    # 2026-03-08: 02:00 EST is 03:00 EDT.
    assert opens("2026-03-08T00:00", NEW_YORK, parse_hours("02:00-03:00")) == utc(
        "2026-03-09T06:00"
    )


def test_a_window_that_begins_in_the_skipped_hour_opens_where_the_wall_goes_on() -> None:
    window = parse_hours("02:30-04:00")
    assert opens("2026-03-08T00:00", NEW_YORK, window) == utc("2026-03-08T07:00")
    assert shuts("2026-03-08T08:00", NEW_YORK, window)


def test_a_window_that_ends_in_the_skipped_hour_closes_where_the_wall_jumps() -> None:
    window = parse_hours("01:00-02:30")
    assert shuts("2026-03-08T07:00", NEW_YORK, window)


def test_a_window_in_the_repeated_hour_is_open_both_times() -> None:
    # 2026-11-01: 02:00 EDT is 01:00 EST.
    window = parse_hours("01:30-01:45")
    assert opens("2026-11-01T00:00", NEW_YORK, window) == utc("2026-11-01T05:30")
    assert shuts("2026-11-01T05:45", NEW_YORK, window)
    assert opens("2026-11-01T05:45", NEW_YORK, window) == utc("2026-11-01T06:30")
    assert shuts("2026-11-01T06:45", NEW_YORK, window)


def test_a_window_of_the_repeated_hour_is_open_for_two() -> None:
    window = parse_hours("01:00-02:00")
    assert opens("2026-11-01T00:00", NEW_YORK, window) == utc("2026-11-01T05:00")
    assert shuts("2026-11-01T07:00", NEW_YORK, window)


def test_the_southern_half_skips_in_october_and_repeats_in_april() -> None:
    window = parse_hours("02:00-03:00")
    assert opens("2026-10-03T12:00", SYDNEY, window) == utc("2026-10-04T15:00")
    assert opens("2026-04-04T12:00", SYDNEY, window) == utc("2026-04-04T15:00")
    assert shuts("2026-04-04T17:00", SYDNEY, window)


def test_half_an_hour_of_daylight_saving_skips_and_repeats_half_an_hour() -> None:
    skipped, repeated = parse_hours("02:00-02:30"), parse_hours("01:30-02:00")
    zone = "Australia/Lord_Howe"
    assert opens("2026-10-03T12:00", zone, skipped) == utc("2026-10-04T15:00")
    assert opens("2026-04-04T12:00", zone, repeated) == utc("2026-04-04T14:30")
    assert shuts("2026-04-04T15:30", zone, repeated)


@pytest.mark.parametrize(
    ("zone", "at", "expected"),
    [
        ("Asia/Kathmandu", "2026-11-20T00:00", "2026-11-20T03:15"),
        ("Pacific/Marquesas", "2026-11-20T10:00", "2026-11-20T18:30"),
        ("Pacific/Kiritimati", "2026-11-20T10:00", "2026-11-20T19:00"),
        (NEW_YORK, "1880-06-01T00:00", "1880-06-01T13:56:02"),
    ],
)
def test_odd_offsets_are_exact_to_the_second(zone: str, at: str, expected: str) -> None:
    assert opens(at, zone, parse_hours("09:00-10:00")) == utc(expected)


def test_a_day_that_a_country_skips_has_no_window() -> None:
    # Samoa went from Thursday, 2011-12-29 to Saturday, 2011-12-31.
    at = "2011-12-30T09:00"
    assert opens(at, "Pacific/Apia", parse_hours("09:00-10:00")) == utc("2011-12-30T19:00")
    assert opens(at, "Pacific/Apia", Hours(540, 600, FRIDAY)) == utc("2012-01-05T19:00")


def test_after_midnight_a_window_belongs_to_the_day_it_began() -> None:
    night = Hours(22 * 60, 6 * 60, FRIDAY)
    saturday = utc("2026-11-21T03:00")
    assert next_open(saturday, "UTC", [night]) == saturday
    assert shuts("2026-11-21T06:00", "UTC", night)
    assert opens("2026-11-21T06:00", "UTC", night) == utc("2026-11-27T22:00")
    assert opens("2026-11-20T03:00", "UTC", night) == utc("2026-11-20T22:00")
    assert opens("2026-11-21T22:30", "UTC", night) == utc("2026-11-27T22:00")


def test_a_night_that_began_on_a_holiday_is_closed_to_its_end() -> None:
    night = Hours(22 * 60, 6 * 60, holidays="US")
    eve = utc("2026-12-25T03:00")
    assert next_open(eve, "UTC", [night]) == eve
    assert opens("2026-12-26T03:00", "UTC", night) == utc("2026-12-26T22:00")


def test_a_weekend_waits_for_monday() -> None:
    assert opens("2026-11-21T15:00", NEW_YORK, office()) == utc("2026-11-23T14:00")


def test_christmas_is_closed_in_the_united_states() -> None:
    # A Friday: the next office hours are on Monday.
    assert opens("2026-12-25T15:00", NEW_YORK, office("US")) == utc("2026-12-28T14:00")
    assert opens("2026-12-25T15:00", NEW_YORK, office()) == utc("2026-12-25T15:00")


def test_easter_monday_is_a_bank_holiday_in_england_and_not_in_scotland() -> None:
    good_friday = "2026-04-03T10:00"
    assert opens(good_friday, LONDON, office("GB-ENG")) == utc("2026-04-07T08:00")
    assert opens(good_friday, LONDON, office("GB-SCT")) == utc("2026-04-06T08:00")


def test_a_new_year_kept_in_the_year_before_is_closed_then() -> None:
    # 2028-01-01 is a Saturday, kept on Friday, 2027-12-31 (5 U.S.C. 6103).
    assert opens("2027-12-31T10:00", "UTC", office("US")) == utc("2028-01-03T09:00")


def test_a_day_later_is_the_same_wall_time_across_both_changes() -> None:
    assert add_days(utc("2026-03-07T14:00"), NEW_YORK, 1) == utc("2026-03-08T13:00")
    assert add_days(utc("2026-10-31T13:00"), NEW_YORK, 1) == utc("2026-11-01T14:00")
    assert add_days(utc("2026-03-08T13:00"), NEW_YORK, -1) == utc("2026-03-07T14:00")
    # London, half a year and back: 09:00 GMT, 09:00 BST.
    assert add_days(utc("2026-01-10T09:00"), LONDON, 180) == utc("2026-07-09T08:00")


def test_a_day_later_keeps_the_microseconds_of_the_wall() -> None:
    at = utc("2026-03-07T14:00:00.25")
    assert add_days(at, NEW_YORK, 1) == utc("2026-03-08T13:00:00.25")


def test_a_skipped_wall_time_is_the_first_instant_after_the_gap() -> None:
    assert add_days(utc("2026-03-07T07:30:10.5"), NEW_YORK, 1) == utc("2026-03-08T07:00")
    # 2011-12-30 10:00 never was in Samoa.
    assert add_days(utc("2011-12-29T20:00"), "Pacific/Apia", 1) == utc("2011-12-30T10:00")
    assert add_days(utc("2011-12-29T20:00"), "Pacific/Apia", 2) == utc("2011-12-30T20:00")


def test_a_repeated_wall_time_is_its_first_occurrence() -> None:
    assert add_days(utc("2026-10-31T05:30"), NEW_YORK, 1) == utc("2026-11-01T05:30")
    assert add_days(utc("2026-11-01T06:30"), NEW_YORK, 1) == utc("2026-11-02T06:30")
    assert add_days(utc("2026-04-03T15:30"), SYDNEY, 1) == utc("2026-04-04T15:30")


def test_no_days_later_is_the_instant_itself_even_in_a_repeated_hour() -> None:
    second_time = utc("2026-11-01T06:30")
    assert add_days(second_time, NEW_YORK, 0) == second_time
    assert add_business_days(second_time, NEW_YORK, 0, "US") == second_time


def test_business_days_pass_over_easter() -> None:
    maundy_thursday = utc("2026-04-02T09:00")
    assert add_business_days(maundy_thursday, LONDON, 1, "GB-ENG") == utc("2026-04-07T09:00")
    assert add_business_days(maundy_thursday, LONDON, 2, "GB-ENG") == utc("2026-04-08T09:00")
    assert add_business_days(maundy_thursday, LONDON, 1, "GB-SCT") == utc("2026-04-06T09:00")
    assert add_business_days(maundy_thursday, LONDON, 1, "") == utc("2026-04-03T09:00")


def test_business_days_keep_the_wall_time_and_start_from_the_local_day() -> None:
    # Friday 09:00 BST, Monday 09:00 GMT.
    assert add_business_days(utc("2026-10-23T08:00"), LONDON, 1, "") == utc("2026-10-26T09:00")
    # Saturday in London is still Friday evening in New York.
    assert add_business_days(utc("2026-11-21T03:00"), NEW_YORK, 1, "") == utc("2026-11-24T03:00")
    assert add_business_days(utc("2026-11-21T12:00"), "UTC", 5, "") == utc("2026-11-27T12:00")


def test_a_spread_is_whole_seconds_below_its_minutes_and_fills_them() -> None:
    waits = [spread(30, "acme", str(lead)) for lead in range(10_000)]
    assert all(timedelta(0) <= wait < timedelta(minutes=30) for wait in waits)
    assert all(wait.microseconds == 0 for wait in waits)
    by_minute = [0] * 30
    for wait in waits:
        by_minute[wait.seconds // 60] += 1
    # 333 are expected in each minute, with a standard deviation of 18.
    assert all(243 <= count <= 423 for count in by_minute)


def test_without_minutes_there_is_no_spread() -> None:
    assert spread(0, "lead") == spread(-5, "lead") == timedelta(0)


def test_arms_are_picked_in_proportion_to_their_weights() -> None:
    counts = [0, 0, 0, 0]
    for lead in range(10_000):
        counts[pick([1, 0, 3, -2], "sequence", str(lead))] += 1
    assert counts[1] == counts[3] == 0
    # 2500 are expected, with a standard deviation of 43.
    assert 2285 <= counts[0] <= 2715


def test_without_weights_it_is_the_first_arm() -> None:
    assert pick([], "lead") == pick([0, 0], "lead") == pick([-1, -2], "lead") == 0
    assert pick([0, 5], "lead") == 1


def test_where_an_id_ends_counts() -> None:
    pairs = [(f"{n}", "0", f"{n}0", "") for n in range(50)]
    assert any(spread(60, a, b) != spread(60, c, d) for a, b, c, d in pairs)


def test_an_arm_has_no_time_of_day_of_its_own() -> None:
    first = [spread(60, str(lead)) for lead in range(10_000) if pick([1, 1], str(lead)) == 0]
    mean = sum(first, timedelta(0)) / len(first)
    # 30 minutes are expected, with a standard error of 15 seconds.
    assert abs(mean - timedelta(minutes=30)) < timedelta(seconds=75)


def test_spread_and_pick_are_the_same_in_every_release() -> None:
    # Written down once: another hash would move what is scheduled and swap arms under leads.
    assert [spread(60, "acme", str(lead)).seconds for lead in range(4)] == [1687, 2682, 17, 972]
    assert [pick([1, 1, 1], "acme", str(lead)) for lead in range(8)] == [2, 2, 1, 1, 1, 0, 0, 2]


def test_an_hour_of_a_day_is_found_on_the_wall() -> None:
    day = datetime(2026, 11, 12, tzinfo=UTC).date()
    assert on_day(day, NEW_YORK, 9) == utc("2026-11-12T14:00")
    assert on_day(day, "Mars/Olympus", 9) == utc("2026-11-12T09:00")
    assert on_day(datetime(2026, 3, 8, tzinfo=UTC).date(), NEW_YORK, 2) == utc("2026-03-08T07:00")
